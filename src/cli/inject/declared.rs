//! Templates and Namespaces among the manifests: they count as in a cluster to which all of it is sent.

use std::sync::Arc;

use serde_json::Value;

use super::Args;
use crate::cli::{color_on_stderr, report};
use crate::manifest::{self, Document};
use crate::snapshot::{Namespace, Snapshot};
use crate::template::{self, Gap, Line, Origin, Scope};

/// Lays what a stream declares over the snapshot. Whether all of it can be used: a template that does not load would be
/// refused by the API server, and is reported.
pub fn add(name: &str, documents: &[Document<'_>], args: &Args, snapshot: &mut Snapshot) -> bool {
    let namespaces = documents.iter().flat_map(|document| manifest::namespaces(document.value()));
    for namespace in namespaces.filter_map(|object| Namespace::from_object(object.value.clone())) {
        snapshot.namespaces.insert(namespace);
    }
    let mut usable = true;
    for File { text, objects, gaps, rewritten } in templates(documents) {
        let origin = Origin(if rewritten { format!("{name}, as YAML").into() } else { name.into() });
        match template::load_part(origin.clone(), &text, &gaps, &args.policy.load.options()) {
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

/// The text of a template file.
#[derive(Default)]
struct File<'d> {
    text: String,
    /// The templates in it.
    objects: Vec<&'d Value>,
    /// What the stream has before or between them.
    gaps: Vec<Gap>,
    /// It is not the stream's: lines are those of what we write.
    rewritten: bool,
}

/// The templates of a stream. Those that are documents of YAML are one file, without what stands between them: however
/// large that is, it makes no template too large. A JSON object, or a list of nothing but templates, is a file by itself;
/// templates among other things in a list, or in a very large one, are written anew.
fn templates<'d>(documents: &'d [Document<'_>]) -> Vec<File<'d>> {
    let is_template = |object: &Value| {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        text("apiVersion").starts_with("podgraft.dev/")
            && matches!(text("kind"), "ClusterInjectionTemplate" | "InjectionTemplate")
    };
    let listed = |list: &'d Value| {
        let items = list.get("items").filter(|_| list.get("kind").is_some_and(|kind| kind == "List"))?.as_array()?;
        (!items.is_empty() && items.iter().all(is_template)).then(|| items.iter().collect())
    };
    let lines = |text: &str| text.matches('\n').count() as Line;
    let mut files = Vec::new();
    let mut whole = File::default();
    let (mut written, mut left_out) = (0, 0);
    for document in documents {
        let (text, value) = (document.text(), document.value());
        if is_template(value) && !document.is_json() {
            whole.gaps.push(Gap { at: written, lines: left_out });
            whole.text.push_str(text);
            whole.objects.push(value);
            written += lines(text);
            continue;
        }
        let before = written + left_out;
        left_out += lines(text);
        let own = if is_template(value) { Some(vec![value]) } else { listed(value) };
        if let Some(objects) = own.filter(|_| text.len() <= template::MAX_FILE) {
            let gaps = vec![Gap { at: 0, lines: before }];
            files.push(File { text: text.to_owned(), objects, gaps, rewritten: false });
            continue;
        }
        let objects = manifest::objects(value).into_iter().map(|object| object.value);
        files.extend(objects.filter(|object| is_template(object)).map(|object| File {
            text: manifest::template_text(object),
            objects: vec![object],
            gaps: Vec::new(),
            rewritten: true,
        }));
    }
    if !whole.objects.is_empty() {
        files.push(whole);
    }
    files
}
