//! What expressions make of a pod's values is held to core/v1's rules, and the answer names graft, field and value.

use std::sync::Arc;

use podgraft::admission::message;
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::json;

use crate::promises;

const RULES: &str = include_str!("rules.yaml");

fn snapshot(templates: &str) -> Snapshot {
    let loaded = template::load(Origin("rules.yaml".into()), templates, &LoadOptions::default());
    let mut snapshot = Snapshot::default();
    for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
        snapshot.templates.insert(Arc::new(template));
    }
    snapshot
}

/// What comes of a pod that sets this parameter.
fn answer(snapshot: &Snapshot, parameter: &str, value: &str) -> String {
    let pod = json!({
        "metadata": {"annotations": {"inject/dyn": "true", format!("inject/dyn.{parameter}"): value}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    })
    .to_string();
    match inject(&PodRequest::create(&pod, "default").unwrap(), snapshot) {
        Outcome::Inject(plan) => {
            promises::keep(&pod, &plan.patch());
            "injected".to_owned()
        }
        Outcome::Skip(reason, _) => reason.label().to_owned(),
        Outcome::Reject(reasons, _) => message(&reasons),
    }
}

#[test]
fn what_core_v1_refuses_is_a_rejection_of_ours() {
    let snapshot = snapshot(RULES);
    let table = [
        ("policy", "Always", "injected"),
        (
            "policy",
            "Sometimes",
            "dyn: sidecars (rules.yaml:35): imagePullPolicy: `Sometimes` is none of Always, IfNotPresent, Never",
        ),
        ("b", "one", "dyn: sidecars (rules.yaml:35): ports[].name: two ports are named \"one\""),
        (
            "a",
            "UPPER_CASE",
            "dyn: sidecars (rules.yaml:35): ports[].name: `UPPER_CASE` is no port name: at most 15 lower-case letters, digits and single `-` inside, at least one letter",
        ),
        ("sub", "../../etc", "dyn: sidecars (rules.yaml:35): subPath \"../../etc\" must be a relative path without .."),
        ("sub", "/abs", "dyn: sidecars (rules.yaml:35): subPath \"/abs\" must be a relative path without .."),
        (
            "dir",
            "/m/../x",
            "dyn: sharedVolumes (rules.yaml:33): mount path \"/m/../x\" has a .. in it; write an absolute path without .. and : that is none of / /proc /sys /dev",
        ),
        ("req", "20m", "injected"),
        (
            "req",
            "1",
            "dyn: sidecars (rules.yaml:35): resources.requests.cpu: the request of cpu is greater than its limit",
        ),
        (
            "req",
            "abc",
            "dyn: sidecars (rules.yaml:35): resources.requests.*: `abc` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi",
        ),
        (
            "lim",
            "1e3x",
            "2 problems:\n- dyn: volume sh (rules.yaml:33): emptyDir.sizeLimit: `1e3x` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi\n- dyn: sidecars (rules.yaml:35): resources.limits.*: `1e3x` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi",
        ),
        (
            "port",
            "0",
            "2 problems:\n- dyn: sidecars (rules.yaml:35): 0 is no port; allowed: 1 to 65535\n- dyn: sidecars (rules.yaml:35): livenessProbe.tcpSocket.port: 0 is no port: 1 to 65535",
        ),
        (
            "port",
            "65536",
            "2 problems:\n- dyn: sidecars (rules.yaml:35): 65536 is no port; allowed: 1 to 65535\n- dyn: sidecars (rules.yaml:35): livenessProbe.tcpSocket.port: 65536 is no port: 1 to 65535",
        ),
        ("proto", "UDP", "injected"),
        ("proto", "tcp", "dyn: sidecars (rules.yaml:35): ports[].protocol: `tcp` is none of TCP, UDP, SCTP"),
        ("grace", "-1", "dyn: sidecars (rules.yaml:35): livenessProbe.periodSeconds: -1 is less than 0"),
        ("user", "-5", "dyn: sidecars (rules.yaml:35): securityContext.runAsUser: -5 is no id: 0 to 2147483647"),
        (
            "user",
            "2147483648",
            "dyn: sidecars (rules.yaml:35): securityContext.runAsUser: 2147483648 is no id: 0 to 2147483647",
        ),
        ("ip", "2001:db8::1", "injected"),
        ("ip", "300.1.1.1", "dyn: hostAliases (rules.yaml:53): ip: `300.1.1.1` is no IP address"),
        ("field", "metadata.labels['app']", "injected"),
        (
            "field",
            "spec.nope",
            "2 problems:\n- dyn: target.env (rules.yaml:57): env[].valueFrom.fieldRef.fieldPath: `spec.nope` is none of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] and metadata.annotations['KEY']\n- dyn: sidecars (rules.yaml:35): env[].valueFrom.fieldRef.fieldPath: `spec.nope` is none of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] and metadata.annotations['KEY']",
        ),
        (
            "hostname",
            "_x_",
            "dyn: hostAliases (rules.yaml:53): hostnames[]: `_x_` is no DNS name: lower-case letters, digits, `-` and `.`",
        ),
        ("source", "a.b", "injected"),
        (
            "source",
            "/data",
            "5 problems:\n- dyn: target.envFrom (rules.yaml:60): envFrom[].configMapRef.name: `/data` is no DNS name: lower-case letters, digits, `-` and `.`\n- dyn: sidecars (rules.yaml:35): env[].valueFrom.configMapKeyRef.name: `/data` is no DNS name: lower-case letters, digits, `-` and `.`\n- dyn: sidecars (rules.yaml:35): env[].valueFrom.secretKeyRef.name: `/data` is no DNS name: lower-case letters, digits, `-` and `.`\n- dyn: sidecars (rules.yaml:35): envFrom[].configMapRef.name: `/data` is no DNS name: lower-case letters, digits, `-` and `.`\n- dyn: sidecars (rules.yaml:35): envFrom[].secretRef.name: `/data` is no DNS name: lower-case letters, digits, `-` and `.`",
        ),
        ("key", "a_B.c", "injected"),
        (
            "key",
            "$(A)",
            "3 problems:\n- dyn: target.env (rules.yaml:57): env[].valueFrom.secretKeyRef.key: `$(A)` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`\n- dyn: sidecars (rules.yaml:35): env[].valueFrom.configMapKeyRef.key: `$(A)` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`\n- dyn: sidecars (rules.yaml:35): env[].valueFrom.secretKeyRef.key: `$(A)` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`",
        ),
        (
            "file",
            "..a",
            "dyn: volume priv (rules.yaml:31): configMap.items[].path: `..a` must be a relative path that does not begin with `..`",
        ),
        ("secret", "", "dyn: imagePullSecrets (rules.yaml:54): a pull secret needs a name"),
        ("mode", "511", "injected"),
        (
            "mode",
            "512",
            "dyn: volume priv (rules.yaml:31): configMap.defaultMode: 512 is no mode: 0 to 511, which is 0777",
        ),
    ];
    let differ = table.into_iter().filter_map(|(parameter, value, wanted)| {
        let found = answer(&snapshot, parameter, value);
        (found != wanted).then(|| format!("\n{parameter}: {value}\n  wanted {wanted:?}\n  found  {found:?}"))
    });
    let differ: String = differ.collect();
    assert!(differ.is_empty(), "{differ}");
}

#[test]
fn what_a_sensitive_parameter_made_is_not_shown() {
    let value = "Hunter2:/..";
    for parameter in ["policy", "req", "lim", "cap", "field", "source", "key", "file"] {
        let declared = format!("{parameter}: {{type: string,");
        let snapshot = snapshot(&RULES.replace(&declared, &format!("{declared} sensitive: true,")));
        let answer = answer(&snapshot, parameter, value);
        assert!(answer.contains("(not shown)") && !answer.contains("unter2"), "{parameter}: {answer}");
    }
}

#[test]
fn a_sensitive_parameter_hides_nothing_elsewhere() {
    let snapshot = snapshot(&RULES.replace("cap: {type: string,", "cap: {type: string, sensitive: true,"));
    assert_eq!(
        answer(&snapshot, "mode", "512"),
        "dyn: volume priv (rules.yaml:31): configMap.defaultMode: 512 is no mode: 0 to 511, which is 0777"
    );
}
