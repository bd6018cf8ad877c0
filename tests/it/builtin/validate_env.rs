//! `validate-env` over real environments.

use serde_json::{Value, json};

use super::busybox::Busybox;
use super::container_beside;

/// The container for these variables, beside an app with this environment.
fn validator(variables: &[&str], environment: &Value) -> Value {
    let app = json!({"name": "web", "image": "nginx:1.27", "env": environment});
    container_beside(&app, "validate-env", &[("inject/validate-env", &json!(variables).to_string())])
}

/// What it says, and whether it is content.
fn validate(busybox: &Busybox, variables: &[&str], environment: &Value) -> (bool, String) {
    let mut running = busybox.start(&validator(variables, environment));
    let ended = running.end();
    (ended.success(), running.output())
}

#[test]
fn every_variable_that_is_wrong_is_named_and_no_value_shown() {
    let Some(busybox) = Busybox::find() else { return };
    let environment = json!([
        {"name": "HOST", "value": "orders-db"},
        {"name": "PORT", "value": "hunter2"},
        {"name": "EMPTY", "value": ""},
        {"name": "spring.profiles.active", "value": "hunter3"},
    ]);
    let variables = ["HOST", "PORT=[0-9]+", "EMPTY", "MISSING", "MISSING_TOO=x", "spring.profiles.active=dev|prod"];
    let (content, output) = validate(&busybox, &variables, &environment);
    assert!(!content);
    assert_eq!(
        output,
        "PORT does not match [0-9]+, EMPTY is empty, MISSING is not set, MISSING_TOO is not set, \
         spring.profiles.active does not match dev|prod\n"
    );
}

#[test]
fn the_whole_value_has_to_match() {
    let Some(busybox) = Busybox::find() else { return };
    for (value, pattern, matches) in [
        ("5432", "[0-9]+", true),
        ("5432x", "[0-9]+", false),
        ("x5432", "[0-9]+", false),
        ("b", "a|b", true),
        ("bc", "a|b", false),
        ("", "x*", true),
        ("a\nb", "a.b", true),
        ("a\nb", "a|b", false),
        ("a.b", r"a\.b", true),
        ("axb", r"a\.b", false),
        ("aaaa", "a{2,3}", false),
        ("a=b", "a=b", true),
        ("$(HOME) `id` \\ \"", r#"[$][(]HOME[)] `id` \\ ""#, true),
        ("$HOME", "^[$]HOME$", true),
    ] {
        // An app's own text is expanded by the kubelet.
        let environment = json!([{"name": "VALUE", "value": value.replace('$', "$$")}]);
        let (content, output) = validate(&busybox, &[&format!("VALUE={pattern}")], &environment);
        assert_eq!(content, matches, "{value:?} and {pattern:?}: {output}");
    }
}

#[test]
fn a_pattern_that_is_none_fails_with_its_reason() {
    let Some(busybox) = Busybox::find() else { return };
    let environment = json!([{"name": "VALUE", "value": "hunter2"}]);
    let mut running = busybox.start(&validator(&["VALUE=("], &environment));
    assert!(!running.end().success());
    assert!(!running.output().contains("hunter2"));
}
