//! Options that several subcommands share, and the checked values they become.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::cluster::client::Access;
use crate::library::{self, Library};
use crate::snapshot::{ImageMirror, OnError, OnUnknown, Policy};
use crate::template::{LoadOptions, names, parameter};

/// Where templates come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Templates and namespaces")]
pub struct TemplateArgs {
    /// Template file, or directory of them (*.yaml, *.yml, *.json; not those in directories below), beside the built-in
    /// ones; repeatable or comma-separated, later ones win.
    #[arg(long = "templates", value_name = "PATH", env = "PODGRAFT_TEMPLATES", value_delimiter = ',')]
    templates: Vec<PathBuf>,
}

/// Where templates and namespaces come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Templates and namespaces")]
pub struct SourceArgs {
    #[command(flatten)]
    templates: TemplateArgs,
    /// File or directory of Namespace objects: annotations of those labelled podgraft.dev/inject=enabled are defaults.
    #[arg(long, value_name = "PATH", env = "PODGRAFT_NAMESPACES")]
    namespaces: Option<PathBuf>,
}

/// Whether and how the Kubernetes API is used.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubernetesArgs {
    /// Whether templates and namespaces are read from the Kubernetes API as well.
    #[arg(long, value_enum, value_name = "auto|always|never", env = "PODGRAFT_KUBERNETES", default_value = "auto")]
    pub kubernetes: Kubernetes,
    /// Reach the API server as this file's current context says, instead of as the pod's service account.
    #[arg(long, value_name = "FILE", env = "PODGRAFT_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

/// How templates are compiled.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Templates and namespaces")]
pub struct LoadArgs {
    /// What annotation keys begin with: PREFIX/<template>.
    #[arg(long, value_name = "PREFIX", env = "PODGRAFT_ANNOTATION_PREFIX", default_value = "inject", value_parser = prefix)]
    pub annotation_prefix: String,
    /// What to do with fields of a template that core/v1 does not know.
    #[arg(long, value_enum, value_name = "deny|warn", env = "PODGRAFT_UNKNOWN_FIELDS", default_value = "deny")]
    pub unknown_fields: UnknownFields,
}

/// What decides about pods.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// What happens to a pod that names an unknown template or parameter.
    #[arg(long, value_enum, value_name = "deny|warn", env = "PODGRAFT_ON_UNKNOWN", default_value = "deny")]
    pub on_unknown: OnUnknownArg,
    /// Inject sidecars as init containers with restartPolicy Always, or as ordinary containers.
    #[arg(long, value_enum, value_name = "always|never", env = "PODGRAFT_NATIVE_SIDECARS", default_value = "always")]
    pub native_sidecars: NativeSidecars,
    /// Names of containers that other injectors add and that are never a target, beside the known ones.
    #[arg(long, value_name = "NAMES", env = "PODGRAFT_FOREIGN_CONTAINERS", value_delimiter = ',', value_parser = container)]
    pub foreign_containers: Vec<String>,
    /// User and group of an injected container that runs as its target where the target has none; none writes nothing.
    #[arg(long, value_name = "ID|none", env = "PODGRAFT_DEFAULT_RUN_AS_USER", default_value = "65532", value_parser = user)]
    pub default_run_as_user: User,
    /// podgraft's own image, which templates name as podgraft.image.
    #[arg(long, value_name = "IMAGE", env = "PODGRAFT_IMAGE", default_value = concat!("podgraft:", env!("CARGO_PKG_VERSION")), value_parser = image)]
    pub image: String,
    /// Registry that has the built-in templates' images: busybox becomes REGISTRY/library/busybox; what a pod names stays.
    #[arg(long, value_name = "REGISTRY[/PATH]", env = "PODGRAFT_IMAGE_MIRROR")]
    pub image_mirror: Option<ImageMirror>,
    /// What to do with grafts that break the Pod Security Standard which the namespace enforces.
    #[arg(long, value_enum, value_name = "warn|deny", env = "PODGRAFT_PSA_ERRORS", default_value = "warn")]
    pub psa_errors: OnErrorArg,
    /// How templates are compiled.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// `--on-unknown`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnUnknownArg {
    /// Deny the pod.
    Deny,
    /// Let it in without, and warn.
    Warn,
}

/// `--workload-errors`, `--psa-errors`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnErrorArg {
    /// Warn, and let it in.
    Warn,
    /// Deny it.
    Deny,
}

impl From<OnErrorArg> for OnError {
    fn from(typed: OnErrorArg) -> Self {
        match typed {
            OnErrorArg::Warn => Self::Warn,
            OnErrorArg::Deny => Self::Deny,
        }
    }
}

/// `--native-sidecars`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NativeSidecars {
    /// Init containers with `restartPolicy: Always`.
    Always,
    /// Ordinary containers.
    Never,
}

/// `--kubernetes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kubernetes {
    /// In a pod that has a service account, and with --kubeconfig.
    Auto,
    /// Always; without a service account or --kubeconfig that is an error.
    Always,
    /// Never.
    Never,
}

/// `--unknown-fields`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnknownFields {
    /// Refuse the template.
    Deny,
    /// Use it, and say so.
    Warn,
}

/// `--default-run-as-user`.
#[derive(Debug, Clone, Copy)]
pub struct User(pub Option<i64>);

fn user(text: &str) -> Result<User, String> {
    if text == "none" {
        return Ok(User(None));
    }
    match text.parse::<u32>() {
        Ok(0) => Err("0 is root; write a user ID from 1, or none".to_owned()),
        Ok(id) if id <= i32::MAX.cast_unsigned() => Ok(User(Some(i64::from(id)))),
        _ => Err("write a user ID from 1 to 2147483647, or none".to_owned()),
    }
}

/// A DNS subdomain: the part before the slash of an annotation key (Kubernetes: labels, "Syntax and character set").
fn prefix(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // An instance of at most 20 characters and a dot go before it, and the whole may have 253.
    if text.len() <= 253 - 21 && text.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err("write a DNS subdomain of at most 232 characters, such as inject or inject.example.com".to_owned())
    }
}

/// A namespace's name.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    label(text).ok_or_else(|| "write a namespace's name: at most 63 lower case letters, digits and dashes".to_owned())
}

fn container(text: &str) -> Result<String, String> {
    label(text).ok_or_else(|| "write a container's name: at most 63 lower case letters, digits and dashes".to_owned())
}

/// An RFC 1123 label.
fn label(text: &str) -> Option<String> {
    names::label(text, names::MAX_LABEL).is_none().then(|| text.to_owned())
}

/// What the API server takes for an image: text without white space. Whether it is there is the kubelet's to find out.
fn image(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("write an image, such as registry.example.com/podgraft:1.0".to_owned())
    }
}

/// A duration as Kubernetes writes it, and as templates' parameters are: `500ms`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = parameter::duration(text).and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
    let wanted = || "write a duration with its unit, such as 500ms, 10s or 1m30s".to_owned();
    nanoseconds.map(Duration::from_nanos).ok_or_else(wanted)
}

impl SourceArgs {
    /// The library that these options name.
    #[must_use]
    pub fn library(&self, load: LoadOptions, policy: Policy) -> Library {
        let (templates, namespaces) = (self.templates.templates.clone(), self.namespaces.clone());
        Library::new(library::Options { templates, namespaces, load, policy })
    }

    /// The files and directories that these options name.
    pub fn paths(self) -> impl Iterator<Item = PathBuf> {
        self.templates.templates.into_iter().chain(self.namespaces)
    }
}

impl TemplateArgs {
    /// The library that these options name.
    #[must_use]
    pub fn library(&self, load: LoadOptions) -> Library {
        Library::new(library::Options { templates: self.templates.clone(), load, ..library::Options::default() })
    }
}

impl KubernetesArgs {
    /// How to reach the API server, if it is to be used.
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        let given = self.kubeconfig.clone().map(Access::Kubeconfig);
        match self.kubernetes {
            Kubernetes::Auto => given.or_else(Access::detect),
            Kubernetes::Always => given.or(Some(Access::InCluster)),
            Kubernetes::Never => None,
        }
    }
}

impl PolicyArgs {
    /// The policy of a snapshot.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            annotation_prefix: self.load.annotation_prefix.clone(),
            on_unknown: match self.on_unknown {
                OnUnknownArg::Deny => OnUnknown::Deny,
                OnUnknownArg::Warn => OnUnknown::Warn,
            },
            native_sidecars: self.native_sidecars == NativeSidecars::Always,
            foreign_containers: self.foreign_containers.clone(),
            default_run_as_user: self.default_run_as_user.0,
            image: self.image.clone(),
            image_mirror: self.image_mirror.clone(),
            workload_errors: OnError::Warn,
            psa_errors: self.psa_errors.into(),
            allow_unknown_fields: self.load.unknown_fields == UnknownFields::Warn,
        }
    }
}

impl LoadArgs {
    /// What loading templates depends on.
    #[must_use]
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            allow_unknown_fields: self.unknown_fields == UnknownFields::Warn,
            annotation_prefix: self.annotation_prefix.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{container, duration, image, namespace, prefix, user};

    #[test]
    fn durations_are_written_as_in_templates() {
        for (text, millis) in [("0", 0), ("500ms", 500), ("1m30s", 90_000), ("1.5s", 1500), (".5h", 1_800_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "-1s", "1 s", "1d", "9999999h"] {
            duration(text).expect_err(text);
        }
    }

    #[test]
    fn prefixes_are_dns_subdomains() {
        for good in ["inject", "inject.example.com", "a-b.c1"] {
            assert_eq!(prefix(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "a.", "-a", "a-", "A", "a/b", "a b", &"a".repeat(233)] {
            prefix(bad).expect_err(bad);
        }
    }

    #[test]
    fn names_and_images_are_what_kubernetes_takes() {
        for bad in ["", "A", "a_b", "-a", "a-", "a b", &"a".repeat(64)] {
            namespace(bad).expect_err(bad);
            container(bad).expect_err(bad);
        }
        assert_eq!((namespace("a-1").as_deref(), container("1").as_deref()), (Ok("a-1"), Ok("1")));
        for bad in ["", "a b", "a\n", "ä"] {
            image(bad).expect_err(bad);
        }
        image("registry:5000/a_b/C@sha256:0").unwrap();
    }

    #[test]
    fn users_are_never_root() {
        assert_eq!(user("65532").unwrap().0, Some(65532));
        assert_eq!(user("none").unwrap().0, None);
        for bad in ["0", "-1", "", "2147483648", "nobody"] {
            user(bad).expect_err(bad);
        }
    }
}
