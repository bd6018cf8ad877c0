//! `podgraft.dev/status`: what a pod got, for people, for tools, and for our own second call. It is no security boundary.

mod quoted;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::asked::Asked;
use super::draft::MAX_ADDITIONS;
use super::json::{Members, Text};
use super::outcome::GraftName;
use super::pod::{Container, Pod, Target, VolumeMount};
use super::targets::MAX_TARGETS;

use quoted::Quoted;
pub use quoted::Written;

/// The annotation's key.
pub const STATUS: &str = "podgraft.dev/status";

/// What the annotation says; empty when there is none, or one that isn't ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status<'a> {
    #[serde(borrow, deserialize_with = "few")]
    grafts: Vec<Recorded<'a>>,
    #[serde(borrow, deserialize_with = "few")]
    skipped: Vec<RecordedSkip<'a>>,
}

/// The most grafts that an annotation may tell of. Each is compared with those that are asked for, and takes a hundred times
/// the memory of the shortest text for one.
const MAX_RECORDED: usize = 1_024;

/// A list that ends with an error where it is too long.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_RECORDED}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = list.next_element()? {
                if all.len() == MAX_RECORDED {
                    return Err(A::Error::invalid_length(MAX_RECORDED + 1, &self));
                }
                all.push(item);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_seq(Few(PhantomData))
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
    /// Reads a pod's status annotation. What can't be read, or is another pod's, counts as none: it is overwritten.
    #[must_use]
    pub fn read(pod: &'a Pod<'_>) -> Self {
        let annotations = pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        annotations
            .and_then(|annotations| annotations.get(STATUS))
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(|status: &Self| status.could_be_ours() && status.is_of(pod))
            .unwrap_or_default()
    }

    /// Whether no graft has more targets, or more for one of them, than one that we make: each variable and mount is looked up.
    fn could_be_ours(&self) -> bool {
        let all = self.grafts.iter().flat_map(|graft| [&graft.mounts, &graft.variables]);
        all.into_iter().all(|by_target| {
            by_target.0.len() <= MAX_TARGETS && by_target.iter().all(|(_, items)| items.len() <= MAX_ADDITIONS)
        })
    }

    /// Whether something that it tells of is in the pod, or it tells of nothing that could be. Otherwise it was copied
    /// along, as into the template of a Deployment, and decides nothing.
    fn is_of(&self, pod: &Pod<'_>) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let all = || spec.init_containers.iter().flatten().chain(spec.containers.iter().flatten());
        let containers: HashSet<&str> = all().map(|it| &*it.name).collect();
        let volumes: HashSet<&str> = spec.volumes.iter().flatten().map(|it| &*it.name).collect();
        let by_name = |graft: &Recorded<'_>| {
            graft.is_empty()
                || graft.containers.iter().any(|name| containers.contains(&**name))
                || graft.volumes.iter().any(|name| volumes.contains(&**name))
        };
        if self.grafts.iter().any(by_name) {
            return true;
        }
        let (mut mounts, mut variables) = (HashSet::new(), HashSet::new());
        for it in all() {
            mounts.extend(it.volume_mounts.iter().flatten().map(|mount| (&*it.name, mount.path())));
            variables.extend(it.env.get().iter().map(|variable| (&*it.name, &*variable.name)));
        }
        let any = |recorded: &Members<'_, Vec<Text<'_>>>, there: &HashSet<(&str, &str)>| {
            recorded.iter().any(|(target, items)| items.iter().any(|item| there.contains(&(target, &**item))))
        };
        self.grafts.iter().any(|graft| any(&graft.mounts, &mounts) || any(&graft.variables, &variables))
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
    pub fn others(&self, kept: &[Record<'_>]) -> Vec<Record<'_>> {
        let there = |it: &&Recorded<'_>| {
            kept.iter().any(|kept| *it.template == *kept.template && *it.instance == *kept.instance)
        };
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

    /// Whether it had nothing of its own that a status could show.
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty() && self.mounts.is_empty() && self.variables.is_empty()
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
            let mounted: HashSet<&str> = container.volume_mounts.iter().flatten().map(VolumeMount::path).collect();
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

/// A key of ours as it stands in the annotation, with its colon: there is nothing in it to escape.
macro_rules! key {
    ($name:literal) => {
        concat!("\\\"", $name, "\\\":")
    };
}

/// What a graft is, for the annotation: everything that is its own, whether this call added it or an earlier one.
#[derive(Debug, Default)]
pub struct Record<'r> {
    template: &'r str,
    instance: &'r str,
    hash: &'r str,
    parameters: &'r str,
    targets: Vec<&'r str>,
    pub(super) containers: Vec<Cow<'r, str>>,
    pub(super) volumes: Vec<Cow<'r, str>>,
    mounts: ByTarget<'r>,
    variables: ByTarget<'r>,
}

impl<'r> Record<'r> {
    /// An empty record of a graft.
    #[must_use]
    pub fn new<'a: 'r>(asked: &'r Asked<'a>, targets: &[Target<'a>]) -> Self {
        let mut names = Vec::with_capacity(targets.len());
        for target in targets {
            names.push(target.name());
        }
        Self {
            template: asked.name.template,
            instance: asked.name.instance.unwrap_or_default(),
            hash: &asked.template.hash,
            parameters: &asked.rendering.values_hash,
            targets: names,
            ..Self::default()
        }
    }

    /// The record as an earlier call wrote it.
    #[must_use]
    pub fn again(recorded: &'r Recorded<'_>) -> Self {
        let list = |names: &'r [Text<'_>]| names.iter().map(|name| Cow::Borrowed(&**name)).collect();
        let map = |members: &'r Members<'_, Vec<Text<'_>>>| {
            ByTarget(members.iter().map(|(name, items)| (name, list(items))).collect())
        };
        Self {
            template: &recorded.template,
            instance: &recorded.instance,
            hash: &recorded.hash,
            parameters: &recorded.parameters,
            targets: recorded.targets.iter().map(|name| &**name).collect(),
            containers: list(&recorded.containers),
            volumes: list(&recorded.volumes),
            mounts: map(&recorded.mounts),
            variables: map(&recorded.variables),
        }
    }

    /// Notes that `target` has our mount at `path`.
    pub fn mount(&mut self, target: &'r str, path: Cow<'r, str>) {
        self.mounts.push(target, path);
    }

    /// Notes that `target` has our variable.
    pub fn variable(&mut self, target: &'r str, name: Cow<'r, str>) {
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
struct ByTarget<'r>(Vec<(&'r str, Vec<Cow<'r, str>>)>);

impl<'r> ByTarget<'r> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn write(&self, name: &'static str, out: &mut Quoted) {
        if self.is_empty() {
            return;
        }
        out.name(name);
        out.open('{');
        for (target, items) in &self.0 {
            out.key(target);
            out.list(items);
        }
        out.close('}');
    }

    fn push(&mut self, target: &'r str, item: Cow<'r, str>) {
        match self.0.iter_mut().find(|(name, _)| *name == target) {
            None => self.0.push((target, vec![item])),
            Some((_, items)) if items.contains(&item) => {}
            Some((_, items)) => items.push(item),
        }
    }
}

/// A template that is left out, for the annotation.
#[derive(Debug)]
pub struct Skip {
    /// The template.
    pub template: String,
    /// The instance, empty without one.
    pub instance: String,
    /// The template's hash; empty if the graft was never planned, so that a second call looks again.
    pub hash: String,
    /// A hash of its parameters' values, empty if all were the template's.
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

impl Record<'_> {
    fn write(&self, out: &mut Quoted) {
        let Self { template, instance, hash, parameters, targets, containers, volumes, mounts, variables } = self;
        out.open('{');
        out.member(key!("template"), template);
        out.some(key!("instance"), instance);
        out.member(key!("hash"), hash);
        out.some(key!("parameters"), parameters);
        out.name(key!("targets"));
        out.list(targets);
        for (name, names) in [(key!("containers"), containers), (key!("volumes"), volumes)] {
            if !names.is_empty() {
                out.name(name);
                out.list(names);
            }
        }
        mounts.write(key!("mounts"), out);
        variables.write(key!("variables"), out);
        out.close('}');
    }
}

impl Skip {
    fn write(&self, out: &mut Quoted) {
        let Self { template, instance, hash, parameters, reason } = self;
        out.open('{');
        out.member(key!("template"), template);
        out.some(key!("instance"), instance);
        out.some(key!("hash"), hash);
        out.some(key!("parameters"), parameters);
        out.member(key!("reason"), reason);
        out.close('}');
    }
}

/// Writes the annotation.
#[must_use]
pub fn write(grafts: &[Record<'_>], skipped: &[Skip]) -> Written {
    let mut out = Quoted::new();
    out.open('{');
    out.name(key!("grafts"));
    out.open('[');
    for graft in grafts {
        graft.write(&mut out);
    }
    out.close(']');
    if !skipped.is_empty() {
        out.name(key!("skipped"));
        out.open('[');
        for skip in skipped {
            skip.write(&mut out);
        }
        out.close(']');
    }
    out.close('}');
    out.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inject::request::PodRequest;

    /// What a pod's annotation says, if it counts.
    fn counts(status: &Value) -> bool {
        let pod = json!({
            "metadata": {"annotations": {STATUS: status.to_string()}},
            "spec": {"containers": [{"name": "log-shipper"}]},
        })
        .to_string();
        let request = PodRequest::create(&pod, "").unwrap();
        !Status::read(&request.pod).containers().is_empty()
    }

    #[test]
    fn an_annotation_of_more_than_we_write_counts_as_none() {
        let graft = json!({"template": "a", "containers": ["log-shipper"]});
        let with = |field: &str, value: Value| {
            let mut graft = graft.clone();
            graft[field] = value;
            json!({"grafts": [graft]})
        };
        let by_target = |targets: usize, items: usize| {
            let of_one = |target: usize| (format!("c{target}"), json!(vec!["A"; items]));
            Value::Object((0..targets).map(of_one).collect())
        };
        assert!(counts(&json!({"grafts": vec![&graft; MAX_RECORDED]})));
        assert!(!counts(&json!({"grafts": vec![&graft; MAX_RECORDED + 1]})));
        assert!(!counts(&json!({"grafts": [graft], "skipped": vec![json!({}); MAX_RECORDED + 1]})));
        for field in ["mounts", "variables"] {
            assert!(counts(&with(field, by_target(MAX_TARGETS, 1))));
            assert!(counts(&with(field, by_target(1, MAX_ADDITIONS))));
            assert!(!counts(&with(field, by_target(MAX_TARGETS + 1, 0))));
            assert!(!counts(&with(field, by_target(1, MAX_ADDITIONS + 1))));
        }
    }

    #[test]
    fn the_annotation_is_json_in_a_json_string() {
        let mut made = Record { template: "a", hash: "1", ..Record::default() };
        let none = Record { template: "b", instance: "two", ..Record::default() };
        made.targets = vec!["app", "a\"b\\c\nd"];
        made.containers = vec!["a".into()];
        made.mount("app", "/a\"b".into());
        made.mount("app", "/c".into());
        made.variable("app", "A".into());
        made.variable("other", "B".into());
        let skip = Skip {
            template: "c".to_owned(),
            instance: String::new(),
            hash: "2".to_owned(),
            parameters: "3".to_owned(),
            reason: "\"é\"\u{1}".to_owned(),
        };
        let Written { json, len } = write(&[made, none], &[skip]);
        let text: String = serde_json::from_str(&json).unwrap();
        assert_eq!(text.len(), len);
        let wanted = json!({
            "grafts": [
                {
                    "template": "a", "hash": "1", "targets": ["app", "a\"b\\c\nd"], "containers": ["a"],
                    "mounts": {"app": ["/a\"b", "/c"]}, "variables": {"app": ["A"], "other": ["B"]}
                },
                {"template": "b", "instance": "two", "hash": "", "targets": []}
            ],
            "skipped": [{"template": "c", "hash": "2", "parameters": "3", "reason": "\"é\"\u{1}"}]
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), wanted);
        assert_eq!(write(&[], &[]).json, r#""{\"grafts\":[]}""#);
    }
}
