//! Variables, and sources of variables, of the target containers.

use serde_json::value::RawValue;

use super::{Problems, Size, View, read, render};
use crate::inject::pod::{EnvSource, EnvVar};
use crate::template::expression::EvaluationError;
use crate::template::{Part, names, verify};

/// An entry of `env`.
#[derive(Debug)]
pub struct Env {
    /// Its name.
    pub name: String,
    /// The entry.
    pub json: String,
}

impl Env {
    /// Renders the list.
    pub fn render(view: View<'_>, part: Option<&Part>, problems: &mut Problems) -> Result<Vec<Self>, EvaluationError> {
        list(view, "env", part, problems, |item, problems| {
            let EnvVar { name, .. } = read(item.get(), "env")?;
            if let Some(problem) = names::variable(&name) {
                problems.push(problem);
                return Ok(None);
            }
            Ok(Some(Self { name: name.0.into_owned(), json: item.get().to_owned() }))
        })
    }
}

/// An entry of `envFrom`.
#[derive(Debug)]
pub struct EnvFrom {
    /// The entry.
    pub json: String,
}

impl EnvFrom {
    /// Renders the list.
    pub fn render(view: View<'_>, part: Option<&Part>, problems: &mut Problems) -> Result<Vec<Self>, EvaluationError> {
        list(view, "envFrom", part, problems, |item, _| {
            read::<EnvSource<'_>>(item.get(), "envFrom")?;
            Ok(Some(Self { json: item.get().to_owned() }))
        })
    }
}

/// A list of the target containers, each item read by `one`.
pub(super) fn list<R>(
    view: View<'_>,
    field: &str,
    part: Option<&Part>,
    problems: &mut Problems,
    mut one: impl FnMut(&RawValue, &mut Problems) -> Result<Option<R>, EvaluationError>,
) -> Result<Vec<R>, EvaluationError> {
    let Some(Part { node, verify, .. }) = part else { return Ok(Vec::new()) };
    let Some(json) = render(Some(node), view, None, field)? else { return Ok(Vec::new()) };
    if *verify {
        problems.extend(verify::target(field, &json));
    }
    let mut all = Vec::new();
    for item in read::<Vec<&RawValue>>(&json, field)? {
        all.extend(one(item, problems)?);
    }
    Ok(all)
}

impl Size for Env {
    fn bytes(&self) -> usize {
        self.name.len() + self.json.len()
    }
}

impl Size for EnvFrom {
    fn bytes(&self) -> usize {
        self.json.len()
    }
}
