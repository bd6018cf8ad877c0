//! `podgraft.dev/status`: what a pod got, for people, for tools, and for our own second call. It is no security boundary.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize, Serializer};

use super::json::{Members, Text};
use super::outcome::GraftName;
use super::pod::{Container, Pod};
use super::resolve::Asked;

/// The annotation's key.
pub const STATUS: &str = "podgraft.dev/status";

/// What the annotation says; empty when there is none, or one that isn't ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status<'a> {
    #[serde(borrow)]
    grafts: Vec<Recorded<'a>>,
    #[serde(borrow)]
    skipped: Vec<RecordedSkip<'a>>,
}

/// A graft that was made.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Recorded<'a> {
    #[serde(borrow)]
    template: Text<'a>,
    #[serde(borrow)]
    instance: Text<'a>,
    /// The template's hash when it was made.
    #[serde(borrow)]
    hash: Text<'a>,
    /// A hash of its parameters' values, empty if all were the template's.
    #[serde(borrow)]
    parameters: Text<'a>,
    /// Names of the targets.
    #[serde(borrow)]
    pub targets: Vec<Text<'a>>,
    /// Names of the injected containers.
    #[serde(borrow)]
    pub containers: Vec<Text<'a>>,
    /// Names of the volumes it made.
    #[serde(borrow)]
    pub volumes: Vec<Text<'a>>,
    /// Mount paths by target.
    #[serde(borrow)]
    pub mounts: Members<'a, Vec<Text<'a>>>,
    /// Variables by target.
    #[serde(borrow)]
    pub variables: Members<'a, Vec<Text<'a>>>,
}

/// A template that was left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedSkip<'a> {
    #[serde(borrow)]
    template: Text<'a>,
    #[serde(borrow)]
    instance: Text<'a>,
    #[serde(borrow)]
    hash: Text<'a>,
    #[serde(borrow)]
    parameters: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
}

impl<'a> Status<'a> {
    /// Reads a pod's status annotation. What can't be read counts as none: it is overwritten.
    #[must_use]
    pub fn read(pod: &'a Pod<'_>) -> Self {
        let annotations = pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        annotations
            .and_then(|annotations| annotations.get(STATUS))
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// What was recorded of a graft.
    #[must_use]
    pub fn graft(&self, name: GraftName<'_>) -> Option<&Recorded<'a>> {
        self.grafts
            .iter()
            .find(|it| *it.template == *name.template && *it.instance == *name.instance.unwrap_or_default())
    }

    /// Records of earlier grafts that are not among these: their containers stay ours.
    #[must_use]
    pub fn others(&self, kept: &[Record]) -> Vec<Record> {
        let there =
            |it: &&Recorded<'_>| kept.iter().any(|kept| *it.template == kept.template && *it.instance == kept.instance);
        self.grafts.iter().filter(|it| !there(it)).map(Record::again).collect()
    }

    /// Why the same graft was left out before, if it was: a decision that a second call keeps.
    #[must_use]
    pub fn skipped(&self, asked: &Asked<'_>) -> Option<&str> {
        let same = |it: &&RecordedSkip<'_>| {
            *it.template == *asked.name.template
                && *it.instance == *asked.name.instance.unwrap_or_default()
                && *it.hash == *asked.template.hash
                && *it.parameters == *asked.rendering.values_hash
        };
        self.skipped.iter().find(same).map(|it| &*it.reason)
    }

    /// Names of the containers that grafts made.
    #[must_use]
    pub fn containers(&self) -> HashSet<&str> {
        self.grafts.iter().flat_map(|graft| &graft.containers).map(|name| &**name).collect()
    }
}

impl Recorded<'_> {
    /// Whether it is what is asked for now: the same template with the same values, and onto the containers that the pod
    /// names, if it names any.
    #[must_use]
    pub fn is_of(&self, asked: &Asked<'_>) -> bool {
        let mut names = asked.containers.iter().flat_map(|(_, names)| names);
        *self.hash == *asked.template.hash
            && *self.parameters == *asked.rendering.values_hash
            && names.all(|name| self.targets.iter().any(|target| **target == **name))
    }

    /// Whether all that was recorded is in the pod.
    #[must_use]
    pub fn is_complete(&self, pod: &Pod<'_>) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let init = spec.init_containers.iter().flatten();
        // Sets, as nobody has checked yet how much stands in either.
        let containers: HashMap<&str, &Container<'_>> =
            init.chain(spec.containers.iter().flatten()).map(|it| (&*it.name, it)).collect();
        let volumes: HashSet<&str> = spec.volumes.iter().flatten().map(|it| &*it.name).collect();
        let has_mounts = |(name, paths): (&str, &Vec<Text<'_>>)| {
            let Some(container) = containers.get(name) else { return false };
            let mounted = container.volume_mounts.get().iter().map(|it| super::paths::clean(&it.mount_path));
            let mounted: HashSet<Cow<'_, str>> = mounted.collect();
            paths.iter().all(|path| mounted.contains(&**path))
        };
        let has_variables = |(name, variables): (&str, &Vec<Text<'_>>)| {
            let Some(container) = containers.get(name) else { return false };
            let set: HashSet<&str> = container.env.get().iter().map(|it| &*it.name).collect();
            variables.iter().all(|variable| set.contains(&**variable))
        };
        self.containers.iter().all(|name| containers.contains_key(&**name))
            && self.volumes.iter().all(|name| volumes.contains(&**name))
            && self.mounts.iter().all(has_mounts)
            && self.variables.iter().all(has_variables)
    }
}

/// What a graft is, for the annotation: everything that is its own, whether this call added it or an earlier one.
#[derive(Debug, Default, Serialize)]
pub struct Record {
    template: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    instance: String,
    hash: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    parameters: String,
    targets: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) containers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<String>,
    #[serde(skip_serializing_if = "ByTarget::is_empty")]
    mounts: ByTarget,
    #[serde(skip_serializing_if = "ByTarget::is_empty")]
    variables: ByTarget,
}

impl Record {
    /// An empty record of a graft.
    #[must_use]
    pub fn new<'n>(asked: &Asked<'_>, targets: impl Iterator<Item = &'n str>) -> Self {
        Self {
            template: asked.name.template.to_owned(),
            instance: asked.name.instance.unwrap_or_default().to_owned(),
            hash: asked.template.hash.clone(),
            parameters: asked.rendering.values_hash.clone(),
            targets: targets.map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// The record as an earlier call wrote it.
    #[must_use]
    pub fn again(recorded: &Recorded<'_>) -> Self {
        let owned = |names: &[Text<'_>]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        let map = |members: &Members<'_, Vec<Text<'_>>>| {
            ByTarget(members.iter().map(|(name, items)| (name.to_owned(), owned(items))).collect())
        };
        Self {
            template: recorded.template.to_string(),
            instance: recorded.instance.to_string(),
            hash: recorded.hash.to_string(),
            parameters: recorded.parameters.to_string(),
            targets: owned(&recorded.targets),
            containers: owned(&recorded.containers),
            volumes: owned(&recorded.volumes),
            mounts: map(&recorded.mounts),
            variables: map(&recorded.variables),
        }
    }

    /// Notes that `target` has our mount at `path`.
    pub fn mount(&mut self, target: &str, path: &str) {
        self.mounts.push(target, path);
    }

    /// Notes that `target` has our variable.
    pub fn variable(&mut self, target: &str, name: &str) {
        self.variables.push(target, name);
    }

    /// Whether the graft has nothing of its own that a status could show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty() && self.mounts.is_empty() && self.variables.is_empty()
    }
}

/// Lists by the name of a target, in the order of their making.
#[derive(Debug, Default)]
struct ByTarget(Vec<(String, Vec<String>)>);

impl ByTarget {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, target: &str, item: &str) {
        match self.0.iter_mut().find(|(name, _)| name == target) {
            None => self.0.push((target.to_owned(), vec![item.to_owned()])),
            Some((_, items)) if items.iter().any(|it| it == item) => {}
            Some((_, items)) => items.push(item.to_owned()),
        }
    }
}

impl Serialize for ByTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(target, items)| (target, items)))
    }
}

/// A template that is left out, for the annotation.
#[derive(Debug, Serialize)]
pub struct Skip {
    /// The template.
    pub template: String,
    /// The instance, empty without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The template's hash; empty if the graft was never planned, so that a second call looks again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// A hash of its parameters' values, empty if all were the template's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// Why, in words.
    pub reason: String,
}

impl Skip {
    /// A template that was left out before it was planned.
    #[must_use]
    pub fn undecided(name: GraftName<'_>, reason: String) -> Self {
        let (template, instance) = (name.template.to_owned(), name.instance.unwrap_or_default().to_owned());
        Self { template, instance, hash: String::new(), parameters: String::new(), reason }
    }
}

/// The annotation's text.
#[must_use]
pub fn write(grafts: &[Record], skipped: &[Skip]) -> String {
    #[derive(Serialize)]
    struct Written<'w> {
        grafts: &'w [Record],
        #[serde(skip_serializing_if = "<[Skip]>::is_empty")]
        skipped: &'w [Skip],
    }
    let mut out = Vec::with_capacity(1024);
    // Neither text nor writing to memory can fail, and what is written is UTF-8.
    let _ = serde_json::to_writer(&mut out, &Written { grafts, skipped });
    String::from_utf8(out).unwrap_or_default()
}
