#![expect(clippy::needless_pass_by_value, reason = "objects are written where they are passed")]

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::snapshot::{Namespace, OnError};
use crate::template::{LoadOptions, Template, builtin};

static BUILT_IN: LazyLock<Vec<Arc<Template>>> =
    LazyLock::new(|| builtin(&LoadOptions::default()).unwrap().into_iter().map(Arc::new).collect());

/// The built-in templates, and namespaces whose annotations are defaults.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for template in &*BUILT_IN {
        snapshot.templates.insert(Arc::clone(template));
    }
    let namespace = |name: &str, annotations: Value| {
        let labels = json!({"podgraft.dev/inject": "enabled"});
        Namespace::from_object(json!({"metadata": {"name": name, "labels": labels, "annotations": annotations}}))
            .unwrap()
    };
    snapshot.namespaces.insert(namespace("shop", json!({"inject/set-env": "TEAM=shop"})));
    snapshot.namespaces.insert(namespace("typo", json!({"inject/set-evn": "TEAM=typo"})));
    snapshot.namespaces.insert(namespace("shy", json!({"inject/set-env": "false", "inject/proxy.port": "80"})));
    snapshot
}

fn decide_with(snapshot: &Snapshot, operation: &str, object: Option<&Value>, old: Option<&Value>) -> Verdict {
    let subject = object.or(old).unwrap();
    let text = |pointer: &str| subject.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (object, old) = (object.map(|it| to_raw_value(it).unwrap()), old.map(|it| to_raw_value(it).unwrap()));
    let request = Request {
        group: text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group).into(),
        kind: text("/kind").into(),
        sub_resource: "".into(),
        operation: operation.into(),
        namespace: text("/metadata/namespace").into(),
        name: text("/metadata/name").into(),
        dry_run: false,
        object: object.as_deref(),
        old_object: old.as_deref(),
    };
    validate(&request, snapshot)
}

fn decide(operation: &str, object: Option<&Value>, old: Option<&Value>) -> Verdict {
    decide_with(&snapshot(), operation, object, old)
}

fn create(object: &Value) -> Verdict {
    decide("CREATE", Some(object), None)
}

fn update(old: &Value, object: &Value) -> Verdict {
    decide("UPDATE", Some(object), Some(old))
}

fn skipped(verdict: &Verdict) -> Option<Skip> {
    match verdict.decision {
        Decision::Skipped(skip) => Some(skip),
        _ => None,
    }
}

/// A workload of this kind, whose pods have these annotations.
fn workload(api_version: &str, kind: &str, annotations: Value) -> Value {
    let pod = json!({
        "metadata": {"creationTimestamp": null, "annotations": annotations},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    });
    let spec = match kind {
        "CronJob" => json!({"jobTemplate": {"spec": {"template": pod}}}),
        _ => json!({"template": pod}),
    };
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

fn deployment(annotations: Value) -> Value {
    workload("apps/v1", "Deployment", annotations)
}

#[test]
fn every_kind_of_workload_is_told_what_its_pods_will_be() {
    for (api_version, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "ReplicationController"),
    ] {
        let verdict = create(&workload(api_version, kind, json!({"inject/log-shiper": "true"})));
        let begins = format!(
            "the pods of {kind}/web will be denied: annotation inject/log-shiper: there is no template \"log-shiper\"; \
             did you mean \"log-shipper\"?"
        );
        assert!(matches!(verdict.decision, Decision::Allowed));
        assert!(verdict.warnings.len() == 1 && verdict.warnings[0].starts_with(&begins), "{verdict:?}");
        let good = create(&workload(api_version, kind, json!({"inject/set-env": "A=b"})));
        assert!(good.warnings.is_empty() && matches!(good.decision, Decision::Allowed), "{good:?}");
        assert_eq!(good.templates, ["set-env"]);
    }
}

#[test]
fn every_reason_is_a_warning_of_its_own() {
    let verdict = create(&deployment(json!({
        "inject/log-shipper": "relative",
        "inject/set-env": "true",
        "inject/proxy.prot": "80",
        "inject/proxy": "true",
    })));
    let said = verdict.warnings.join("\n");
    for part in ["inject/log-shipper", "inject/set-env", "inject/proxy.prot"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        verdict.warnings.iter().all(|line| line.starts_with("the pods of Deployment/web will be denied: ")),
        "{said}"
    );
    assert!(verdict.warnings.len() >= 3, "{said}");
}

#[test]
fn the_namespaces_defaults_count() {
    let within = |namespace: &str| {
        let mut object = deployment(json!({}));
        object["metadata"]["namespace"] = namespace.into();
        create(&object)
    };
    assert_eq!(within("shop").templates, ["set-env"]);
    let verdict = within("typo");
    assert!(
        verdict.warnings[0].starts_with("the pods of Deployment/web: left out: namespace annotation inject/set-evn:")
    );
    assert_eq!(skipped(&within("default")), Some(Skip::NothingAsked));
}

#[test]
fn a_workload_is_denied_only_where_the_operator_wants_it() {
    let mut snapshot = snapshot();
    snapshot.policy.workload_errors = OnError::Deny;
    let bad = deployment(json!({"inject/log-shiper": "true"}));
    let verdict = decide_with(&snapshot, "CREATE", Some(&bad), None);
    assert!(matches!(&verdict.decision, Decision::Denied(Denial::Pods(reasons)) if reasons.len() == 1), "{verdict:?}");
    let good = decide_with(&snapshot, "CREATE", Some(&deployment(json!({"inject/set-env": "A=b"}))), None);
    assert!(matches!(good.decision, Decision::Allowed));
}

#[test]
fn annotations_on_the_workload_itself_are_told_where_they_belong() {
    let mut object = deployment(json!({}));
    object["metadata"]["annotations"] = json!({"inject/log-shipper": "true"});
    assert_eq!(
        create(&object).warnings,
        ["Deployment/web: annotation inject/log-shipper of metadata.annotations is not read; move it to \
          spec.template.metadata.annotations"]
    );
    let mut object = workload("batch/v1", "CronJob", json!({}));
    object["spec"]["jobTemplate"]["metadata"] = json!({"annotations": {"inject/log-shipper": "true"}});
    assert_eq!(
        create(&object).warnings,
        [
            "CronJob/web: annotation inject/log-shipper of spec.jobTemplate.metadata.annotations is not read; move it to \
          spec.jobTemplate.spec.template.metadata.annotations"
        ]
    );
}

#[test]
fn an_update_is_looked_at_where_its_pods_change() {
    let old = deployment(json!({"inject/log-shiper": "true"}));
    let mut scaled = old.clone();
    scaled["spec"]["replicas"] = 3.into();
    scaled["metadata"]["labels"] = json!({"a": "b"});
    // What the API server leaves out or writes as null is no change.
    scaled["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    assert_eq!(skipped(&update(&old, &scaled)), Some(Skip::Unchanged));

    let mut other = old.clone();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.28".into();
    assert_eq!(update(&old, &other).warnings.len(), 1);
    // One that came before podgraft, say, has no old object here.
    assert_eq!(decide("UPDATE", Some(&old), None).warnings.len(), 1);
}

#[test]
fn annotating_a_workload_is_told_at_once_and_only_once() {
    let old = deployment(json!({}));
    let mut annotated = old.clone();
    annotated["metadata"]["annotations"] = json!({"inject/log-shipper": "true"});
    assert!(update(&old, &annotated).warnings[0].contains("move it to spec.template.metadata.annotations"));
    let mut scaled = annotated.clone();
    scaled["spec"]["replicas"] = 3.into();
    assert_eq!(skipped(&update(&annotated, &scaled)), Some(Skip::Unchanged));
}

#[test]
fn what_others_make_or_take_away_is_let_through() {
    let bad = deployment(json!({"inject/log-shiper": "true"}));
    let with = |pointer: &str, value: Value| {
        let mut object = bad.clone();
        object["metadata"][pointer] = value;
        skipped(&create(&object))
    };
    assert_eq!(with("ownerReferences", json!([{"kind": "Deployment", "controller": true}])), Some(Skip::Controlled));
    assert_eq!(with("ownerReferences", json!([{"kind": "Deployment"}])), None);
    assert_eq!(with("deletionTimestamp", json!("2026-11-20T12:00:00Z")), Some(Skip::Deleted));
    assert_eq!(with("deletionTimestamp", json!(null)), None);
    assert_eq!(skipped(&decide("DELETE", None, Some(&bad))), Some(Skip::NotForUs));
    let mut pod = bad.clone();
    pod["kind"] = "Pod".into();
    pod["apiVersion"] = "v1".into();
    assert_eq!(skipped(&create(&pod)), Some(Skip::NotForUs));
}

#[test]
fn what_cannot_be_read_is_let_through() {
    for spec in [json!(5), json!({}), json!({"template": []}), json!({"template": {"spec": {"containers": [5]}}})] {
        let mut object = deployment(json!({}));
        object["spec"] = spec;
        assert_eq!(skipped(&create(&object)), Some(Skip::Unreadable));
    }
}

fn namespace(label: Option<&str>, annotations: Value) -> Value {
    let labels = label.map(|label| json!({"podgraft.dev/inject": label}));
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new", "labels": labels, "annotations": annotations}})
}

#[test]
fn a_namespace_is_told_what_is_wrong_with_its_defaults() {
    for (annotations, said) in [
        (json!({"inject/set-evn": "A=b"}), "annotation inject/set-evn: there is no template \"set-evn\"; did you mean"),
        (json!({"inject/set-evn.variables": "A=b"}), "there is no template \"set-evn\""),
        (json!({"inject/set-env.varialbes": "A=b"}), "has no parameter \"varialbes\"; did you mean \"variables\"?"),
        (json!({"inject/log-shipper.path": "relative"}), "annotation inject/log-shipper.path: "),
        (json!({"inject/set-env": "false", "inject/log-shipper.path": "relative"}), "inject/log-shipper.path"),
        (json!({"inject/set-env": "true"}), "parameter \"variables\" is required"),
        (json!({"inject/log-shipper": "yes"}), "write \"true\" or \"false\""),
        (json!({"inject/Log": "true"}), "annotation inject/Log: the template"),
        (json!({"inject/log-shipper.containers": "a,,b"}), "inject/log-shipper.containers"),
    ] {
        let verdict = create(&namespace(Some("enabled"), annotations.clone()));
        assert!(matches!(verdict.decision, Decision::Allowed));
        assert_eq!(verdict.warnings.len(), 1, "{annotations}: {verdict:?}");
        assert!(
            verdict.warnings[0].starts_with("Namespace/new: ") && verdict.warnings[0].contains(said),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_namespace_that_is_right_hears_nothing() {
    for annotations in [
        json!({"inject/set-env": "A=b", "note": "x"}),
        json!({"inject/set-env": "false"}),
        // The pods that ask say the rest.
        json!({"inject/log-shipper.path": "/var/log", "inject/wait-for-service.containers": "a"}),
    ] {
        let verdict = create(&namespace(Some("enabled"), annotations));
        assert!(verdict.warnings.is_empty() && matches!(verdict.decision, Decision::Allowed), "{verdict:?}");
    }
    assert_eq!(skipped(&create(&namespace(None, json!({"note": "x"})))), Some(Skip::NothingAsked));
}

#[test]
fn annotations_without_the_label_are_told_that_nobody_reads_them() {
    let asks = json!({"inject/set-env": "A=b", "inject/log-shipper": "true"});
    assert_eq!(
        create(&namespace(None, asks.clone())).warnings,
        ["Namespace/new: annotations inject/log-shipper, inject/set-env are not read without the label \
          podgraft.dev/inject: enabled"]
    );
    let other = create(&namespace(Some("true"), asks.clone()));
    assert!(other.warnings[0].contains("podgraft.dev/inject: enabled (it is \"true\")"), "{other:?}");

    let old = namespace(None, asks.clone());
    assert_eq!(skipped(&update(&old, &old)), Some(Skip::Unchanged));
    assert!(update(&old, &namespace(Some("enabled"), asks.clone())).warnings.is_empty());
    assert_eq!(update(&namespace(Some("enabled"), asks), &old).warnings.len(), 1);
}

fn template(spec: Value) -> Value {
    json!({
        "apiVersion": "podgraft.dev/v1alpha1",
        "kind": "ClusterInjectionTemplate",
        "metadata": {"name": "set-env", "uid": "u", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
        "spec": spec,
    })
}

fn bad_template() -> Value {
    template(json!({"sidecars": [{"name": "a", "image": "b", "imagePulPolicy": "Always"}]}))
}

#[test]
fn a_template_that_compiles_is_let_in_and_another_is_shown_its_mistakes() {
    let good = template(json!({"target": {"env": [{"name": "A", "value": "{{ object.metadata.name }}"}]}}));
    let verdict = create(&good);
    assert!(verdict.warnings.is_empty() && matches!(verdict.decision, Decision::Allowed), "{verdict:?}");

    let verdict = create(&bad_template());
    let Decision::Denied(Denial::Template(error)) = &verdict.decision else { panic!("{verdict:?}") };
    let shown = error.to_string();
    for part in
        ["there is no field `imagePulPolicy` here", "imagePulPolicy: Always", "ClusterInjectionTemplate/set-env:"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!error.text.contains("managedFields"), "{}", error.text);
    assert!(
        error.text.starts_with("apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata:\n  name:")
    );
}

#[test]
fn fields_of_newer_clusters_are_warned_of_where_the_operator_allows_them() {
    let mut snapshot = snapshot();
    snapshot.policy.allow_unknown_fields = true;
    let verdict = decide_with(&snapshot, "CREATE", Some(&bad_template()), None);
    assert!(matches!(verdict.decision, Decision::Allowed), "{verdict:?}");
    assert!(verdict.warnings[0].contains("imagePulPolicy"), "{verdict:?}");
}

#[test]
fn a_bad_template_that_is_there_stays_mendable() {
    let old = bad_template();
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    labelled["status"] = json!({"conditions": []});
    assert_eq!(skipped(&update(&old, &labelled)), Some(Skip::Unchanged));
    let deleted = |mut object: Value| {
        object["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z".into();
        object
    };
    assert_eq!(skipped(&update(&old, &deleted(old.clone()))), Some(Skip::Deleted));
    // What is being deleted may be there for years, and is compiled as well.
    let other = deleted(template(json!({"sidecars": 5})));
    assert!(matches!(update(&old, &other).decision, Decision::Denied(_)));
    assert!(matches!(update(&template(json!({"when": "true"})), &old).decision, Decision::Denied(_)));
}

#[test]
fn whoever_deletes_a_template_is_told_which_namespaces_ask_for_it() {
    let gone = template(json!({}));
    let verdict = decide("DELETE", None, Some(&gone));
    assert_eq!(
        verdict.warnings,
        [
            "ClusterInjectionTemplate/set-env: namespace shop still asks for \"set-env\"; without another template of the \
          name, pods there go in without it"
        ]
    );
    let mut own = gone.clone();
    own["kind"] = "InjectionTemplate".into();
    for (namespace, warnings) in [("shop", 1), ("typo", 0)] {
        own["metadata"]["namespace"] = namespace.into();
        assert_eq!(decide("DELETE", None, Some(&own)).warnings.len(), warnings, "{namespace}");
    }
}

/// A review of an object of podgraft's or Kubernetes' own, as text.
fn decide_text(kind: &str, operation: &str, object: &str, old: Option<&str>) -> Verdict {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let (object, old) = (raw(object), old.map(raw));
    let group = match kind {
        "Deployment" => "apps",
        "Namespace" => "",
        _ => "podgraft.dev",
    };
    let request = Request {
        group: group.into(),
        kind: kind.into(),
        sub_resource: "".into(),
        operation: operation.into(),
        namespace: "default".into(),
        name: "web".into(),
        dry_run: false,
        object: Some(&object),
        old_object: old.as_deref(),
    };
    validate(&request, &snapshot())
}

/// A template with this spec.
fn template_text(metadata: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"podgraft.dev/v1alpha1","kind":"InjectionTemplate","metadata":{{"name":"web"{metadata}}},"spec":{spec}}}"#
    )
}

#[test]
fn a_template_that_nests_without_end_is_denied_and_can_go_away() {
    let deleted = r#","deletionTimestamp":"2026-11-20T12:00:00Z""#;
    for levels in [124, 125, 126, 127, 128, 500, 100_000] {
        let deep = format!(r#"{{"when":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        for metadata in ["", deleted] {
            let object = template_text(metadata, &deep);
            let denied = [
                decide_text("InjectionTemplate", "CREATE", &object, None),
                decide_text("InjectionTemplate", "UPDATE", &object, Some(&template_text("", "{}"))),
            ];
            for verdict in denied {
                assert!(matches!(verdict.decision, Decision::Denied(_)), "{levels} {metadata}: {verdict:?}");
            }
            // It was stored while nobody looked, and its finalizers are taken away.
            let skip = if metadata.is_empty() { Skip::Unchanged } else { Skip::Deleted };
            let stored = template_text(r#","finalizers":["a.b/c"]"#, &deep);
            let verdict = decide_text("InjectionTemplate", "UPDATE", &object, Some(&stored));
            assert_eq!(skipped(&verdict), Some(skip), "{levels}: {verdict:?}");
        }
    }
}

#[test]
fn a_template_that_is_too_large_is_denied_by_its_size() {
    for (spec, said) in [
        (
            format!(r#"{{"description":"{}"}}"#, "x".repeat(300_000)),
            "it has 300018 bytes of JSON; at most 262144 are read",
        ),
        (
            format!(r#"{{"when":[0{}]}}"#, ",0".repeat(20_000)),
            "it has 20003 brackets, commas and colons; at most 16384 are read",
        ),
    ] {
        let verdict = decide_text("InjectionTemplate", "CREATE", &template_text("", &spec), None);
        let Decision::Denied(Denial::Unreadable(problem)) = verdict.decision else { panic!("{said}") };
        assert_eq!(problem, format!("InjectionTemplate/web can't be used: {said}"));
    }
}

#[test]
fn what_is_too_large_is_let_in_and_that_is_said() {
    let annotated = r#""annotations":{"inject/log-shiper":"true"}"#;
    let deployment = |more: &str, managed: &str| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"web","managedFields":[{managed}]}},"status":[{managed}],
            "spec":{{"template":{{"metadata":{{{annotated}}},"x":[0{more}],"spec":{{"containers":[{{"name":"web","image":"nginx"}}]}}}}}}}}"#
        )
    };
    let many = ",0".repeat(50_000);
    let verdict = decide_text("Deployment", "CREATE", &deployment(&many, ""), None);
    assert!(matches!(verdict.decision, Decision::Allowed));
    assert_eq!(
        verdict.warnings,
        [
            "Deployment/web: podgraft has not looked at this: it has 50020 brackets, commas and colons; at most 32768 are read"
        ]
    );
    let namespace = format!(r#"{{"metadata":{{{annotated},"labels":[0{many}]}}}}"#);
    let verdict = decide_text("Namespace", "CREATE", &namespace, None);
    assert!(
        verdict.warnings[0].starts_with("Namespace/web: podgraft has not looked at this: it has 50003 "),
        "{verdict:?}"
    );
    // What is not looked at does not count.
    let verdict = decide_text("Deployment", "CREATE", &deployment("", &format!("0{many}")), None);
    assert!(verdict.warnings[0].contains("there is no template"), "{verdict:?}");
}
