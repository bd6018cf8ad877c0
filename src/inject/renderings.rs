//! Renderings of late, for the next pod that says the same: the replicas of a workload do.
//!
//! Nobody waits here: a reader takes what stands in its places, a writer puts something else there. What is forgotten is
//! made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use super::rendering::Rendering;
use crate::template::{Template, fnv1a};

/// How many sets of places there are; a key belongs to one.
const SETS: usize = 64;

/// How many places a set has.
const WAYS: usize = 4;

/// The most bytes that a pod and its namespace say to a template for what it becomes to be kept. Who makes pods says them, and
/// as many are kept as there are places.
const MAX_SAID: usize = 4 * 1024;

/// What a pod and its namespace say to a template, as bytes: alike if, and only if, the same is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Default for Key {
    fn default() -> Self {
        Self(Vec::with_capacity(256))
    }
}

impl Key {
    /// Begins anew.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a word, and what it is.
    pub fn push(&mut self, what: u8, word: &str) {
        self.0.push(what);
        self.0.extend_from_slice(&word.len().to_le_bytes());
        self.0.extend_from_slice(word.as_bytes());
    }
}

/// A rendering, and what it is of.
#[derive(Debug)]
struct Kept {
    template: Arc<Template>,
    key: Key,
    rendering: Arc<Rendering>,
}

/// Renderings of late. They go with a snapshot: its policy has a part in them.
#[derive(Debug)]
pub struct Renderings {
    places: Box<[ArcSwapOption<Kept>]>,
    /// Counts what was put where something else was.
    turn: AtomicUsize,
}

impl Default for Renderings {
    fn default() -> Self {
        Self { places: (0..SETS * WAYS).map(|_| ArcSwapOption::empty()).collect(), turn: AtomicUsize::new(0) }
    }
}

impl Renderings {
    fn set(&self, key: &Key) -> &[ArcSwapOption<Kept>] {
        let set = fnv1a(&key.0) as usize % SETS;
        &self.places[set * WAYS..(set + 1) * WAYS]
    }

    /// The template's rendering for the key, if it is still there.
    pub(super) fn find(&self, template: &Arc<Template>, key: &Key) -> Option<Arc<Rendering>> {
        self.set(key).iter().find_map(|place| {
            let kept = place.load();
            let kept = kept.as_ref().filter(|kept| Arc::ptr_eq(&kept.template, template) && kept.key == *key)?;
            Some(Arc::clone(&kept.rendering))
        })
    }

    /// Keeps a rendering that may be kept, if need be instead of another one.
    pub(super) fn keep(&self, template: &Arc<Template>, key: &Key, rendering: &Arc<Rendering>) {
        if !rendering.may_be_kept || key.0.len() > MAX_SAID {
            return;
        }
        let key = key.clone();
        let set = self.set(&key);
        let free = set.iter().position(|place| place.load().is_none());
        let place = &set[free.unwrap_or_else(|| self.turn.fetch_add(1, Ordering::Relaxed) % WAYS)];
        place.store(Some(Arc::new(Kept { template: Arc::clone(template), key, rendering: Arc::clone(rendering) })));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::inject::outcome::{Bound, Source};
    use crate::inject::request::PodRequest;
    use crate::inject::{Outcome, inject, inject_with};
    use crate::snapshot::{Policy, Snapshot};
    use crate::template::parameter::Value;
    use crate::template::{LoadOptions, Origin, load};

    fn template(spec: &str) -> Arc<Template> {
        let text = format!(
            "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata: {{name: a}}\nspec: {spec}\n"
        );
        let loaded = load(Origin("a.yaml".into()), &text, &LoadOptions::default());
        Arc::new(loaded.unwrap_or_else(|error| panic!("{error}")).templates.remove(0))
    }

    fn rendering(template: &Template, values: &[&str]) -> Rendering {
        let bound = |value: &&str| Bound { value: Value::Text((*value).to_owned()), source: Source::Pod };
        Rendering::of(template, "", values.iter().map(bound).collect(), 0, &Policy::default())
    }

    fn key(words: &[&str]) -> Key {
        let mut key = Key::default();
        for word in words {
            key.push(b'=', word);
        }
        key
    }

    const PARAMETERS: &str = "parameters: {x: {type: string}, hidden: {type: string, default: '', sensitive: true}}";

    #[test]
    fn what_looks_at_the_pod_or_at_secrets_or_is_wrong_stays_open() {
        let open = |env: &str, values: [&str; 2]| {
            let spec = format!("{{{PARAMETERS}, target: {{env: [{{name: A, value: \"{{{{ {env} }}}}\"}}]}}}}");
            rendering(&template(&spec), &values).env.is_none()
        };
        for (expression, is_open) in [
            ("params.x", false),
            ("params.x + instance + podgraft.version", false),
            // Of what is not looked at, nothing depends.
            ("params.x == 'a' ? 'b' : target.name", false),
            ("params.x != 'a' ? 'b' : target.name", true),
            ("params.x == 'a' || target.name == 'b'", false),
            ("target.name == 'b' || params.x == 'a'", true),
            ("params.hidden", true),
            ("params.x == '' ? params.hidden : 'a'", false),
            ("namespaceObject.metadata.name", true),
            ("request.operation", true),
            ("1 / (size(params.x) - 1)", true),
        ] {
            assert_eq!(open(expression, ["a", "b"]), is_open, "{expression}");
        }
    }

    #[test]
    fn no_more_is_ready_than_a_bound_and_what_hides_a_value_is_not_kept() {
        let spec = format!(
            "{{{PARAMETERS}, validations: [{{forEach: lists.range(64), expression: 'false', message: '{{{{ params.x }}}}'}},\
             {{expression: 'false', message: short}}]}}"
        );
        let template = template(&spec);
        let ready = |x: usize| {
            let made = rendering(&template, &[&"x".repeat(x), "hidden"]);
            assert!(!made.may_be_kept);
            made.validations.iter().map(Option::is_some).collect::<Vec<_>>()
        };
        assert_eq!(ready(super::super::rendering::MAX_READY / 64 - 1), [true, true]);
        assert_eq!(ready(super::super::rendering::MAX_READY / 64 + 1), [false, false]);
    }

    #[test]
    fn a_key_is_what_is_said_and_of_which_template() {
        let (one, other) = (template("{}"), template("{}"));
        let renderings = Renderings::default();
        let made = Arc::new(rendering(&one, &[]));
        renderings.keep(&one, &key(&["a", "b"]), &made);
        let found = |template, words: &[&str]| renderings.find(template, &key(words)).is_some();
        assert!(found(&one, &["a", "b"]));
        assert!(!found(&one, &["ab"]) && !found(&one, &["a", "b", ""]) && !found(&one, &["a"]));
        assert!(!found(&other, &["a", "b"]));
    }

    #[test]
    fn a_container_of_late_is_for_pods_that_it_fits_alone() {
        let spec = "{sidecars: [{name: s, image: i, runAs: target, volumeMounts: [{name: v, mountPath: /v}]}], \
                    sharedVolumes: [{name: v, mountPath: /a, volume: {emptyDir: {}}}]}";
        let mut snapshot = Snapshot::default();
        snapshot.templates.insert(template(spec));
        let renderings = Renderings::default();
        let guaranteed = r#""resources":{"limits":{"cpu":"1","memory":"1Mi"}},"#;
        let user = r#""securityContext":{"runAsUser":7},"#;
        let mounts = r#""volumeMounts":[{"name":"own","mountPath":"/a"}],"#;
        let mut made = HashSet::new();
        for members in ["", guaranteed, user, mounts, "", user] {
            let pod = format!(
                r#"{{"metadata":{{"annotations":{{"inject/a":"true"}}}},
                    "spec":{{"containers":[{{{members}"name":"app"}}],"volumes":[{{"name":"own","emptyDir":{{}}}}]}}}}"#
            );
            let request = PodRequest::create(&pod, "default").unwrap();
            let patch = |outcome| match outcome {
                Outcome::Inject(plan) => plan.patch(),
                other => panic!("{members}: {other:?}"),
            };
            let found = patch(inject_with(&request, &snapshot, &renderings));
            assert_eq!(found, patch(inject(&request, &snapshot)), "{members}");
            made.insert(found);
        }
        assert_eq!(made.len(), 4);
    }

    /// Who makes pods says what is kept, and nobody may fill our memory.
    #[test]
    fn what_is_long_is_made_for_each_pod() {
        let spec =
            "{parameters: {x: {type: string}, y: {type: list, default: []}, z: {type: string, default: 'DEFAULT'}},
                     sharedVolumes: [{name: v, mountPath: /a, volume: {emptyDir: {}}}],
                     sidecars: [{name: s, image: i, volumeMounts: [{name: v, mountPath: /v}]}]}";
        let kept = |default: usize, annotations: &[(&str, String)], sub_path: &str| {
            let mut snapshot = Snapshot::default();
            snapshot.templates.insert(template(&spec.replace("DEFAULT", &"d".repeat(default))));
            let annotations: std::collections::BTreeMap<_, _> = annotations.iter().map(|(k, v)| (*k, v)).collect();
            let pod = serde_json::json!({
                "metadata": {"annotations": annotations},
                "spec": {
                    "containers": [{"name": "app", "volumeMounts": [{"name": "own", "mountPath": "/a", "subPath": sub_path}]}],
                    "volumes": [{"name": "own", "emptyDir": {}}],
                }
            });
            let pod = pod.to_string();
            let request = PodRequest::create(&pod, "default").unwrap();
            let renderings = Renderings::default();
            let Outcome::Inject(plan) = inject_with(&request, &snapshot, &renderings) else { panic!("{pod}") };
            let container = plan.ops().any(|op| matches!(op.value, crate::inject::fragment::Fragment::Kept(_)));
            (renderings.places.iter().any(|place| place.load().is_some()), container)
        };
        let asks = |x: usize| vec![("inject/a", "true".to_owned()), ("inject/a.x", "x".repeat(x))];
        assert_eq!(kept(0, &asks(3000), "logs"), (true, true));
        assert!(!kept(0, &asks(MAX_SAID), "logs").0, "what the pod says");
        let blanks = [asks(1), vec![("inject/a.y", format!("a, {} b", " ".repeat(MAX_SAID)))]].concat();
        assert!(!kept(0, &blanks, "logs").0, "how it says it");
        assert_eq!(kept(15_000, &asks(1), "logs"), (true, true));
        assert!(!kept(17_000, &asks(1), "logs").0, "what the template says");
        assert_eq!(kept(0, &asks(1), &"v".repeat(3000)), (true, true));
        assert_eq!(kept(0, &asks(1), &"v".repeat(5000)), (true, false), "where in the volume the pod has it");
    }

    #[test]
    fn what_is_new_finds_a_place_and_all_places_are_taken() {
        let template = template("{}");
        let renderings = Renderings::default();
        let made = Arc::new(rendering(&template, &[]));
        let keys: Vec<Key> = (0..10 * SETS * WAYS).map(|n| key(&[&n.to_string()])).collect();
        for key in &keys {
            renderings.keep(&template, key, &made);
            assert!(renderings.find(&template, key).is_some());
        }
        assert!(renderings.places.iter().all(|place| place.load().is_some()));
        let kept = keys.iter().filter(|key| renderings.find(&template, key).is_some()).count();
        assert_eq!(kept, SETS * WAYS);
    }
}
