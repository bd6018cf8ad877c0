//! `--image-mirror` where a case of the corpus can't show it: a built-in that looks at the pod's images, and pods that have
//! been grafted before.

use std::sync::Arc;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::{Policy, Snapshot};
use podgraft::template::{self, LoadOptions, Origin, Template};
use serde_json::{Value, json};

use crate::promises;

const TEMPLATE: &str = r#"
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: migrate}
spec:
  parameters: {image: {type: string, default: ""}}
  initContainers:
    - {name: migrate, image: "{{ params.image != '' ? params.image : target.image }}"}
    - {name: pinned, image: "shop:7"}
"#;

/// The template as if it were part of the program.
fn snapshot(mirror: Option<&str>) -> Snapshot {
    let loaded = template::load(Origin("built-in/migrate.yaml".into()), TEMPLATE, &LoadOptions::default());
    let policy = Policy { image_mirror: mirror.map(|mirror| mirror.parse().unwrap()), ..Policy::default() };
    let mut snapshot = Snapshot { policy, ..Snapshot::default() };
    for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
        snapshot.templates.insert(Arc::new(Template { built_in: true, ..template }));
    }
    snapshot
}

fn pod() -> Value {
    json!({
        "metadata": {"annotations": {"inject/migrate": "true"}},
        "spec": {"containers": [{"name": "web", "image": "shop:7"}]},
    })
}

/// The pod with what it gets.
fn injected(snapshot: &Snapshot) -> Value {
    let pod = pod().to_string();
    match inject(&PodRequest::create(&pod, "default").unwrap(), snapshot) {
        Outcome::Inject(plan) => promises::keep(&pod, &plan.patch()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_of_the_pod_itself_stays_where_it_is() {
    let pod = injected(&snapshot(Some("mirror.example")));
    let images: Vec<_> = promises::containers(&pod["spec"]).into_iter().map(|(_, it)| it["image"].clone()).collect();
    assert_eq!(images, ["shop:7", "mirror.example/library/shop:7", "shop:7"]);
}

#[test]
fn a_copy_without_status_is_known_whatever_the_mirror_was() {
    for (before, now) in
        [(None, None), (None, Some("mirror.example")), (Some("mirror.example"), Some("mirror.example"))]
    {
        let mut copy = injected(&snapshot(before));
        copy["metadata"] = pod()["metadata"].clone();
        let (copy, snapshot) = (copy.to_string(), snapshot(now));
        match inject(&PodRequest::create(&copy, "default").unwrap(), &snapshot) {
            Outcome::Skip(reason, _) => assert_eq!(reason.label(), "already_done", "{before:?}, then {now:?}"),
            other => panic!("{before:?}, then {now:?}: {other:?}"),
        }
    }
}
