//! What is requested, looked up and bound: requested × templates × levels → grafts. Precedence lives here alone.

use std::sync::Arc;

use super::annotations::{Annotation, CONTAINERS, Main, Setting};
use super::asked::Asked;
use super::key::{Key, Level};
use super::outcome::{Bound, GraftName, NotApplied, Source, Why};
use super::pod::Pod;
use super::reason::{Known, Reason, Warning};
use super::rendering::Rendering;
use super::renderings::{self, Renderings};
use super::request::PodRequest;
use super::targets;
use crate::nearest::Hints;
use crate::snapshot::{Lookup, OnUnknown, Snapshot};
use crate::template::parameter::{Steps, list};
use crate::template::{FailurePolicy, Template};

/// The most grafts one pod may have: planning compares each with those before it.
pub const MAX_GRAFTS: usize = 64;

/// What became of the annotations.
#[derive(Debug, Default)]
pub struct Resolved<'a> {
    /// By template name and instance.
    pub asked: Vec<Asked<'a>>,
    /// Asked for, and already known not to be grafted.
    pub not_applied: Vec<NotApplied<'a>>,
    /// Each of them denies the pod.
    pub reasons: Vec<Reason>,
    /// For the person who made the pod.
    pub warnings: Vec<Warning>,
    /// What is left of "did you mean".
    pub hints: Hints,
}

/// What one level says of one graft.
#[derive(Debug, Default)]
struct Said<'a> {
    main: Option<(&'a str, Main<'a>)>,
    /// Parameter, key, value.
    parameters: Vec<(&'a str, &'a str, &'a str)>,
}

impl<'a> Said<'a> {
    /// Key and value of a parameter. Of keys that stand twice in the pod's JSON, Go takes the last.
    fn parameter(&self, name: &str) -> Option<(&'a str, &'a str)> {
        self.parameters.iter().rev().find(|(it, ..)| *it == name).map(|(_, key, value)| (*key, *value))
    }

    /// A key that names the template, if anything is said of it: the main one rather than a parameter's.
    fn key(&self) -> Option<&'a str> {
        self.main.map(|(key, _)| key).or_else(|| self.parameters.first().map(|(_, key, _)| *key))
    }
}

#[derive(Debug, Default)]
struct Group<'a> {
    pod: Said<'a>,
    namespace: Said<'a>,
}

impl<'a> Group<'a> {
    fn levels(&self) -> [(Level, &Said<'a>); 2] {
        [(Level::Pod, &self.pod), (Level::Namespace, &self.namespace)]
    }

    /// Writes down all of it but `.containers`.
    fn write_key(&self, instance: &str, key: &mut renderings::Key) {
        key.clear();
        key.push(b'i', instance);
        for (level, said) in self.levels() {
            key.push(if level == Level::Pod { b'p' } else { b'n' }, "");
            match said.main {
                None => {}
                Some((_, Main::Yes)) => key.push(b'+', ""),
                Some((_, Main::No)) => key.push(b'-', ""),
                Some((_, Main::Value(value))) => key.push(b'=', value),
                Some((_, Main::Unclear(value))) => key.push(b'?', value),
            }
            for (name, _, value) in said.parameters.iter().filter(|(name, ..)| *name != CONTAINERS) {
                key.push(b'.', name);
                key.push(b'=', value);
            }
        }
    }

    /// The main key that decides, and whose it is: the pod's, else its namespace's.
    fn main(&self) -> Option<(Level, &'a str, Main<'a>)> {
        self.levels().into_iter().find_map(|(level, said)| said.main.map(|(key, main)| (level, key, main)))
    }

    /// The main key that asks for the graft, and whose it is.
    fn asked_by(&self) -> Option<(Level, &'a str)> {
        self.main().filter(|(.., main)| *main != Main::No).map(|(level, key, _)| (level, key))
    }

    /// Whether the pod says nothing of it.
    fn is_of_namespace(&self) -> bool {
        self.pod.key().is_none()
    }
}

/// Looks up and binds what the pod's and the namespace's annotations say.
pub fn resolve<'a>(
    snapshot: &'a Snapshot,
    renderings: Option<&Renderings>,
    request: &'a PodRequest<'a>,
    of_pod: &[Annotation<'a>],
    of_namespace: &[Annotation<'a>],
) -> Resolved<'a> {
    let mut resolved = Resolved::default();
    let (namespace, pod) = (&request.namespace, Some(&request.pod));
    let all = by_graft(of_pod, of_namespace);
    let asks = |(name, group): &(GraftName<'a>, Group<'a>)| {
        let found = || matches!(snapshot.templates.find(namespace, name.template), Lookup::Found(_));
        group.asked_by().is_some() && found()
    };
    let mut namespace_asks = true;
    // Before any is looked at, also those with mistakes: to look for these takes its time. Each has an annotation, or more.
    if all.len() > MAX_GRAFTS {
        let found = groups(&all).filter(asks).count();
        if found > MAX_GRAFTS {
            let reason = Reason::TooManyGrafts { found, most: MAX_GRAFTS };
            if groups(&all).filter(asks).filter(|(_, group)| !group.is_of_namespace()).count() > MAX_GRAFTS {
                resolved.reasons.push(reason);
                return resolved;
            }
            resolved.warnings.push(Warning::LeftOut(Box::new(reason)));
            namespace_asks = false;
        }
    }
    let mut words = renderings::Key::default();
    let (hints, steps) = (Hints::default(), Steps::default());
    for it in groups(&all).filter(|it| namespace_asks || !it.1.is_of_namespace() || !asks(it)) {
        let (name, group) = &it;
        let graft = Graft { snapshot, namespace, pod, hints: &hints, steps: &steps, name: *name, group };
        graft.resolve(renderings, &mut words, &mut resolved);
    }
    resolved.hints = hints;
    resolved
}

/// What is wrong with one level's annotations by themselves.
pub fn check(snapshot: &Snapshot, namespace: &str, annotations: &[Annotation<'_>]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let (hints, steps) = (Hints::default(), Steps::default());
    for (name, group) in groups(&by_graft(annotations, &[])) {
        let graft = Graft { snapshot, namespace, pod: None, hints: &hints, steps: &steps, name, group: &group };
        reasons.extend(graft.check());
    }
    reasons
}

/// What both levels say, by graft; what stands within one keeps its order, which is by key.
fn by_graft<'r, 'a>(
    of_pod: &'r [Annotation<'a>],
    of_namespace: &'r [Annotation<'a>],
) -> Vec<(Level, &'r Annotation<'a>)> {
    let said = of_pod.iter().map(|annotation| (Level::Pod, annotation));
    let mut all: Vec<_> = said.chain(of_namespace.iter().map(|annotation| (Level::Namespace, annotation))).collect();
    all.sort_by_key(|(_, annotation)| (annotation.template, annotation.instance));
    all
}

/// Every template and instance that some annotation names, and what is said of it.
fn groups<'a>(by_graft: &[(Level, &Annotation<'a>)]) -> impl Iterator<Item = (GraftName<'a>, Group<'a>)> {
    let name = |annotation: &Annotation<'a>| GraftName { template: annotation.template, instance: annotation.instance };
    by_graft.chunk_by(move |(_, a), (_, b)| name(a) == name(b)).filter_map(move |of_graft| {
        let (_, first) = of_graft.first()?;
        let mut group = Group::default();
        for (level, annotation) in of_graft {
            let said = if *level == Level::Pod { &mut group.pod } else { &mut group.namespace };
            match annotation.setting {
                Setting::Main(main) => said.main = Some((annotation.key, main)),
                Setting::Parameter(name, value) => said.parameters.push((name, annotation.key, value)),
            }
        }
        Some((name(first), group))
    })
}

/// One template and instance that some annotation names.
struct Graft<'g, 'a> {
    snapshot: &'a Snapshot,
    namespace: &'g str,
    /// The pod; none where a namespace's annotations are looked at by themselves.
    pod: Option<&'a Pod<'a>>,
    hints: &'g Hints,
    /// What the values of the request may still cost.
    steps: &'g Steps,
    name: GraftName<'a>,
    group: &'g Group<'a>,
}

impl<'a> Graft<'_, 'a> {
    fn resolve(&self, renderings: Option<&Renderings>, words: &mut renderings::Key, resolved: &mut Resolved<'a>) {
        let asked_by = self.group.asked_by();
        // Otherwise nothing is asked for. But a name that nobody knows is a typing error worth telling, if it is the pod's own:
        // whoever writes "false" there would get what they believe declined.
        let named_by = || Some((Level::Pod, self.group.pod.key()?));
        let Some((level, key)) = asked_by.or_else(named_by) else { return };
        let template = match self.template(level, key) {
            Ok(template) => template,
            // What is not asked for need not load.
            Err(Reason::BrokenTemplate { .. }) if asked_by.is_none() => return self.declined(resolved),
            Err(reason) => {
                let ignored = matches!(reason, Reason::UnknownTemplate { .. }) && self.warns_of_unknown();
                return self.fail(vec![(level, reason)], ignored, resolved);
            }
        };

        if asked_by.is_some() {
            let instance = self.name.instance.unwrap_or_default();
            self.group.write_key(instance, words);
            let kept = renderings.and_then(|renderings| renderings.find(template, words));
            // What was rendered before costs the same, so that no pod is let in for what came before it.
            match kept.filter(|rendering| self.steps.repeat(rendering.steps)) {
                Some(rendering) => self.ask(template, rendering, Vec::new(), resolved),
                None => self.render(template, words, renderings, resolved),
            }
            return;
        }
        let unknown = self.unknown(template, false, resolved);
        if unknown.is_empty() {
            self.declined(resolved);
        } else {
            self.fail(unknown, false, resolved);
        }
    }

    /// Notes what the pod declines. If nobody asks for it, there is nothing to note.
    fn declined(&self, resolved: &mut Resolved<'a>) {
        let declines = matches!(self.group.pod.main, Some((_, Main::No)));
        if declines && self.group.namespace.main.is_some_and(|(_, main)| main != Main::No) {
            resolved.not_applied.push(NotApplied { name: self.name, why: Why::Declined });
        }
    }

    /// Binds the parameters, for this pod and the next that says the same.
    fn render(
        &self,
        template: &'a Arc<Template>,
        words: &renderings::Key,
        renderings: Option<&Renderings>,
        resolved: &mut Resolved<'a>,
    ) {
        let warned = resolved.warnings.len();
        let mut mistakes = self.unknown(template, true, resolved);
        let before = self.steps.left();
        let parameters = self.bind(template, &mut mistakes);
        let steps = before - self.steps.left();
        if !mistakes.is_empty() {
            // It is never planned, so its targets are looked for here.
            if let (Some((key, names)), Some(pod)) = (self.containers(&mut mistakes), self.pod)
                && let Err(unknown) = targets::named(pod, &key, &names, self.hints)
            {
                mistakes.extend(unknown);
            }
            return self.refuse(template, mistakes, resolved);
        }
        let instance = self.name.instance.unwrap_or_default();
        let rendering = Arc::new(Rendering::of(template, instance, parameters, steps, &self.snapshot.policy));
        if let Some(renderings) = renderings
            && resolved.warnings.len() == warned
        {
            renderings.keep(template, words, &rendering);
        }
        self.ask(template, rendering, mistakes, resolved);
    }

    /// The graft is asked for, unless it names no targets where it should.
    fn ask(
        &self,
        template: &'a Arc<Template>,
        rendering: Arc<Rendering>,
        mut mistakes: Vec<(Level, Reason)>,
        resolved: &mut Resolved<'a>,
    ) {
        let containers = self.containers(&mut mistakes);
        if mistakes.is_empty() {
            let of_namespace = self.group.is_of_namespace();
            resolved.asked.push(Asked { name: self.name, template, rendering, containers, of_namespace });
        } else {
            self.refuse(template, mistakes, resolved);
        }
    }

    /// The graft can't be had, as its annotations are wrong. An unknown parameter of the pod denies it in any case.
    fn refuse(&self, template: &Template, mistakes: Vec<(Level, Reason)>, resolved: &mut Resolved<'a>) {
        let unknown = |(level, reason): &(Level, Reason)| {
            *level == Level::Pod && matches!(reason, Reason::UnknownParameter { .. })
        };
        let ignored = template.failure_policy == FailurePolicy::Ignore && !mistakes.iter().any(unknown);
        self.fail(mistakes, ignored, resolved);
    }

    /// Parameters that the template does not have; if they are but warned of, none.
    fn unknown(&self, template: &Template, asked: bool, resolved: &mut Resolved<'a>) -> Vec<(Level, Reason)> {
        let mut unknown = Vec::new();
        self.unknown_parameters(template, asked, &mut unknown);
        if self.warns_of_unknown() {
            resolved.warnings.extend(unknown.drain(..).map(|(_, reason)| Warning::LeftOut(Box::new(reason))));
        }
        unknown
    }

    /// All that is wrong with it, whoever asks for it.
    fn check(&self) -> Vec<Reason> {
        let said = &self.group.pod;
        let template = match self.template(Level::Pod, said.key().unwrap_or_default()) {
            Ok(template) => template,
            Err(reason) => return vec![reason],
        };
        let mut mistakes = Vec::new();
        self.unknown_parameters(template, true, &mut mistakes);
        self.bind(template, &mut mistakes);
        self.containers(&mut mistakes);
        let asked = said.main.is_some_and(|(_, main)| main != Main::No);
        let reasons = mistakes.into_iter().map(|(_, reason)| reason);
        reasons.filter(|reason| asked || !matches!(reason, Reason::MissingParameter { .. })).collect()
    }

    /// The template that its name stands for; the key is the one that names it.
    fn template(&self, level: Level, key: &str) -> Result<&'a Arc<Template>, Reason> {
        let template = self.name.template;
        let key = || Key::new(level, key);
        match self.snapshot.templates.find(self.namespace, template) {
            Lookup::Found(template) => Ok(template),
            Lookup::Broken(broken) => {
                let error = broken.error.summary();
                Err(Reason::BrokenTemplate { key: key(), template: template.to_owned(), error })
            }
            Lookup::Unknown => {
                let known = || self.snapshot.templates.names(self.namespace);
                Err(Reason::UnknownTemplate {
                    key: key(),
                    template: template.to_owned(),
                    nearest: self.hints.nearest(template, known()),
                    known: Known::new(known()),
                })
            }
        }
    }

    fn warns_of_unknown(&self) -> bool {
        self.snapshot.policy.on_unknown == OnUnknown::Warn
    }

    /// The graft can't be had. Mistakes of the namespace alone don't deny its pods.
    fn fail(&self, mistakes: Vec<(Level, Reason)>, ignored: bool, resolved: &mut Resolved<'a>) {
        if ignored || mistakes.iter().all(|(level, _)| *level == Level::Namespace) {
            if let Some((_, first)) = mistakes.first() {
                let why = Why::Ignored(Box::new(first.clone()));
                resolved.not_applied.push(NotApplied { name: self.name, why });
            }
            let reasons = mistakes.into_iter().map(|(_, reason)| reason);
            resolved.warnings.extend(reasons.map(|reason| Warning::LeftOut(Box::new(reason))));
        } else {
            resolved.reasons.extend(mistakes.into_iter().map(|(_, reason)| reason));
        }
    }

    fn unknown_parameters(&self, template: &Template, asked: bool, mistakes: &mut Vec<(Level, Reason)>) {
        for (level, said) in self.group.levels() {
            if level == Level::Namespace && !asked {
                continue;
            }
            for (name, key, _) in &said.parameters {
                if *name == CONTAINERS || template.parameters.iter().any(|parameter| parameter.name == *name) {
                    continue;
                }
                let known = || template.parameters.iter().map(|it| &*it.name).chain([CONTAINERS]);
                let reason = Reason::UnknownParameter {
                    key: Key::new(level, key),
                    template: template.name.clone(),
                    parameter: (*name).to_owned(),
                    nearest: self.hints.nearest(name, known()),
                    known: Known::new(known()),
                };
                mistakes.push((level, reason));
            }
        }
    }

    /// A value for each parameter: the pod's, else the namespace's, else the default.
    fn bind(&self, template: &Template, mistakes: &mut Vec<(Level, Reason)>) -> Vec<Bound> {
        if let Some((level, key, Main::Unclear(value))) = self.group.main() {
            let primary = template.primary.and_then(|index| template.parameters.get(index));
            let reason = Reason::NotBoolean {
                key: Key::new(level, key),
                value: value.to_owned(),
                parameter: primary.map(|parameter| parameter.name.clone()),
            };
            mistakes.push((level, reason));
        }
        for (level, said) in self.group.levels() {
            if let (Some((key, Main::Value(value))), None) = (said.main, template.primary) {
                let reason = Reason::NoPrimary {
                    key: Key::new(level, key),
                    template: template.name.clone(),
                    value: value.to_owned(),
                };
                mistakes.push((level, reason));
            }
        }
        let mut bound = Vec::with_capacity(template.parameters.len());
        for (index, parameter) in template.parameters.iter().enumerate() {
            let said = self.group.levels().into_iter().find_map(|(level, said)| {
                let main = match said.main {
                    Some((key, Main::Value(value))) if template.primary == Some(index) => Some((key, value)),
                    _ => None,
                };
                let own = said.parameter(&parameter.name);
                if let (Some((main_key, main)), Some((own_key, own))) = (main, own)
                    && main != own
                {
                    let reason = Reason::TwoValues {
                        key: Key::new(level, main_key),
                        other: Key::new(level, own_key),
                        parameter: parameter.name.clone(),
                        values: (!parameter.sensitive).then(|| (main.to_owned(), own.to_owned())),
                    };
                    mistakes.push((level, reason));
                }
                main.or(own).map(|(key, value)| (level, key, value))
            });
            match (said, &parameter.default) {
                (Some((level, key, text)), _) => match parameter.parse(text, self.steps) {
                    Ok(value) => {
                        let source = if level == Level::Pod { Source::Pod } else { Source::Namespace };
                        bound.push(Bound { value, source });
                    }
                    Err(error) => mistakes.push((level, Reason::BadValue { key: Key::new(level, key), error })),
                },
                (None, Some(value)) => bound.push(Bound { value: value.clone(), source: Source::Default }),
                (None, None) => {
                    let prefix = &self.snapshot.policy.annotation_prefix;
                    let instance = self.name.instance.map(|instance| format!("{instance}.")).unwrap_or_default();
                    let reason = Reason::MissingParameter {
                        graft: self.name.to_string(),
                        parameter: parameter.name.clone(),
                        key: format!("{instance}{prefix}/{}.{}", template.name, parameter.name),
                        allowed: parameter.allowed(),
                    };
                    // Whoever asked for the graft has to say it.
                    let level = self.group.main().map_or(Level::Pod, |(level, ..)| level);
                    mistakes.push((level, reason));
                }
            }
        }
        bound
    }

    fn containers(&self, mistakes: &mut Vec<(Level, Reason)>) -> Option<(Key, Vec<String>)> {
        let (level, key, text) = self
            .group
            .levels()
            .into_iter()
            .find_map(|(level, said)| said.parameter(CONTAINERS).map(|(key, text)| (level, key, text)))?;
        let key = Key::new(level, key);
        match list(text) {
            Ok(names) if !names.is_empty() => Some((key, names)),
            Ok(_) => {
                mistakes.push((level, Reason::BadContainers { key, problem: "the list is empty".to_owned() }));
                None
            }
            Err(problem) => {
                mistakes.push((level, Reason::BadContainers { key, problem }));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
