//! Variables, and sources of variables, of the target containers.

use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Problems, Size, View, items, read, render};
use crate::inject::pod::{EnvSource, EnvVar};
use crate::template::expression::EvaluationError;
use crate::template::{Part, names};

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
        list::<core::EnvVar, _>(view, "env", part, |item| {
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
    pub fn render(view: View<'_>, part: Option<&Part>) -> Result<Vec<Self>, EvaluationError> {
        list::<core::EnvFromSource, _>(view, "envFrom", part, |item| {
            read::<EnvSource<'_>>(item.get(), "envFrom")?;
            Ok(Some(Self { json: item.get().to_owned() }))
        })
    }
}

/// A list of core/v1 `T`s, each read by `one`.
pub(super) fn list<T: DeserializeOwned, R>(
    view: View<'_>,
    field: &str,
    part: Option<&Part>,
    mut one: impl FnMut(&RawValue) -> Result<Option<R>, EvaluationError>,
) -> Result<Vec<R>, EvaluationError> {
    let Some(Part { node, verify, .. }) = part else { return Ok(Vec::new()) };
    let json = render(Some(node), view, None, field)?;
    let mut all = Vec::new();
    for item in items(json.as_ref(), field)? {
        if *verify {
            read::<T>(item.get(), field)?;
        }
        all.extend(one(item)?);
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
