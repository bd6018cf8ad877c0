//! What podgraft says of a template in the object's own status, for `kubectl get` and `kubectl describe`.
//!
//! Conditions depend on the object alone, not on what a replica has seen before: every replica writes the same ones, and
//! none needs a leader. Each replica writes once for a generation; so two versions of podgraft that judge a template
//! differently, as in an update, don't answer each other without end.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::template::LoadError;

use super::kind::{Key, Kind, api_version};
use super::templates;

/// Our name among those that write to objects.
const MANAGER: &str = "podgraft";

/// The longest message, in characters: some mistakes, each on a line of its own, that a terminal can show.
const LONGEST: usize = 1024;

/// How long the API server may take for a status.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a status is tried; the client itself tries again where the API server asks for it.
const ATTEMPTS: u32 = 3;

/// How long to wait before the second attempt; then twice as long.
const PAUSE: Duration = Duration::from_secs(2);

/// A status to be written.
#[derive(Debug)]
pub(super) struct Verdict {
    kind: Kind,
    key: Key,
    uid: Option<String>,
    conditions: Vec<Value>,
}

impl Verdict {
    /// What the status of an object should be; nothing where it is that already.
    pub(super) fn of(kind: Kind, key: &Key, object: &DynamicObject, problem: Option<&LoadError>) -> Option<Self> {
        let none = Vec::new();
        let found = object.data.pointer("/status/conditions").and_then(Value::as_array).unwrap_or(&none);
        let find = |name: &str| found.iter().find(|condition| condition["type"] == name);
        let now = Timestamp::from_second(Timestamp::now().as_second()).ok()?.to_string();
        let wanted: Vec<Value> = conditions(object.metadata.generation, problem)
            .into_iter()
            .map(|mut condition| {
                let before = find(condition["type"].as_str().unwrap_or_default());
                let same = before.filter(|before| before["status"] == condition["status"]);
                let since = same.map(|same| &same["lastTransitionTime"]).filter(|time| time.is_string());
                condition["lastTransitionTime"] = since.cloned().unwrap_or_else(|| now.clone().into());
                condition
            })
            .collect();
        let written =
            wanted.iter().all(|condition| find(condition["type"].as_str().unwrap_or_default()) == Some(condition));
        (!written).then(|| Self { kind, key: key.clone(), uid: object.metadata.uid.clone(), conditions: wanted })
    }

    fn patch(&self) -> Value {
        json!({
            "apiVersion": api_version(),
            "kind": self.kind.name(),
            // Who was deleted and made again in the meantime is another object, for which this is not meant.
            "metadata": {"name": self.key.name, "namespace": self.key.namespace, "uid": self.uid},
            "status": {"conditions": self.conditions},
        })
    }
}

fn conditions(generation: Option<i64>, problem: Option<&LoadError>) -> [Value; 2] {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": if problem.is_none() { "True" } else { "False" },
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
        })
    };
    match problem.map(message) {
        None => [
            condition("Accepted", "Compiled", "the template compiles"),
            condition("Ready", "InForce", "pods that ask for the template get it as it is written"),
        ],
        Some(message) => [
            condition("Accepted", "Invalid", &message),
            condition(
                "Ready",
                "NotInForce",
                "pods that ask for the template get its last good version, where podgraft has seen one, and are \
                 denied otherwise",
            ),
        ],
    }
}

/// The mistakes of a template, one a line: place in the YAML that `kubectl get --output yaml` shows, and what to do.
fn message(error: &LoadError) -> String {
    let mut text = String::new();
    for diagnostic in &error.diagnostics {
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let line = format!("line {}: {}{help}", diagnostic.line, diagnostic.message);
        if !text.is_empty() {
            text.push('\n');
        }
        if text.chars().count() + line.chars().count() >= LONGEST {
            text.extend(line.chars().take(LONGEST - 1 - text.chars().count().min(LONGEST - 1)));
            text.push('…');
            break;
        }
        text.push_str(&line);
    }
    text
}

/// Writes what it is sent, one after the other, until nobody sends any more.
pub(super) async fn write(client: Client, mut verdicts: mpsc::UnboundedReceiver<Verdict>) {
    let mut forbidden = false;
    while let Some(verdict) = verdicts.recv().await {
        match attempt(&client, &verdict).await {
            Ok(()) => forbidden = false,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if !forbidden {
                    tracing::warn!("the status of templates can't be written: {}", status.message);
                }
                forbidden = true;
            }
            // It is gone, or another one by now; then it comes by again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => {
                let template = templates::origin(verdict.kind, &verdict.key).0;
                tracing::warn!(%template, %error, "its status can't be written");
            }
        }
    }
}

async fn attempt(client: &Client, verdict: &Verdict) -> Result<(), kube::Error> {
    let api = verdict.kind.beside(&verdict.key, client);
    let (patch, params) = (Patch::Apply(verdict.patch()), PatchParams::apply(MANAGER).force());
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match timeout(PATIENCE, api.patch_status(&verdict.key.name, &params, &patch)).await {
            Ok(Err(kube::Error::Api(status))) if status.code < 500 => return Err(kube::Error::Api(status)),
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) | Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    api.patch_status(&verdict.key.name, &params, &patch).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::template::{Diagnostic, Origin};

    fn object(conditions: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": api_version(),
            "kind": "InjectionTemplate",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "generation": 3},
            "spec": {},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn error(messages: usize) -> LoadError {
        let diagnostic = |line| Diagnostic {
            line,
            column: 1,
            range: 0..0,
            message: "there is no field `foo` here".to_owned(),
            help: Some("did you mean `fo`?".to_owned()),
        };
        let diagnostics = (1..=messages as u32).map(diagnostic).collect();
        LoadError { origin: Origin(Arc::from("a")), text: Arc::from(""), declares: Vec::new(), diagnostics }
    }

    fn verdict(conditions: &Value, problem: Option<&LoadError>) -> Option<Verdict> {
        let object = object(conditions);
        Verdict::of(Kind::Template, &Key::of(&object), &object, problem)
    }

    #[test]
    fn what_is_written_is_not_written_again() {
        let first = verdict(&json!([]), None).expect("nothing is there").conditions;
        assert!(verdict(&json!(first), None).is_none());
        let mut of_before = first.clone();
        of_before[0]["observedGeneration"] = 2.into();
        let second = verdict(&json!(of_before), None).expect("another generation").conditions;
        assert_eq!(second, first);
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let mut good = verdict(&json!([]), None).expect("nothing is there").conditions;
        for condition in &mut good {
            condition["lastTransitionTime"] = "2026-01-01T00:00:00Z".into();
        }
        good[1]["message"] = "another".into();
        let again = verdict(&json!(good), None).expect("another message").conditions;
        assert!(again.iter().all(|condition| condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"));
        let bad = verdict(&json!(good), Some(&error(1))).expect("another status").conditions;
        assert!(bad.iter().all(|condition| condition["lastTransitionTime"] != "2026-01-01T00:00:00Z"));
        assert!(bad.iter().all(|condition| condition["status"] == "False"));
        assert_eq!(bad[0]["message"], "line 1: there is no field `foo` here (did you mean `fo`?)");
    }

    #[test]
    fn many_mistakes_are_cut() {
        let text = message(&error(40));
        assert!(text.chars().count() <= LONGEST && text.ends_with('…'), "{text}");
    }
}
