//! What a container needs of the pod that it comes to: settings that core/v1 allows in some pods alone.

use serde_json::Value;

/// What decides about it, as far as a template says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// How long its hooks sleep at most, in seconds.
    pub sleep: Option<i64>,
    /// Its `resizePolicy` has a `RestartContainer`.
    pub restart: bool,
    /// It has a `lifecycle.stopSignal`.
    pub stop_signal: bool,
    /// `securityContext.procMount` is `Unmasked`.
    pub unmasked: bool,
    /// `securityContext.windowsOptions.hostProcess`.
    pub host_process: Option<bool>,
}

impl Needs {
    /// What the members of a container and its `securityContext`, a map, say of it. Few say any: those that have none of
    /// the words are not read. What can't be read is no container, which is told elsewhere.
    #[must_use]
    pub fn of(members: &str, security_context: Option<&str>) -> Self {
        let mut needs = Self::default();
        if ["\"sleep\"", "\"RestartContainer\"", "\"stopSignal\""].iter().any(|word| members.contains(word)) {
            let container = read(&format!("{{{members}}}"));
            let seconds = |hook| container.pointer(hook)?.pointer("/sleep/seconds")?.as_i64();
            needs.sleep = ["/lifecycle/postStart", "/lifecycle/preStop"].into_iter().filter_map(seconds).max();
            needs.stop_signal = container.pointer("/lifecycle/stopSignal").is_some_and(Value::is_string);
            let policies = container.get("resizePolicy").and_then(Value::as_array);
            needs.restart =
                policies.into_iter().flatten().any(|policy| is(policy, "restartPolicy", "RestartContainer"));
        }
        let may_say = |context: &&str| context.contains("\"procMount\"") || context.contains("\"hostProcess\"");
        if let Some(context) = security_context.filter(may_say) {
            let context = read(context);
            needs.unmasked = is(&context, "procMount", "Unmasked");
            needs.host_process = context.pointer("/windowsOptions/hostProcess").and_then(Value::as_bool);
        }
        needs
    }
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

fn is(map: &Value, key: &str, text: &str) -> bool {
    map.get(key).and_then(Value::as_str) == Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_needs_is_found_where_it_stands() {
        let hooks = r#""lifecycle":{"postStart":{"sleep":{"seconds":5}},"preStop":{"sleep":{"seconds":60}}}"#;
        assert_eq!(Needs::of(hooks, None), Needs { sleep: Some(60), ..Needs::default() });
        let signal = r#""lifecycle":{"stopSignal":"SIGUSR1"}"#;
        assert_eq!(Needs::of(signal, None), Needs { stop_signal: true, ..Needs::default() });
        let resize = r#""args":["a"],"resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]"#;
        assert_eq!(Needs::of(resize, None), Needs { restart: true, ..Needs::default() });
        let context = r#"{"procMount":"Unmasked","windowsOptions":{"hostProcess":false}}"#;
        let wanted = Needs { unmasked: true, host_process: Some(false), ..Needs::default() };
        assert_eq!(Needs::of("", Some(context)), wanted);
    }

    #[test]
    fn the_words_elsewhere_are_no_needs() {
        let members = r#""args":["sleep","RestartContainer","stopSignal"],"lifecycle":{"preStop":{"exec":{"command":["sleep"]}}}"#;
        let context = r#"{"procMount":"Default","seLinuxOptions":{"level":"hostProcess"}}"#;
        assert_eq!(Needs::of(members, Some(context)), Needs::default());
    }
}
