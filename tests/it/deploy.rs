//! What is in `deploy/` promises no more than the program keeps, and asks for no more than it needs. No cluster, no Helm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, LazyLock};

use podgraft::metrics::Metrics;
use serde_json::{Value, json};

use crate::process::{podgraft, run};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

static INSTALL: LazyLock<Objects> = LazyLock::new(|| Objects::read(&read("install.yaml")));

fn read(file: &str) -> String {
    fs::read_to_string(format!("{ROOT}/deploy/{file}")).unwrap()
}

/// The objects of a manifest.
pub struct Objects(Vec<Value>);

impl Objects {
    pub fn read(text: &str) -> Self {
        Self(serde_saphyr::from_multiple(text).unwrap())
    }

    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only one of a kind.
    pub fn get(&self, kind: &str) -> &Value {
        let found: Vec<_> = self.of(kind).collect();
        assert_eq!(found.len(), 1, "{kind}");
        found[0]
    }

    pub fn named(&self, kind: &str, name: &str) -> &Value {
        self.of(kind).find(|object| object["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The spec of podgraft's pods.
    pub fn pod(&self) -> &Value {
        &self.get("Deployment")["spec"]["template"]["spec"]
    }

    /// What the program is started with.
    pub fn args(&self) -> Vec<&str> {
        self.pod()["containers"][0]["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect()
    }

    /// The entries of both registrations.
    pub fn entries(&self) -> impl Iterator<Item = &Value> {
        let registrations = [self.get("MutatingWebhookConfiguration"), self.get("ValidatingWebhookConfiguration")];
        registrations.into_iter().flat_map(|registration| registration["webhooks"].as_array().unwrap())
    }
}

#[test]
fn what_is_deleted_first_is_what_calls_us() {
    let kinds: Vec<_> = INSTALL.0.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Namespace"]);
}

/// Every permission, with what needs it in the chart's `rbac.yaml`. One more is a decision, not an accident.
#[test]
fn the_permissions_are_those_that_are_used() {
    let mut found = BTreeSet::new();
    for role in [INSTALL.named("ClusterRole", "podgraft"), INSTALL.get("Role")] {
        for rule in role["rules"].as_array().unwrap() {
            let words = |field: &str| -> Vec<&str> {
                rule[field].as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
            };
            for resource in words("resources") {
                let names = words("resourceNames").join(",");
                found.insert(format!(
                    "{} {resource} {names}: {}",
                    words("apiGroups").join(","),
                    words("verbs").join(" ")
                ));
            }
        }
    }
    let wanted = [
        " namespaces : get list watch",
        " replicationcontrollers : get",
        " secrets : create",
        " secrets podgraft-tls: get list watch update",
        "admissionregistration.k8s.io mutatingwebhookconfigurations zz-podgraft: get list watch patch",
        "admissionregistration.k8s.io validatingwebhookconfigurations podgraft: get list watch patch",
        "apps daemonsets : get",
        "apps replicasets : get",
        "apps statefulsets : get",
        "batch jobs : get",
        "events.k8s.io events : create patch",
        "podgraft.dev clusterinjectiontemplates : get list watch",
        "podgraft.dev clusterinjectiontemplates/status : patch",
        "podgraft.dev injectiontemplates : get list watch",
        "podgraft.dev injectiontemplates/status : patch",
    ];
    assert_eq!(found, wanted.map(str::to_owned).into());
    for binding in INSTALL.of("ClusterRoleBinding").chain(INSTALL.of("RoleBinding")) {
        let subjects = json!([{"kind": "ServiceAccount", "name": "podgraft", "namespace": "podgraft"}]);
        assert_eq!((&binding["subjects"], &binding["roleRef"]["name"]), (&subjects, &json!("podgraft")));
    }
}

/// Pod Security Standards, "Restricted"; the namespace enforces it.
#[test]
fn its_own_pods_are_restricted_and_bounded() {
    let pod = INSTALL.pod();
    let context = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(pod["securityContext"], context);
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let container = &pod["containers"][0];
    let context = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
    });
    assert_eq!(container["securityContext"], context);
    for (part, resource) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
        assert!(container["resources"][part][resource].is_string(), "{part} {resource}");
    }
    assert_eq!(pod.get("hostNetwork"), None);
    assert_eq!(INSTALL.get("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(INSTALL.get("ServiceAccount")["automountServiceAccountToken"], false);
}

#[test]
fn replicas_are_spread_probed_and_not_drained_at_once() {
    let deployment = INSTALL.get("Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    let pod = INSTALL.pod();
    let keys: Vec<_> =
        pod["topologySpreadConstraints"].as_array().unwrap().iter().map(|it| &it["topologyKey"]).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    let quota = json!([{"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}]);
    assert_eq!(INSTALL.get("ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"], quota);
    for (probe, path) in [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        assert_eq!(pod["containers"][0][probe]["httpGet"], json!({"path": path, "port": "admin"}), "{probe}");
    }
    let budget = &INSTALL.get("PodDisruptionBudget")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);

    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selectors = [
        &deployment["spec"]["selector"]["matchLabels"],
        &budget["selector"]["matchLabels"],
        &INSTALL.get("Service")["spec"]["selector"],
        &INSTALL.get("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ];
    for selector in selectors {
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value), "{selector:?}");
    }
}

#[test]
fn the_program_knows_the_options_that_it_is_started_with() {
    let (code, _, errors) = run(podgraft().args(INSTALL.args()).arg("--help"));
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, _) = run(podgraft().args(INSTALL.args()).args(["--no-such-option", "--help"]));
    assert_eq!(code, Some(2), "what is wrong before --help is seen");
}

/// The kubelet kills what takes longer: the delay, then the time for requests in flight.
#[test]
fn there_is_time_to_end_in_order() {
    let args = INSTALL.args();
    let seconds = |option: &str| {
        let told = args.iter().find_map(|arg| arg.strip_prefix(option)?.strip_suffix('s')).unwrap();
        told.parse::<u64>().unwrap()
    };
    let grace = INSTALL.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > seconds("--shutdown-delay=") + seconds("--drain-timeout="), "{grace}");
}

#[test]
fn ports_meet() {
    let ports = &INSTALL.pod()["containers"][0]["ports"];
    let number = |name: &str| {
        let port = ports.as_array().unwrap().iter().find(|port| port["name"] == name);
        port.unwrap_or_else(|| panic!("no port {name}"))["containerPort"].clone()
    };
    let args = INSTALL.args();
    assert!(args.contains(&format!("--listen=[::]:{}", number("webhook")).as_str()), "{args:?}");
    assert!(args.contains(&format!("--admin-listen=[::]:{}", number("admin")).as_str()), "{args:?}");
    let service = INSTALL.get("Service");
    assert_eq!(service["spec"]["ports"][0], json!({"name": "https", "port": 443, "targetPort": "webhook"}));
    for entry in INSTALL.entries() {
        let service = &entry["clientConfig"]["service"];
        assert_eq!((&service["namespace"], &service["name"]), (&json!("podgraft"), &json!("podgraft")));
        assert!(["/mutate", "/validate"].contains(&service["path"].as_str().unwrap()));
        // Whoever has it in a manifest puts it back when it has changed.
        assert_eq!(entry["clientConfig"].get("caBundle"), None);
    }
    let ingress = INSTALL.get("NetworkPolicy")["spec"]["ingress"].as_array().unwrap();
    let open: Vec<_> =
        ingress.iter().filter(|rule| rule.get("from").is_none()).map(|rule| &rule["ports"][0]["port"]).collect();
    assert_eq!(open, ["webhook", "admin"]);
}

#[test]
fn it_locks_nobody_out() {
    for entry in INSTALL.entries() {
        let name = entry["name"].as_str().unwrap();
        let asks_itself = ["labelled-pods.podgraft.dev", "pods.podgraft.dev"].contains(&name);
        assert_eq!(entry["failurePolicy"], if asks_itself { "Fail" } else { "Ignore" }, "{name}");
        assert!(entry["timeoutSeconds"].as_u64().unwrap() <= 5, "{name}");
        let rules = entry["rules"].to_string();
        assert!(!rules.contains("\"*/"), "{name}: {rules}");
        if rules.contains("podgraft.dev") {
            continue;
        }
        let never =
            json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "podgraft"]});
        assert!(entry["namespaceSelector"]["matchExpressions"].as_array().unwrap().contains(&never), "{name}");
    }
    for entry in INSTALL.get("MutatingWebhookConfiguration")["webhooks"].as_array().unwrap() {
        let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Namespaced"}]);
        assert_eq!(entry["rules"], rules);
        assert_eq!((&entry["sideEffects"], &entry["reinvocationPolicy"]), (&json!("NoneOnDryRun"), &json!("IfNeeded")));
    }
}

/// Whether the API server would send this object for an entry: by its labels, and by its conditions, with the cel crate.
fn sent(entry: &Value, operation: &str, object: &Value, old: &Value) -> bool {
    is_selected(&entry["objectSelector"], &object["metadata"]["labels"]) && meets(entry, operation, object, old)
}

/// Whether labels meet a label selector (Kubernetes documentation, "Labels and Selectors"), as far as ours go.
fn is_selected(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let all = selector["matchExpressions"].as_array().into_iter().flatten();
    let mut met = all.map(|expression| {
        assert_eq!(expression["operator"], "NotIn");
        let key = expression["key"].as_str().unwrap();
        // What is not there is in no list.
        !expression["values"].as_array().unwrap().contains(&labels[key])
    });
    equal && met.all(|met| met)
}

fn meets(entry: &Value, operation: &str, object: &Value, old: &Value) -> bool {
    static ENV: LazyLock<Arc<cel::Env>> = LazyLock::new(|| Arc::new(cel::Env::stdlib().with_optional_support(true)));
    entry["matchConditions"].as_array().into_iter().flatten().all(|condition| {
        let expression = condition["expression"].as_str().unwrap();
        let program = ENV.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let mut context = cel::Context::with_env(Arc::clone(&ENV));
        let request = json!({"operation": operation});
        for (name, value) in [("object", object), ("oldObject", old), ("request", &request)] {
            context.add_variable(name, cel::to_value(value).unwrap()).unwrap();
        }
        let value = program.execute(&context).unwrap_or_else(|error| panic!("{expression}: {error}\n{object}"));
        value.json().unwrap().as_bool().unwrap_or_else(|| panic!("{expression} is no condition"))
    })
}

const ASKING: [&str; 3] = ["inject/log-shipper", "audit.inject/log-shipper", "inject/log-shipper.path"];
const OTHER: [&str; 4] = ["inject", "sidecar.istio.io/inject", "reinject/it", "podgraft.dev/status"];

#[test]
fn a_pod_meets_one_entry() {
    let [labelled, asks, rest] = INSTALL.get("MutatingWebhookConfiguration")["webhooks"].as_array().unwrap().as_slice()
    else {
        panic!("three entries")
    };
    let met = |metadata: Value| {
        let pod = json!({"metadata": metadata});
        [labelled, asks, rest].map(|entry| sent(entry, "CREATE", &pod, &Value::Null))
    };
    for key in ASKING {
        for labels in [json!({}), json!({"app": "web"}), json!({"podgraft.dev/inject": "disabled"})] {
            let annotations = json!({"a": "b", key: "true", "z": "z"});
            assert_eq!(met(json!({"annotations": annotations, "labels": labels})), [false, true, false], "{key}");
        }
        assert_eq!(met(json!({"annotations": {key: "true"}})), [false, true, false], "{key}");
        let mirror = json!({"annotations": {key: "true", "kubernetes.io/config.mirror": "1"}});
        assert_eq!(met(mirror), [false, false, false], "{key}");
    }
    for key in OTHER {
        assert_eq!(met(json!({"annotations": {key: "true"}})), [false, false, true], "{key}");
    }
    for mut metadata in [json!({}), json!({"annotations": {}}), json!({"name": "inject/x"})] {
        assert_eq!(met(metadata.clone()), [false, false, true], "{metadata}");
        metadata["labels"] = json!({"app": "web", "podgraft.dev/inject": "enabled"});
        assert_eq!(met(metadata.clone()), [true, false, false], "{metadata}");
        metadata["annotations"] = json!({"inject/log-shipper": "true"});
        assert_eq!(met(metadata.clone()), [true, false, false], "{metadata}");
    }
}

#[test]
fn a_workload_meets_one_entry_when_it_changes() {
    let registration = INSTALL.get("ValidatingWebhookConfiguration")["webhooks"].as_array().unwrap();
    let [asks, rest] = &registration[..2] else { panic!("two entries for workloads") };
    let met =
        |operation: &str, object: &Value, old: &Value| [asks, rest].map(|entry| sent(entry, operation, object, old));
    let template = |key: &str| json!({"metadata": {"annotations": {key: "true"}}, "spec": {"containers": []}});
    for key in ASKING {
        for workload in [
            json!({"metadata": {}, "spec": {"template": template(key)}}),
            json!({"metadata": {"annotations": {key: "x"}}, "spec": {"template": {"spec": {}}}}),
            json!({"metadata": {}, "spec": {"jobTemplate": {"spec": {"template": template(key)}}}}),
        ] {
            assert_eq!(met("CREATE", &workload, &Value::Null), [true, false], "{workload}");
            assert_eq!(met("UPDATE", &workload, &workload), [false, false], "{workload}");
            let old = json!({"metadata": {}, "spec": {"template": {}, "jobTemplate": {}}});
            assert_eq!(met("UPDATE", &workload, &old), [true, false], "{workload}");

            let mut made = workload.clone();
            made["metadata"]["ownerReferences"] =
                json!([{"kind": "Other"}, {"kind": "Deployment", "controller": true}]);
            assert_eq!(met("CREATE", &made, &Value::Null), [false, false], "{made}");
            let mut going = workload.clone();
            going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            assert_eq!(met("UPDATE", &going, &old), [false, false], "{going}");
        }
    }
    for key in OTHER {
        let workload = json!({"metadata": {"annotations": {key: "x"}}, "spec": {"template": template(key)}});
        assert_eq!(met("CREATE", &workload, &Value::Null), [false, true], "{workload}");
    }
}

/// Metrics have to be there, or nobody is ever told.
#[test]
fn alerts_and_dashboard_know_the_metrics() {
    let text = Metrics::new().unwrap().text().unwrap();
    let known: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    for file in ["chart/files/rules.yaml", "chart/files/dashboard.json"] {
        let text = read(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let used: BTreeSet<_> =
            words.filter(|word| word.starts_with("podgraft_") || word.starts_with("process_")).collect();
        assert!(used.len() > 5, "{file}: {used:?}");
        for metric in used {
            // Injections have no series before there are templates, nor have rejections' helpers a HELP line.
            let metric = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(known.contains(metric) || metric == "podgraft_injections_total", "{file}: {metric} is no metric");
        }
    }
}

#[test]
fn every_value_is_documented_and_typed() {
    let text = read("chart/values.yaml");
    let lines: Vec<_> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let key = line.trim_start().split(": ").next().unwrap().trim_end_matches(':');
        let is_group = line.ends_with(':');
        if !line.is_empty() && !line.trim_start().starts_with('#') && !is_group {
            assert!(
                number > 0 && lines[number - 1].trim_start().starts_with("# ") || in_flow(&lines, number),
                "{key} has no comment"
            );
        }
    }
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let schema: Value = serde_json::from_str(&read("chart/values.schema.json")).unwrap();
    same_keys(&values, &schema, "");
}

/// Whether a line belongs to a value that is given as it goes to Kubernetes, not as values of the chart.
fn in_flow(lines: &[&str], number: usize) -> bool {
    let group = lines[..number].iter().rposition(|line| !line.starts_with(' ') && line.ends_with(':'));
    group.is_some_and(|at| lines[at] == "resources:")
}

/// The schema closes what has parts, and knows these parts and no others.
fn same_keys(values: &Value, schema: &Value, path: &str) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    let Some(values) = values.as_object() else { panic!("{path} has no parts") };
    // Empty: given as a whole, or not at all.
    if values.is_empty() {
        return;
    }
    let typed: BTreeMap<_, _> = properties.iter().filter(|(key, _)| *key != "global").collect();
    assert_eq!(values.keys().collect::<BTreeSet<_>>(), typed.keys().copied().collect(), "{path}");
    // Helm takes `null` for no value at all, which the templates don't know.
    let required = schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
    assert_eq!(required.collect::<BTreeSet<_>>(), values.keys().map(String::as_str).collect(), "{path}");
    for (key, schema) in typed {
        same_keys(&values[key], schema, &format!("{path}.{key}"));
    }
}

#[test]
fn every_value_is_used() {
    let mut templates = String::new();
    for entry in fs::read_dir(format!("{ROOT}/deploy/chart/templates")).unwrap() {
        templates += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let used: BTreeSet<_> = templates
        .split(".Values.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').next().unwrap())
        .collect();
    let values: Value = serde_saphyr::from_str(&read("chart/values.yaml")).unwrap();
    let known = |path: &str| path.split('.').try_fold(&values, |value, key| value.get(key)).is_some();
    for path in &used {
        // Parts of what is empty by default.
        assert!(known(path) || *path == "tls.issuerRef.name", ".Values.{path} is no value");
    }
    for (key, value) in values.as_object().unwrap() {
        let parts = value.as_object().filter(|_| !["image", "resources", "nodeSelector"].contains(&key.as_str()));
        for path in parts.map_or(vec![key.clone()], |parts| parts.keys().map(|part| format!("{key}.{part}")).collect())
        {
            let found = used.iter().any(|used| *used == path || used.starts_with(&format!("{path}.")));
            assert!(found || path == "image", "nothing uses {path}");
        }
    }
}

#[test]
fn kustomize_has_what_kubectl_has() {
    let kustomization: Value = serde_saphyr::from_str(&read("kustomization.yaml")).unwrap();
    assert_eq!(kustomization["resources"], json!(["install.yaml"]));
}
