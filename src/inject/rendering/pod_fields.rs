//! What is added to the pod itself: labels, annotations, pull secrets, host aliases.

use k8s_openapi::api::core::v1 as core;
use serde_json::value::RawValue;

use super::{Problems, Size, View, items, read, render};
use crate::inject::draft::Field;
use crate::inject::json::{Members, Raw, Text};
use crate::json::write_string;
use crate::template::expression::EvaluationError;
use crate::template::{Part, PodAdditions, names, verify};

/// A member of a map, or an entry of a list with its key.
#[derive(Debug)]
pub struct Member {
    /// Its key there: label, annotation, secret name, IP.
    pub key: String,
    /// The value or entry.
    pub json: String,
}

/// The maps and lists that a template adds to.
#[must_use]
pub fn each(additions: &PodAdditions) -> [(Field, Option<&Part>); 4] {
    [
        (Field::Label, additions.labels.as_ref()),
        (Field::Annotation, additions.annotations.as_ref()),
        (Field::ImagePullSecret, additions.image_pull_secrets.as_ref()),
        (Field::HostAlias, additions.host_aliases.as_ref()),
    ]
}

impl Member {
    /// Renders all of one.
    pub fn render(
        view: View<'_>,
        field: Field,
        part: Option<&Part>,
        problems: &mut Problems,
    ) -> Result<Vec<Self>, EvaluationError> {
        let Some(part) = part else { return Ok(Vec::new()) };
        let place = field.place();
        let Some(json) = render(Some(&part.node), view, None, place)? else { return Ok(Vec::new()) };
        match field {
            Field::Label | Field::Annotation => {
                let members = read::<Members<'_, Text<'_>>>(&json, place)?;
                Ok(members.iter().filter_map(|(key, value)| Self::of_map(field, key, value, problems)).collect())
            }
            Field::ImagePullSecret | Field::HostAlias => {
                let all = items(Some(&json), place)?.into_iter();
                all.map(|item| Self::of_list(field, item, part.verify, problems)).collect()
            }
        }
    }

    fn of_map(field: Field, key: &str, value: &str, problems: &mut Problems) -> Option<Self> {
        let wrong = match field {
            Field::Label => names::label_value(value),
            _ => names::annotation_value(key, value),
        };
        if let Some(problem) = wrong {
            problems.push(format!("{key}: {problem}"));
            return None;
        }
        let mut json = String::with_capacity(value.len() + 2);
        write_string(value, &mut json);
        Some(Self { key: key.to_owned(), json })
    }

    fn of_list(field: Field, item: &RawValue, verify: bool, problems: &mut Problems) -> Result<Self, EvaluationError> {
        let (json, place) = (item.get(), field.place());
        match field {
            // Few templates have any: each is looked at.
            Field::HostAlias => problems.extend(verify::host_alias(json)),
            _ if verify => drop(read::<core::LocalObjectReference>(json, place)?),
            _ => {}
        }
        let of = if field == Field::HostAlias { "ip" } else { "name" };
        let key: Text<'_> = match read::<Members<'_, Raw<'_>>>(json, of)?.get(of) {
            Some(value) => read(value.get(), of)?,
            None => Text::default(),
        };
        if key.is_empty() && field == Field::ImagePullSecret {
            problems.push("a pull secret needs a name".to_owned());
        }
        Ok(Self { key: key.0.into_owned(), json: json.to_owned() })
    }
}

impl Size for Member {
    fn bytes(&self) -> usize {
        self.key.len() + self.json.len()
    }
}
