//! A template that came as a custom resource, as the text that is compiled.

use serde_json::Value;
use serde_json::value::RawValue;

use super::bounded::{Most, NoTree};
use super::emit::{self, Style};

/// The longest spec of a template in a cluster, in bytes of JSON: as much as `kubectl apply` can write into the
/// annotation in which it keeps what was applied.
const MAX_SPEC: usize = 256 * 1024;

/// The most brackets, commas and colons of one.
const MAX_SPEC_MARKS: usize = 16_384;

/// What a spec may have.
pub const SPEC: Most = Most { bytes: MAX_SPEC, marks: MAX_SPEC_MARKS };

/// A template as an object.
#[derive(Debug, Clone, Copy)]
pub struct Custom<'a> {
    /// `apiVersion`.
    pub api_version: &'a str,
    /// `kind`.
    pub kind: &'a str,
    /// `metadata.name`.
    pub name: Option<&'a str>,
    /// `metadata.namespace`, but for those of the cluster.
    pub namespace: Option<&'a str>,
    /// `spec`.
    pub spec: Option<&'a RawValue>,
}

impl Custom<'_> {
    /// Its YAML like its author's: without what the API server has added, and in the usual order.
    ///
    /// # Errors
    ///
    /// The spec is too large to be looked at.
    pub fn text(self) -> Result<String, NoTree> {
        let spec = self.spec.map(|spec| SPEC.tree(spec.get())).transpose()?;
        let metadata = [("name", self.name), ("namespace", self.namespace)];
        let metadata = map(metadata.map(|(key, value)| (key, value.map(Value::from))));
        Ok(yaml(Some(self.api_version.into()), Some(self.kind.into()), Some(metadata), spec))
    }
}

/// The same of an object among manifests, which is somebody's own and as large as it likes.
#[must_use]
pub fn template_text(object: &Value) -> String {
    let part = |key| object.get(key).cloned();
    let metadata = object.get("metadata").map(|metadata| {
        if metadata.is_object() {
            map(["name", "namespace"].map(|key| (key, metadata.get(key).cloned())))
        } else {
            metadata.clone()
        }
    });
    yaml(part("apiVersion"), part("kind"), metadata, part("spec"))
}

/// The text of these parts, as far as they are there.
fn yaml(api_version: Option<Value>, kind: Option<Value>, metadata: Option<Value>, spec: Option<Value>) -> String {
    let object = map([("apiVersion", api_version), ("kind", kind), ("metadata", metadata), ("spec", spec)]);
    emit::yaml(&object, Style::default())
}

fn map<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(members.collect())
}
