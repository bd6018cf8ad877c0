//! What a test works with: an API server, a namespace of its own, and webhooks registered for this namespace alone.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs};

use axum::http::request::Builder;
use axum::http::{Method, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::control_plane::{ASSETS, ApiServer};

/// How long the API server may take to notice a registration.
const NOTICE: Duration = Duration::from_secs(30);

/// Something that the API server can call.
pub trait Webhook {
    fn address(&self) -> SocketAddr;
    /// The authority that signed its certificate, in PEM.
    fn authority(&self) -> String;
    /// How often it was called.
    async fn calls(&self) -> u64;
}

/// Where a test takes place.
pub struct Scene {
    pub api: &'static ApiServer,
    /// The test's namespace.
    pub namespace: String,
    /// A directory of the test's own.
    pub directory: PathBuf,
    client: Client,
}

impl Scene {
    /// A namespace of this name on an API server; `None`, which is said, where there is none to be had.
    ///
    /// # Panics
    ///
    /// If there is none although `CI` is `true`.
    pub async fn set(api: &'static LazyLock<Option<ApiServer>>, name: &str) -> Option<Self> {
        Self::set_with(api, name, json!({})).await
    }

    /// The same with more metadata for the namespace.
    pub async fn set_with(api: &'static LazyLock<Option<ApiServer>>, name: &str, metadata: Value) -> Option<Self> {
        let Some(api) = api.as_ref() else {
            let how = format!("set {ASSETS} to a directory with etcd, kube-apiserver and kubectl (README, \"Tests\")");
            assert!(env::var("CI").as_deref() != Ok("true"), "{name}: {how}");
            // Not eprintln!, whose text a passing test keeps to itself; and in one piece, as other tests write too.
            let _ = io::stderr().write_all(format!("skipped {name}: {how}\n").as_bytes());
            return None;
        };
        let kubeconfig = Kubeconfig::read_from(&api.kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
        let client = Client::try_from(config).expect("a client");
        let directory = api.directory.join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let scene = Self { api, namespace: name.to_owned(), directory, client };
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        namespace["metadata"]["name"] = name.into();
        scene.post("/api/v1/namespaces", &namespace).await.expect("a namespace");
        Some(scene)
    }

    /// Creates a pod in the test's namespace.
    pub async fn create(&self, pod: &Value) -> Result<Value, Box<Status>> {
        self.post(&format!("/api/v1/namespaces/{}/pods", self.namespace), pod).await
    }

    /// Asks what would be created, strict about unknown fields.
    pub async fn try_out(&self, pod: &Value) -> Result<Value, Box<Status>> {
        let query = "dryRun=All&fieldValidation=Strict";
        self.post(&format!("/api/v1/namespaces/{}/pods?{query}", self.namespace), pod).await
    }

    /// The same, and fields that the API server does not know are none of its business.
    pub async fn try_out_loosely(&self, pod: &Value) -> Result<Value, Box<Status>> {
        let query = "dryRun=All&fieldValidation=Ignore";
        self.post(&format!("/api/v1/namespaces/{}/pods?{query}", self.namespace), pod).await
    }

    /// The pod as it is stored.
    pub async fn stored(&self, pod: &Value) -> Result<Value, Box<Status>> {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        self.request(Method::GET, &format!("/api/v1/namespaces/{}/pods/{name}", self.namespace), Vec::new()).await
    }

    /// Makes the account that pods have by default, as a controller would; the ServiceAccount plugin insists on it.
    pub async fn account(&self) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", self.namespace);
        self.post(&path, &account).await.expect("an account");
    }

    /// Creates an object.
    pub async fn post(&self, path: &str, object: &Value) -> Result<Value, Box<Status>> {
        self.request(Method::POST, path, object.to_string().into()).await
    }

    /// An object, or a list of objects.
    pub async fn get(&self, path: &str) -> Result<Value, Box<Status>> {
        self.request(Method::GET, path, Vec::new()).await
    }

    /// Puts an object in the place of the one that is there.
    pub async fn put(&self, path: &str, object: &Value) -> Result<Value, Box<Status>> {
        self.request(Method::PUT, path, object.to_string().into()).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) -> Result<Value, Box<Status>> {
        self.request(Method::DELETE, path, Vec::new()).await
    }

    /// Changes an object by a JSON merge patch.
    pub async fn merge(&self, path: &str, change: &Value) -> Result<Value, Box<Status>> {
        let request = Request::builder().method(Method::PATCH).uri(path);
        self.send(request.header("content-type", "application/merge-patch+json"), change.to_string().into()).await
    }

    async fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Box<Status>> {
        self.send(Request::builder().method(method).uri(path).header("content-type", "application/json"), body).await
    }

    async fn send(&self, request: Builder, body: Vec<u8>) -> Result<Value, Box<Status>> {
        match self.client.request(request.body(body).expect("a request")).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(status),
            Err(error) => panic!("{error}"),
        }
    }

    /// Registers a webhook as `deploy/webhook.yaml` says, for pods of this test's namespace (and of `others`), and waits
    /// until the API server calls it.
    pub async fn register(&self, webhook: &impl Webhook, others: &[&str]) {
        self.register_as(deployed("MutatingWebhookConfiguration"), webhook, others).await;
    }

    /// Registers the validating half of `deploy/webhook.yaml`, and waits until the API server calls it. Namespaces and
    /// cluster-wide templates are no namespace's: only those that have the test's name in theirs are sent.
    pub async fn register_validation(&self, webhook: &impl Webhook) {
        let registration = self.ours(deployed("ValidatingWebhookConfiguration"), webhook, &[]);
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.post(path, &registration).await.expect("a valid registration");
        let mut probe = workload("probe", &json!({"inject/log-shipper": "true"}));
        probe["metadata"]["namespace"] = self.namespace.clone().into();
        let path = format!("/apis/apps/v1/namespaces/{}/deployments?dryRun=All", self.namespace);
        self.called(webhook, async || drop(self.post(&path, &probe).await)).await;
    }

    /// Registers a webhook for this test's namespace (and `others`) with the name, rules and conditions of `registration`.
    pub async fn register_as(&self, registration: Value, webhook: &impl Webhook, others: &[&str]) {
        let registration = self.ours(registration, webhook, others);
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        self.post(path, &registration).await.expect("a valid registration");
        let probe = pod("probe", &json!({"inject/log-shipper": "true"}));
        self.called(webhook, async || drop(self.try_out(&probe).await)).await;
    }

    /// The registration as this test's own.
    pub fn ours(&self, mut registration: Value, webhook: &impl Webhook, others: &[&str]) -> Value {
        let name = format!("{}-{}", registration["metadata"]["name"].as_str().expect("a name"), self.namespace);
        registration["metadata"]["name"] = name.into();
        let namespaces: Vec<_> = others.iter().copied().chain([self.namespace.as_str()]).collect();
        let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces});
        let named = json!({"name": "named", "expression": format!("request.name.contains('{}')", self.namespace)});
        let validating = registration["kind"] == "ValidatingWebhookConfiguration";
        for entry in registration["webhooks"].as_array_mut().expect("webhooks") {
            let endpoint = entry["clientConfig"]["service"]["path"].as_str().unwrap_or("/mutate").to_owned();
            entry["clientConfig"] = json!({
                "url": format!("https://{}{endpoint}", webhook.address()),
                "caBundle": BASE64_STANDARD.encode(webhook.authority()),
            });
            let everywhere = |rules: &Value| rules[0]["scope"] != "Namespaced";
            if validating && everywhere(&entry["rules"]) {
                entry["matchConditions"].as_array_mut().expect("conditions").push(named.clone());
                continue;
            }
            match &mut entry["namespaceSelector"]["matchExpressions"] {
                Value::Array(expressions) => expressions.push(here.clone()),
                none => *none = json!([here]),
            }
        }
        registration
    }

    /// Tries until the webhook is called.
    async fn called(&self, webhook: &impl Webhook, mut attempt: impl AsyncFnMut()) {
        let before = webhook.calls().await;
        let until = Instant::now() + NOTICE;
        while webhook.calls().await == before {
            assert!(Instant::now() < until, "{}: the API server does not call the webhook", self.namespace);
            attempt().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The object of this kind in `deploy/webhook.yaml`.
pub fn deployed(kind: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/webhook.yaml");
    let text = fs::read_to_string(path).expect("the registration");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    documents.into_iter().find(|document| document["kind"] == kind).expect("the registration")
}

/// A Deployment whose pods have these annotations.
pub fn workload(name: &str, annotations: &Value) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod(name, annotations)["spec"],
            },
        },
    })
}

/// A pod of one container, `app`, with annotations.
pub fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    })
}

/// The entry of this name in a list of containers, volumes or the like.
///
/// # Panics
///
/// Unless there is exactly one.
pub fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let found: Vec<_> = list.as_array().into_iter().flatten().filter(|entry| entry["name"] == name).collect();
    assert_eq!(found.len(), 1, "entries named {name} in {list:#}");
    found[0]
}
