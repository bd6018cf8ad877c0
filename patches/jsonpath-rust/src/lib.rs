//! As much of JSONPath (RFC 9535) as kube asks for: `$.credential.access_token`, names after dots.
//!
//! kube looks with it for the token in what a command of the `gcp` auth provider prints, which kubectl itself gave up with
//! 1.26. The crate of this name knows all of JSONPath, and brings a parser generator and all of regex with every table of
//! Unicode for it: 180 kB of podgraft.

use std::fmt;

use serde_json::Value;

/// A path of other parts than names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotOfNames(String);

impl fmt::Display for NotOfNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no path of names, such as .credential.access_token", self.0)
    }
}

impl std::error::Error for NotOfNames {}

/// What can be asked by a path.
pub trait JsonPath {
    /// What is at a path: one value, or none.
    ///
    /// # Errors
    ///
    /// The path is another than `$`, `$.name`, `$.name.name` and so on.
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotOfNames>;
}

impl JsonPath for Value {
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotOfNames> {
        let refuse = || NotOfNames(path.to_owned());
        let names = path.strip_prefix('$').ok_or_else(refuse)?;
        let mut names = names.split('.');
        if names.next() != Some("") {
            return Err(refuse());
        }
        let mut found = Some(self);
        for name in names {
            if !is_name(name) {
                return Err(refuse());
            }
            found = found.and_then(|value| value.get(name));
        }
        Ok(found.into_iter().collect())
    }
}

/// RFC 9535, section 2.5.1.1: `member-name-shorthand`.
fn is_name(text: &str) -> bool {
    let may_begin = |character: char| character.is_ascii_alphabetic() || character == '_' || !character.is_ascii();
    text.starts_with(may_begin) && text.chars().all(|character| may_begin(character) || character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_lead_to_values_and_nothing_else_is_understood() {
        let value = json!({"credential": {"access_token": "t", "2": 1}, "list": [1]});
        assert_eq!(value.query("$"), Ok(vec![&value]));
        assert_eq!(value.query("$.credential.access_token"), Ok(vec![&json!("t")]));
        for absent in ["$.token", "$.credential.token", "$.list.first", "$.credential.access_token.more"] {
            assert_eq!(value.query(absent), Ok(vec![]), "{absent}");
        }
        for other in ["", ".list", "$list", "$.", "$..list", "$.list.", "$.list[0]", "$.credential.2", "$.*", "$.a-b"] {
            assert_eq!(value.query(other), Err(NotOfNames(other.to_owned())), "{other}");
        }
    }
}
