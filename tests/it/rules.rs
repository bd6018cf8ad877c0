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
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_core_v1_refuses_is_a_rejection_of_ours() {
    let snapshot = snapshot(RULES);
    let table = [
        ("policy", "Always", "injected"),
        (
            "policy",
            "Sometimes",
            "dyn: sidecars (rules.yaml:39): container dyn: imagePullPolicy: `Sometimes` is none of Always, IfNotPresent, Never",
        ),
        ("b", "one", "dyn: sidecars (rules.yaml:39): container dyn: ports[].name: two ports are named \"one\""),
        (
            "a",
            "UPPER_CASE",
            "dyn: sidecars (rules.yaml:39): container dyn: ports[].name: `UPPER_CASE` is no port name: at most 15 lower-case letters, digits and single `-` inside, at least one letter",
        ),
        (
            "sub",
            "../../etc",
            "dyn: sidecars (rules.yaml:39): container dyn: subPath \"../../etc\" must be a relative path without ..",
        ),
        (
            "sub",
            "/abs",
            "dyn: sidecars (rules.yaml:39): container dyn: subPath \"/abs\" must be a relative path without ..",
        ),
        (
            "dir",
            "/m/../x",
            "dyn: sharedVolumes (rules.yaml:37): mount path \"/m/../x\" has a .. in it; write an absolute path without .. and : that is none of / /proc /sys /dev",
        ),
        ("req", "20m", "injected"),
        (
            "req",
            "1",
            "dyn: sidecars (rules.yaml:39): container dyn: resources.requests.cpu: the request of cpu is greater than its limit",
        ),
        (
            "req",
            "abc",
            "dyn: sidecars (rules.yaml:39): container dyn: resources.requests.*: `abc` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi",
        ),
        (
            "lim",
            "1e3x",
            "2 problems:\n- dyn: volume sh (rules.yaml:37): emptyDir.sizeLimit: `1e3x` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi\n- dyn: sidecars (rules.yaml:39): container dyn: resources.limits.*: `1e3x` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi",
        ),
        (
            "port",
            "0",
            "2 problems:\n- dyn: sidecars (rules.yaml:39): container dyn: 0 is no port; allowed: 1 to 65535\n- dyn: sidecars (rules.yaml:39): container dyn: livenessProbe.tcpSocket.port: 0 is no port: 1 to 65535",
        ),
        (
            "port",
            "65536",
            "2 problems:\n- dyn: sidecars (rules.yaml:39): container dyn: 65536 is no port; allowed: 1 to 65535\n- dyn: sidecars (rules.yaml:39): container dyn: livenessProbe.tcpSocket.port: 65536 is no port: 1 to 65535",
        ),
        ("proto", "UDP", "injected"),
        (
            "proto",
            "tcp",
            "dyn: sidecars (rules.yaml:39): container dyn: ports[].protocol: `tcp` is none of TCP, UDP, SCTP",
        ),
        ("grace", "-1", "dyn: sidecars (rules.yaml:39): container dyn: livenessProbe.periodSeconds: -1 is less than 0"),
        (
            "user",
            "-5",
            "dyn: sidecars (rules.yaml:39): container dyn: securityContext.runAsUser: -5 is no id: 0 to 2147483647",
        ),
        (
            "user",
            "2147483648",
            "dyn: sidecars (rules.yaml:39): container dyn: securityContext.runAsUser: 2147483648 is no id: 0 to 2147483647",
        ),
        ("ip", "2001:db8::1", "injected"),
        ("ip", "300.1.1.1", "dyn: pod.hostAliases (rules.yaml:57): ip: `300.1.1.1` is no IP address"),
        ("field", "metadata.labels['app']", "injected"),
        (
            "field",
            "spec.nope",
            "dyn: sidecars (rules.yaml:39): container dyn: env[].valueFrom.fieldRef.fieldPath: `spec.nope` is none of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] and metadata.annotations['KEY']",
        ),
        (
            "hostname",
            "_x_",
            "dyn: pod.hostAliases (rules.yaml:57): hostnames[]: `_x_` is no DNS name: lower-case letters, digits, `-` and `.`",
        ),
        ("source", "a.b", "injected"),
        ("key", "a_B.c", "injected"),
        (
            "key",
            "$(A)",
            "2 problems:\n- dyn: sidecars (rules.yaml:39): container dyn: env[].valueFrom.configMapKeyRef.key: `$(A)` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`\n- dyn: sidecars (rules.yaml:39): container dyn: env[].valueFrom.secretKeyRef.key: `$(A)` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`",
        ),
        (
            "file",
            "..a",
            "dyn: volume priv (rules.yaml:35): configMap.items[].path: `..a` must be a relative path that does not begin with `..`",
        ),
        ("host", "91", "injected"),
        ("host", "90", "dyn: sidecars (rules.yaml:39): container dyn: two ports have the hostPort 90/TCP"),
        (
            "theirField",
            "nonsense",
            "dyn: target.env (rules.yaml:61): env[].valueFrom.fieldRef.fieldPath: `nonsense` is none of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] and metadata.annotations['KEY']",
        ),
        (
            "theirSource",
            "Not Valid!",
            "2 problems:\n- dyn: target.env (rules.yaml:61): env[].valueFrom.secretKeyRef.name: `Not Valid!` is no DNS name: lower-case letters, digits, `-` and `.`\n- dyn: target.envFrom (rules.yaml:64): envFrom[].secretRef.name: `Not Valid!` is no DNS name: lower-case letters, digits, `-` and `.`",
        ),
        (
            "theirPrefix",
            "1 ",
            "dyn: target.envFrom (rules.yaml:64): envFrom[].prefix: `1 ` is no variable name: letters, digits, `_`, `-` and `.`, not a digit first",
        ),
        (
            "theirMode",
            "Some",
            "dyn: target.volumeMounts (rules.yaml:65): volumeMounts[].mountPropagation: `Some` is none of None, HostToContainer, Bidirectional",
        ),
        ("secret", "", "dyn: pod.imagePullSecrets (rules.yaml:58): a pull secret needs a name"),
        ("mode", "511", "injected"),
        (
            "mode",
            "512",
            "dyn: volume priv (rules.yaml:35): configMap.defaultMode: 512 is no mode: 0 to 511, which is 0777",
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
        "dyn: volume priv (rules.yaml:35): configMap.defaultMode: 512 is no mode: 0 to 511, which is 0777"
    );
}
