//! Templates: compiled as they would be when they are used, so that a bad one never gets there.

use serde_json::value::RawValue;

use super::same::same;
use super::{Decision, Denial, Object, Request, Skip, Verdict, word};
use crate::inject::annotations::{self, Main, Setting};
use crate::inject::key::Level;
use crate::manifest::{Custom, NoTree, SPEC};
use crate::snapshot::{Namespace, Snapshot};
use crate::template::expression::with_deep_stack;
use crate::template::{self, Loaded, Origin};

/// How many namespaces a warning names.
const NAMED: usize = 5;

pub(super) fn review(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let mut verdict = match &*request.operation {
        "CREATE" | "UPDATE" => compile(request, snapshot),
        "DELETE" => Verdict::warned(missed(request, snapshot).into_iter().collect()),
        _ => return Verdict::skipped(Skip::NotForUs),
    };
    if !matches!(verdict.decision, Decision::Skipped(_)) {
        verdict.templates = vec![request.name.to_string()];
    }
    verdict
}

fn compile(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let unreadable = |problem: String| {
        Verdict::denied(Denial::Unreadable(format!("{} can't be used: {problem}", request.subject_name())))
    };
    let Some(object) = Object::read(request.object) else { return unreadable("it is no map".to_owned()) };
    let old = if &*request.operation == "UPDATE" { Object::read(request.old_object) } else { None };
    if old.is_some_and(|old| is_same(old.spec, object.spec)) {
        // Labels, finalizers: even one that got in while nobody looked must stay mendable, and go away.
        return Verdict::skipped(if object.is_being_deleted() { Skip::Deleted } else { Skip::Unchanged });
    }
    let metadata = object.metadata.as_ref();
    let (name, namespace) = (word(metadata.and_then(|it| it.name)), word(metadata.and_then(|it| it.namespace)));
    let (api_version, kind) = (word(object.api_version), word(object.kind));
    let custom = Custom {
        api_version: api_version.as_deref().unwrap_or_default(),
        kind: kind.as_deref().unwrap_or_default(),
        name: name.as_deref(),
        namespace: namespace.as_deref(),
        spec: object.spec,
    };
    let options = snapshot.policy.load_options();
    let loaded = with_deep_stack(|| {
        let text = custom.text()?;
        Ok(template::load(Origin(request.subject_name().into()), &text, &options))
    });
    match loaded {
        Ok(Ok(Ok(Loaded { warnings, .. }))) => {
            let about = |warning: &template::Diagnostic| format!("{}: {}", request.subject_name(), warning.message);
            Verdict::warned(warnings.iter().map(about).collect())
        }
        Ok(Ok(Err(error))) => Verdict::denied(Denial::Template(Box::new(error))),
        Ok(Err(problem)) => unreadable(NoTree::to_string(&problem)),
        // No thread is to be had: that is no mistake of the template's.
        Err(_) => Verdict::skipped(Skip::Unreadable),
    }
}

/// Whether two specs say the same. What is too large, or too deep, is the same if it is written in the same way.
fn is_same(a: Option<&RawValue>, b: Option<&RawValue>) -> bool {
    let (a, b) = (a.map(RawValue::get), b.map(RawValue::get));
    let tree = |text: Option<&str>| text.map(|text| SPEC.tree(text)).transpose();
    a == b || matches!((tree(a), tree(b)), (Ok(a), Ok(b)) if same(a.as_ref(), b.as_ref()))
}

/// Which namespaces' pods will miss a template that is deleted.
fn missed(request: &Request<'_>, snapshot: &Snapshot) -> Option<String> {
    let prefix = &*snapshot.policy.annotation_prefix;
    let seen = |namespace: &&Namespace| &*request.kind != "InjectionTemplate" || namespace.name == *request.namespace;
    let asking = snapshot.namespaces.iter().filter(seen).filter(|namespace| asks(namespace, prefix, &request.name));
    let mut names: Vec<&str> = asking.map(|namespace| &*namespace.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let (who, ask) = match (&names[..], more) {
        ([], _) => return None,
        ([one], _) => (format!("namespace {one}"), "asks"),
        (some, 0) => (format!("namespaces {}", some.join(", ")), "ask"),
        (some, more) => (format!("namespaces {} and {more} more", some.join(", ")), "ask"),
    };
    let name = &request.name;
    Some(format!(
        "{}: {who} still {ask} for {name:?}; without another template of the name, pods there go in without it",
        request.subject_name()
    ))
}

/// Whether a namespace's defaults ask for a template.
fn asks(namespace: &Namespace, prefix: &str, template: &str) -> bool {
    let defaults = namespace.defaults.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let asked = annotations::read(prefix, Level::Namespace, defaults, &mut Vec::new());
    let asks = |setting| matches!(setting, Setting::Main(main) if main != Main::No);
    asked.iter().any(|asked| asked.template == template && asks(asked.setting))
}
