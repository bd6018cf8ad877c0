//! A rejection as it is told beside the answer. Whoever made the pod reads the answer; if that was a controller, its
//! people never do.

use serde::Deserialize;

use crate::inject::outcome::{Outcome, Reason};
use crate::json::Node;

use super::Review;
use super::answer::cut_bytes;

/// The longest note in bytes (events.k8s.io/v1, `note`).
const LONGEST_NOTE: usize = 1024;

/// A pod of a controller that was denied: all owned and bounded, as it outlives its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The pod's namespace.
    pub namespace: String,
    /// The controller that made the pod.
    pub owner: Owner,
    /// Why the pod was denied, in one line.
    pub note: String,
}

/// An object's controller, as its `ownerReferences` name it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `uid`.
    pub uid: String,
}

impl Rejection {
    /// The rejection, if it is one, of a pod that a controller made. Not of a dry run, which nobody waits for.
    #[must_use]
    pub fn of(review: &Review<'_>, outcome: &Outcome<'_>) -> Option<Self> {
        let (Outcome::Reject(reasons, _), false) = (outcome, review.request.dry_run) else { return None };
        let mut owners = review.request.object()?.get("metadata")?.get("ownerReferences")?.items();
        let controller = owners.find(|owner| owner.get("controller").is_some_and(Node::is_true))?;
        let owner = Owner::deserialize(controller).ok()?;
        let namespace = review.request.namespace.to_string();
        (owner.is_plausible() && namespace.len() <= 63).then(|| Self { namespace, owner, note: note(reasons) })
    }
}

impl Owner {
    /// The API server has not checked the pod yet: what it will refuse anyway is not kept.
    fn is_plausible(&self) -> bool {
        let Self { api_version, kind, name, uid } = self;
        let short = |text: &str, most: usize| !text.is_empty() && text.len() <= most;
        short(api_version, 317) && short(kind, 63) && short(name, 253) && short(uid, 128)
    }
}

/// All reasons in one line: the lists of events that people look at have a line for each.
fn note(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons {
        if text.len() > LONGEST_NOTE {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { "; " });
        text.push_str(&reason.to_string());
    }
    cut_bytes(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), LONGEST_NOTE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::decode;

    /// What is told of the rejection of a pod with this metadata.
    fn told(metadata: &Value, dry_run: bool, problems: &[&str]) -> Option<Rejection> {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": "shop",
                "dryRun": dry_run,
                "object": {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}},
            },
        })
        .to_string();
        let reasons = problems
            .iter()
            .map(|problem| Reason::Order { graft: "a".to_owned(), chain: (*problem).to_owned() })
            .collect();
        Rejection::of(&decode(body.as_bytes()).unwrap(), &Outcome::Reject(reasons, Vec::new()))
    }

    fn owned(owner: &Value) -> Value {
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"}, owner]})
    }

    fn replica_set() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "2", "controller": true})
    }

    #[test]
    fn the_controller_is_told_of_not_another_owner() {
        let told = told(&owned(&replica_set()), false, &["a\nb", "c"]).unwrap();
        assert_eq!((&*told.namespace, &*told.owner.kind, &*told.owner.uid), ("shop", "ReplicaSet", "2"));
        assert!(!told.note.contains('\n') && told.note.contains("; "), "{}", told.note);
    }

    #[test]
    fn nobody_is_told_where_nobody_waits() {
        let controlled = owned(&replica_set());
        assert_eq!(told(&controlled, true, &["a"]), None, "a dry run");
        for metadata in [json!({}), json!({"ownerReferences": null}), json!({"ownerReferences": []}), Value::Null] {
            assert_eq!(told(&metadata, false, &["a"]), None, "{metadata}");
        }
        let mut owner = replica_set();
        owner["controller"] = false.into();
        assert_eq!(told(&owned(&owner), false, &["a"]), None, "no controller");
    }

    #[test]
    fn what_the_api_server_would_refuse_is_not_kept() {
        for (field, value) in [
            ("name", json!("x".repeat(254))),
            ("uid", json!("")),
            ("kind", json!({})),
            ("apiVersion", json!("x".repeat(100_000))),
        ] {
            let mut owner = replica_set();
            owner[field] = value;
            assert_eq!(told(&owned(&owner), false, &["a"]), None, "{field}");
        }
    }

    #[test]
    fn a_note_keeps_to_its_bound() {
        let told = told(&owned(&replica_set()), false, &[&"ä".repeat(4000)]).unwrap();
        assert!((LONGEST_NOTE - 4..=LONGEST_NOTE).contains(&told.note.len()), "{}", told.note.len());
        assert!(told.note.ends_with('…'));
    }
}
