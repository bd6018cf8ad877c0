//! Names of what is added, and the rules of core/v1 for what an expression may have made.

use crate::inject::annotations::is_label;
use crate::inject::reason::quote;

/// The longest name of a container or volume: an RFC 1123 label.
const LONGEST: usize = 63;

/// Names joined by `-`; over 63 characters they are cut, and a hash of the whole keeps them apart.
#[must_use]
pub fn joined<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let whole = parts.join("-");
    if whole.len() <= LONGEST || !whole.is_ascii() {
        return whole;
    }
    let hash = crate::template::fnv1a(whole.as_bytes()) & 0xffff_ffff;
    let kept = whole[..LONGEST - 9].trim_end_matches('-');
    format!("{kept}-{hash:08x}")
}

/// The name of a container or volume in the pod.
///
/// # Errors
///
/// It is no RFC 1123 label.
pub fn label(name: String) -> Result<String, String> {
    if is_label(&name) {
        Ok(name)
    } else {
        Err(format!("{} is no name; allowed: lower case letters, digits and '-'", quote(&name)))
    }
}

/// A variable's name, in the notation that every supported version accepts (relaxed since 1.32).
///
/// # Errors
///
/// What is allowed.
pub fn variable(name: &str) -> Result<(), String> {
    let ok = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && name != "."
        && !name.starts_with("..");
    if ok {
        Ok(())
    } else {
        Err(format!("{} is no variable name; allowed: letters, digits, '_', '-' and '.', no digit first", quote(name)))
    }
}

/// A label's value (Kubernetes documentation, "Labels and Selectors").
///
/// # Errors
///
/// What is allowed.
pub fn label_value(value: &str) -> Result<(), String> {
    let edge = |edge: Option<char>| edge.is_none_or(|edge| edge.is_ascii_alphanumeric());
    let ok = value.len() <= LONGEST
        && edge(value.chars().next())
        && edge(value.chars().next_back())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if ok {
        Ok(())
    } else {
        Err(format!(
            "{} is no label value; allowed: at most {LONGEST} letters, digits, '-', '_' and '.', a letter or digit at both ends",
            quote(value)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_kept_apart() {
        let one = joined(["a".repeat(60).as_str(), "logs"]);
        let two = joined(["a".repeat(60).as_str(), "data"]);
        assert_eq!((one.len(), two.len()), (63, 63));
        assert_ne!(one, two);
        assert_eq!(joined(["x", "", "y"]), "x-y");
        assert!(label(one).is_ok());
    }

    #[test]
    fn variables_are_named_as_every_version_accepts() {
        for name in ["A", "_a.b-c", "a1"] {
            assert_eq!(variable(name), Ok(()), "{name}");
        }
        for name in ["", "1A", "A B", "A=B", ".", "..", "Ä"] {
            assert!(variable(name).is_err(), "{name}");
        }
    }
}
