//! A template that came as a custom resource, as the text that is compiled.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

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
        let text = |(key, value): (&str, Option<&str>)| Some((key.to_owned(), Value::from(value?)));
        let metadata: Map<_, _> =
            [("name", self.name), ("namespace", self.namespace)].into_iter().filter_map(text).collect();
        let kind = [("apiVersion", Some(self.api_version)), ("kind", Some(self.kind))];
        let mut object: Map<_, _> = kind.into_iter().filter_map(text).collect();
        object.insert("metadata".to_owned(), metadata.into());
        if let Some(spec) = self.spec {
            object.insert("spec".to_owned(), SPEC.tree(spec.get())?);
        }
        Ok(emit::yaml(&object.into(), Style::default()))
    }
}

/// The same of an object among manifests, which is somebody's own and as large as it likes.
#[must_use]
pub fn template_text(object: &Value) -> String {
    let pick = |from: &Value, keys: &[&str]| -> Map<String, Value> {
        keys.iter().filter_map(|key| Some(((*key).to_owned(), from.get(key)?.clone()))).collect()
    };
    let mut template = pick(object, &["apiVersion", "kind", "metadata", "spec"]);
    if let Some(metadata) = template.get_mut("metadata").filter(|metadata| metadata.is_object()) {
        *metadata = pick(metadata, &["name", "namespace"]).into();
    }
    emit::yaml(&template.into(), Style::default())
}
