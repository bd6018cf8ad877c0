//! What a graft adds to its target containers: variables before their own, mounts after.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Grafting, items, read, render};
use crate::inject::draft::{NewMount, NewVariable};
use crate::inject::json::{MapWriter, Members, Raw, Text, same};
use crate::inject::paths;
use crate::inject::pod::{EnvSource, EnvVar, VolumeMount};
use crate::inject::reason::{Reason, Warning};
use crate::inject::targets::Target;
use crate::inject::volumes::Mounted;
use crate::template::expression::EvaluationError;
use crate::template::{Line, Part, names};

/// Whether two variables have the same value.
fn same_value(a: &EnvVar<'_>, b: &EnvVar<'_>) -> bool {
    match (a.value_from, b.value_from) {
        (None, None) => a.value == b.value,
        (Some(a), Some(b)) => same(a.get(), b.get()),
        _ => false,
    }
}

impl<'a> Grafting<'_, 'a> {
    pub(super) fn target_additions(&mut self) {
        let additions = &self.template().target;
        self.target_list::<core::EnvVar>("env", additions.env.as_ref(), Self::variable);
        self.target_list::<core::EnvFromSource>("envFrom", additions.env_from.as_ref(), Self::variable_source);
        let mounts = additions.volume_mounts.as_ref();
        self.target_list::<core::VolumeMount>("volumeMounts", mounts, Self::target_mount);
    }

    /// Adds each item, a core/v1 `T`, of a list that stands under `target`.
    fn target_list<T: DeserializeOwned>(
        &mut self,
        field: &str,
        part: Option<&'a Part>,
        add: fn(&mut Self, &RawValue, Line) -> Result<(), EvaluationError>,
    ) {
        let Some(Part { node, line, verify }) = part else { return };
        self.bindings.forget();
        let added = render(Some(node), self.bindings, None, field).and_then(|json| {
            for item in items(json.as_ref(), field)? {
                // One too many is enough to be refused.
                if self.draft.is_too_much() {
                    break;
                }
                if *verify {
                    read::<T>(item.get(), field)?;
                }
                add(self, item, *line)?;
            }
            Ok(())
        });
        if let Err(error) = added {
            self.evaluation("target", *line, &error);
        }
    }

    fn variable(&mut self, item: &RawValue, line: Line) -> Result<(), EvaluationError> {
        let wanted: EnvVar<'_> = read(item.get(), "env")?;
        if let Some(problem) = names::variable(&wanted.name) {
            self.rendered("target.env", line, problem);
            return Ok(());
        }
        for target in self.targets {
            self.variable_of(*target, &wanted, item, line)?;
        }
        Ok(())
    }

    fn variable_of(
        &mut self,
        target: Target<'a>,
        wanted: &EnvVar<'_>,
        item: &RawValue,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let name = &*wanted.name;
        if let Some(own) = target.container.env.get().iter().find(|own| own.name == *name) {
            let recorded = self.recorded.and_then(|recorded| recorded.variables.get(target.name()));
            if recorded.is_some_and(|ours| ours.iter().any(|ours| **ours == *name)) {
                self.record.variable(target.name(), name);
            } else if !same_value(own, wanted) {
                self.warnings.push(Warning::VariableKept {
                    graft: self.name(),
                    variable: name.to_owned(),
                    container: target.name().to_owned(),
                });
            }
            return Ok(());
        }
        let planned = |it: &&NewVariable<'_>| it.target.name() == target.name() && it.name == name;
        if let Some(earlier) = self.draft.variables.iter().find(planned) {
            let with = earlier.graft;
            let same = same_value(&read(&earlier.json, "env")?, wanted);
            if !same && with == self.index {
                self.rendered("target.env", line, format!("variable {name} is set twice, to different values"));
            } else if !same {
                let reason = Reason::Variable {
                    graft: self.name(),
                    other: self.graft_name(with),
                    variable: name.to_owned(),
                    container: target.name().to_owned(),
                };
                self.clash(reason, Some(with));
            }
            return Ok(());
        }
        self.record.variable(target.name(), name);
        let json = item.get().to_owned();
        self.draft.variables.push(NewVariable { graft: self.index, line, target, name: name.to_owned(), json });
        Ok(())
    }

    fn variable_source(&mut self, item: &RawValue, line: Line) -> Result<(), EvaluationError> {
        let wanted: EnvSource<'_> = read(item.get(), "envFrom")?;
        for target in self.targets {
            let own = wanted.is_known() && target.container.env_from.get().contains(&wanted);
            let planned =
                |it: &NewVariable<'_>| it.target.name() == target.name() && it.name.is_empty() && it.json == item.get();
            if !own && !self.draft.variables.iter().any(planned) {
                let json = item.get().to_owned();
                let name = String::new();
                self.draft.variables.push(NewVariable { graft: self.index, line, target: *target, name, json });
            }
        }
        Ok(())
    }

    fn target_mount(&mut self, item: &RawValue, line: Line) -> Result<(), EvaluationError> {
        let Some((mount, json)) = self.resolve_mount(item, "target.volumeMounts", line)? else { return Ok(()) };
        for target in self.targets {
            if self.has_mount(target, &mount) {
                if self.makes(&mount.volume) {
                    self.record.mount(target.name(), &mount.path);
                }
                continue;
            }
            self.add_mount(NewMount {
                graft: self.index,
                line,
                target: *target,
                volume: mount.volume.to_string(),
                path: mount.path.to_string(),
                sub_path: mount.sub_path.to_string(),
                read_only: mount.read_only,
                json: json.clone(),
            });
        }
        Ok(())
    }

    /// A mount of the template: its volume's name in the template becomes the one in the pod, its sub path lies below
    /// the shared one. `None` when it can't be, which is noted.
    pub(super) fn resolve_mount(
        &mut self,
        item: &RawValue,
        field: &str,
        line: Line,
    ) -> Result<Option<(Mounted<'static>, String)>, EvaluationError> {
        let members: Members<'_, Raw<'_>> = read(item.get(), field)?;
        let mount = VolumeMount::of(&members);
        let path = match paths::check(&mount.mount_path) {
            Ok(path) => path,
            Err(problem) => {
                self.rendered(field, line, problem);
                return Ok(None);
            }
        };
        for sub_path in [&mount.sub_path, &mount.sub_path_expr] {
            if let Err(problem) = paths::check_sub_path(sub_path) {
                self.rendered(field, line, problem);
                return Ok(None);
            }
        }
        let Some(site) = self.sites.iter().find(|site| *site.name == *mount.name) else {
            if !self.missing.contains(&&*mount.name) {
                let problem = format!("volume {:?} of the template is not there for this pod", &*mount.name);
                self.rendered(field, line, problem);
            }
            return Ok(None);
        };
        let computed = !mount.sub_path_expr.is_empty();
        if computed && !site.sub_path.is_empty() {
            let problem =
                format!("subPathExpr can't be combined with subPath {:?} of the shared volume", site.sub_path);
            self.rendered(field, line, problem);
            return Ok(None);
        }
        let mounted = Mounted {
            volume: Cow::Owned(site.volume.clone()),
            path: Cow::Owned(path),
            sub_path: Cow::Owned(paths::join(&site.sub_path, &mount.sub_path).into_owned()),
            computed,
            read_only: mount.read_only.unwrap_or_default(),
            graft: Some(self.index),
        };
        let mut json = MapWriter::with_capacity(item.get().len() + mounted.volume.len());
        json.text("name", &mounted.volume);
        for (key, value) in members.iter() {
            if key != "name" && key != "subPath" {
                json.json(key, value.get());
            }
        }
        if !mounted.sub_path.is_empty() {
            json.text("subPath", &mounted.sub_path);
        }
        Ok(Some((mounted, json.finish())))
    }

    /// Another graft in messages.
    pub(super) fn graft_name(&self, index: usize) -> String {
        self.context.asked.get(index).map(|asked| asked.name.to_string()).unwrap_or_default()
    }
}

/// A list's own key of an entry: what makes two entries the same.
pub(super) fn key_of<'j>(item: &'j RawValue, key: &str) -> Result<Text<'j>, EvaluationError> {
    let members: Members<'j, Raw<'j>> = read(item.get(), key)?;
    match members.get(key) {
        Some(value) => read(value.get(), key),
        None => Ok(Text::default()),
    }
}
