//! Templates and Namespaces among the manifests: they count as in a cluster to which all of it is sent.

use std::sync::Arc;

use serde_json::Value;

use super::Args;
use crate::cli::{color_on_stderr, report};
use crate::manifest::{self, Document};
use crate::snapshot::{Namespace, Snapshot};
use crate::template::{self, Origin, Scope};

/// Lays what a stream declares over the snapshot. Whether all of it can be used: a template that does not load would be
/// refused by the API server, and is reported.
pub fn add(name: &str, documents: &[Document<'_>], args: &Args, snapshot: &mut Snapshot) -> bool {
    let namespaces = documents.iter().flat_map(|document| manifest::namespaces(document.value()));
    for namespace in namespaces.filter_map(|object| Namespace::from_object(object.value.clone())) {
        snapshot.namespaces.insert(namespace);
    }
    let mut usable = true;
    for (text, objects) in templates(documents) {
        let origin = Origin(name.into());
        match template::load(origin.clone(), &text, &args.policy.load.options()) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    report(template::render_warnings(&origin, &text, &loaded.warnings, color_on_stderr()));
                }
                for (mut template, object) in loaded.templates.into_iter().zip(objects) {
                    if let Scope::Namespace(namespace) = &mut template.scope
                        && object.pointer("/metadata/namespace").is_none()
                    {
                        namespace.clone_from(&args.namespace);
                    }
                    snapshot.templates.insert(Arc::new(template));
                }
            }
            Err(error) => {
                report(error.render(color_on_stderr()));
                usable = false;
            }
        }
    }
    usable
}

/// The templates of a stream, as texts of template files, with the objects in each. Those that are documents of YAML
/// keep their lines.
fn templates<'d>(documents: &'d [Document<'_>]) -> Vec<(String, Vec<&'d Value>)> {
    let is_template = |object: &Value| {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        text("apiVersion").starts_with("podgraft.dev/")
            && matches!(text("kind"), "ClusterInjectionTemplate" | "InjectionTemplate")
    };
    let mut files = Vec::new();
    let (mut whole, mut in_whole) = (String::new(), Vec::new());
    for document in documents {
        let text = document.text();
        if is_template(document.value()) && !document.is_json() {
            whole.push_str(text);
            in_whole.push(document.value());
            continue;
        }
        whole.extend(text.chars().filter(|&c| c == '\n'));
        let objects = manifest::objects(document.value()).into_iter().map(|object| object.value);
        files.extend(
            objects.filter(|object| is_template(object)).map(|object| (manifest::template_text(object), vec![object])),
        );
    }
    if !in_whole.is_empty() {
        files.push((whole, in_whole));
    }
    files
}
