//! `deploy/crds.yaml`: made from the types, and in step with what the loader knows.

use std::collections::BTreeSet;

use podgraft::cluster;
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::Value;

use crate::generated::up_to_date;

#[test]
fn the_definitions_are_up_to_date() {
    let mut text =
        String::from("# Made from src/cluster/resource.rs: PODGRAFT_UPDATE=1 cargo test --test it up_to_date\n");
    for definition in cluster::definitions() {
        let mut definition = serde_json::to_value(definition).unwrap();
        definition.as_object_mut().unwrap().retain(|key, _| key != "status");
        let options = serde_saphyr::ser_options! { compact_list_indent: true, folded_wrap_chars: usize::MAX };
        text += "---\n";
        text += &serde_saphyr::to_string_with_options(&definition, options).unwrap();
    }
    up_to_date("deploy/crds.yaml", &text);
}

/// The loader says what it knows when it finds a field that it doesn't.
#[test]
fn the_schema_has_the_fields_of_the_loader() {
    let definitions = cluster::definitions();
    let schemas =
        definitions.iter().map(|definition| serde_json::to_value(&definition.spec.versions[0].schema).unwrap());
    for schema in schemas {
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let at = |path: &str| spec.pointer(path).unwrap_or_else(|| panic!("{path} in {spec:#}"));
        let items = |list: &str| format!("/properties/{list}/items");
        for (pointer, template) in [
            (String::new(), "NOSUCHTHING: 1"),
            (
                "/properties/parameters/additionalProperties".to_owned(),
                "parameters: {a: {type: string, NOSUCHTHING: 1}}",
            ),
            (items("validations"), "validations: [{expression: 'true', message: m, NOSUCHTHING: 1}]"),
            ("/properties/order".to_owned(), "order: {NOSUCHTHING: 1}"),
            (items("sharedVolumes"), "sharedVolumes: [{name: a, mountPath: /a, NOSUCHTHING: 1}]"),
            ("/properties/target".to_owned(), "target: {NOSUCHTHING: 1}"),
            ("/properties/pod".to_owned(), "pod: {NOSUCHTHING: 1}"),
        ] {
            let properties = at(&format!("{pointer}/properties")).as_object().unwrap();
            let ours: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            let theirs = known(template);
            assert_eq!(ours, theirs.iter().map(String::as_str).collect(), "{pointer}");
        }
        // Of core/v1's fields only some are told; podgraft's own are refused with other values than theirs.
        let container = at("/properties/sidecars/items/properties");
        for (field, word) in [("environment", "target"), ("runAs", "target"), ("serviceAccountToken", "mount")] {
            assert!(container[field]["enum"].as_array().unwrap().contains(&word.into()), "{field}");
        }
    }
}

/// The fields that the loader knows where `NOSUCHTHING` stands.
fn known(spec: &str) -> BTreeSet<String> {
    let text =
        format!("apiVersion: podgraft.dev/v1alpha1\nkind: InjectionTemplate\nmetadata: {{name: a}}\nspec:\n  {spec}\n");
    let error = template::load(Origin("a".into()), &text, &LoadOptions::default()).expect_err("an unknown field");
    let about = error.diagnostics.iter().find(|diagnostic| diagnostic.message.contains("NOSUCHTHING")).expect(spec);
    let help = about.help.as_deref().unwrap();
    help.strip_prefix("known here: ").expect(help).split(", ").map(str::to_owned).collect()
}

/// What the schema refuses without a look at the template's meaning.
#[test]
fn words_are_those_of_the_loader() {
    let definition = serde_json::to_value(&cluster::definitions()[0].spec.versions[0].schema).unwrap();
    let spec = &definition["openAPIV3Schema"]["properties"]["spec"]["properties"];
    for field in ["targets", "failurePolicy", "os", "hostNetwork", "podSecurity"] {
        let words = spec[field]["enum"].as_array().unwrap();
        for word in words.iter().filter_map(Value::as_str) {
            let extra = if field == "os" { "" } else { "\n  os: linux" };
            let text = format!(
                "apiVersion: podgraft.dev/v1alpha1\nkind: InjectionTemplate\nmetadata: {{name: a}}\nspec:\n  \
                 target: {{env: [{{name: A, value: b}}]}}\n  {field}: {word}{extra}\n"
            );
            let loaded = template::load(Origin("a".into()), &text, &LoadOptions::default());
            assert!(
                loaded.is_ok(),
                "{field}: {word}: {}",
                loaded.err().map(|error| error.summary()).unwrap_or_default()
            );
        }
    }
}
