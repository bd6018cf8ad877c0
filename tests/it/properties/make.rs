//! Made-up pods: plausible enough to be grafted, odd enough to be in the way.

use std::fmt;
use std::sync::{Arc, LazyLock};

use podgraft::snapshot::{INJECT_LABEL, Namespace, Policy, Snapshot};
use podgraft::template::{self, LoadOptions, Origin, Template};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::templates;

/// A pod, as JSON text, and the set that it meets.
pub struct Made {
    pub pod: String,
    pub snapshot: Snapshot,
}

impl fmt::Debug for Made {
    /// What to try it again with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let templates = self.snapshot.templates.iter();
        let made = |name: &str| templates::NAMES.contains(&name);
        let templates: Vec<_> = templates.map(|it| if made(&it.name) { &*it.text } else { &*it.name }).collect();
        let namespace = self.snapshot.namespaces.get("default").map(|namespace| &namespace.defaults);
        let native = self.snapshot.policy.native_sidecars;
        write!(f, "{} with {templates:?}, namespace {namespace:?}, native sidecars: {native}", self.pod)
    }
}

/// The built-ins and `templates.yaml`, compiled once.
static TEMPLATES: LazyLock<Vec<Arc<Template>>> = LazyLock::new(|| {
    let load = LoadOptions::default();
    let own = template::load(Origin(Arc::from("templates.yaml")), include_str!("templates.yaml"), &load);
    let own = own.unwrap_or_else(|error| panic!("{error}")).templates;
    crate::builtin::templates().chain(own.into_iter().map(Arc::new)).collect()
});

/// A snapshot with every template.
pub fn all_templates() -> Snapshot {
    with(&TEMPLATES, Policy::default())
}

fn with(templates: &[Arc<Template>], policy: Policy) -> Snapshot {
    let mut snapshot = Snapshot { policy, ..Snapshot::default() };
    for template in templates {
        snapshot.templates.insert(Arc::clone(template));
    }
    snapshot
}

/// Made-up templates: of each name some, the same ones each time, as it takes a while to load them.
static MADE: LazyLock<[Vec<Arc<Template>>; 3]> = LazyLock::new(|| {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    templates::NAMES.map(|name| {
        let strategy = templates::template(name);
        (0..40).map(|_| strategy.new_tree(&mut runner).expect("they load").current()).collect()
    })
});

/// A pod that asks for some of some templates.
pub fn pod() -> impl Strategy<Value = Made> {
    let made = (any::<[Index; 3]>(), 0..=MADE.len()).prop_map(|(which, many)| {
        let made = MADE.iter().zip(which).map(|(of_name, index)| Arc::clone(index.get(of_name)));
        made.take(many).collect::<Vec<_>>()
    });
    let templates = (subsequence(TEMPLATES.clone(), 1..=TEMPLATES.len()), made).prop_map(|(mut templates, made)| {
        if !made.is_empty() {
            // Beside few others, each of which may be what a pod is refused for.
            templates.truncate(1);
        }
        templates.extend(made);
        templates
    });
    pod_of(templates)
}

/// A pod that asks for made-up templates that were never loaded before.
pub fn pod_of_new_templates() -> impl Strategy<Value = Made> {
    pod_of(templates::NAMES.map(templates::template).into_iter().collect::<Vec<_>>())
}

fn pod_of(templates: impl Strategy<Value = Vec<Arc<Template>>>) -> impl Strategy<Value = Made> {
    (templates, weighted(0.7, Just(()))).prop_flat_map(|(templates, native_sidecars)| {
        let native_sidecars = native_sidecars.is_some();
        let names: Vec<_> = templates.iter().map(|template| template.name.clone()).collect();
        let defaults = weighted(0.3, asked(names.clone()));
        (asked(names), defaults, metadata(), spec(), unknown()).prop_map(move |made| {
            let (asked, defaults, mut metadata, spec, unknown) = made;
            let annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
            metadata["annotations"] = annotations.into_iter().chain(asked).collect();
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            merge(&mut pod, unknown);
            let policy = Policy { native_sidecars, ..Policy::default() };
            let mut snapshot = with(&templates, policy);
            if let Some(defaults) = defaults {
                let labels = json!({INJECT_LABEL.0: INJECT_LABEL.1});
                let annotations: Value = defaults.into_iter().collect();
                let object = json!({"metadata": {"name": "default", "labels": labels, "annotations": annotations}});
                snapshot.namespaces.insert(Namespace::from_object(object).unwrap());
            }
            Made { pod: pod.to_string(), snapshot }
        })
    })
}

/// Annotations that ask for templates: mostly as one should.
fn asked(templates: Vec<String>) -> impl Strategy<Value = Vec<(String, Value)>> {
    let instance = prop_oneof![3 => Just(""), 1 => Just("one."), 1 => Just("two.")];
    let one =
        (instance, select(templates), any::<Index>(), parameters()).prop_map(|(instance, template, index, said)| {
            let values: &[&str] = match &*template {
                "log-shipper" | "pages" => &["true", "/data", "/data/logs", "/data/logs/", "/var/log/app", "/dev/."],
                "set-env" => &["A=1", "A=1,B=2", "A=2,C=$(A)", "D="],
                "wait-for-service" => &["myservice", "a:1,b:2"],
                "content-sync" | "fetch-config" => &["http://web/a.tar.gz", "https://web:8443/b?c=d"],
                "db-migrate" => &["migrate,up", "[\"migrate\", \"up\"]"],
                "backup" | "config-reloader" | "fix-permissions" | "seed-volume" => &["/data", "/data/logs"],
                "metrics-exporter" => &["exporter:1"],
                "validate-env" => &["A", "A=[0-9]+,HOME"],
                it if templates::NAMES.contains(&it) => {
                    &["true", "true", "true", "true", "true", "true", "/data", "8090"]
                }
                _ => &["true", "true", "false"],
            };
            // What must be given beside the main key.
            let more = match &*template {
                "backup" => vec![("destination", "https://store/copies")],
                "config-reloader" => vec![("url", "http://localhost/-/reload")],
                "metrics-exporter" => vec![("port", "9113")],
                it if templates::NAMES.contains(&it) => said,
                _ => Vec::new(),
            };
            let key = format!("{instance}inject/{template}");
            let more = more.into_iter().map(|(parameter, value)| (format!("{key}.{parameter}"), Value::from(value)));
            let more: Vec<_> = more.collect();
            [(key, Value::from(*index.get(values)))].into_iter().chain(more).collect::<Vec<_>>()
        });
    vec(one, 1..4).prop_map(|asked| asked.into_iter().flatten().collect())
}

/// Values for some parameters of made-up templates.
fn parameters() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let one = |(name, values): (&'static str, &'static [&'static str])| {
        // The first of them fit most often.
        (0..values.len(), 0..values.len(), 0..values.len()).prop_map(move |(a, b, c)| (name, values[a.min(b).min(c)]))
    };
    subsequence(templates::PARAMETERS.to_vec(), 0..3)
        .prop_flat_map(move |some| some.into_iter().map(one).collect::<Vec<_>>())
}

fn metadata() -> impl Strategy<Value = Value> {
    let labels = prop_oneof![Just(None), Just(Some(Value::Null)), Just(Some(json!({"team": "shop", "app": "web"})))];
    let annotations = prop_oneof![
        Just(json!({})),
        Just(json!({"kubectl.kubernetes.io/default-container": "api"})),
        Just(json!({"example.com/a~b": "c", "team": "shop"})),
    ];
    (of(Just("web")), labels, annotations).prop_map(|(name, labels, annotations)| {
        object([("name", name.map(Value::from)), ("labels", labels), ("annotations", Some(annotations))])
    })
}

const VOLUMES: [&str; 4] = ["data", "conf", "log-shipper-logs", "pages-pages"];

fn spec() -> impl Strategy<Value = Value> {
    let names = subsequence(vec!["web", "api", "worker", "istio-proxy", "log-shipper"], 1..4).prop_shuffle();
    let containers = names.prop_flat_map(|names| names.into_iter().map(container).collect::<Vec<_>>());
    let names = subsequence(vec!["prepare", "istio-init", "linkerd-init", "cache", "wait-for-db"], 0..3);
    let init = names.prop_flat_map(|names| names.into_iter().map(init_container).collect::<Vec<_>>());
    let init = prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 4 => init.prop_map(|list| Some(json!(list)))];
    let source =
        select(vec![json!({"emptyDir": {}}), json!({"configMap": {"name": "c"}}), json!({"future": {"x": 1}})]);
    let volumes = vec(source, VOLUMES.len()).prop_map(|sources| {
        let volumes = sources.into_iter().zip(VOLUMES).map(|(mut source, name)| {
            source["name"] = name.into();
            source
        });
        Value::Array(volumes.collect())
    });
    let others = (
        of(select(vec!["Always", "OnFailure", "Never"])),
        weighted(0.1, any::<bool>()),
        weighted(0.2, select(vec![json!({"runAsUser": 1000}), json!({"runAsUser": 0, "fsGroup": 5}), Value::Null])),
        weighted(0.1, Just(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}))),
        weighted(0.2, select(vec![Value::Null, json!([]), json!([{"ip": "10.0.0.1", "hostnames": ["own"]}])])),
        weighted(0.2, select(vec![Value::Null, json!([]), json!([{"name": "own"}])])),
    );
    (containers, init, volumes, others).prop_map(|(containers, init, volumes, others)| {
        let (restart, host_network, security, resources, aliases, secrets) = others;
        object([
            ("restartPolicy", restart.map(Value::from)),
            ("hostNetwork", host_network.map(Value::from)),
            ("securityContext", security),
            ("resources", resources),
            ("hostAliases", aliases),
            ("imagePullSecrets", secrets),
            ("initContainers", init),
            ("containers", Some(json!(containers))),
            ("volumes", Some(volumes)),
        ])
    })
}

fn container(name: &'static str) -> impl Strategy<Value = Value> {
    let value = select(vec![
        json!({"value": "1"}),
        json!({"value": "2"}),
        json!({"value": "$(A)", "future": {"x": [null]}}),
        json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}),
        json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
    ]);
    let variable = (select(vec!["A", "B", "AGENT", "HOME"]), value).prop_map(|(name, mut variable)| {
        variable["name"] = name.into();
        variable
    });
    let env = prop_oneof![Just(Value::Null), vec(variable, 0..3).prop_map(Value::Array)];
    let source = select(vec![
        json!({"configMapRef": {"name": "agent", "optional": true}}),
        json!({"prefix": "P_", "secretRef": {"name": "s"}}),
        json!({"configMapRef": {"name": "f"}, "future": {"x": [null]}}),
    ]);
    let env_from = prop_oneof![3 => Just(None), 1 => vec(source, 0..3).prop_map(|list| Some(Value::Array(list)))];
    let port = select(vec![80, 8080, 9000, 9001]).prop_map(|port| json!({"containerPort": port}));
    let resources = select(vec![
        json!({}),
        json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
        json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}}),
        json!({"requests": {"memory": "1Gi"}}),
    ]);
    let security = select(vec![Value::Null, json!({"runAsUser": 101}), json!({"runAsUser": 0, "runAsGroup": 0})]);
    let environment = (of(env), env_from);
    (environment, of(mounts()), of(vec(port, 0..2)), of(resources), of(security), unknown()).prop_map(
        move |((env, env_from), mounts, ports, resources, security, unknown)| {
            let mut container = object([
                ("name", Some(name.into())),
                ("image", Some("image:1".into())),
                ("env", env),
                ("envFrom", env_from),
                ("ports", ports.map(Value::Array)),
                ("volumeMounts", mounts),
                ("resources", resources),
                ("securityContext", security),
            ]);
            merge(&mut container, unknown);
            container
        },
    )
}

fn mounts() -> impl Strategy<Value = Value> {
    let paths = subsequence(vec!["/data", "/data/logs/", "/data/logs/deep", "/", "/run/agent", "/var/log/app"], 0..4);
    let mounts = paths.prop_flat_map(|paths| {
        let mount = |path: &'static str| {
            let extra = select(vec![json!({}), json!({}), json!({"subPath": "a/b"}), json!({"readOnly": true})]);
            (select(VOLUMES.to_vec()), extra).prop_map(move |(name, mut mount)| {
                mount["name"] = name.into();
                mount["mountPath"] = path.into();
                mount
            })
        };
        paths.into_iter().map(mount).collect::<Vec<_>>()
    });
    prop_oneof![1 => Just(Value::Null), 5 => mounts.prop_map(Value::Array)]
}

fn init_container(name: &'static str) -> impl Strategy<Value = Value> {
    (container(name), any::<bool>()).prop_map(|(mut container, sidecar)| {
        if sidecar {
            container["restartPolicy"] = "Always".into();
        }
        container
    })
}

/// Members that core/v1 does not know.
fn unknown() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((any::<String>(), inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    });
    vec((select(vec!["futureA", "future/b~c", "futüre d"]), value), 0..2)
        .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// One thing that another webhook may do to a pod after us.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Proxy,
    Init,
    Variables,
    Defaults,
    Labels,
    Mirror,
    Reverse,
}

/// What another webhook does to a pod after us.
#[derive(Debug)]
pub struct Change(Vec<Step>);

pub fn change_of_another_webhook() -> impl Strategy<Value = Change> {
    let steps =
        vec![Step::Proxy, Step::Init, Step::Variables, Step::Defaults, Step::Labels, Step::Mirror, Step::Reverse];
    subsequence(steps.clone(), 0..=steps.len()).prop_map(Change)
}

impl Change {
    pub fn apply(&self, pod: &mut Value) {
        let does = |step| self.0.contains(&step);
        let spec = &mut pod["spec"];
        for field in ["containers", "initContainers"] {
            if spec[field].is_null() {
                spec[field] = json!([]);
            }
            let containers = spec[field].as_array_mut().unwrap();
            if field == "containers" && does(Step::Proxy) && containers.iter().all(|it| it["name"] != "istio-proxy") {
                containers.insert(0, json!({"name": "istio-proxy", "image": "istio:1"}));
            }
            if field == "initContainers" && does(Step::Init) {
                containers.insert(0, json!({"name": "other-init", "image": "other:1"}));
                containers.push(json!({"name": "other-late", "image": "other:1"}));
            }
            if does(Step::Reverse) {
                containers.reverse();
            }
            for container in containers {
                if does(Step::Mirror) {
                    container["image"] = "mirror.example/image:1".into();
                }
                if does(Step::Variables) {
                    let mut env = container["env"].as_array().cloned().unwrap_or_default();
                    env.insert(0, json!({"name": "OTHER", "value": "1"}));
                    container["env"] = Value::Array(env);
                }
                if does(Step::Defaults) {
                    container["terminationMessagePath"] = "/dev/termination-log".into();
                    container["imagePullPolicy"] = "IfNotPresent".into();
                    for port in container["ports"].as_array_mut().into_iter().flatten() {
                        port["protocol"] = port["protocol"].as_str().unwrap_or("TCP").into();
                    }
                }
            }
        }
        // The API server writes core/v1's defaults into what one webhook added before it calls the next.
        for volume in spec["volumes"].as_array_mut().into_iter().flatten().filter(|_| does(Step::Defaults)) {
            if let Some(config_map) = volume["configMap"].as_object_mut() {
                config_map.entry("defaultMode").or_insert(0o644.into());
            }
        }
        if does(Step::Labels) {
            pod["metadata"]["labels"] = json!({"other": "yes"});
        }
    }
}

/// A place in a pod that becomes something else.
#[derive(Debug)]
pub struct Spoilt {
    steps: Vec<Index>,
    value: Value,
}

pub fn spoilt() -> impl Strategy<Value = Spoilt> {
    let value =
        select(vec![Value::Null, json!(true), json!(-1), json!(1e300), json!("x"), json!([]), json!([[]]), json!({})]);
    (vec(any::<Index>(), 1..7), value).prop_map(|(steps, value)| Spoilt { steps, value })
}

impl Spoilt {
    pub fn apply(&self, pod: &mut Value) {
        *place(pod, &self.steps) = self.value.clone();
    }
}

fn place<'v>(value: &'v mut Value, steps: &[Index]) -> &'v mut Value {
    let size = value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len)).unwrap_or_default();
    let Some((step, steps)) = steps.split_first().filter(|_| size > 0) else { return value };
    let next = match value {
        Value::Object(members) => members.values_mut().nth(step.index(size)).unwrap(),
        list => &mut list[step.index(size)],
    };
    place(next, steps)
}

/// The members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}
