//! Replicas with an account, a Role and configurations as an installation has them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::balancer::Balancer;
use super::until;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, deployed};

/// Where the two kinds of configurations are.
const REGISTRATIONS: [(&str, &str); 2] = [
    ("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
];

/// What a replica does with them.
const VERBS: [&str; 4] = ["get", "list", "watch", "patch"];

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// podgraft, installed.
pub struct Installation<'s> {
    pub scene: &'s Scene,
    pub replicas: Vec<Podgraft>,
    balancer: Balancer,
    started: usize,
}

impl<'s> Installation<'s> {
    /// Starts so many replicas at once, and waits until all are ready.
    pub async fn start(scene: &'s Scene, replicas: usize, options: &[&str]) -> Self {
        let mut installation = Self::prepare(scene, &VERBS).await;
        for _ in 0..replicas {
            installation.add(options).await;
        }
        installation.ready().await;
        installation
    }

    /// What there is before the first replica starts, with an account that may do so much with the configurations.
    pub async fn prepare(scene: &'s Scene, verbs: &[&str]) -> Self {
        let installation = Self { scene, replicas: Vec::new(), balancer: Balancer::start().await, started: 0 };
        installation.authorize(verbs).await;
        installation.register().await;
        installation
    }

    /// Lets the account do with the configurations what it needs.
    pub async fn permit(&self) {
        let path = format!("{RBAC}/clusterroles/{}", self.names()[0]);
        let mut role = self.scene.get(&path).await.expect("the role");
        role["rules"][0]["verbs"] = json!(VERBS);
        self.scene.put(&path, &role).await.expect("a permission");
    }

    /// The configurations' names, as [`Scene::ours`] makes them.
    fn names(&self) -> [String; 2] {
        ["zz-podgraft", "podgraft"].map(|name| format!("{name}-{}", self.scene.namespace))
    }

    /// An account that may do what self-managed certificates need, and no more.
    async fn authorize(&self, verbs: &[&str]) {
        let (scene, [mutating, validating]) = (self.scene, self.names());
        let name = &mutating;
        let namespace = &scene.namespace;
        let rule = |group: &str, resources: &[&str], names: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "resourceNames": names, "verbs": verbs});
        let mut create = rule("", &["secrets"], &[], &["create"]);
        create.as_object_mut().expect("a rule").remove("resourceNames");
        let secrets = rule("", &["secrets"], &["podgraft-tls"], &["get", "list", "watch", "update"]);
        let kinds = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
        let configurations = rule("admissionregistration.k8s.io", &kinds, &[&mutating, &validating], verbs);
        let subject = json!({"kind": "ServiceAccount", "name": "podgraft", "namespace": namespace});
        let object = |kind: &str, name: &str, more: Value| {
            let mut object =
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
            object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            object
        };
        let reference =
            |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgraft"}});
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let namespaced = json!({"rules": [create, secrets]});
        let binding = json!({"roleRef": reference("Role", "podgraft"), "subjects": [subject]});
        let cluster_role = json!({"rules": [configurations]});
        let cluster_binding = json!({"roleRef": reference("ClusterRole", name), "subjects": [subject]});
        for (path, object) in [
            (accounts.clone(), account),
            (format!("{RBAC}/namespaces/{namespace}/roles"), object("Role", "podgraft", namespaced)),
            (format!("{RBAC}/namespaces/{namespace}/rolebindings"), object("RoleBinding", "podgraft", binding)),
            (format!("{RBAC}/clusterroles"), object("ClusterRole", name, cluster_role)),
            (format!("{RBAC}/clusterrolebindings"), object("ClusterRoleBinding", name, cluster_binding)),
        ] {
            scene.post(&path, &object).await.expect("an object");
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = scene.post(&format!("{accounts}/podgraft/token"), &request).await.expect("a token");
        let token = answer["status"]["token"].as_str().expect("a token");
        let admin = fs::read_to_string(&scene.api.kubeconfig).expect("a kubeconfig");
        fs::write(self.kubeconfig(), admin.replace("token: admin", &format!("token: {token}"))).expect("a file");
    }

    fn kubeconfig(&self) -> String {
        self.scene.directory.join("kubeconfig").display().to_string()
    }

    /// The registrations of `deploy/webhook.yaml` for this namespace; they trust nobody yet.
    pub async fn register(&self) {
        for (path, kind) in REGISTRATIONS {
            let configuration = self.scene.ours(deployed(kind), &self.balancer, &[]);
            self.scene.post(path, &configuration).await.expect("a registration");
        }
    }

    /// Starts one more replica.
    pub async fn add(&mut self, options: &[&str]) {
        let (kubeconfig, [mutating, validating]) = (self.kubeconfig(), self.names());
        let mut all = vec!["--tls", "self-managed", "--kubernetes", "never", "--kubeconfig", &kubeconfig];
        all.extend(["--service-namespace", &self.scene.namespace, "--tls-names", "127.0.0.1"]);
        all.extend(["--mutating-configuration", &mutating, "--validating-configuration", &validating]);
        all.extend(options);
        self.started += 1;
        self.replicas.push(Podgraft::replica(self.scene, &format!("replica-{}", self.started), &all).await);
    }

    /// Waits until all replicas are ready, and sends requests to them.
    pub async fn ready(&self) {
        for replica in &self.replicas {
            until("a replica is ready", async || replica.is_ready().await).await;
        }
        self.balancer.set(self.replicas.iter().map(Webhook::address).collect());
        // The API server acts upon a configuration a moment after it has stored it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// What the replicas have logged.
    pub fn logs(&self) -> String {
        self.replicas.iter().map(Podgraft::log).collect::<Vec<_>>().join("\n---\n")
    }

    /// Shakes hands with each replica as a client that trusts what each configuration says now.
    pub async fn shake_hands(&self) {
        for bundle in self.bundles().await {
            for replica in &self.replicas {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
                    roots.add(certificate.expect("a certificate")).expect("an authority");
                }
                let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("protocol versions")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let stream = TcpStream::connect(replica.address()).await.expect("a connection");
                let name = ServerName::try_from(format!("podgraft.{}.svc", self.scene.namespace)).expect("a name");
                let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                assert!(shaken.is_ok(), "{shaken:?}\n{}", self.logs());
            }
        }
    }

    /// The Secret, if it is there.
    pub async fn secret(&self) -> Option<Value> {
        self.scene.get(&self.secret_path()).await.ok()
    }

    fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/podgraft-tls", self.scene.namespace)
    }

    pub async fn delete_secret(&self) {
        self.scene.delete(&self.secret_path()).await.expect("a deletion");
    }

    pub async fn patch_secret(&self, patch: &Value) {
        self.scene.merge(&self.secret_path(), patch).await.expect("a patch");
    }

    fn path(&self, which: usize) -> String {
        format!("{}/{}", REGISTRATIONS[which].0, self.names()[which])
    }

    /// The `caBundle` of each entry of the configurations that are there, as PEM.
    pub async fn bundles(&self) -> Vec<String> {
        let mut bundles = Vec::new();
        for which in 0..REGISTRATIONS.len() {
            let Ok(configuration) = self.scene.get(&self.path(which)).await else {
                continue;
            };
            for entry in configuration["webhooks"].as_array().expect("entries") {
                let bundle = entry["clientConfig"]["caBundle"].as_str().unwrap_or_default();
                bundles.push(String::from_utf8(BASE64_STANDARD.decode(bundle).expect("Base64")).expect("text"));
            }
        }
        bundles
    }

    /// Clears the bundles of a configuration, as somebody who applies the manifest by hand.
    pub async fn clear(&self, which: usize) {
        let path = self.path(which);
        let mut configuration = self.scene.get(&path).await.expect("a configuration");
        for entry in configuration["webhooks"].as_array_mut().expect("entries") {
            entry["clientConfig"].as_object_mut().expect("an object").remove("caBundle");
        }
        self.scene.put(&path, &configuration).await.expect("a configuration");
    }

    pub async fn delete_configurations(&self) {
        for which in 0..REGISTRATIONS.len() {
            self.scene.delete(&self.path(which)).await.expect("a deletion");
        }
    }
}
