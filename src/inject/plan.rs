//! All grafts of a pod together: each planned against the pod and those before it, until what stays goes together.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::ALL_ANNOTATIONS;
use super::asked::Asked;
use super::bindings::Shared;
use super::crowd::MAX_ENTRIES;
use super::draft::{Draft, Field, GraftIndex, Kind, NewContainer, NewField};
use super::environment;
use super::files;
use super::graft::{self, Clash, Context};
use super::json::{Text, read};
use super::key::Level;
use super::order::{Impossible, Ordering, Slot};
use super::outcome::{Graft, NotApplied, Outcome, Plan, SkipReason, Why};
use super::patch;
use super::pod::{Container, ENTRY, Pod, Target};
use super::reason::{Reason, Warning};
use super::request::PodRequest;
use super::resolve::{MAX_GRAFTS, Resolved};
use super::status::{self, Record, STATUS, Skip, Status};
use super::targets::{self, DEFAULT_CONTAINER};
use crate::json::write_string;
use crate::nearest::Hints;
use crate::snapshot::Snapshot;

/// Where a graft stands.
#[derive(Debug)]
enum State<'p, 'a> {
    /// To be planned, onto these targets.
    Open(Vec<Target<'a>>),
    /// All of it is there.
    Done(Box<Record<'p>>),
    /// It is left out.
    Out(Why),
    /// It denies the pod: the reasons are noted.
    Denied,
}

/// Everything that is being decided about one pod.
struct Planner<'p, 'a> {
    request: &'a PodRequest<'a>,
    snapshot: &'a Snapshot,
    status: &'p Status<'a>,
    shared: Shared<'a>,
    asked: &'p [Asked<'a>],
    states: Vec<State<'p, 'a>>,
    reasons: Vec<Reason>,
    warnings: Vec<Warning>,
    /// What the rounds up to now have compared.
    compared: usize,
}

/// One round of planning: what it gave, or that grafts had to go before the next.
enum Round<'p, 'a> {
    Planned { draft: Draft<'p, 'a>, records: Vec<Option<Record<'p>>>, order: Vec<Slot>, warnings: Vec<Warning> },
    WithoutIt,
}

/// Plans what was resolved.
pub fn plan<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot, resolved: Resolved<'a>) -> Outcome<'a> {
    let Resolved { asked, mut not_applied, reasons, warnings, hints } = resolved;
    let status = Status::read(&request.pod);
    let shared = Shared::new(request, snapshot);
    let mut planner = Planner {
        request,
        snapshot,
        status: &status,
        shared,
        states: Vec::new(),
        asked: &asked,
        reasons,
        warnings,
        compared: 0,
    };
    planner.begin(&hints);
    // Each round but the last leaves a graft out, so there are at most as many as grafts.
    let (draft, records, order) = loop {
        if let Round::Planned { draft, records, order, mut warnings } = planner.round() {
            planner.warnings.append(&mut warnings);
            break (draft, records, order);
        }
    };
    let Planner { states, reasons, mut warnings, .. } = planner;
    if !reasons.is_empty() {
        return Outcome::Reject(reasons, warnings);
    }

    let mut grafts = Vec::new();
    let mut kept = Vec::new();
    // The rest, if anybody asks for so many wrong ones, stands in the warnings.
    let left_out = not_applied.iter().filter(|it| matches!(it.why, Why::Ignored(_))).take(MAX_GRAFTS);
    let mut skipped: Vec<_> = left_out.map(|it| Skip::undecided(it.name, it.why.to_string())).collect();
    let mut index_of = vec![None; asked.len()];
    for (index, ((asked, state), record)) in asked.iter().zip(states).zip(records).enumerate() {
        let changed = draft.has(index);
        let why = match (state, record) {
            (State::Open(_), Some(record)) => {
                kept.push(record);
                if changed {
                    index_of[index] = Some(grafts.len());
                    grafts.push(Graft { name: asked.name, template: asked.template });
                    continue;
                }
                Why::Done
            }
            (State::Done(record), _) => {
                kept.push(*record);
                Why::Done
            }
            (State::Out(why), _) => {
                skipped.push(Skip {
                    template: asked.name.template.to_owned(),
                    instance: asked.name.instance.unwrap_or_default().to_owned(),
                    hash: asked.template.hash.clone(),
                    parameters: asked.rendering.values_hash.clone(),
                    reason: why.to_string(),
                });
                why
            }
            (State::Open(_), None) | (State::Denied, _) => Why::When,
        };
        not_applied.push(NotApplied { name: asked.name, why });
    }
    if draft.is_empty() {
        let done = not_applied.iter().any(|it| it.why == Why::Done);
        let reason = match (done, not_applied.is_empty() && warnings.is_empty()) {
            (true, _) => SkipReason::AlreadyDone,
            (_, true) => SkipReason::NothingAsked,
            (..) => SkipReason::NothingLeft,
        };
        return Outcome::Skip(reason, warnings);
    }
    kept.extend(status.others(&kept));
    let annotation = status::write(&kept, &skipped);
    let fits = annotations_fit(&request.pod, &draft, annotation.len).and_then(|()| entries_fit(&request.pod, &draft));
    if let Err(reason) = fits {
        if asked.iter().all(|asked| asked.of_namespace) {
            warnings.push(Warning::LeftOut(Box::new(reason)));
            return Outcome::Skip(SkipReason::NothingLeft, warnings);
        }
        return Outcome::Reject(vec![reason], warnings);
    }
    let changes = patch::changes(&request.pod, draft, &order, &index_of, annotation.json);
    Outcome::Inject(Plan { grafts, changes, not_applied, warnings })
}

impl<'p, 'a> Planner<'p, 'a> {
    /// Finds targets, and what an earlier call has done or decided.
    fn begin(&mut self, hints: &Hints) {
        let policy = &self.snapshot.policy;
        let mut made = self.status.containers();
        made.extend(graft::unclaimed(self.asked, &self.request.pod, policy));
        for asked in self.asked {
            let state = if let Some(reason) = self.status.skipped(asked) {
                State::Out(Why::Before(reason.to_owned()))
            } else {
                match self.status.graft(asked.name) {
                    Some(it) if it.is_of(asked) && it.is_complete(&self.request.pod) => {
                        State::Done(Box::new(Record::again(it)))
                    }
                    _ => match targets::find(&self.request.pod, asked, self.status, &made, policy, hints) {
                        Ok(targets) => State::Open(targets),
                        Err(mistakes) => {
                            let of_namespace = mistakes.iter().all(|(level, _)| *level == Level::Namespace);
                            let reasons = mistakes.into_iter().map(|(_, reason)| reason).collect();
                            let ignored = of_namespace || asked.may_be_left_out();
                            fail(reasons, ignored, &mut self.reasons, &mut self.warnings)
                        }
                    },
                }
            };
            self.states.push(state);
        }
    }

    fn round(&mut self) -> Round<'p, 'a> {
        let mut draft = Draft { compared: self.compared, ..Draft::default() };
        let mut records: Vec<Option<Record<'p>>> = (0..self.asked.len()).map(|_| None).collect();
        let mut warnings = Vec::new();
        let namespace = self.snapshot.namespaces.get(&self.request.namespace);
        let pod_security = namespace.and_then(|namespace| namespace.pod_security);
        let declare = OnceCell::new();
        let mut failed = Vec::new();
        for (index, record) in records.iter_mut().enumerate() {
            let State::Open(targets) = &self.states[index] else { continue };
            let context = Context {
                asked: self.asked,
                pod: &self.request.pod,
                status: self.status,
                policy: &self.snapshot.policy,
                pod_security,
                declare: &declare,
                shared: &self.shared,
            };
            let mark = draft.mark();
            match graft::plan(&context, index, &self.asked[index], targets, &mut draft, &mut warnings) {
                Ok(Some(made)) => *record = Some(made),
                Ok(None) => self.states[index] = State::Out(Why::When),
                Err(clashes) => {
                    draft.roll_back(mark);
                    // Of two that clash the later one goes, unless only the earlier one may.
                    if !self.asked[index].may_be_left_out()
                        && let Some(earlier) = self.earlier_to_leave_out(&clashes)
                    {
                        self.give_way(earlier, clashes);
                        return Round::WithoutIt;
                    }
                    failed.push((index, clashes));
                }
            }
        }
        self.compared = draft.compared;
        self.default_container(&mut draft);
        let mut wrong = files::check(self.asked, &self.request.pod, &draft);
        wrong.append(&mut environment::hand_on(self.asked, &mut draft));
        if !wrong.is_empty() {
            return self.without(wrong);
        }
        match self.order(&draft, &records) {
            Ok(order) => {
                let wrong = files::in_time(self.asked, &self.request.pod, &draft, &order);
                if !wrong.is_empty() {
                    return self.without(wrong);
                }
                // Only now is it certain that what they clash with stays.
                for (index, clashes) in failed {
                    self.leave_out(index, clashes);
                }
                Round::Planned { draft, records, order, warnings }
            }
            Err(impossible) => {
                let may_go =
                    impossible.grafts.iter().copied().filter(|index| self.asked[*index].may_be_left_out()).max();
                let index = may_go.or(impossible.grafts.first().copied()).unwrap_or_default();
                let reason = impossible.reason(self.asked[index].name.to_string());
                self.without(vec![(index, reason)])
            }
        }
    }

    /// Beside sidecars in the classic form, `kubectl logs` and `exec` should go on finding the app, unless pod or graft say
    /// what they find.
    fn default_container(&self, draft: &mut Draft<'p, 'a>) {
        let app = |it: &NewContainer<'_, '_>| match &self.states[it.graft] {
            State::Open(targets) if it.kind == Kind::ClassicSidecar => {
                let target = targets.first().filter(|target| !target.init)?;
                Some((it.graft, it.line, target.name()))
            }
            _ => None,
        };
        let Some((graft, line, name)) = draft.containers.iter().find_map(app) else { return };
        let (field, metadata) = (Field::Annotation, self.request.pod.metadata.as_ref());
        let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
        let said = annotations.is_some_and(|annotations| annotations.get(DEFAULT_CONTAINER).is_some());
        if !said && draft.fields.iter().all(|it| it.field != field || it.key != DEFAULT_CONTAINER) {
            let mut json = String::new();
            write_string(name, &mut json);
            draft.fields.push(NewField { graft, line, field, key: DEFAULT_CONTAINER.to_owned(), json });
        }
    }

    fn earlier_to_leave_out(&self, clashes: &[Clash]) -> Option<GraftIndex> {
        let mut all = clashes.iter().map(|clash| clash.with.filter(|with| self.asked[*with].may_be_left_out()));
        let first = all.next()??;
        // If the graft fails for another reason as well, nothing is won.
        all.all(|with| with.is_some()).then_some(first)
    }

    /// A graft goes: with a warning if it may, else it denies the pod.
    fn leave_out(&mut self, index: GraftIndex, clashes: Vec<Clash>) {
        let reasons = clashes.into_iter().map(|clash| clash.reason).collect();
        let ignored = self.asked[index].may_be_left_out();
        self.states[index] = fail(reasons, ignored, &mut self.reasons, &mut self.warnings);
    }

    /// Some grafts go for what was found out when all was planned.
    fn without(&mut self, wrong: Vec<(GraftIndex, Reason)>) -> Round<'p, 'a> {
        for (index, reason) in wrong {
            self.leave_out(index, vec![Clash { reason, with: None }]);
        }
        Round::WithoutIt
    }

    /// An earlier graft goes, for the sake of a later one that may not.
    fn give_way(&mut self, index: GraftIndex, clashes: Vec<Clash>) {
        for Clash { reason, .. } in clashes.into_iter().filter(|clash| clash.with == Some(index)) {
            let reason = Box::new(reason);
            self.states[index] = State::Out(Why::Ignored(reason.clone()));
            self.warnings.push(Warning::GaveWay { graft: self.asked[index].name.to_string(), reason });
        }
    }

    fn order(&self, draft: &Draft<'_, 'a>, records: &[Option<Record<'_>>]) -> Result<Vec<Slot>, Impossible> {
        let spec = self.request.pod.spec.as_ref();
        let old = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let app = spec.and_then(|spec| spec.containers.as_deref()).unwrap_or_default();
        let made = |index: usize| match &self.states[index] {
            State::Done(record) => Some(&record.containers),
            _ => records[index].as_ref().map(|record| &record.containers),
        };
        let done: Vec<(&str, &[Cow<'_, str>])> = (0..self.asked.len())
            .filter_map(|index| Some((self.asked[index].name.template, made(index)?.as_slice())))
            .collect();
        Ordering { old, ordinary: app, new: &draft.containers, asked: self.asked, done: &done }.sort()
    }
}

fn fail<'p, 'a>(
    found: Vec<Reason>,
    ignored: bool,
    reasons: &mut Vec<Reason>,
    warnings: &mut Vec<Warning>,
) -> State<'p, 'a> {
    if !ignored {
        reasons.extend(found);
        return State::Denied;
    }
    let why = found.first().cloned().map_or(Why::When, |first| Why::Ignored(Box::new(first)));
    warnings.extend(found.into_iter().map(|reason| Warning::LeftOut(Box::new(reason))));
    State::Out(why)
}

fn annotations_fit(pod: &Pod<'_>, draft: &Draft<'_, '_>, status: usize) -> Result<(), Reason> {
    let before = pod.annotations_len(|key| key != STATUS);
    let new = draft.fields.iter().filter(|field| field.field == Field::Annotation);
    // What JSON adds to a value is not counted.
    let len = |json| serde_json::from_str::<Text<'_>>(json).map_or(0, |text| text.len());
    let added: usize = new.map(|field| field.key.len() + len(&field.json)).sum();
    let found = before + added + STATUS.len() + status;
    if found <= ALL_ANNOTATIONS { Ok(()) } else { Err(Reason::Annotations { found, most: ALL_ANNOTATIONS }) }
}

/// With what is added, the pod is no larger than one that may ask: else it could not be admitted once more, as where another
/// webhook changes it.
fn entries_fit(pod: &Pod<'_>, draft: &Draft<'_, '_>) -> Result<(), Reason> {
    let before = pod.entries();
    // Nothing that counts as one is shorter than half of that; so hardly any pod has to be counted.
    if before + draft.len() + draft.bytes() / (ENTRY / 2) <= MAX_ENTRIES {
        return Ok(());
    }
    let container = |json| read::<Container<'_>>(json).map_or(1, |it| it.entries());
    let found = before
        + draft.containers.iter().map(|it| container(&*it.json)).sum::<usize>()
        + draft.variables.iter().map(|it| (it.json.len() + 1).div_ceil(ENTRY)).sum::<usize>()
        + draft.volumes.len()
        + draft.mounts.len()
        + draft.fields.len();
    if found <= MAX_ENTRIES { Ok(()) } else { Err(Reason::TooManyEntries { found, most: MAX_ENTRIES }) }
}
