//! `deploy/install.yaml`, for this run.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cluster::{RUN_LABEL, kubectl};
use crate::podgraft::{SERVED_BY, certificates};
use crate::scene::Scene;

/// Where it installs podgraft.
pub const NAMESPACE: &str = "podgraft";

const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");

/// What is applied and deleted.
pub struct Manifest {
    objects: Vec<Value>,
}

impl Manifest {
    /// As it stands, but for the image, for the namespaces that the registration is about, and for the run's label.
    pub fn read(scene: &Scene) -> Self {
        let text = fs::read_to_string(INSTALL).expect("the manifest");
        let image = concat!("podgraft:", env!("CARGO_PKG_VERSION"));
        let mut objects: Vec<Value> =
            serde_saphyr::from_multiple(&text.replace(image, &scene.run.image)).expect("YAML");
        let ours = json!({"key": SERVED_BY, "operator": "In", "values": [scene.podgraft().name]});
        for object in &mut objects {
            object["metadata"]["labels"][RUN_LABEL] = scene.run.name.as_str().into();
            for entry in object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
                match &mut entry["namespaceSelector"]["matchExpressions"] {
                    Value::Array(expressions) => expressions.push(ours.clone()),
                    none => *none = json!([ours]),
                }
            }
        }
        let mut manifest = Self { objects };
        if !manifest.is_understood() {
            manifest.bring_a_certificate(scene);
        }
        manifest
    }

    /// Whether the program knows all options that it is started with.
    fn is_understood(&mut self) -> bool {
        let args = self.args().iter().map(|arg| arg.as_str().expect("text").to_owned()).collect::<Vec<_>>();
        let help = Command::new(env!("CARGO_BIN_EXE_podgraft")).args(args).arg("--help").output();
        help.expect("podgraft starts").status.success()
    }

    /// What the program does not do yet, done for it: a certificate.
    fn bring_a_certificate(&mut self, scene: &Scene) {
        let made = certificates(scene.run, "install", &format!("podgraft.{NAMESPACE}.svc"));
        let read = |file: &str| BASE64_STANDARD.encode(fs::read(made.join(file)).expect("a file"));
        let data = json!({"ca.crt": read("ca.crt"), "tls.crt": read("tls.crt"), "tls.key": read("tls.key")});
        let metadata = json!({"name": "podgraft-tls", "namespace": NAMESPACE});
        self.objects.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}));
        for object in &mut self.objects {
            for entry in object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
                entry["clientConfig"]["caBundle"] = read("ca.crt").into();
            }
        }
        let args = self.args();
        args.retain(|arg| arg.as_str().is_some_and(|arg| !arg.starts_with("--tls=")));
        args.push("--tls-dir=/tls".into());
        let pod = &mut self.deployment()["spec"]["template"]["spec"];
        pod["volumes"] = json!([{"name": "tls", "secret": {"secretName": "podgraft-tls"}}]);
        pod["containers"][0]["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls", "readOnly": true}]);
    }

    fn deployment(&mut self) -> &mut Value {
        self.objects.iter_mut().find(|object| object["kind"] == "Deployment").expect("a Deployment")
    }

    fn args(&mut self) -> &mut Vec<Value> {
        let args = &mut self.deployment()["spec"]["template"]["spec"]["containers"][0]["args"];
        args.as_array_mut().expect("options")
    }

    /// Applies it and gives what kubectl says.
    pub fn apply(&self) -> String {
        kubectl(&["apply", "-f", "-"], &self.text()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Deletes it, and waits until it is gone.
    pub fn delete(&self) -> String {
        kubectl(&["delete", "-f", "-"], &self.text()).unwrap_or_else(|why| panic!("{why}"))
    }

    fn text(&self) -> String {
        // Not a list, whose order would not be that of the file.
        self.objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
    }
}
