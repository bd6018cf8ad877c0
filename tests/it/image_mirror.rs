//! `--image-mirror`: whose images are moved, and whose stay.

use std::sync::Arc;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::{INJECT_LABEL, Namespace, Policy, Snapshot};
use podgraft::template::{self, LoadOptions, Origin, Template};
use serde_json::{Value, json};

use crate::promises;

const TEMPLATE: &str = r#"
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: migrate}
spec:
  parameters:
    image: {type: string, default: ""}
    tool: {type: string, default: "tool:1"}
  initContainers:
    - {name: migrate, image: "{{ params.image != '' ? params.image : target.image }}"}
    - {name: tool, image: "{{ params.tool }}"}
    - {name: same, image: "shop:7"}
    - {name: own, image: "{{ podgraft.image }}"}
"#;

/// The template as if it were part of the program.
fn snapshot(mirror: Option<&str>) -> Snapshot {
    snapshot_of(mirror, true)
}

fn snapshot_of(mirror: Option<&str>, built_in: bool) -> Snapshot {
    let loaded = template::load(Origin("built-in/migrate.yaml".into()), TEMPLATE, &LoadOptions::default());
    let policy = Policy { image_mirror: mirror.map(|mirror| mirror.parse().unwrap()), ..Policy::default() };
    let mut snapshot = Snapshot { policy, ..Snapshot::default() };
    for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
        snapshot.templates.insert(Arc::new(Template { built_in, ..template }));
    }
    snapshot
}

const MIRROR: Option<&str> = Some("mirror.example");

fn pod(annotations: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"annotations": {"inject/migrate": "true"}},
        "spec": {"containers": [{"name": "web", "image": "shop:7"}]},
    });
    for (key, value) in annotations.as_object().unwrap() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    pod
}

/// The pod with what it gets.
fn injected(snapshot: &Snapshot, annotations: &Value) -> Value {
    let pod = pod(annotations).to_string();
    match inject(&PodRequest::create(&pod, "default").unwrap(), snapshot) {
        Outcome::Inject(plan) => promises::keep(&pod, &plan.patch()),
        other => panic!("{other:?}"),
    }
}

/// The images of migrate, tool, same and own.
fn images(snapshot: &Snapshot, annotations: &Value) -> [String; 4] {
    let pod = injected(snapshot, annotations);
    [0, 1, 2, 3].map(|index| pod["spec"]["initContainers"][index]["image"].as_str().unwrap().to_owned())
}

#[test]
fn what_the_template_chose_is_moved_and_what_anybody_named_stays() {
    let (tool, same) = ("mirror.example/library/tool:1", "mirror.example/library/shop:7");
    let own = Policy::default().image;
    for (annotations, wanted) in [
        (json!({}), ["shop:7", tool, same, &own]),
        (json!({"inject/migrate.image": "x.example/m:1"}), ["x.example/m:1", tool, same, &own]),
        // The default, and said all the same.
        (json!({"inject/migrate.tool": "tool:1"}), ["shop:7", "tool:1", same, &own]),
    ] {
        assert_eq!(images(&snapshot(MIRROR), &annotations), wanted, "{annotations}");
    }
    let nothing = json!({});
    assert_eq!(images(&snapshot(None), &nothing), ["shop:7", "tool:1", "shop:7", &own]);

    let mut of_namespace = snapshot(MIRROR);
    let metadata = json!({
        "name": "default",
        "labels": {INJECT_LABEL.0: INJECT_LABEL.1},
        "annotations": {"inject/migrate.tool": "tool:2"},
    });
    of_namespace.namespaces.insert(Namespace::from_object(json!({"metadata": metadata})).unwrap());
    assert_eq!(images(&of_namespace, &nothing)[1], "tool:2");

    let mut same_as_own = snapshot(MIRROR);
    same_as_own.policy.image = "tool:1".to_owned();
    assert_eq!(images(&same_as_own, &nothing)[1], "tool:1");

    assert_eq!(images(&snapshot_of(MIRROR, false), &nothing)[1], "tool:1");
}

#[test]
fn a_copy_without_status_is_known_whatever_the_mirror_was() {
    let nothing = json!({});
    for (before, now) in [(None, None), (None, MIRROR), (MIRROR, MIRROR)] {
        let mut copy = injected(&snapshot(before), &nothing);
        copy["metadata"] = pod(&nothing)["metadata"].clone();
        let (copy, snapshot) = (copy.to_string(), snapshot(now));
        match inject(&PodRequest::create(&copy, "default").unwrap(), &snapshot) {
            Outcome::Skip(reason, _) => assert_eq!(reason.label(), "already_done", "{before:?}, then {now:?}"),
            other => panic!("{before:?}, then {now:?}: {other:?}"),
        }
    }
}
