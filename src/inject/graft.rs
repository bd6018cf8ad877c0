//! One graft: a rendered template, each part of it checked against the pod and against what is planned already. What its
//! rendering left open is rendered here, for this pod.

mod container;
mod image;
mod needs;
mod pod_fields;
mod pod_security;
mod target;
mod volume;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::OnceCell;

use super::asked::Asked;
use super::bindings::{Bindings, Shared};
use super::draft::{Draft, GraftIndex, MAX_ADDED, MAX_ADDITIONS, MAX_COMPARED};
use super::hardening::Declare;
use super::pod::{Container, Pod, Target};
use super::reason::{Reason, Warning, cut, said};
use super::rendering::{Failed, Problems, Rendering, View};
use super::status::{Record, Recorded, Status};
use crate::snapshot::Policy;
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::Entry;
use crate::template::parameter::HIDDEN_PROBLEM;
use crate::template::{Action, Enforced, Line, Template};

/// The most warnings that the grafts of a pod may give: many times what an answer shows.
const MAX_WARNINGS: usize = 256;

/// Why a graft can't be made, and which earlier graft has a part in it.
#[derive(Debug)]
pub struct Clash {
    /// For people.
    pub reason: Reason,
    /// The earlier graft, if it is two grafts that don't go together.
    pub with: Option<GraftIndex>,
}

/// What a graft is planned against.
#[derive(Debug)]
pub struct Context<'c, 'a> {
    /// The grafts that are asked for, as messages name them.
    pub asked: &'c [Asked<'a>],
    /// The pod.
    pub pod: &'a Pod<'a>,
    /// What an earlier call did to it.
    pub status: &'c Status<'a>,
    /// The operator's choices.
    pub policy: &'a Policy,
    /// What the namespace enforces.
    pub pod_security: Option<Enforced>,
    /// How the pod wants resources declared, once somebody has asked.
    pub declare: &'c OnceCell<Declare>,
    /// What expressions see.
    pub shared: &'c Shared<'a>,
}

/// A volume that the graft's containers mount by its name in the template.
#[derive(Debug)]
struct Site<'p> {
    /// Name in the template.
    name: &'p str,
    /// Name in the pod.
    volume: Cow<'p, str>,
    /// What of it.
    sub_path: Cow<'p, str>,
    /// Where targets have it; none: private.
    path: Option<Cow<'p, str>>,
    /// Why it can't be written, if it can't.
    read_only: Option<ReadOnly>,
}

/// Why a volume can't be written.
#[derive(Debug, Clone)]
struct ReadOnly {
    /// In words.
    by: String,
    /// The graft that makes it so.
    with: Option<GraftIndex>,
}

/// A graft in the making.
struct Grafting<'g, 'p, 'a> {
    context: &'g Context<'g, 'a>,
    index: GraftIndex,
    asked: &'p Asked<'a>,
    bindings: &'g Bindings<'g, 'a>,
    targets: &'g [Target<'a>],
    recorded: Option<&'g Recorded<'a>>,
    draft: &'g mut Draft<'p, 'a>,
    record: Record<'p>,
    sites: Vec<Site<'p>>,
    /// Names of volumes that can't be had, which is noted already.
    missing: Vec<&'a str>,
    clashes: Vec<Clash>,
    warnings: Vec<Warning>,
}

/// The app's containers that classic sidecars of the grafts are, though no status claims them. Sidecars that look at the
/// pod are not among them: what they are is known when the targets are.
pub fn unclaimed<'c>(asked: &'c [Asked<'_>], pod: &'c Pod<'_>, policy: &'c Policy) -> impl Iterator<Item = &'c str> {
    asked.iter().flat_map(move |asked| container::unclaimed(asked, pod, policy))
}

/// Plans one graft into the draft, and gives what is its own; `None` when its `when` is false for this pod.
///
/// # Errors
///
/// All that stands against it; the draft then holds a part of it.
pub fn plan<'p, 'a>(
    context: &Context<'_, 'a>,
    index: GraftIndex,
    asked: &'p Asked<'a>,
    targets: &[Target<'a>],
    draft: &mut Draft<'p, 'a>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Record<'p>>, Vec<Clash>> {
    let template = asked.template;
    let bindings = Bindings::new(context.shared, asked, targets);
    let mut grafting = Grafting {
        context,
        index,
        asked,
        bindings: &bindings,
        targets,
        recorded: context.status.graft(asked.name),
        draft,
        record: Record::new(asked, targets),
        sites: Vec::new(),
        missing: Vec::new(),
        clashes: Vec::new(),
        warnings: Vec::new(),
    };
    let when = || template.when.as_ref().map_or(Ok(true), |when| when.condition(&bindings, None));
    match asked.rendering.when.map_or_else(when, Ok) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => {
            grafting.evaluation("when", template.line, &error);
            return Err(grafting.clashes);
        }
    }
    grafting.validations();
    if !grafting.clashes.is_empty() {
        // What else is wrong would follow from it.
        return Err(grafting.clashes);
    }
    let (planned, compared) = (grafting.draft.len(), grafting.draft.compared);
    grafting.operating_system();
    grafting.volumes();
    grafting.target_additions();
    grafting.containers();
    grafting.pod_additions();
    grafting.pod_security();
    let found = grafting.draft.len();
    if found == planned {
        // All of it is there: who made the pod has been warned.
        grafting.warnings.retain(|warning| !matches!(warning, Warning::Validation { .. }));
    }
    let bytes = grafting.draft.bytes();
    // Whoever has nothing to compare does not suffer from those before it.
    let compared = if grafting.draft.compared > compared { grafting.draft.compared } else { 0 };
    for (what, found, most) in [
        ("additions to the pod", found, MAX_ADDITIONS),
        ("bytes of additions to the pod", bytes, MAX_ADDED),
        ("comparisons with what target containers have", compared, MAX_COMPARED),
    ] {
        if found > most {
            let graft = grafting.name();
            grafting.refuse(Reason::TooMuch { graft, what, found, most });
        }
    }
    if grafting.clashes.is_empty() {
        let room = MAX_WARNINGS.saturating_sub(warnings.len());
        warnings.extend(grafting.warnings.into_iter().take(room));
        Ok(Some(grafting.record))
    } else {
        Err(grafting.clashes)
    }
}

impl<'p, 'a> Grafting<'_, 'p, 'a> {
    const fn template(&self) -> &'a Template {
        self.asked.template
    }

    fn rendering(&self) -> &'p Rendering {
        &self.asked.rendering
    }

    /// The graft in messages.
    fn name(&self) -> String {
        self.asked.name.to_string()
    }

    fn refuse(&mut self, reason: Reason) {
        self.clashes.push(Clash { reason, with: None });
    }

    fn clash(&mut self, reason: Reason, with: Option<GraftIndex>) {
        self.clashes.push(Clash { reason, with: with.filter(|with| *with != self.index) });
    }

    fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    /// Whether it would take too much to compare one more entry with each target; it is refused in the end then.
    fn compares_too_much(&mut self) -> bool {
        self.draft.compared += self.targets.len();
        self.draft.compared > MAX_COMPARED
    }

    /// Where in the template something stands, for messages.
    fn place(&self, field: &str, line: Line) -> String {
        self.asked.place(field, line)
    }

    fn evaluation(&mut self, field: &str, line: Line, error: &EvaluationError) {
        let error = error.clone().within(field);
        let place = self.place(&error.place, error.line.unwrap_or(line));
        let message = error.message.clone();
        let message = if error.quotes { self.shown(message) } else { message };
        self.refuse(Reason::Evaluation { graft: self.name(), place, message });
    }

    fn rendered(&mut self, field: &str, line: Line, problem: String) {
        let (place, problem) = (self.place(field, line), self.shown(problem));
        self.refuse(Reason::Rendered { graft: self.name(), place, problem });
    }

    /// A message that quotes a value, unless that may show a sensitive parameter.
    fn shown(&self, message: String) -> String {
        if self.bindings.may_show_secret() { HIDDEN_PROBLEM.to_owned() } else { message }
    }

    /// What the template asks of the pod and the parameters: all that does not hold.
    fn validations(&mut self) {
        for (entry, ready) in self.template().validations.iter().zip(&self.rendering().validations) {
            let done = match ready {
                Some(all) => {
                    for failed in all {
                        self.failed(failed);
                    }
                    Ok(())
                }
                None => self.each_open(entry, |this, validation, item| {
                    let failed = this.open("validations", entry.line, |view, _| Failed::render(view, validation, item));
                    if let Some(failed) = failed? {
                        this.failed(&failed);
                    }
                    Ok(())
                }),
            };
            if let Err(error) = done {
                self.evaluation("validations", entry.line, &error);
            }
        }
    }

    fn failed(&mut self, failed: &Failed) {
        let (graft, message) = (self.name(), said(failed.message.trim()));
        match failed.action {
            Action::Deny => self.refuse(Reason::Validation { graft, message }),
            Action::Warn => self.warn(Warning::Validation { graft, message }),
        }
    }

    fn operating_system(&mut self) {
        let spec = self.context.pod.spec.as_ref();
        let of_pod = spec.and_then(|spec| {
            let named = spec.os.as_ref().map(|os| &*os.name).filter(|name| !name.is_empty());
            // Before `spec.os` there was only the node's label to say it by.
            named.or_else(|| spec.node_selector.as_ref()?.get("kubernetes.io/os").map(|os| &**os))
        });
        let wanted = &self.template().os;
        let found = of_pod.unwrap_or("linux");
        if found != wanted {
            let (wanted, found) = (wanted.clone(), cut(found).to_owned());
            let reason = Reason::WrongOs { graft: self.name(), wanted, found };
            self.refuse(reason);
        }
    }

    /// Renders something that was left open, and notes what is wrong with it.
    fn open<T>(
        &mut self,
        field: &str,
        line: Line,
        render: impl FnOnce(View<'_>, &mut Problems) -> Result<T, EvaluationError>,
    ) -> Result<T, EvaluationError> {
        let instance = self.asked.name.instance.unwrap_or_default();
        let view = View { template: self.template(), instance, variables: self.bindings };
        let mut problems = Vec::new();
        let rendered = render(view, &mut problems);
        for problem in problems {
            self.rendered(field, line, problem);
        }
        rendered
    }

    /// Calls `visit` for each part that is ready: a sensitive parameter has no part in these.
    fn each_ready<T>(
        &mut self,
        all: &'p [T],
        visit: impl Fn(&mut Self, &'p T) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        self.bindings.forget();
        all.iter().try_for_each(|ready| visit(self, ready))
    }

    /// Calls `visit` as often as an entry's `when` and `forEach` say for this pod.
    fn each_open<T>(
        &mut self,
        entry: &'a Entry<T>,
        mut visit: impl FnMut(&mut Self, &'a T, Option<&Item<'_>>) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let bindings = self.bindings;
        bindings.forget();
        // It is refused when there is too much, however much is still to come.
        entry.each(
            bindings,
            None,
            |value, item| {
                if self.draft.is_too_much() { Ok(()) } else { visit(self, value, item) }
            },
        )
    }

    /// The pod's containers that are there to clash with: init containers, then the app's.
    fn of_pod(&self) -> impl Iterator<Item = (bool, &'a Container<'a>)> + use<'a> {
        self.context.pod.all_containers()
    }
}
