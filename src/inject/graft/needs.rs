//! What an injected container needs of its pod, beside what the pod has: the API server compares them as well.

use super::Grafting;
use crate::inject::pod::{SecurityContext, Spec};
use crate::inject::rendering::Needs;
use crate::template::Line;

impl Grafting<'_, '_, '_> {
    /// Notes what the pod has that goes against a container.
    pub(super) fn needs(&mut self, name: &str, field: &str, line: Line, needs: Needs) {
        let Some(spec) = &self.context.pod.spec else { return };
        let all = [
            against_sleep(needs, spec),
            against_restart(needs, spec),
            against_signal(needs, spec),
            against_unmasked(needs, spec),
        ];
        let host_process = self.against_host_process(needs, spec);
        for problem in all.into_iter().flatten().chain(host_process) {
            self.rendered(field, line, format!("container {name}: {problem}"));
        }
    }

    /// Of the containers of a pod of Windows all are HostProcess containers, or none (`validateWindowsHostProcessPod`).
    fn against_host_process(&self, needs: Needs, spec: &Spec<'_>) -> Option<String> {
        let says = |context: &Option<SecurityContext>| context.as_ref()?.windows_options?.host_process;
        let of_pod = says(&spec.security_context);
        if let (Some(own), Some(of_pod)) = (needs.host_process, of_pod)
            && own != of_pod
        {
            return Some(format!("hostProcess {own} differs from the pod's own hostProcess {of_pod}"));
        }
        let ours = needs.host_process.or(of_pod).unwrap_or_default();
        let is_other = |own: Option<bool>| own.or(of_pod).unwrap_or_default() != ours;
        let (_, other) = self.of_pod().find(|(_, it)| is_other(says(&it.security_context)))?;
        let (we, it) = if ours { ("a", "none") } else { ("no", "one") };
        let other = &*other.name;
        Some(format!("it is {we} HostProcess container, and container {other:?} of the pod is {it}; all are, or none"))
    }
}

/// A hook does not sleep longer than the pod may take to end (`validateSleepAction`).
fn against_sleep(needs: Needs, spec: &Spec<'_>) -> Option<String> {
    let sleep = needs.sleep?;
    // The API server makes one second of what is below zero, and 30 of nothing (`DefaultTerminationGracePeriodSeconds`).
    let said = spec.termination_grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let grace = said.unwrap_or(30);
    let by = if said.is_some() { "" } else { " by default" };
    (sleep > grace).then(|| {
        format!(
            "a hook sleeps {sleep} seconds, longer than the pod's terminationGracePeriodSeconds, which is {grace}{by}"
        )
    })
}

/// Where nothing is restarted, no resize can ask for it (`validateResizePolicy`).
fn against_restart(needs: Needs, spec: &Spec<'_>) -> Option<String> {
    let never = needs.restart && &*spec.restart_policy == "Never";
    never.then(|| "resizePolicy RestartContainer is not allowed, as the pod has restartPolicy Never".to_owned())
}

/// What a signal means is up to the operating system, which the pod itself has to name (core/v1 `Lifecycle`).
fn against_signal(needs: Needs, spec: &Spec<'_>) -> Option<String> {
    let unnamed = needs.stop_signal && spec.os.as_ref().is_none_or(|os| os.name.is_empty());
    unnamed.then(|| "lifecycle.stopSignal is not allowed, as the pod has no os.name".to_owned())
}

/// An unmasked `/proc` is for pods with a user namespace of their own (`ValidateSecurityContext`).
fn against_unmasked(needs: Needs, spec: &Spec<'_>) -> Option<String> {
    let of_node = needs.unmasked && spec.host_users != Some(false);
    of_node.then(|| "procMount Unmasked is not allowed, as the pod does not have hostUsers: false".to_owned())
}
