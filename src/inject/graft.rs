//! One graft: a template rendered for a pod, each part checked against the pod and against what is planned already.

mod container;
mod image;
mod names;
mod pod_fields;
mod pod_security;
mod target;
mod volume;

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::bindings::{Bindings, Shared};
use super::draft::{Draft, GraftIndex, MAX_ADDED, MAX_ADDITIONS};
use super::hardening::Declare;
use super::json::Text;
use super::pod::{Container, Pod};
use super::reason::{Reason, Warning, said};
use super::resolve::Asked;
use super::status::{Record, Recorded, Status};
use super::targets::Target;
use crate::snapshot::Policy;
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::{Entry, Node};
use crate::template::{Action, Enforced, Line, Template};

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
struct Site {
    /// Name in the template.
    name: String,
    /// Name in the pod.
    volume: String,
    /// What of it.
    sub_path: String,
    /// Where targets have it; none: private.
    path: Option<String>,
    /// Why it can't be written, if it can't.
    read_only: Option<String>,
}

/// A graft in the making.
struct Grafting<'g, 'a> {
    context: &'g Context<'g, 'a>,
    index: GraftIndex,
    asked: &'g Asked<'a>,
    bindings: &'g Bindings<'g, 'a>,
    targets: &'g [Target<'a>],
    recorded: Option<&'g Recorded<'a>>,
    draft: &'g mut Draft<'a>,
    record: Record,
    sites: Vec<Site>,
    /// Names of volumes that can't be had, which is noted already.
    missing: Vec<&'a str>,
    clashes: Vec<Clash>,
    warnings: Vec<Warning>,
}

/// Plans one graft into the draft, and gives what is its own; `None` when its `when` is false for this pod.
///
/// # Errors
///
/// All that stands against it; the draft then holds a part of it.
pub fn plan<'a>(
    context: &Context<'_, 'a>,
    index: GraftIndex,
    asked: &Asked<'a>,
    targets: &[Target<'a>],
    draft: &mut Draft<'a>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Record>, Vec<Clash>> {
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
        record: Record::new(asked, targets.iter().map(Target::name)),
        sites: Vec::new(),
        missing: Vec::new(),
        clashes: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(when) = &template.when {
        match when.condition(&bindings, None) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                grafting.evaluation("when", template.line, &error);
                return Err(grafting.clashes);
            }
        }
    }
    grafting.validations();
    if !grafting.clashes.is_empty() {
        // What else is wrong would follow from it.
        return Err(grafting.clashes);
    }
    let planned = grafting.draft.len();
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
    for (what, found, most) in
        [("additions to the pod", found, MAX_ADDITIONS), ("bytes of additions to the pod", bytes, MAX_ADDED)]
    {
        if found > most {
            let graft = grafting.name();
            grafting.refuse(Reason::TooMuch { graft, what, found, most });
        }
    }
    if grafting.clashes.is_empty() {
        warnings.append(&mut grafting.warnings);
        Ok(Some(grafting.record))
    } else {
        Err(grafting.clashes)
    }
}

impl<'a> Grafting<'_, 'a> {
    const fn template(&self) -> &'a Template {
        self.asked.template
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

    /// Where in the template something stands, for messages.
    fn place(&self, field: &str, line: Line) -> String {
        format!("{field} ({}:{line})", self.template().origin.0)
    }

    fn evaluation(&mut self, field: &str, line: Line, error: &EvaluationError) {
        let error = error.clone().within(field);
        let place = self.place(&error.place, error.line.unwrap_or(line));
        let message = if error.quotes { self.shown(error.message) } else { error.message };
        self.refuse(Reason::Evaluation { graft: self.name(), place, message });
    }

    fn rendered(&mut self, field: &str, line: Line, problem: String) {
        let (place, problem) = (self.place(field, line), self.shown(problem));
        self.refuse(Reason::Rendered { graft: self.name(), place, problem });
    }

    /// A message that quotes a value, unless that may show a sensitive parameter.
    fn shown(&self, message: String) -> String {
        const HIDDEN: &str = "what a sensitive parameter makes of it is not allowed here (not shown)";
        if self.bindings.may_show_secret() { HIDDEN.to_owned() } else { message }
    }

    fn all_rendered(&mut self, field: &str, line: Line, problems: Vec<String>) {
        for problem in problems {
            self.rendered(field, line, problem);
        }
    }

    /// What the template asks of the pod and the parameters: all that does not hold.
    fn validations(&mut self) {
        let (template, bindings) = (self.template(), self.bindings);
        self.each("validations", &template.validations, |this, validation, item, _| {
            if validation.holds(bindings, item)? {
                return Ok(());
            }
            let message = text(&validation.message, bindings, item, "message")?;
            let message = message.unwrap_or_else(|| format!("{} is not true", validation.expression.source).into());
            let (graft, message) = (this.name(), said(message.trim()));
            match validation.action {
                Action::Deny => this.refuse(Reason::Validation { graft, message }),
                Action::Warn => this.warnings.push(Warning::Validation { graft, message }),
            }
            Ok(())
        });
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
            let reason = Reason::WrongOs { graft: self.name(), wanted: wanted.clone(), found: found.to_owned() };
            self.refuse(reason);
        }
    }

    /// Calls `visit` for each rendering of a list's entries; what has no value is noted with its line.
    fn each<T>(
        &mut self,
        field: &str,
        entries: &'a [Entry<T>],
        mut visit: impl FnMut(&mut Self, &'a T, Option<&Item>, Line) -> Result<(), EvaluationError>,
    ) {
        let bindings = self.bindings;
        for entry in entries {
            bindings.forget();
            let visited = entry.each(bindings, None, |value, item| {
                // It is refused then, however much is still to come.
                if self.draft.is_too_much() { Ok(()) } else { visit(self, value, item, entry.line) }
            });
            if let Err(error) = visited {
                self.evaluation(field, entry.line, &error);
            }
        }
    }

    /// The pod's containers that are there to clash with: init containers, then the app's.
    fn of_pod(&self) -> impl Iterator<Item = (bool, &'a Container<'a>)> + use<'a> {
        let spec = self.context.pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let app = spec.and_then(|spec| spec.containers.as_deref()).unwrap_or_default();
        init.iter().map(|container| (true, container)).chain(app.iter().map(|container| (false, container)))
    }
}

/// A node that is to be text.
fn text<'t>(
    node: &'t Node,
    bindings: &Bindings<'_, '_>,
    item: Option<&Item>,
    field: &str,
) -> Result<Option<Cow<'t, str>>, EvaluationError> {
    let Some(json) = render(Some(node), bindings, item, field)? else { return Ok(None) };
    // Names and images have no escapes: what is between the quotes is the text.
    let plain = |json: &str| json.len() > 1 && json.starts_with('"') && !json.contains('\\');
    match json {
        Cow::Borrowed(json) if plain(json) => Ok(Some(Cow::Borrowed(&json[1..json.len() - 1]))),
        json => match serde_json::from_str::<Text<'_>>(&json) {
            Ok(text) => Ok(Some(Cow::Owned(text.0.into_owned()))),
            Err(error) => Err(EvaluationError::unreadable(&error).within(field)),
        },
    }
}

/// A node's JSON, its name in front of an error; `None` when it is absent or `null`.
fn render<'t>(
    node: Option<&'t Node>,
    bindings: &Bindings<'_, '_>,
    item: Option<&Item>,
    field: &str,
) -> Result<Option<Cow<'t, str>>, EvaluationError> {
    let Some(node) = node else { return Ok(None) };
    node.render(bindings, item).map_err(|error| error.within(field))
}

/// A rendered list's items.
fn items<'j>(json: Option<&'j Cow<'_, str>>, field: &str) -> Result<Vec<&'j RawValue>, EvaluationError> {
    let Some(json) = json else { return Ok(Vec::new()) };
    read(json, field)
}

/// Rendered JSON as what it has to be.
fn read<'j, T: serde::Deserialize<'j>>(json: &'j str, field: &str) -> Result<T, EvaluationError> {
    serde_json::from_str(json).map_err(|error| EvaluationError::unreadable(&error).within(field))
}
