//! What has been planned so far. A graft is all or nothing: it appends here, and is rolled back when it fails.

use std::borrow::Cow;

use super::fragment::Fragment;
use super::pod::{Port, Target};
use crate::template::Line;

/// The most additions that the grafts of one pod may make: planning compares each with those before it.
pub const MAX_ADDITIONS: usize = 4096;

/// The most bytes of JSON that the grafts of one pod may add, beside environments that are handed on. etcd takes 1.5 MiB
/// of an object, so that no pod with more could be stored.
pub const MAX_ADDED: usize = 2 * 1024 * 1024;

/// The most comparisons that the grafts of one pod may take: of each entry for target containers with what each of these
/// has, also in the rounds of planning that one of them had to leave. A pod with as many additions as are allowed takes a quarter
/// of it a round.
pub const MAX_COMPARED: usize = 16 * 1024;

/// Index of a graft among those that are asked for.
pub type GraftIndex = usize;

/// Where a container goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Among the init containers, restarted always (KEP-753).
    NativeSidecar,
    /// Among the init containers, run to completion.
    Init,
    /// Among the app's containers.
    ClassicSidecar,
}

/// A port as it may clash with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortUse<'t> {
    /// `containerPort`.
    pub number: i64,
    /// TCP, UDP or SCTP.
    pub protocol: Cow<'t, str>,
    /// `hostPort`; 0 is none.
    pub host_port: i64,
    /// `hostIP`; empty is every address.
    pub host_ip: Cow<'t, str>,
}

impl<'t> PortUse<'t> {
    /// A port of the pod or of a rendered container.
    #[must_use]
    pub fn of(port: &'t Port<'_>) -> Self {
        Self {
            number: port.container_port,
            protocol: Cow::Borrowed(port.protocol()),
            host_port: port.host_port.unwrap_or_default(),
            host_ip: Cow::Borrowed(&port.host_ip),
        }
    }

    /// The same, for as long as it is wanted.
    #[must_use]
    pub fn into_owned(self) -> PortUse<'static> {
        let Self { number, protocol, host_port, host_ip } = self;
        let [protocol, host_ip] = [protocol, host_ip].map(|text| Cow::Owned(text.into_owned()));
        PortUse { number, protocol, host_port, host_ip }
    }

    /// How the two clash, if they do and their containers run together.
    #[must_use]
    pub fn clash(&self, other: &PortUse<'_>) -> Option<String> {
        if self.protocol != other.protocol {
            return None;
        }
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        let one_address = any(&self.host_ip) || any(&other.host_ip) || self.host_ip == other.host_ip;
        if self.host_port != 0 && self.host_port == other.host_port && one_address {
            return Some(format!("hostPort {}/{}", self.host_port, self.protocol));
        }
        (self.number == other.number).then(|| format!("port {}/{}", self.number, self.protocol))
    }
}

/// A container to add.
#[derive(Debug)]
pub struct NewContainer<'p, 'a> {
    /// Whose.
    pub graft: GraftIndex,
    /// Line of the template.
    pub line: Line,
    /// Where it goes.
    pub kind: Kind,
    /// Its name in the pod.
    pub name: Cow<'p, str>,
    /// Its ports, as far as it runs together with others.
    pub ports: Vec<PortUse<'static>>,
    /// Whose environment it gets, beside its own, when all is planned.
    pub environment_of: Option<Target<'a>>,
    /// The container.
    pub json: Fragment,
}

/// A volume to add.
#[derive(Debug)]
pub struct NewVolume<'p> {
    /// Whose.
    pub graft: GraftIndex,
    /// Line of the template.
    pub line: Line,
    /// Its name in the pod.
    pub name: Cow<'p, str>,
    /// It is of a kind that can't be written.
    pub read_only: bool,
    /// The volume.
    pub json: String,
}

/// A mount to add to one of the pod's containers.
#[derive(Debug)]
pub struct NewMount<'p, 'a> {
    /// Whose.
    pub graft: GraftIndex,
    /// Line of the template.
    pub line: Line,
    /// The container.
    pub target: Target<'a>,
    /// The volume's name in the pod.
    pub volume: Cow<'p, str>,
    /// Where, cleaned.
    pub path: Cow<'p, str>,
    /// What of the volume.
    pub sub_path: Cow<'p, str>,
    /// The kubelet computes the sub path.
    pub computed: bool,
    /// Not to be written.
    pub read_only: bool,
    /// The mount.
    pub json: String,
}

/// A variable, or a source of variables, to add to one of the pod's containers.
#[derive(Debug)]
pub struct NewVariable<'a> {
    /// Whose.
    pub graft: GraftIndex,
    /// Line of the template.
    pub line: Line,
    /// The container.
    pub target: Target<'a>,
    /// The variable; `None` for an entry of `envFrom`.
    pub name: Option<String>,
    /// The entry.
    pub json: String,
}

/// Something to add to the pod itself.
#[derive(Debug)]
pub struct NewField {
    /// Whose.
    pub graft: GraftIndex,
    /// Line of the template.
    pub line: Line,
    /// Which map or list.
    pub field: Field,
    /// Its key there: label, annotation, secret name, IP.
    pub key: String,
    /// The value or entry.
    pub json: String,
}

/// A map or list of the pod that grafts add to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `metadata.labels`.
    Label,
    /// `metadata.annotations`.
    Annotation,
    /// `spec.imagePullSecrets`.
    ImagePullSecret,
    /// `spec.hostAliases`.
    HostAlias,
}

impl Field {
    /// The word for it in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
            Self::ImagePullSecret => "image pull secret",
            Self::HostAlias => "host alias",
        }
    }

    /// Its key in a template's `pod`.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
            Self::ImagePullSecret => "imagePullSecrets",
            Self::HostAlias => "hostAliases",
        }
    }
}

/// Everything planned so far, in the order of planning.
#[derive(Debug, Default)]
pub struct Draft<'p, 'a> {
    /// Containers.
    pub containers: Vec<NewContainer<'p, 'a>>,
    /// Volumes.
    pub volumes: Vec<NewVolume<'p>>,
    /// Mounts of targets.
    pub mounts: Vec<NewMount<'p, 'a>>,
    /// Variables of targets.
    pub variables: Vec<NewVariable<'a>>,
    /// Additions to the pod.
    pub fields: Vec<NewField>,
    /// How many entries were compared with targets, also for grafts that were rolled back: that took its time.
    pub compared: usize,
}

/// How much had been planned at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Mark([usize; 5]);

impl Draft<'_, '_> {
    /// Now.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark([self.containers.len(), self.volumes.len(), self.mounts.len(), self.variables.len(), self.fields.len()])
    }

    /// Forgets what was planned since.
    pub fn roll_back(&mut self, Mark([containers, volumes, mounts, variables, fields]): Mark) {
        self.containers.truncate(containers);
        self.volumes.truncate(volumes);
        self.mounts.truncate(mounts);
        self.variables.truncate(variables);
        self.fields.truncate(fields);
    }

    /// How much is planned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mark().0.iter().sum()
    }

    /// How many bytes of JSON are planned.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.containers.iter().map(|it| it.json.len()).sum::<usize>()
            + self.volumes.iter().map(|it| it.json.len()).sum::<usize>()
            + self.mounts.iter().map(|it| it.json.len()).sum::<usize>()
            + self.variables.iter().map(|it| it.json.len()).sum::<usize>()
            + self.fields.iter().map(|it| it.json.len()).sum::<usize>()
    }

    /// Whether more is planned than one pod may get: nothing need be added to it.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.len() > MAX_ADDITIONS || self.bytes() > MAX_ADDED
    }

    /// Whether anything of this graft is planned.
    #[must_use]
    pub fn has(&self, graft: GraftIndex) -> bool {
        self.containers.iter().any(|it| it.graft == graft)
            || self.volumes.iter().any(|it| it.graft == graft)
            || self.mounts.iter().any(|it| it.graft == graft)
            || self.variables.iter().any(|it| it.graft == graft)
            || self.fields.iter().any(|it| it.graft == graft)
    }

    /// Whether nothing is planned.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.mark(), Mark([0, 0, 0, 0, 0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::json::Text;

    #[test]
    fn ports_clash_by_number_or_on_one_address_of_the_node() {
        let mut all = Vec::new();
        for (container_port, host_port) in
            [(1, None), (1, Some(0)), (1, Some(1)), (1, Some(2)), (2, Some(1)), (2, None)]
        {
            for protocol in ["", "TCP", "UDP"] {
                for host_ip in ["", "0.0.0.0", "10.0.0.1", "10.0.0.2"] {
                    let (protocol, host_ip) = (Text(protocol.into()), Text(host_ip.into()));
                    all.push(Port { container_port, host_port, host_ip, protocol, ..Port::default() });
                }
            }
        }
        let is_near = |ours: &PortUse<'_>, theirs: &Port<'_>| {
            let host_port = theirs.host_port.unwrap_or_default();
            theirs.protocol() == ours.protocol
                && (theirs.container_port == ours.number || (host_port != 0 && host_port == ours.host_port))
        };
        for ours in all.iter().map(|ours| PortUse::of(ours).into_owned()) {
            for theirs in &all {
                let clashes = ours.clash(&PortUse::of(theirs)).is_some();
                let kept_apart = *ours.host_ip != *theirs.host_ip && !clashes;
                assert!(is_near(&ours, theirs) == clashes || kept_apart, "{ours:?} {theirs:?}");
                assert!(is_near(&ours, theirs) || !clashes, "{ours:?} {theirs:?}");
            }
        }
    }
}
