//! What a graft adds to its target containers: variables before their own, mounts after.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value as Json;

use super::Grafting;
use crate::inject::draft::{NewMount, NewVariable};
use crate::inject::mounts::Mounted;
use crate::inject::paths;
use crate::inject::pod::{EnvSource, EnvVar, Target};
use crate::inject::reason::{Reason, Warning, cut};
use crate::inject::rendering::{Env, EnvFrom, Mount, Problems, View, read};
use crate::template::expansion::references;
use crate::template::expression::EvaluationError;
use crate::template::{Line, Part};

/// What the API server writes into a variable's source where it does not say it (core/v1's
/// `SetDefaults_ObjectFieldSelector`; a quantity that nobody sets is written as zero).
const WRITTEN_IN: [(&str, &str, &str); 2] = [("fieldRef", "apiVersion", "v1"), ("resourceFieldRef", "divisor", "0")];

/// Whether two variables have the same value.
fn same_value(a: &EnvVar<'_>, b: &EnvVar<'_>) -> bool {
    match (a.value_from, b.value_from) {
        (None, None) => a.value == b.value,
        (Some(a), Some(b)) => a.get() == b.get() || source(a.get()).is_some_and(|a| Some(a) == source(b.get())),
        _ => false,
    }
}

/// A variable's source as its author wrote it.
fn source(json: &str) -> Option<Json> {
    let mut source: Json = serde_json::from_str(json).ok()?;
    for (kind, key, value) in WRITTEN_IN {
        let reference = source.get_mut(kind).and_then(Json::as_object_mut);
        if let Some(reference) = reference
            && reference.get(key).and_then(Json::as_str) == Some(value)
        {
            reference.remove(key);
        }
    }
    Some(source)
}

impl<'p, 'a> Grafting<'_, 'p, 'a> {
    pub(super) fn target_additions(&mut self) {
        let (additions, rendering) = (&self.template().target, self.rendering());
        self.target_list("env", additions.env.as_ref(), rendering.env.as_deref(), Env::render, Self::variable);
        let (from, ready) = (additions.env_from.as_ref(), rendering.env_from.as_deref());
        self.target_list("envFrom", from, ready, EnvFrom::render, Self::variable_source);
        let (mounts, ready) = (additions.volume_mounts.as_ref(), rendering.mounts.as_deref());
        self.target_list("volumeMounts", mounts, ready, Mount::render, |this, mount, line| {
            this.target_mount(mount, line);
            Ok(())
        });
    }

    /// Adds each item of a list that stands under `target`.
    fn target_list<R>(
        &mut self,
        field: &str,
        part: Option<&'a Part>,
        ready: Option<&'p [R]>,
        render: impl FnOnce(View<'_>, Option<&Part>, &mut Problems) -> Result<Vec<R>, EvaluationError>,
        add: fn(&mut Self, &R, Line) -> Result<(), EvaluationError>,
    ) {
        let Some(Part { line, .. }) = part else { return };
        let add_all = |this: &mut Self, all: &[R]| {
            for item in all {
                // One too many is enough to be refused.
                if this.draft.is_too_much() || this.compares_too_much() {
                    break;
                }
                add(this, item, *line)?;
            }
            Ok(())
        };
        self.bindings.forget();
        let added = if let Some(all) = ready {
            add_all(self, all)
        } else {
            let place = format!("target.{field}");
            let all = self.open(&place, *line, |view, problems| render(view, part, problems));
            all.and_then(|all| add_all(self, &all))
        };
        if let Err(error) = added {
            self.evaluation("target", *line, &error);
        }
    }

    fn variable(&mut self, wanted: &Env, line: Line) -> Result<(), EvaluationError> {
        let variable: EnvVar<'_>;
        let mut refers_to = HashSet::new();
        if wanted.json.contains("$(") {
            variable = read(&wanted.json, "env")?;
            refers_to.extend(references(&variable.value));
        }
        for target in self.targets {
            self.variable_of(*target, wanted, &refers_to, line)?;
        }
        Ok(())
    }

    fn variable_of(
        &mut self,
        target: Target<'a>,
        wanted: &Env,
        refers_to: &HashSet<&str>,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let Env { name, json } = wanted;
        if let Some(own) = target.container.env.get().iter().find(|own| own.name == **name) {
            let recorded = self.recorded.and_then(|recorded| recorded.variables.get(target.name()));
            if recorded.is_some_and(|ours| ours.iter().any(|ours| **ours == **name)) {
                self.record.variable(target.name(), name.clone().into());
            } else if !same_value(own, &read(json, "env")?) {
                self.warn(Warning::VariableKept {
                    graft: self.name(),
                    variable: name.clone(),
                    container: target.name().to_owned(),
                });
            }
            return Ok(());
        }
        let planned = |it: &&NewVariable<'_>| it.target.name() == target.name() && it.name.as_ref() == Some(name);
        if let Some(earlier) = self.draft.variables.iter().find(planned) {
            let with = earlier.graft;
            let same = same_value(&read(&earlier.json, "env")?, &read(json, "env")?);
            if !same && with == self.index {
                self.rendered("target.env", line, format!("variable {name} is set twice, to different values"));
            } else if !same {
                let reason = Reason::Variable {
                    graft: self.name(),
                    other: self.graft_name(with),
                    variable: name.clone(),
                    container: target.name().to_owned(),
                };
                self.clash(reason, Some(with));
            }
            return Ok(());
        }
        // What is added comes before the target's own, and the kubelet looks up only what comes before.
        let mut own = target.container.env.get().iter().filter(|_| !refers_to.is_empty());
        if let Some(own) = own.find(|own| refers_to.contains(&*own.name)) {
            self.warn(Warning::VariableBehind {
                graft: self.name(),
                variable: name.clone(),
                refers_to: own.name.to_string(),
                container: target.name().to_owned(),
            });
        }
        self.record.variable(target.name(), name.clone().into());
        let (name, json) = (Some(name.clone()), json.clone());
        self.draft.variables.push(NewVariable { graft: self.index, line, target, name, json });
        Ok(())
    }

    fn variable_source(&mut self, EnvFrom { json }: &EnvFrom, line: Line) -> Result<(), EvaluationError> {
        let wanted: EnvSource<'_> = read(json, "envFrom")?;
        for target in self.targets {
            let own = wanted.is_known() && target.container.env_from.get().contains(&wanted);
            let planned =
                |it: &NewVariable<'_>| it.target.name() == target.name() && it.name.is_none() && it.json == *json;
            if !own && !self.draft.variables.iter().any(planned) {
                let json = json.clone();
                self.draft.variables.push(NewVariable { graft: self.index, line, target: *target, name: None, json });
            }
        }
        Ok(())
    }

    fn target_mount(&mut self, mount: &Mount, line: Line) {
        let Some(mounted) = self.resolve_mount(mount, "target.volumeMounts", line) else { return };
        for target in self.targets {
            if self.has_mount(target, &mounted) {
                if self.makes(&mounted.volume) {
                    self.record.mount(target.name(), mounted.path.to_string().into());
                }
                continue;
            }
            self.add_mount(NewMount {
                graft: self.index,
                line,
                target: *target,
                volume: mounted.volume.to_string().into(),
                path: mounted.path.to_string().into(),
                sub_path: mounted.sub_path.to_string().into(),
                computed: mounted.computed,
                read_only: mounted.read_only,
                json: mount.write(&mounted, String::with_capacity(128)),
            });
        }
    }

    /// A mount of the template: its volume's name in the template becomes the one in the pod, its sub path lies below
    /// the shared one. `None` when it can't be, which is noted.
    pub(super) fn resolve_mount<'m>(&mut self, mount: &'m Mount, field: &str, line: Line) -> Option<Mounted<'m>>
    where
        'p: 'm,
    {
        let Some(site) = self.sites.iter().find(|site| *site.name == *mount.volume) else {
            if !self.missing.contains(&&*mount.volume) {
                let problem = format!("volume {:?} of the template is not there for this pod", mount.volume);
                self.rendered(field, line, problem);
            }
            return None;
        };
        if mount.computed && !site.sub_path.is_empty() {
            let sub_path = cut(&site.sub_path);
            let problem = format!("subPathExpr can't be combined with subPath {sub_path:?} of the shared volume");
            self.rendered(field, line, problem);
            return None;
        }
        Some(Mounted {
            volume: site.volume.clone(),
            path: Cow::Borrowed(&mount.path),
            sub_path: paths::join(site.sub_path.clone(), &mount.sub_path),
            computed: mount.computed,
            read_only: mount.read_only,
            graft: Some(self.index),
        })
    }

    /// Another graft in messages.
    pub(super) fn graft_name(&self, index: usize) -> String {
        self.context.asked.get(index).map(|asked| asked.name.to_string()).unwrap_or_default()
    }
}
