//! What a graft adds to the pod itself: labels, annotations, pull secrets, host aliases. What the pod has stays.

use super::Grafting;
use crate::inject::draft::{Field, NewField};
use crate::inject::json::same;
use crate::inject::reason::Reason;
use crate::inject::rendering::{Member, fields};
use crate::template::Line;

impl Grafting<'_, '_, '_> {
    pub(super) fn pod_additions(&mut self) {
        let rendering = self.rendering();
        for ((field, part), ready) in fields(&self.template().pod).into_iter().zip(&rendering.fields) {
            let Some(line) = part.map(|part| part.line) else { continue };
            let add_all = |this: &mut Self, all: &[Member]| {
                for Member { key, json } in all {
                    this.field(field, key, json.clone(), line);
                }
            };
            if let Some(all) = ready {
                add_all(self, all);
                continue;
            }
            self.bindings.forget();
            let place = format!("pod.{}", field.place());
            match self.open(&place, line, |view, problems| Member::render(view, field, part, problems)) {
                Ok(all) => add_all(self, &all),
                Err(error) => self.evaluation("pod", line, &error),
            }
        }
    }

    /// Plans an addition unless the pod has its key; two grafts have to agree on it. The entries that one template gives
    /// a key of a list go in together: of host aliases several may have one IP.
    fn field(&mut self, field: Field, key: &str, json: String, line: Line) {
        if self.pod_has(field, key) {
            return;
        }
        let earlier = || self.draft.fields.iter().filter(|it| it.field == field && it.key == key);
        // Only texts are compared with all of them: there may be many of one key.
        if earlier().any(|it| it.json == json) {
            return;
        }
        if let Some(other) = earlier().find(|it| it.graft != self.index) {
            if !same(&other.json, &json) {
                let with = other.graft;
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
