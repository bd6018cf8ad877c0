//! Made-up templates: what the template language can say, in combinations that nobody wrote.

use std::sync::Arc;

use podgraft::template::{self, LoadOptions, Origin, Template};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

/// The names that made-up templates have.
pub const NAMES: [&str; 3] = ["made-a", "made-b", "made-c"];

/// What every made-up template declares, and values for it: most fit, some don't, some only where they end up.
pub const PARAMETERS: [(&str, &[&str]); 8] = [
    (
        "text",
        &[
            "b",
            "a b",
            "$(A)$$",
            "UPPER",
            "",
            "ä\n\"{{ x }}\"",
            "a-very-long-name-that-no-container-or-label-can-have-0123456789-0123",
        ],
    ),
    ("path", &["/data", "/data/logs", "/srv/a/../b", "/dev/.", "/run/made/", "/a:b", "/var/log/app"]),
    ("number", &["9000", "8081", "65535", "0", "65536"]),
    ("flag", &["true", "false"]),
    ("list", &["a,b", "[\"x\", \"y z\"]", "a", "one\ntwo\nthree"]),
    ("size", &["64Mi", "1", "0.5Gi"]),
    ("time", &["90s", "1h30m"]),
    ("secret", &["hush", "not a label"]),
];

/// A template of this name that loads.
pub fn template(name: &'static str) -> BoxedStrategy<Arc<Template>> {
    let loads = text(name).prop_filter_map("it loads", move |text| {
        let loaded = template::load(Origin(Arc::from("made.yaml")), &text, &LoadOptions::default()).ok()?;
        loaded.templates.into_iter().next().map(Arc::new)
    });
    loads.boxed()
}

/// A template as JSON, which is YAML: it often loads.
pub fn text(name: &'static str) -> BoxedStrategy<String> {
    // Boxed, as each combinator makes a longer type of those that it holds.
    let about = (
        weighted(0.3, select(CONDITIONS.to_vec())),
        weighted(0.3, vec(validation(), 1..3)),
        weighted(0.4, Just("all")),
        weighted(0.3, order(name)),
        weighted(0.4, Just("Ignore")),
        weighted(0.5, Just("allow")),
        weighted(0.4, select(vec!["path", "text", "number", "list"])),
    )
        .boxed();
    let parts = (
        weighted(0.6, volumes(true)),
        weighted(0.6, volumes(false)),
        weighted(0.7, containers(name, true)),
        weighted(0.6, containers(name, false)),
        weighted(0.5, target()),
        weighted(0.4, pod()),
    )
        .boxed();
    (about, parts)
        .prop_map(move |(about, parts)| {
            let (when, validations, targets, order, failure_policy, host_network, primary) = about;
            let (shared, private, sidecars, init, target, pod) = parts;
            let spec = object([
                ("parameters", Some(parameters())),
                ("primaryParameter", primary.map(Value::from)),
                ("when", when.map(Value::from)),
                ("validations", validations.map(Value::from)),
                ("targets", targets.map(Value::from)),
                ("order", order),
                ("failurePolicy", failure_policy.map(Value::from)),
                ("hostNetwork", host_network.map(Value::from)),
                ("sharedVolumes", shared),
                ("volumes", private),
                ("sidecars", sidecars),
                ("initContainers", init),
                ("target", target),
                ("pod", pod),
            ]);
            json!({
                "apiVersion": "podgraft.dev/v1alpha1",
                "kind": "ClusterInjectionTemplate",
                "metadata": {"name": name},
                "spec": spec,
            })
            .to_string()
        })
        .boxed()
}

fn parameters() -> Value {
    json!({
        "text": {"type": "string", "default": "a"},
        "path": {"type": "string", "default": "/var/log/app", "pattern": "^/"},
        "number": {"type": "integer", "default": 8080},
        "flag": {"type": "boolean", "default": false},
        "list": {"type": "list", "default": ["x", "y"]},
        "size": {"type": "quantity", "default": "16Mi"},
        "time": {"type": "duration", "default": "10s"},
        "secret": {"type": "string", "default": "public", "sensitive": true},
    })
}

/// Bare CEL that is a condition.
const CONDITIONS: [&str; 10] = [
    "true",
    "params.flag || size(targets) > 0",
    "!params.flag",
    "params.number > 8000",
    "target.name != 'worker'",
    "targets.exists(t, has(t.env))",
    "size(object.spec.containers) < 3",
    "!has(object.spec.restartPolicy) || object.spec.restartPolicy == 'Always'",
    "instance == ''",
    "object.metadata.?labels[?'team'].orValue('') != 'shop'",
];

fn validation() -> impl Strategy<Value = Value> {
    let message = select(vec!["no", "{{ params.text }} is wrong", "{{ target.name }}: {{ params.list.join(' ') }}"]);
    (select(CONDITIONS.to_vec()), message, weighted(0.2, Just("Deny"))).prop_map(|(expression, message, deny)| {
        json!({"expression": expression, "message": message, "action": deny.unwrap_or("Warn")})
    })
}

fn order(name: &'static str) -> impl Strategy<Value = Value> {
    let names = ["made-a", "made-b", "made-c", "prepare", "istio-init", "wait-for-db", "cache", "echo"];
    let others: Vec<_> = names.into_iter().filter(|other| *other != name).collect();
    (subsequence(others, 0..3), any::<Index>()).prop_map(|(mut names, split)| {
        let after = names.split_off(split.index(names.len() + 1));
        json!({"before": names, "after": after})
    })
}

/// Texts for places that take any.
fn words() -> impl Strategy<Value = &'static str> {
    select(vec![
        "word",
        "$(HOME)",
        "{{ params.text }}",
        "<{{ params.text }}>{{ params.flag }}",
        "{{ params.secret }}",
        "{{ string(params.number) }}",
        "{{ params.list.join(',') }}",
        "{{ seconds(params.time) }}",
        "{{ target.name }}",
        "{{ object.metadata.namespace }}/{{ instance }}",
        "{{ params.flag ? params.text : null }}",
        "{{ has(target.env) && size(target.env) > 0 ? target.env[0].name : 'none' }}",
    ])
}

/// The names of a template's volumes: two shared ones, two of its own.
const VOLUMES: [&str; 4] = ["s0", "s1", "v0", "v1"];

fn volumes(shared: bool) -> impl Strategy<Value = Value> {
    let one = move |name: &'static str| {
        let source = select(vec![
            json!({"emptyDir": {}}),
            json!({"emptyDir": {"sizeLimit": "{{ params.size }}", "medium": "Memory"}}),
            json!({"configMap": {"name": "conf", "items": [{"key": "{{ params.text }}", "path": "a"}]}}),
            json!({"secret": {"secretName": "s", "defaultMode": 256}}),
            json!({"hostPath": {"path": "{{ params.path }}"}}),
            json!({"projected": {"sources": [{"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}),
        ]);
        let path = select(vec!["/data", "{{ params.path }}", "{{ params.path }}/made", "/run/made", "/data/logs"]);
        (source, path, any::<bool>(), weighted(0.8, Just(())), when()).prop_map(
            move |(source, path, read_only, own, when)| {
                let mut volume = json!({"name": name});
                if shared {
                    volume["mountPath"] = path.into();
                    volume["readOnly"] = read_only.into();
                    if own.is_some() {
                        volume["volume"] = source;
                    }
                } else {
                    merge(&mut volume, source);
                }
                merge(&mut volume, when);
                volume
            },
        )
    };
    let names = if shared { &VOLUMES[..2] } else { &VOLUMES[2..] };
    subsequence(names, 1..=2)
        .prop_flat_map(move |names| names.into_iter().map(one).collect::<Vec<_>>())
        .prop_map(Value::from)
}

/// Now and then a condition.
fn when() -> impl Strategy<Value = Value> {
    weighted(0.2, select(CONDITIONS.to_vec())).prop_map(|when| object([("when", when.map(Value::from))]))
}

fn containers(name: &'static str, sidecars: bool) -> impl Strategy<Value = Value> {
    let base: &[&str] = if sidecars { &["run", "more", "cache"] } else { &["init", "then", "prepare"] };
    let names: Vec<String> =
        base.iter().map(|part| if part.len() > 4 { (*part).to_owned() } else { format!("{name}-{part}") }).collect();
    let repeated = if sidecars { format!("{name}-s-{{{{ index }}}}") } else { format!("{name}-{{{{ item.trim() }}}}") };
    let one = move |name| container(name, repeated.clone(), sidecars);
    subsequence(names, 1..=2)
        .prop_flat_map(move |names| names.into_iter().map(&one).collect::<Vec<_>>())
        .prop_map(Value::from)
}

/// A container of this name, or, repeated, of the other.
fn container(name: String, repeated: String, sidecar: bool) -> BoxedStrategy<Value> {
    let name = weighted(0.2, Just(repeated))
        .prop_map(move |repeated| (repeated.is_some(), repeated.unwrap_or_else(|| name.clone())));
    let image = select(vec![
        "image:1",
        "registry/{{ params.flag ? 'a' : 'b' }}:1",
        "{{ target.image }}",
        "{{ podgraft.image }}",
    ]);
    let ports = select(vec![
        json!([{"containerPort": "{{ params.number }}"}]),
        json!([{"name": "http", "containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]),
        json!([{"containerPort": 9000, "hostPort": "{{ params.number }}", "when": "params.flag"}]),
    ]);
    let security = select(vec![
        json!({"runAsUser": "{{ params.number }}"}),
        json!({"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}}),
        json!({"privileged": "{{ params.flag }}"}),
    ]);
    let resources = select(vec![
        json!({"requests": {"cpu": "10m", "memory": "{{ params.size }}"}, "limits": {"memory": "{{ params.size }}"}}),
        json!({"limits": {"cpu": 1, "memory": "16Mi"}}),
    ]);
    let probe = select(vec![
        json!({"tcpSocket": {"port": "{{ params.number }}"}}),
        json!({"exec": {"command": ["test", "{{ params.text }}"]}, "periodSeconds": "{{ seconds(params.time) }}"}),
    ]);
    let ours = object_of([
        ("runAs", weighted(0.3, Just(json!("target"))).boxed()),
        ("environment", weighted(0.3, Just(json!("target"))).boxed()),
        ("serviceAccountToken", weighted(0.3, Just(json!("mount"))).boxed()),
        ("readinessProbe", weighted(0.3, probe).prop_map(move |probe| probe.filter(|_| sidecar)).boxed()),
    ]);
    let core = object_of([
        ("command", weighted(0.5, vec(words(), 1..4).prop_map(|words| json!(words))).boxed()),
        ("args", weighted(0.3, vec(words(), 1..4).prop_map(|words| json!(words))).boxed()),
        ("workingDir", weighted(0.2, select(vec![json!("{{ params.path }}"), json!("/")])).boxed()),
        ("env", weighted(0.5, env()).boxed()),
        ("ports", weighted(0.4, ports).boxed()),
        ("volumeMounts", weighted(0.6, mounts()).boxed()),
        ("resources", weighted(0.5, resources).boxed()),
        ("securityContext", weighted(0.4, security).boxed()),
    ]);
    (name, image, ours, core, when())
        .prop_map(|((repeated, name), image, ours, core, when)| {
            let mut container = json!({"name": name, "image": image});
            if repeated {
                container["forEach"] = "params.list".into();
            }
            for members in [ours, core, when] {
                merge(&mut container, members);
            }
            container
        })
        .boxed()
}

fn env() -> BoxedStrategy<Value> {
    let value = prop_oneof![
        4 => words().prop_map(|value| json!({"value": value})),
        1 => Just(json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
        1 => Just(json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}})),
        1 => Just(json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "{{ params.text }}"}}})),
    ];
    let one = |name: &'static str| {
        (value.clone(), when()).prop_map(move |(mut variable, when)| {
            variable["name"] = name.into();
            merge(&mut variable, when);
            variable
        })
    };
    let one: Vec<_> = ["A", "B", "HOME", "AGENT", "MADE"].into_iter().map(one).collect();
    (one, subsequence(vec![0, 1, 2, 3, 4], 0..4), any::<bool>(), any::<bool>())
        .prop_map(|(all, which, repeated, computed)| {
            let mut env: Vec<_> = which.into_iter().map(|index| all[index].clone()).collect();
            if repeated {
                env.push(json!({"forEach": "params.list", "name": "ITEM_{{ index }}", "value": "{{ item }}"}));
            }
            if computed {
                env.push(json!({"name": "{{ params.flag ? 'COMPUTED' : params.text }}", "value": "{{ params.text }}"}));
            }
            Value::from(env)
        })
        .boxed()
}

fn mounts() -> impl Strategy<Value = Value> {
    let one = |name: &'static str| {
        let path = select(vec![format!("/mnt/{name}"), format!("{{{{ params.path }}}}/{name}"), "/data".to_owned()]);
        let more = select(vec![
            json!({}),
            json!({}),
            json!({"readOnly": true}),
            json!({"subPath": "a"}),
            json!({"subPathExpr": "$(A)"}),
        ]);
        (path, more).prop_map(move |(path, mut mount)| {
            mount["name"] = name.into();
            mount["mountPath"] = path.into();
            mount
        })
    };
    subsequence(VOLUMES.to_vec(), 1..3)
        .prop_flat_map(move |names| names.into_iter().map(one).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn target() -> impl Strategy<Value = Value> {
    let sources = select(vec![
        json!([{"configMapRef": {"name": "agent", "optional": true}}]),
        json!([{"prefix": "P_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "{{ params.text }}"}}]),
    ]);
    object_of([
        ("env", weighted(0.7, env()).boxed()),
        ("envFrom", weighted(0.3, sources).boxed()),
        ("volumeMounts", weighted(0.3, mounts()).boxed()),
    ])
}

fn pod() -> impl Strategy<Value = Value> {
    let labels =
        select(vec![json!({"team": "platform"}), json!({"app": "{{ params.text }}", "made": "{{ params.secret }}"})]);
    let annotations = words().prop_map(|word| json!({"example.com/a~b": word, "team": "platform"}));
    let secrets = select(vec![json!([{"name": "own"}]), json!([{"name": "{{ params.list[0] }}"}, {"name": "b"}])]);
    let aliases = select(vec![
        json!([{"ip": "10.0.0.1", "hostnames": ["db"]}]),
        json!([{"ip": "10.0.0.2", "hostnames": "{{ params.list }}"}]),
    ]);
    object_of([
        ("labels", weighted(0.5, labels).boxed()),
        ("annotations", weighted(0.5, annotations).boxed()),
        ("imagePullSecrets", weighted(0.3, secrets).boxed()),
        ("hostAliases", weighted(0.3, aliases).boxed()),
    ])
}

/// A map of those members that are there.
fn object_of<const N: usize>(
    members: [(&'static str, BoxedStrategy<Option<Value>>); N],
) -> impl Strategy<Value = Value> {
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    values.prop_map(move |values| {
        let members = keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    })
}

fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(members.collect())
}

fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}

/// Most that is made up loads, and all kinds of parts are among what does.
#[test]
fn made_up_templates_load() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut loaded, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let text = text(NAMES[0]).new_tree(&mut runner).unwrap().current();
        match template::load(Origin(Arc::from("made.yaml")), &text, &LoadOptions::default()) {
            Ok(it) => loaded.extend(it.templates),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let some = |is: fn(&Template) -> bool| loaded.iter().any(is);
    assert!(loaded.len() > 60, "{} of 200 load: {}", loaded.len(), refused.join("\n"));
    assert!(some(|it| !it.shared_volumes.is_empty()) && some(|it| !it.volumes.is_empty()));
    assert!(some(|it| !it.sidecars.is_empty()) && some(|it| !it.init_containers.is_empty()));
    assert!(some(|it| it.target.env.is_some()) && some(|it| it.pod.labels.is_some()) && some(|it| it.when.is_some()));
}
