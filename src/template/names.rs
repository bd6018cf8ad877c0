//! The forms of names, from Kubernetes' `apimachinery/pkg/util/validation`: each says what is wrong, or nothing.

use super::diagnostic::shorten;

/// The longest template name: an annotation's name part holds 63 characters, and parameters need their share.
pub(crate) const MAX_TEMPLATE: usize = 40;

/// The longest name of a container or volume.
pub(crate) const MAX_LABEL: usize = 63;

/// RFC 1123 label: `IsDNS1123Label`.
pub(crate) fn label(name: &str, longest: usize) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let right = !name.is_empty()
        && name.len() <= longest
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    (!right).then(|| {
        format!(
            "`{}` is no name: at most {longest} lower-case letters, digits and `-`, with a letter or digit at both ends",
            shorten(name)
        )
    })
}

/// The name of an environment variable: `IsEnvVarName`. Kubernetes 1.34 takes more, 1.30 does not.
pub(crate) fn variable(name: &str) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let right = name.bytes().all(inner)
        && !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !matches!(name, "." | "..")
        && !name.starts_with("..");
    (!right).then(|| {
        format!("`{}` is no variable name: letters, digits, `_`, `-` and `.`, not a digit first", shorten(name))
    })
}

/// The name of a port: `IsValidPortName`, RFC 6335.
pub(crate) fn port(name: &str) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let right = (1..=15).contains(&name.len())
        && name.bytes().all(inner)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    (!right).then(|| {
        format!(
            "`{}` is no port name: at most 15 lower-case letters, digits and single `-` inside, at least one letter",
            shorten(name)
        )
    })
}

/// A key of a ConfigMap's or Secret's data: `IsConfigMapKey`.
pub(crate) fn data_key(key: &str) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let right = (1..=253).contains(&key.len()) && key.bytes().all(inner) && key != "." && !key.starts_with("..");
    (!right)
        .then(|| format!("`{}` is no key of a ConfigMap or Secret: letters, digits, `-`, `_` and `.`", shorten(key)))
}

/// The key of a label or annotation: `IsQualifiedName`.
pub(crate) fn qualified(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    (!is_name_part(name) || prefix.is_some_and(|prefix| !is_subdomain(prefix))).then(|| {
        format!(
            "`{}` is no key: an optional DNS name and `/`, then at most 63 letters, digits, `-`, `_` and `.`, with a \
             letter or digit at both ends",
            shorten(key)
        )
    })
}

/// The value of a label: `IsValidLabelValue`.
pub(crate) fn label_value(value: &str) -> Option<String> {
    (!value.is_empty() && !is_name_part(value)).then(|| {
        format!(
            "`{}` is no label value: at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
            shorten(value)
        )
    })
}

/// The value of an annotation, of which the API server reads this one: `GetDeletionCostFromPodAnnotations`.
pub(crate) fn annotation_value(key: &str, value: &str) -> Option<String> {
    if key != "controller.kubernetes.io/pod-deletion-cost" {
        return None;
    }
    let right = value.parse::<i32>().is_ok() && (value == "0" || !value.starts_with(['+', '0']));
    (!right).then(|| format!("`{}` is no cost: a whole number below 2^31", shorten(value)))
}

fn is_name_part(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
}

/// A DNS name: `IsDNS1123Subdomain`.
pub(crate) fn subdomain(name: &str) -> Option<String> {
    (!is_subdomain(name))
        .then(|| format!("`{}` is no DNS name: lower-case letters, digits, `-` and `.`", shorten(name)))
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| label(part, 253).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_of_kubernetes() {
        let accepts = |check: fn(&str) -> Option<String>, name: &str| check(name).is_none();
        for (name, right) in
            [("a", true), ("a-1", true), ("", false), ("-a", false), ("a-", false), ("A", false), ("a.b", false)]
        {
            assert_eq!(accepts(|name| label(name, 63), name), right, "{name}");
        }
        assert!(label(&"a".repeat(41), MAX_TEMPLATE).is_some());
        for (name, right) in [("A_b.c-d", true), ("1A", false), ("..", false), ("A=B", false), ("", false), ("_", true)]
        {
            assert_eq!(accepts(variable, name), right, "{name}");
        }
        for (name, right) in
            [("http", true), ("80", false), ("a--b", false), ("http-metrics-long", false), ("p2p", true)]
        {
            assert_eq!(accepts(port, name), right, "{name}");
        }
        for (key, right) in
            [("a.B_c-1", true), ("", false), (".", false), ("..a", false), ("a b", false), ("$(A)", false)]
        {
            assert_eq!(accepts(data_key, key), right, "{key}");
        }
        for (key, right) in [("app", true), ("example.com/App_1", true), ("/a", false), ("a/b/c", false), ("a/", false)]
        {
            assert_eq!(accepts(qualified, key), right, "{key}");
        }
        for (value, right) in [("", true), ("v1.0", true), ("-v", false), ("a b", false)] {
            assert_eq!(accepts(label_value, value), right, "{value}");
        }
    }
}
