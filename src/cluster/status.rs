//! What podgraft says of a template in the object's own status, for `kubectl get` and `kubectl describe`.
//!
//! Conditions depend on the object alone, not on what a replica has seen before: every replica writes the same ones, and
//! none needs a leader. Each replica writes once for a generation; so two versions of podgraft that judge a template
//! differently, as in an update, don't answer each other without end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::template::LoadError;

use super::attempt::{Failure, Told, within};
use super::kind::{Key, Kind, api_version};
use super::object::Object;
use super::templates;

/// Our name among those that write to objects.
const MANAGER: &str = "podgraft";

/// The longest message, in characters: some mistakes, each on a line of its own, that a terminal can show.
const LONGEST: usize = 1024;

/// How long the API server may take for a status.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after a status that could not be written; then twice as long, up to the most.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// A status to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    kind: Kind,
    key: Key,
    uid: Option<String>,
    conditions: Vec<Value>,
}

/// The status of an object as it is.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Value>,
}

impl Verdict {
    /// What the status of an object should be; nothing where it is that already.
    pub(super) fn of(kind: Kind, key: &Key, object: &Object, problem: Option<&LoadError>) -> Option<Self> {
        let found = object.status.text().and_then(|status| serde_json::from_str::<Status>(status.get()).ok());
        let found = found.unwrap_or_default().conditions;
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

/// What is yet to be written: of each object the latest, so that it is bounded by what there is, however long the API
/// server takes nothing. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending(Arc<(Mutex<Queue>, Notify)>);

#[derive(Debug, Default)]
struct Queue {
    verdicts: HashMap<(Kind, Key), Verdict>,
    /// The keys of these, once each.
    turns: VecDeque<(Kind, Key)>,
}

impl Queue {
    fn put(&mut self, verdict: Verdict) {
        let id = (verdict.kind, verdict.key.clone());
        if self.verdicts.insert(id.clone(), verdict).is_none() {
            self.turns.push_back(id);
        }
    }

    /// The one whose turn it is. It stays, with the last turn of all: that it can't be written may be its own fault.
    fn next(&mut self) -> Option<Verdict> {
        let id = self.turns.pop_front()?;
        let verdict = self.verdicts.get(&id).cloned();
        self.turns.push_back(id);
        verdict
    }

    fn forget(&mut self, kind: Kind, key: &Key) {
        let id = (kind, key.clone());
        if self.verdicts.remove(&id).is_some()
            && let Some(turn) = self.turns.iter().rposition(|other| *other == id)
        {
            self.turns.remove(turn);
        }
    }
}

impl Pending {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what is to be written, in the place of what was before.
    pub(super) fn put(&self, verdict: Verdict) {
        self.queue().put(verdict);
        self.0.1.notify_one();
    }

    /// Nothing is to be written of an object any more: it is gone, or says it already.
    pub(super) fn forget(&self, kind: Kind, key: &Key) {
        self.queue().forget(kind, key);
    }

    async fn next(&self) -> Verdict {
        loop {
            // A notice that comes between the two is kept.
            let next = self.queue().next();
            match next {
                Some(verdict) => return verdict,
                None => self.0.1.notified().await,
            }
        }
    }

    /// This need not be written any more; something newer has to.
    fn done(&self, verdict: &Verdict) {
        let mut queue = self.queue();
        if queue.verdicts.get(&(verdict.kind, verdict.key.clone())) == Some(verdict) {
            queue.forget(verdict.kind, &verdict.key);
        }
    }
}

/// Writes what there is to write, one after the other, for as long as the process lives.
pub(super) async fn write(client: Client, pending: Pending) {
    let (mut pause, mut told) = (PAUSE, Told::default());
    loop {
        let verdict = pending.next().await;
        match attempt(&client, &verdict).await {
            Ok(()) => {
                pause = PAUSE;
                told.works();
            }
            // It is gone, or another one by now; then it comes by again.
            Err(failure) if matches!(failure.code, 404 | 409) => {}
            Err(failure) => {
                if told.is_news(&failure) {
                    let (template, problem) = (templates::origin(verdict.kind, &verdict.key).0, failure.problem);
                    tracing::warn!(%template, "the status of templates can't be written; it is tried again: {problem}");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        }
        pending.done(&verdict);
    }
}

async fn attempt(client: &Client, verdict: &Verdict) -> Result<(), Failure> {
    let api = verdict.kind.beside(&verdict.key, client);
    let (patch, params) = (Patch::Apply(verdict.patch()), PatchParams::apply(MANAGER).force());
    within(PATIENCE, api.patch_status(&verdict.key.name, &params, &patch)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::template::{Diagnostic, Origin};

    fn object(conditions: &Value) -> Object {
        let object = json!({
            "apiVersion": api_version(),
            "kind": "InjectionTemplate",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "generation": 3},
            "spec": {},
            "status": {"conditions": conditions},
        });
        serde_json::from_str(&object.to_string()).unwrap()
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
        LoadError {
            origin: Origin(Arc::from("a")),
            text: Arc::from(""),
            declares: Vec::new(),
            diagnostics,
            passing: false,
        }
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

    /// A verdict about an object of this name, told apart by the number of its conditions.
    fn of(name: &str, mark: usize) -> Verdict {
        let key = Key { namespace: Some("shop".to_owned()), name: name.to_owned() };
        Verdict { kind: Kind::Template, key, uid: None, conditions: vec![Value::Null; mark] }
    }

    #[tokio::test]
    async fn the_latest_is_written_of_each_in_turn() {
        let pending = Pending::default();
        for verdict in [of("a", 1), of("b", 1), of("a", 2), of("c", 1)] {
            pending.put(verdict);
        }
        pending.forget(Kind::Template, &of("b", 1).key);
        let first = pending.next().await;
        assert_eq!((&*first.key.name, first.conditions.len()), ("a", 2));
        // It is refused: the others have their turns first.
        let other = pending.next().await;
        assert_eq!(other.key.name, "c");
        pending.done(&other);
        // What is newer counts.
        pending.put(of("a", 3));
        let again = pending.next().await;
        pending.put(of("a", 4));
        pending.done(&again);
        let last = pending.next().await;
        assert_eq!(last.conditions.len(), 4);
        pending.done(&last);
        let queue = pending.queue();
        assert!(queue.verdicts.is_empty() && queue.turns.is_empty(), "{queue:?}");
    }

    #[test]
    fn what_waits_is_bounded_by_what_there_is() {
        let pending = Pending::default();
        for round in 0..1000 {
            pending.put(of("a", round % 3));
            pending.put(of(&format!("gone-{round}"), 1));
            pending.forget(Kind::Template, &of(&format!("gone-{round}"), 1).key);
        }
        let queue = pending.queue();
        assert_eq!((queue.verdicts.len(), queue.turns.len()), (1, 1));
    }

    /// One is refused for ever, and the permission to write the other comes later.
    #[tokio::test]
    async fn what_was_refused_is_written_later() {
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let allowed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let granted = Arc::clone(&allowed);
        let client = crate::cluster::fake::client(move |request| {
            let name = request.uri().path().split('/').rev().nth(1).unwrap_or_default().to_owned();
            let code = if !allowed.load(std::sync::atomic::Ordering::Relaxed) {
                403
            } else if name == "bad" {
                422
            } else {
                200
            };
            let _ = told.send((name.clone(), code));
            (code, json!({"metadata": {"name": name}}))
        });
        let pending = Pending::default();
        pending.put(of("bad", 1));
        pending.put(of("good", 1));
        let writer = tokio::spawn(write(client, pending));
        assert_eq!(hears.recv().await, Some(("bad".to_owned(), 403)));
        granted.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(hears.recv().await, Some(("good".to_owned(), 200)));
        assert_eq!(hears.recv().await, Some(("bad".to_owned(), 422)));
        writer.abort();
    }
}
