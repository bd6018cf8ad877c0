//! Files of Namespace objects, as `kubectl get namespaces -o yaml` writes them.

use std::path::Path;

use crate::manifest;
use crate::snapshot::Namespace;

use super::report::Problem;
use super::shelf::Parsed;

/// The namespaces of a file: several documents, and lists of objects. Objects of other kinds are passed over, but a
/// file without any namespace is a mistake, and so are annotations of ours that are no text.
pub(super) fn parse(path: &Path, text: &str, prefix: &str) -> Result<Parsed<Namespace>, Problem> {
    let problem = |problem: String| Problem::Namespaces { path: path.to_owned(), problem };
    let documents = manifest::read(text).map_err(|errors| problem(lines(&errors)))?;
    let mut items = Vec::new();
    let mut other = 0;
    for document in documents.iter().filter(|document| !document.value().is_null()) {
        let namespaces = manifest::namespaces(document.value());
        other += manifest::objects(document.value()).len() - namespaces.len();
        for object in namespaces {
            let unquoted = manifest::unquoted(object.value, "", prefix);
            if !unquoted.is_empty() {
                return Err(problem(format!("{}: {}", manifest::subject(&object), lines(&unquoted))));
            }
            let namespace = Namespace::from_object(object.value.clone());
            items.push(namespace.ok_or_else(|| problem("a Namespace has no metadata.name".to_owned()))?);
        }
    }
    if items.is_empty() && other > 0 {
        return Err(problem(format!("none of its {other} objects is a Namespace (apiVersion: v1, kind: Namespace)")));
    }
    Ok(Parsed { items, notes: Vec::new() })
}

/// What is wrong with a file that ended our reading by a mistake of ours.
pub(super) fn failed_inside(path: &Path, _: &str) -> Problem {
    let problem = "podgraft failed inside when it read this; its log says more".to_owned();
    Problem::Namespaces { path: path.to_owned(), problem }
}

fn lines<T: ToString>(problems: &[T]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
