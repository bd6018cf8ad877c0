//! What a graft adds to the pod itself: labels, annotations, pull secrets, host aliases. What the pod has stays.

use k8s_openapi::api::core::v1 as core;

use super::target::key_of;
use super::{Grafting, items, read, render};
use crate::inject::draft::{Field, NewField};
use crate::inject::json::{Members, Text, same};
use crate::inject::reason::Reason;
use crate::template::expression::EvaluationError;
use crate::template::node::write_string;
use crate::template::{Line, Part, names, verify};

impl<'a> Grafting<'_, 'a> {
    pub(super) fn pod_additions(&mut self) {
        let additions = &self.template().pod;
        let maps = [
            ("labels", Field::Label, additions.labels.as_ref()),
            ("annotations", Field::Annotation, additions.annotations.as_ref()),
        ];
        let lists = [
            ("imagePullSecrets", Field::ImagePullSecret, additions.image_pull_secrets.as_ref(), "name"),
            ("hostAliases", Field::HostAlias, additions.host_aliases.as_ref(), "ip"),
        ];
        for (place, field, part) in maps {
            let Some(part) = part else { continue };
            self.bindings.forget();
            if let Err(error) = self.map(place, field, part) {
                self.evaluation("pod", part.line, &error);
            }
        }
        for (place, field, part, key) in lists {
            let Some(part) = part else { continue };
            self.bindings.forget();
            if let Err(error) = self.list(place, field, part, key) {
                self.evaluation("pod", part.line, &error);
            }
        }
    }

    fn map(&mut self, place: &str, field: Field, part: &'a Part) -> Result<(), EvaluationError> {
        let Some(json) = render(Some(&part.node), self.bindings, None, place)? else { return Ok(()) };
        for (key, value) in read::<Members<'_, Text<'_>>>(&json, place)?.iter() {
            if field == Field::Label
                && let Some(problem) = names::label_value(value)
            {
                self.rendered(place, part.line, problem);
                continue;
            }
            let mut json = String::with_capacity(value.len() + 2);
            write_string(value, &mut json);
            self.field(field, key, json, part.line);
        }
        Ok(())
    }

    fn list(&mut self, place: &str, field: Field, part: &'a Part, key: &str) -> Result<(), EvaluationError> {
        let json = render(Some(&part.node), self.bindings, None, place)?;
        for item in items(json.as_ref(), place)? {
            match field {
                // Few templates have any: each is looked at.
                Field::HostAlias => self.all_rendered(place, part.line, verify::host_alias(item.get())),
                _ if part.verify => drop(read::<core::LocalObjectReference>(item.get(), place)?),
                _ => {}
            }
            let key = key_of(item, key)?;
            if key.is_empty() && field == Field::ImagePullSecret {
                self.rendered(place, part.line, "a pull secret needs a name".to_owned());
            }
            self.field(field, &key, item.get().to_owned(), part.line);
        }
        Ok(())
    }

    /// Plans an addition unless the pod has its key; two grafts have to agree on it.
    pub(super) fn field(&mut self, field: Field, key: &str, json: String, line: Line) {
        if self.pod_has(field, key) {
            return;
        }
        if let Some(earlier) = self.draft.fields.iter().find(|it| it.field == field && it.key == key) {
            if !same(&earlier.json, &json) {
                let with = earlier.graft;
                let what = format!("{} {key}", field.word());
                let reason = Reason::PodField { graft: self.name(), other: self.graft_name(with), what };
                self.clash(reason, Some(with));
            }
            return;
        }
        self.draft.fields.push(NewField { graft: self.index, line, field, key: key.to_owned(), json });
    }

    fn pod_has(&self, field: Field, key: &str) -> bool {
        let pod = self.context.pod;
        let metadata = pod.metadata.as_ref();
        let spec = pod.spec.as_ref();
        match field {
            Field::Label => metadata.and_then(|it| it.labels.as_ref()).is_some_and(|it| it.get(key).is_some()),
            Field::Annotation => {
                metadata.and_then(|it| it.annotations.as_ref()).is_some_and(|it| it.get(key).is_some())
            }
            Field::ImagePullSecret => {
                spec.and_then(|it| it.image_pull_secrets.as_ref()).is_some_and(|it| it.iter().any(|it| it.name == *key))
            }
            Field::HostAlias => {
                spec.and_then(|it| it.host_aliases.as_ref()).is_some_and(|it| it.iter().any(|it| it.ip == *key))
            }
        }
    }
}
