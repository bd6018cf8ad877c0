//! `deploy/install.yaml`, for this run.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::{RUN_LABEL, kubectl};
use crate::podgraft::SERVED_BY;
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
        Self { objects }
    }

    /// Applies it and gives what kubectl says.
    pub fn apply(&self) -> String {
        kubectl(&["apply", "-f", "-"], &self.text()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Deletes it, and waits until it is gone.
    pub fn delete(&self) -> String {
        kubectl(&["delete", "-f", "-"], &self.text()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// What of it is there, by name.
    pub fn left(&self) -> String {
        let args = ["get", "-f", "-", "--ignore-not-found", "-o", "name"];
        kubectl(&args, &self.text()).unwrap_or_else(|why| panic!("{why}"))
    }

    fn text(&self) -> String {
        // Not a list, whose order would not be that of the file.
        self.objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
    }
}
