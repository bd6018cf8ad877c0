//! `environment: target`: an injected container finds what its graft's first target finds in its environment.
//!
//! Filled in when all grafts are planned, as what they add to that target counts too. The order is the target's, so that
//! `$(VAR)` means the same: what grafts add, the target's own, and last the container's own, which may refer to both. Of
//! a name, and of a source of variables, the last one wins; an earlier one of the name stays where another refers to it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::asked::Asked;
use super::draft::{Draft, GraftIndex, NewContainer, NewVariable};
use super::json::{MapWriter, Members, Raw, Text};
use super::pod::{EnvSource, EnvVar, Target};
use super::reason::Reason;
use crate::json::write_string;
use crate::template::expansion::references;

/// The most bytes that all copies in one pod together may take: more than any pod that runs has, and with them it is no larger
/// than one that may ask ([`super::crowd::MAX_ENTRIES`]).
const MAX_COPIED: usize = 256 * 1024;

/// Completes the planned containers that get their target's environment: the grafts that can't have it, and why.
pub fn hand_on(asked: &[Asked<'_>], draft: &mut Draft<'_, '_>) -> Vec<(GraftIndex, Reason)> {
    let Draft { containers, variables, .. } = draft;
    let mut waiting: Vec<_> = containers.iter_mut().filter(|it| it.environment_of.is_some()).collect();
    // If there is too much, the last one goes: rather one that may.
    waiting.sort_by_key(|it| asked[it.graft].may_be_left_out());
    let (mut copied, mut wrong) = (0, Vec::new());
    for container in waiting {
        let graft = || asked[container.graft].name.to_string();
        let Some(target) = container.environment_of else { continue };
        let added: Vec<_> = variables.iter().filter(|it| it.target.name() == target.name()).collect();
        let of_target = target.container.env.text_len() + target.container.env_from.text_len();
        let found = copied + of_target + added.iter().map(|it| it.json.len()).sum::<usize>();
        if found > MAX_COPIED {
            let what = "bytes of environment to copy into injected containers";
            wrong.push((container.graft, Reason::TooMuch { graft: graft(), what, found, most: MAX_COPIED }));
            continue;
        }
        copied = found;
        match complete(container, &target, &added) {
            Ok(completed) => container.json = completed.into(),
            Err(error) => {
                let (place, message) = (place(container), error.to_string());
                let reason = Reason::Evaluation { graft: graft(), place, message };
                wrong.push((container.graft, reason));
            }
        }
    }
    wrong
}

/// Whose environment is wrong, for messages.
pub fn place(container: &NewContainer<'_, '_>) -> String {
    format!("environment of container {:?}", container.name)
}

/// The container with its target's environment before its own.
fn complete(
    container: &NewContainer<'_, '_>,
    target: &Target<'_>,
    added: &[&NewVariable<'_>],
) -> Result<String, serde_json::Error> {
    let members: Members<'_, Raw<'_>> = serde_json::from_str(&container.json)?;
    let own = |key| members.get(key).map_or("[]", |list| list.get());
    let mut written = MapWriter::with_capacity(container.json.len() + 1024);
    for (key, value) in members.iter().filter(|(key, _)| !matches!(*key, "env" | "envFrom")) {
        written.json(key, value.get());
    }
    list(&mut written, "env", &variables(own("env"), target, added)?);
    list(&mut written, "envFrom", &sources(own("envFrom"), target, added)?);
    Ok(written.finish())
}

fn variables<'j>(
    own: &'j str,
    target: &'j Target<'_>,
    added: &[&'j NewVariable<'_>],
) -> Result<Vec<Cow<'j, str>>, serde_json::Error> {
    let mut all = Vec::new();
    for it in added.iter().filter(|it| it.name.is_some()) {
        all.push((serde_json::from_str::<EnvVar<'_>>(&it.json)?, there(&it.json, target)));
    }
    let env = &target.container.env;
    for (variable, json) in env.get().iter().zip(env.items()) {
        all.push((variable.clone(), there(json.get(), target)));
    }
    for json in serde_json::from_str::<Vec<Raw<'_>>>(own)? {
        all.push((serde_json::from_str::<EnvVar<'_>>(json.get())?, Cow::Borrowed(json.get())));
    }
    let hidden = hidden(all.iter().map(|(variable, _)| variable));
    let kept = all.into_iter().enumerate().filter(|(index, _)| !hidden.contains(index));
    Ok(kept.map(|(_, (_, json))| json).collect())
}

/// Which variables come to nothing: a later one has the name, and none up to that refers to it. The kubelet reads a list
/// in its order, so that one which is referred to has a part in what is behind it.
fn hidden<'e>(variables: impl Iterator<Item = &'e EnvVar<'e>>) -> HashSet<usize> {
    let (mut hidden, mut latest) = (HashSet::new(), HashMap::new());
    for (index, variable) in variables.enumerate() {
        for name in references(&variable.value) {
            if let Some((_, referred)) = latest.get_mut(name) {
                *referred = true;
            }
        }
        if let Some((earlier, false)) = latest.insert(&*variable.name, (index, false)) {
            hidden.insert(earlier);
        }
    }
    hidden
}

fn sources<'j>(
    own: &'j str,
    target: &'j Target<'_>,
    added: &[&'j NewVariable<'_>],
) -> Result<Vec<Cow<'j, str>>, serde_json::Error> {
    let mut all = Vec::new();
    for it in added.iter().filter(|it| it.name.is_none()) {
        all.push((Source::of(&it.json), Cow::Borrowed(&*it.json)));
    }
    let env_from = &target.container.env_from;
    for (_, json) in env_from.get().iter().zip(env_from.items()) {
        all.push((Source::of(json.get()), Cow::Borrowed(json.get())));
    }
    for json in serde_json::from_str::<Vec<Raw<'_>>>(own)? {
        all.push((Source::of(json.get()), Cow::Borrowed(json.get())));
    }
    Ok(last_of_each(all))
}

/// What makes two sources of variables the same: what they say, if all of it is known, else their text.
#[derive(PartialEq, Eq, Hash)]
enum Source<'j> {
    Known(EnvSource<'j>),
    Other(&'j str),
}

impl<'j> Source<'j> {
    fn of(json: &'j str) -> Self {
        let source = serde_json::from_str(json).ok();
        source.filter(EnvSource::is_known).map_or(Self::Other(json), Self::Known)
    }
}

/// The entries without those whose key comes again.
fn last_of_each<K: Eq + Hash>(entries: Vec<(K, Cow<'_, str>)>) -> Vec<Cow<'_, str>> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut kept: Vec<_> =
        entries.into_iter().rev().filter_map(|(key, json)| seen.insert(key).then_some(json)).collect();
    kept.reverse();
    kept
}

fn list(written: &mut MapWriter, key: &str, entries: &[Cow<'_, str>]) {
    if !entries.is_empty() {
        let out = written.member(key);
        out.push('[');
        out.push_str(&entries.join(","));
        out.push(']');
    }
}

/// A variable of the target as another container has to say it. A `resourceFieldRef` without a container's name means the
/// container that it stands in (Kubernetes API reference, ResourceFieldSelector); a name may be any container's (tried).
fn there<'j>(variable: &'j str, target: &Target<'_>) -> Cow<'j, str> {
    named(variable, target.name()).map_or(Cow::Borrowed(variable), Cow::Owned)
}

/// The variable with a container's name in its `resourceFieldRef`; `None` if it has one, or needs none.
fn named(variable: &str, container: &str) -> Option<String> {
    if !variable.contains("\"resourceFieldRef\"") {
        return None;
    }
    let variable: Members<'_, Raw<'_>> = serde_json::from_str(variable).ok()?;
    let source: Members<'_, Raw<'_>> = serde_json::from_str(variable.get("valueFrom")?.get()).ok()?;
    let reference = source.get("resourceFieldRef").filter(|reference| reference.get() != "null")?;
    let reference: Members<'_, Raw<'_>> = serde_json::from_str(reference.get()).ok()?;
    if reference.get("containerName").is_some_and(|name| !Text::of(name).is_empty()) {
        return None;
    }
    let mut name = String::new();
    write_string(container, &mut name);
    let reference = with(&reference, "containerName", &name);
    let source = with(&source, "resourceFieldRef", &reference);
    Some(with(&variable, "valueFrom", &source))
}

/// The map with this member instead of one of the same key.
fn with(members: &Members<'_, Raw<'_>>, key: &str, json: &str) -> String {
    let mut written = MapWriter::with_capacity(128);
    for (key, value) in members.iter().filter(|(other, _)| *other != key) {
        written.json(key, value.get());
    }
    written.json(key, json);
    written.finish()
}
