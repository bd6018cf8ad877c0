//! What Helm makes of `deploy/chart`; `PODGRAFT_UPDATE=1` writes the manifests beside it anew.
//!
//! Without `helm` on the path the tests say that they are skipped, and with `CI=true` they fail.

use std::io::{self, Write};
use std::process::{Command, Output};
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::deploy::{Objects, ROOT};
use crate::generated::up_to_date;

/// Runs Helm; `None`, which is said, where there is none.
fn helm(args: &[&str]) -> Option<Output> {
    match Command::new("helm").args(args).current_dir(ROOT).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let how = "go install helm.sh/helm/v4/cmd/helm@v4.3.1";
            assert!(env::var("CI").as_deref() != Ok("true"), "helm: {error}; {how}");
            // Not eprintln!, whose text a passing test keeps to itself.
            let _ = io::stderr().write_all(format!("skipped a test of the chart: helm: {error}; {how}\n").as_bytes());
            None
        }
    }
}

/// Renders the chart with these options of `helm template`.
///
/// # Errors
///
/// What Helm says against them.
fn render(options: &[&str]) -> Option<Result<String, String>> {
    let args = ["template", "podgraft", "deploy/chart", "--namespace", "podgraft"];
    let output = helm(&[&args, options].concat())?;
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Some(if output.status.success() { Ok(out) } else { Err(err) })
}

fn objects(values: &[&str]) -> Option<Objects> {
    let options: Vec<_> = values.iter().flat_map(|value| ["--set-json", value]).collect();
    Some(Objects::read(&render(&options)?.unwrap_or_else(|why| panic!("{values:?}: {why}"))))
}

/// A document without what tells only where it comes from.
fn document(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("# Source: "));
    lines.fold(String::new(), |text, line| text + line + "\n").trim().to_owned() + "\n"
}

#[test]
fn the_manifests_beside_the_chart_are_up_to_date() {
    let Some(rendered) = render(&["--set", "namespace.create=true"]) else { return };
    let rendered = rendered.unwrap();
    let documents: Vec<_> = rendered.split("---\n").filter(|text| !text.trim().is_empty()).collect();
    // What is first in the file is the first to go with `kubectl delete -f`: nobody is called who is no longer there.
    let (registration, rest): (Vec<_>, Vec<_>) = documents.into_iter().partition(|text| {
        text.contains("kind: MutatingWebhookConfiguration\n") || text.contains("kind: ValidatingWebhookConfiguration\n")
    });
    let written = "# Written by `just render` from deploy/chart; change it there.\n";
    let join = |documents: &[&str]| documents.iter().map(|text| document(text)).collect::<Vec<_>>().join("---\n");
    up_to_date("deploy/install.yaml", &format!("{written}{}", join(&[registration.clone(), rest].concat())));
    up_to_date("deploy/webhook.yaml", &format!("{written}{}", join(&registration)));
}

#[test]
fn helm_has_nothing_to_say_against_the_chart() {
    let Some(output) = helm(&["lint", "--strict", "deploy/chart"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (value, named) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("image.name=podgraft", "additional properties 'name' not allowed"),
        ("annotationPrefix=it's", "/annotationPrefix"),
        ("tls.mode=manual", "/tls/mode"),
        ("tls.mode=secret", "tls.mode secret needs tls.caBundle"),
        ("tls.mode=cert-manager,tls.issuerRef.kind=ClusterIssuer", "properties 'name' required, if 'kind' exists"),
        ("webhook.port=0", "/webhook/port"),
        ("onUnknown=ignore", "/onUnknown"),
        ("defaultRunAsUser=0", "/defaultRunAsUser"),
        ("webhook.port=443", "/webhook/port"),
        ("admin.port=443", "/admin/port"),
        ("admin.port=8443", "webhook.port and admin.port are both 8443"),
        ("listenAddress=::", "/listenAddress"),
        ("tls.secretName=Mine", "/tls/secretName"),
        ("tls.clientCAConfigMap=a b", "/tls/clientCAConfigMap"),
        ("priorityClassName=a: b", "/priorityClassName"),
        ("imageMirror=registry.example #mirror", "/imageMirror"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "podLabels has app.kubernetes.io/name, which the chart sets"),
        ("autoscaling.enabled=true,autoscaling.minReplicas=7", "autoscaling.minReplicas is 7, more than maxReplicas"),
        ("autoscaling.enabled=true,resources.requests.cpu=null", "resources.requests.cpu, which is not set"),
        ("extraArgs={--drain-timeout=60s}", "say it with the value drainTimeoutSeconds"),
        ("extraArgs={--log-level=debug}", "say it with the value logLevel"),
        ("extraArgs={--log-file /x}", "/extraArgs/0"),
        // Which is Helm's way to take a default away.
        ("shutdownDelaySeconds=null", "missing property 'shutdownDelaySeconds'"),
        ("image.repository=null", "missing property 'repository'"),
        ("podLabels=null", "missing property 'podLabels'"),
    ] {
        let Some(rendered) = render(&["--set", value]) else { return };
        let why = rendered.expect_err(value);
        assert!(why.contains(named), "{value}: {why}");
    }
}

/// In a file numbers are floating, and text may look like something else.
#[test]
fn values_of_a_file_mean_what_they_say() {
    let values = tempfile::NamedTempFile::new().unwrap();
    let text = r#"
defaultRunAsUser: 1000680000
replicas: 2000000
shutdownDelaySeconds: 3000000
drainTimeoutSeconds: 4000000
priorityClassName: "true"
logLevel: "info,podgraft: #=debug"
imageMirror: "registry.example:5000/a:b"
tls: {secretName: "123", clientCAConfigMap: "456"}
podLabels: {team: "7"}
extraArgs: ["--max-in-flight=8"]
"#;
    fs::write(&values, text).unwrap();
    let options = ["--values", values.path().to_str().unwrap(), "--namespace", "789", "--set", "namespace.create=true"];
    let Some(rendered) = render(&options) else { return };
    let objects = Objects::read(&rendered.unwrap());
    for arg in [
        "--default-run-as-user=1000680000",
        "--shutdown-delay=3000000s",
        "--drain-timeout=4000000s",
        "--log-level=info,podgraft: #=debug",
        "--image-mirror=registry.example:5000/a:b",
        "--tls-secret=123",
        "--max-in-flight=8",
    ] {
        assert!(objects.args().contains(&arg), "{arg}: {:?}", objects.args());
    }
    let pod = objects.pod();
    assert_eq!(pod["terminationGracePeriodSeconds"], 7_000_005);
    assert_eq!((&pod["priorityClassName"], &pod["volumes"][0]["configMap"]["name"]), (&json!("true"), &json!("456")));
    let deployment = objects.get("Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2_000_000);
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["team"], "7");
    assert_eq!(objects.get("Secret")["metadata"]["name"], "123");
    assert_eq!(objects.get("Role")["rules"][0]["resourceNames"], json!(["123"]));
    assert_eq!(objects.get("Namespace")["metadata"]["name"], "789");
    for entry in objects.entries() {
        assert_eq!(entry["clientConfig"]["service"]["namespace"], "789");
    }
    for kind in ["Deployment", "Service", "ServiceAccount", "Secret", "Role", "NetworkPolicy", "PodDisruptionBudget"] {
        assert_eq!(objects.get(kind)["metadata"]["namespace"], "789", "{kind}");
    }
}

/// What `podgraft.check` names is what the chart sets.
#[test]
fn every_option_that_the_chart_sets_is_refused_among_further_ones() {
    let values = [
        r#"tls.clientCAConfigMap="callers""#,
        r#"imageMirror="registry.example/mirror""#,
        r#"foreignContainers=["vault"]"#,
    ];
    let Some(own) = objects(&values) else { return };
    let files = objects(&[r#"tls={"mode": "secret", "caBundle": "-----BEGIN CERTIFICATE-----\n"}"#]).unwrap();
    for arg in own.args().into_iter().chain(files.args()).filter(|arg| *arg != "serve") {
        let why = render(&["--set-json", &format!("extraArgs={}", json!([arg]))]).unwrap().expect_err(arg);
        assert!(why.contains("an option that the chart sets itself"), "{arg}: {why}");
    }
}

#[test]
fn the_prefix_is_one_value() {
    let Some(objects) = objects(&[r#"annotationPrefix="graft.example.com""#]) else { return };
    assert!(objects.args().contains(&"--annotation-prefix=graft.example.com"));
    let registrations = [objects.get("MutatingWebhookConfiguration"), objects.get("ValidatingWebhookConfiguration")];
    for registration in registrations {
        let text = registration.to_string();
        assert!(text.contains("startsWith('graft.example.com/')") && text.contains("contains('.graft.example.com/')"));
        assert!(!text.contains("'inject/'") && !text.contains("'.inject/'"), "{text}");
    }
}

#[test]
fn a_certificate_of_ones_own_is_mounted_and_trusted() {
    let Some(objects) =
        objects(&[r#"tls={"mode": "secret", "secretName": "mine", "caBundle": "-----BEGIN CERTIFICATE-----\n"}"#])
    else {
        return;
    };
    assert_mounted(&objects, "mine");
    let bundle = BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\n");
    for entry in objects.entries() {
        assert_eq!(entry["clientConfig"]["caBundle"], bundle.as_str());
    }
}

#[test]
fn authorities_of_clients_are_mounted_where_they_are_named() {
    let Some(objects) = objects(&[r#"tls.clientCAConfigMap="callers""#]) else { return };
    assert!(objects.args().contains(&"--client-ca=/clients/ca.crt"));
    let pod = objects.pod();
    assert_eq!(pod["volumes"], json!([{"name": "clients", "configMap": {"name": "callers"}}]));
    let mount = json!([{"name": "clients", "mountPath": "/clients", "readOnly": true}]);
    assert_eq!(pod["containers"][0]["volumeMounts"], mount);
}

#[test]
fn cert_manager_makes_the_certificate_and_keeps_the_registration_true() {
    let Some(own) = objects(&[r#"tls.mode="cert-manager""#]) else { return };
    assert_mounted(&own, "podgraft-tls");
    let leaf = own.named("Certificate", "podgraft");
    assert_eq!(leaf["spec"]["dnsNames"], json!(["podgraft.podgraft.svc"]));
    assert_eq!(leaf["spec"]["secretName"], "podgraft-tls");
    let issuer = own.named("Issuer", leaf["spec"]["issuerRef"]["name"].as_str().unwrap());
    let authority = own.named("Certificate", "podgraft-authority");
    assert_eq!(issuer["spec"]["ca"]["secretName"], authority["spec"]["secretName"]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        assert_eq!(own.get(kind)["metadata"]["annotations"]["cert-manager.io/inject-ca-from"], "podgraft/podgraft");
    }

    let theirs =
        objects(&[r#"tls={"mode": "cert-manager", "issuerRef": {"kind": "ClusterIssuer", "name": "internal"}}"#]);
    let theirs = theirs.unwrap();
    assert_eq!(theirs.of("Issuer").count(), 0);
    assert_eq!(theirs.get("Certificate")["spec"]["issuerRef"], json!({"kind": "ClusterIssuer", "name": "internal"}));
}

/// The server reads its certificate from this Secret, and may not touch it.
fn assert_mounted(objects: &Objects, secret: &str) {
    assert!(objects.args().contains(&"--tls-dir=/tls"));
    let pod = objects.pod();
    assert_eq!(pod["volumes"], json!([{"name": "tls", "secret": {"secretName": secret}}]));
    let mount = json!([{"name": "tls", "mountPath": "/tls", "readOnly": true}]);
    assert_eq!(pod["containers"][0]["volumeMounts"], mount);
    assert_eq!(objects.of("Role").count(), 0);
    for rule in objects.named("ClusterRole", "podgraft")["rules"].as_array().unwrap() {
        if rule["apiGroups"] == json!(["admissionregistration.k8s.io"]) {
            assert_eq!(rule["verbs"], json!(["get"]));
        }
    }
}

#[test]
fn a_port_that_is_open_is_used_everywhere() {
    let Some(objects) = objects(&["webhook.port=10250", "admin.port=9999"]) else { return };
    assert!(objects.args().contains(&"--listen=[::]:10250") && objects.args().contains(&"--admin-listen=[::]:9999"));
    let ports = json!([{"name": "webhook", "containerPort": 10250}, {"name": "admin", "containerPort": 9999}]);
    assert_eq!(objects.pod()["containers"][0]["ports"], ports);
}

#[test]
fn in_the_nodes_network_a_new_replica_waits_for_an_old_ones_ports() {
    let Some(objects) = objects(&["hostNetwork=true", "namespace.create=true"]) else { return };
    assert_eq!(objects.pod()["hostNetwork"], true);
    assert_eq!(objects.pod()["dnsPolicy"], "ClusterFirstWithHostNet");
    let update = &objects.get("Deployment")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(*update, json!({"maxSurge": 0, "maxUnavailable": 1}));
    let labels = &objects.get("Namespace")["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "privileged");
}

#[test]
fn what_is_optional_is_there_when_it_is_asked_for() {
    let Some(plain) = objects(&[]) else { return };
    let optional = ["HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule", "ConfigMap", "Namespace"];
    for kind in optional {
        assert_eq!(plain.of(kind).count(), 0, "{kind}");
    }
    let all = objects(&[
        "autoscaling.enabled=true",
        "serviceMonitor.enabled=true",
        "prometheusRule.enabled=true",
        "dashboard.enabled=true",
        "namespace.create=true",
        r#"templates={"team.yaml": "kind: ClusterInjectionTemplate\n"}"#,
        r#"imageMirror="registry.example/mirror""#,
        r#"foreignContainers=["vault", "mesh"]"#,
        r#"extraArgs=["--max-in-flight=8"]"#,
        r#"networkPolicy={"webhookFrom": [{"ipBlock": {"cidr": "192.0.2.0/28"}}], "adminFrom": [{"namespaceSelector": {}}], "egress": [{"ports": [{"port": 6443}]}]}"#,
    ]);
    let all = all.unwrap();
    // Scaled by somebody else.
    assert_eq!(all.get("Deployment")["spec"].get("replicas"), None);
    assert_eq!(all.get("HorizontalPodAutoscaler")["spec"]["minReplicas"], 2);
    let endpoint = &all.get("ServiceMonitor")["spec"]["endpoints"][0]["port"];
    assert!(all.get("Service")["spec"]["ports"].as_array().unwrap().iter().any(|port| port["name"] == *endpoint));

    let read = |file: &str| fs::read_to_string(format!("{ROOT}/deploy/chart/files/{file}")).unwrap();
    let rules: Value = serde_saphyr::from_str(&read("rules.yaml")).unwrap();
    assert_eq!(all.get("PrometheusRule")["spec"], rules);
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let shown = all.named("ConfigMap", "podgraft-dashboard")["data"]["podgraft.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), dashboard);

    assert_eq!(all.named("ConfigMap", "podgraft-templates")["data"]["team.yaml"], "kind: ClusterInjectionTemplate\n");
    assert_eq!(all.pod()["containers"][0]["volumeMounts"][0]["mountPath"], "/templates");
    for arg in [
        "--templates=/templates",
        "--image-mirror=registry.example/mirror",
        "--foreign-containers=vault,mesh",
        "--max-in-flight=8",
    ] {
        assert!(all.args().contains(&arg), "{arg}: {:?}", all.args());
    }
    let policy = &all.get("NetworkPolicy")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let ingress = json!([
        {"ports": [{"port": "webhook"}], "from": [{"ipBlock": {"cidr": "192.0.2.0/28"}}]},
        {"ports": [{"port": "admin"}], "from": [{"namespaceSelector": {}}]},
    ]);
    assert_eq!(policy["ingress"], ingress);
    let open = json!([{"ports": [{"port": "webhook"}]}, {"ports": [{"port": "admin"}]}]);
    assert_eq!(plain.get("NetworkPolicy")["spec"]["ingress"], open);
}

#[test]
fn podgraft_need_not_be_able_to_make_secrets() {
    let creates = |objects: &Objects| {
        let rules = objects.get("Role")["rules"].as_array().unwrap();
        rules.iter().any(|rule| rule["verbs"].as_array().unwrap().contains(&json!("create")))
    };
    let Some(plain) = objects(&[]) else { return };
    assert!(creates(&plain));
    assert!(!creates(&objects(&["rbac.createSecret=false"]).unwrap()));
}

#[test]
fn without_a_system_class_there_is_no_quota() {
    let Some(objects) = objects(&[r#"priorityClassName="""#]) else { return };
    assert_eq!(objects.of("ResourceQuota").count(), 0);
    assert_eq!(objects.pod().get("priorityClassName"), None);
}
