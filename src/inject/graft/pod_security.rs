//! What a graft adds, under the Pod Security Standard that the namespace enforces: completed where it can be, and what is
//! left is told before the API server denies the pod. Which pods are exempt, only its configuration files say.

use super::Grafting;
use crate::inject::pod::Volume;
use crate::inject::reason::{Reason, Warning};
use crate::inject::rendering::read;
use crate::snapshot::OnError;
use crate::template::Enforced;
use crate::template::expression::EvaluationError;
use crate::template::pod_security::enforce::{Around, Hardened};

impl Grafting<'_, '_, '_> {
    /// Completes the graft's containers, and says what else the standard has against it.
    pub(super) fn pod_security(&mut self) {
        let Some(enforced) = self.context.pod_security else { return };
        match self.held_to(enforced) {
            Ok(broken) => broken.into_iter().for_each(|(what, rule)| self.breaks(what, rule)),
            Err(error) => self.evaluation("podSecurity", self.template().line, &error),
        }
    }

    /// Each rule that is broken, and what breaks it.
    fn held_to(&mut self, enforced: Enforced) -> Result<Vec<(String, String)>, EvaluationError> {
        let spec = self.context.pod.spec.as_ref();
        let around = Around {
            windows: self.template().os == "windows",
            user_namespace: spec.is_some_and(|spec| spec.host_users == Some(false)),
            user: spec.and_then(|spec| spec.security_context?.run_as_user),
        };
        let (index, mut broken) = (self.index, Vec::new());
        for container in self.draft.containers.iter_mut().filter(|it| it.graft == index) {
            let Hardened { completed, broken: rules } =
                enforced.container(&container.json, around).map_err(|error| EvaluationError::unreadable(&error))?;
            if let Some(completed) = completed {
                container.json = completed.into();
            }
            broken.extend(rules.into_iter().map(|rule| (format!("container {:?}", container.name), rule)));
        }
        for volume in self.draft.volumes.iter().filter(|it| it.graft == index) {
            let of_volume = read::<Volume<'_>>(&volume.json, "volume")?;
            let rules = of_volume.source.iter().filter_map(|(source, _)| enforced.volume(source));
            broken.extend(rules.map(|rule| (format!("volume {:?}", volume.name), rule)));
        }
        Ok(broken)
    }

    fn breaks(&mut self, what: String, rule: String) {
        let graft = self.name();
        match self.context.policy.psa_errors {
            OnError::Warn => self.warn(Warning::PodSecurity { graft, what, rule }),
            OnError::Deny => self.refuse(Reason::PodSecurity { graft, what, rule }),
        }
    }
}
