//! podgraft, serving, and registered with the API server for those namespaces that a test makes for it.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cluster::{RUN_LABEL, Run, kubectl};
use crate::process::Process;
use crate::scene::{PATIENCE, namespace};

/// A namespace with this label is served by the podgraft that is its value.
pub const SERVED_BY: &str = "podgraft.test/served-by";

/// Why a test of podgraft's own pods is skipped.
pub const NOT_IN_CLUSTER: &str = "podgraft runs on this machine (PODGRAFT_NODE_SERVER)";

const PROGRAM: &str = env!("CARGO_BIN_EXE_podgraft");
const REGISTRATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/webhook.yaml");
/// What runs it in a cluster; `IMAGE` stands for its image, `OPTIONS` for more of them.
const DEPLOYMENT: &str = include_str!("podgraft.yaml");

/// A podgraft in force.
pub struct Podgraft {
    /// Value of [`SERVED_BY`].
    pub name: String,
    place: Place,
}

enum Place {
    /// Pods of this namespace, from this image.
    Cluster { namespace: String, image: String },
    /// A process of this machine.
    Here { process: Process, address: SocketAddr },
}

impl Podgraft {
    /// Puts one in force with these options, in the way that `$PODGRAFT_NODE_SERVER` says.
    pub fn put_in_force(run: &Run, name: &str, options: &[&str]) -> Self {
        let podgraft = match env::var("PODGRAFT_NODE_SERVER").as_deref() {
            Err(_) | Ok("cluster") => Self::deploy(run, name, options),
            Ok("local") => Self::start(run, name, options),
            Ok(other) => panic!("PODGRAFT_NODE_SERVER={other}: write cluster or local"),
        };
        let _ = io::stderr().write_all(format!("in force: {podgraft}\n").as_bytes());
        podgraft
    }

    /// Deploys it in a namespace of its own, as people do.
    fn deploy(run: &Run, name: &str, options: &[&str]) -> Self {
        let name = format!("{}-{name}", run.name);
        let namespace = namespace(run, &name, &json!({"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}));
        let certificates = certificates(run, &name, &format!("podgraft.{namespace}.svc"));
        let from = format!("--from-file={}", certificates.display());
        kubectl(&["create", "secret", "generic", "podgraft-tls", "-n", &namespace, &from], "").expect("a secret");
        let manifest = DEPLOYMENT.replace("IMAGE", &run.image).replace("OPTIONS", &options.join(", "));
        kubectl(&["apply", "-n", &namespace, "-f", "-"], &manifest).expect("a deployment");
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        let started = kubectl(&["rollout", "status", "deployment/podgraft", "-n", &namespace, &patience], "");

        let service = json!({"service": {"namespace": namespace, "name": "podgraft", "path": "/mutate"}});
        let podgraft = Self { name, place: Place::Cluster { namespace, image: run.image.clone() } };
        started.unwrap_or_else(|why| panic!("{why}\n{}", podgraft.picture()));
        podgraft.register(run, service, &certificates);
        podgraft
    }

    /// One that somebody else has put in force, in this namespace.
    pub fn installed(run: &Run, namespace: &str) -> Self {
        let place = Place::Cluster { namespace: namespace.to_owned(), image: run.image.clone() };
        Self { name: format!("{}-installed", run.name), place }
    }

    /// Starts the program that was just built, on this machine.
    fn start(run: &Run, name: &str, options: &[&str]) -> Self {
        let name = format!("{}-{name}", run.name);
        let certificates = certificates(run, &name, &run.host);
        let listen = format!("{}:0", run.host);
        let directory = certificates.to_str().expect("text");
        let args = ["serve", "--listen", &listen, "--tls-dir", directory, "--image", &run.image];
        let args = args.iter().chain(&["--admin-listen", "127.0.0.1:0"]).chain(options);
        let log = run.directory.join(format!("{name}.log"));
        let mut process = Process::spawn(Path::new(PROGRAM), args, log).expect("podgraft starts");
        let until = Instant::now() + PATIENCE;
        let address: SocketAddr = loop {
            let output = process.output();
            let url = output.split_once("https://").and_then(|(_, rest)| rest.split_once('/'));
            if let Some(address) = url.and_then(|(address, _)| address.parse().ok()) {
                break address;
            }
            assert!(process.ended().is_none() && Instant::now() < until, "podgraft does not serve:\n{output}");
            sleep(Duration::from_millis(20));
        };
        let podgraft = Self { name, place: Place::Here { process, address } };
        podgraft.register(run, json!({"url": format!("https://{address}/mutate")}), &certificates);
        podgraft
    }

    /// The namespace with its pods, where they are in the cluster.
    pub fn namespace(&self) -> Option<&str> {
        match &self.place {
            Place::Cluster { namespace, .. } => Some(namespace),
            Place::Here { .. } => None,
        }
    }

    /// What a person would look at who wonders why it does not do what it should.
    pub fn picture(&self) -> String {
        let show = |args: &[&str]| kubectl(args, "").unwrap_or_else(|why| why);
        match &self.place {
            Place::Cluster { namespace, .. } => {
                show(&["get", "pods", "-o", "wide", "-n", namespace])
                    + &show(&["get", "events", "-n", namespace])
                    + &show(&["logs", "deployment/podgraft", "--all-pods", "--prefix", "--tail=20", "-n", namespace])
            }
            Place::Here { process, .. } => process.output(),
        }
    }

    /// Registers it as `deploy/webhook.yaml` says, for the namespaces labelled with its name, and waits until it is called.
    fn register(&self, run: &Run, mut config: Value, certificates: &Path) {
        let authority = fs::read(certificates.join("ca.crt")).expect("the certificate's authority");
        config["caBundle"] = BASE64_STANDARD.encode(authority).into();
        let text = fs::read_to_string(REGISTRATION).expect("the registration");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let mutating = documents.into_iter().find(|document| document["kind"] == "MutatingWebhookConfiguration");
        let mut registration = mutating.expect("the registration of pods");
        let metadata = &mut registration["metadata"];
        metadata["name"] = format!("{}-{}", metadata["name"].as_str().expect("a name"), self.name).into();
        metadata["labels"][RUN_LABEL] = run.name.as_str().into();
        let ours = json!({"key": SERVED_BY, "operator": "In", "values": [self.name]});
        for webhook in registration["webhooks"].as_array_mut().expect("webhooks") {
            webhook["clientConfig"] = config.clone();
            webhook["namespaceSelector"]["matchExpressions"].as_array_mut().expect("a list").push(ours.clone());
        }
        kubectl(&["create", "-f", "-"], &registration.to_string()).expect("a valid registration");

        let namespace = namespace(run, &format!("{}-probe", self.name), &json!({"labels": {SERVED_BY: self.name}}));
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "annotations": {"inject/log-shipper": "true"}},
            "spec": {"containers": [{"name": "app", "image": "busybox:1.36"}]},
        });
        let create = ["create", "--dry-run=server", "-o", "json", "-n", &namespace, "-f", "-"];
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = kubectl(&create, &pod.to_string());
            if answer.as_ref().is_ok_and(|pod| pod.contains("podgraft.dev/status")) {
                break;
            }
            assert!(Instant::now() < until, "podgraft is not called: {answer:?}\n{}", self.picture());
            sleep(Duration::from_millis(100));
        }
        let _ = kubectl(&["delete", "namespace", &namespace, "--wait=false"], "");
    }
}

impl Display for Podgraft {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Cluster { namespace, image } => write!(f, "{image} deployed in namespace {namespace}"),
            Place::Here { address, .. } => write!(f, "the program just built, on this machine at {address}"),
        }
    }
}

/// Makes a server's certificate for one name: a directory with `ca.crt`, `tls.crt` and `tls.key`.
fn certificates(run: &Run, name: &str, host: &str) -> PathBuf {
    let directory = run.directory.join(name);
    let made = Command::new(PROGRAM).arg("certs").arg("--dir").arg(&directory).args(["--host", host]).output();
    let made = made.expect("podgraft starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory
}
