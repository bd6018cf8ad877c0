//! A case of the corpus: what a folder holds, read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, iter};

use podgraft::snapshot::{Namespace, OnError, OnUnknown, Policy, Snapshot};
use podgraft::template::{self, LoadOptions, Origin};
use serde::Deserialize;
use serde_json::Value;

/// What may stand in a folder beside the `want` files.
const INPUTS: [&str; 4] = ["pod.yaml", "templates.yaml", "namespace.yaml", "options.yaml"];

/// `options.yaml`: the request's namespace, and the operator's options under their command line names in camelCase.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    pub namespace: Option<String>,
    pub annotation_prefix: Option<String>,
    pub on_unknown: Option<String>,
    pub native_sidecars: Option<String>,
    pub foreign_containers: Option<Vec<String>>,
    pub default_run_as_user: Option<String>,
    pub image: Option<String>,
    pub image_mirror: Option<String>,
    pub psa_errors: Option<String>,
}

impl Options {
    fn policy(&self) -> Policy {
        let default = Policy::default();
        Policy {
            annotation_prefix: self.annotation_prefix.clone().unwrap_or(default.annotation_prefix),
            on_unknown: match self.on_unknown.as_deref() {
                None | Some("deny") => OnUnknown::Deny,
                Some("warn") => OnUnknown::Warn,
                Some(other) => panic!("onUnknown: {other}"),
            },
            native_sidecars: match self.native_sidecars.as_deref() {
                None | Some("always") => true,
                Some("never") => false,
                Some(other) => panic!("nativeSidecars: {other}"),
            },
            foreign_containers: self.foreign_containers.clone().unwrap_or_default(),
            default_run_as_user: match self.default_run_as_user.as_deref() {
                None => default.default_run_as_user,
                Some("none") => None,
                Some(id) => Some(id.parse().unwrap()),
            },
            image: self.image.clone().unwrap_or(default.image),
            image_mirror: self.image_mirror.as_ref().map(|mirror| mirror.parse().unwrap()),
            psa_errors: match self.psa_errors.as_deref() {
                None | Some("warn") => OnError::Warn,
                Some("deny") => OnError::Deny,
                Some(other) => panic!("psaErrors: {other}"),
            },
            ..default
        }
    }
}

/// One folder of `tests/fixtures/inject`.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// The pod, as JSON text.
    pub pod: String,
    /// The request's namespace.
    pub namespace: String,
    pub options: Options,
    pub snapshot: Snapshot,
}

/// About as many cases as there are: a corpus that is not found, or half of it, is no test.
const CASES: usize = 250;

/// The folder of every case, sorted.
pub fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inject");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(folders.len() >= CASES, "there are only {} cases", folders.len());
    folders.sort();
    folders
}

impl Case {
    pub fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(INPUTS.contains(&&*file) || super::WANTS.contains(&&*file), "{name}: what is {file}?");
        }
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();

        let options: Options = read("options.yaml").map(|text| yaml(&name, &text)).unwrap_or_default();
        let mut snapshot = Snapshot { policy: options.policy(), ..Snapshot::default() };
        let load =
            LoadOptions { annotation_prefix: snapshot.policy.annotation_prefix.clone(), ..LoadOptions::default() };
        crate::builtin::templates().for_each(|template| snapshot.templates.insert(template));
        if let Some(text) = read("templates.yaml") {
            let loaded = template::load(Origin(Arc::from("templates.yaml")), &text, &load);
            let templates = loaded.unwrap_or_else(|error| panic!("{name}: {error}")).templates;
            for template in templates {
                snapshot.templates.insert(Arc::new(template));
            }
        }
        if let Some(text) = read("namespace.yaml") {
            let namespace = Namespace::from_object(yaml(&name, &text)).expect("a namespace has a name");
            snapshot.namespaces.insert(namespace);
        }

        let pod: Value = yaml(&name, &read("pod.yaml").unwrap_or_else(|| panic!("{name} has no pod.yaml")));
        let namespace = options.namespace.clone().unwrap_or_else(|| "default".to_owned());
        Self { pod: pod.to_string(), name, folder, namespace, options, snapshot }
    }

    /// The paths of the `want` files that are there.
    pub fn wants(&self) -> impl Iterator<Item = (&'static str, String)> {
        let mut names = super::WANTS.into_iter();
        iter::from_fn(move || names.find_map(|name| Some((name, fs::read_to_string(self.folder.join(name)).ok()?))))
    }
}

/// Reads YAML as kubectl does where that matters: `yes` is text, `0644` octal.
pub fn yaml<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> T {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{name}: {error}"))
}
