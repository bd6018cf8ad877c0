//! The annotations of DESIGN 2: keys and values in, what is requested out, every error beside it.
//!
//! `[<instance>.]<prefix>/<template>[.<parameter>]`. This file knows the grammar; what the names stand for, and which
//! level wins, is [`super::resolve`]'s.

use super::key::{Key, Level};
use super::reason::{Reason, quote};

/// The parameter name that stands for the target containers.
pub const CONTAINERS: &str = "containers";

/// The longest template name: an annotation's name part holds 63 characters, and a dot and a parameter follow.
pub const MAX_TEMPLATE: usize = 40;

/// The most annotations of ours that a pod may have: a score of parameters for each of its grafts.
pub const MAX_ANNOTATIONS: usize = 1280;

/// The longest instance name.
pub const MAX_INSTANCE: usize = 20;

/// Words that people write on a main key in the hope of a boolean.
const ALMOST_BOOLEAN: [&str; 8] = ["yes", "no", "on", "off", "enabled", "disabled", "0", "1"];

/// What a main key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Main<'a> {
    /// `true`: graft it.
    Yes,
    /// `false`: don't.
    No,
    /// Graft it, and this is the primary parameter's value.
    Value(&'a str),
    /// What people write in the hope of a boolean: a mistake.
    Unclear(&'a str),
}

/// One annotation of ours, taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Annotation<'a> {
    /// The whole key.
    pub key: &'a str,
    /// The named instance, if any.
    pub instance: Option<&'a str>,
    /// The template.
    pub template: &'a str,
    /// What it sets.
    pub setting: Setting<'a>,
}

/// What an annotation sets.
#[derive(Debug, Clone, Copy)]
pub enum Setting<'a> {
    /// The main key.
    Main(Main<'a>),
    /// `.<parameter>`, [`CONTAINERS`] among them, and its value.
    Parameter(&'a str, &'a str),
}

/// Whether a key is of our grammar's prefix; the cheap test that most annotations fail.
fn split<'a>(prefix: &str, key: &'a str) -> Option<(Option<&'a str>, &'a str)> {
    let (head, name) = key.split_once('/')?;
    let instance = head.strip_suffix(prefix)?;
    if instance.is_empty() { Some((None, name)) } else { Some((Some(instance.strip_suffix('.')?), name)) }
}

/// Whether a key asks something of us. Says nothing about its correctness.
#[must_use]
pub fn is_ours(prefix: &str, key: &str) -> bool {
    split(prefix, key).is_some()
}

/// Takes one level's annotations apart: those of other owners are passed over, mistakes go to `reasons`.
pub fn read<'a>(
    prefix: &str,
    level: Level,
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
    reasons: &mut Vec<Reason>,
) -> Vec<Annotation<'a>> {
    let mut found = Vec::new();
    for (key, value) in annotations {
        let Some((instance, name)) = split(prefix, key) else { continue };
        match parse(prefix, level, key, instance, name, value) {
            Ok(annotation) => found.push(annotation),
            Err(reason) => reasons.push(reason),
        }
    }
    order(&mut found);
    found
}

/// A JSON map has no order: the API server's is by key, the command line's the file's. Ours is by key.
fn order(found: &mut [Annotation<'_>]) {
    found.sort_by(|a, b| a.key.cmp(b.key));
}

fn parse<'a>(
    prefix: &str,
    level: Level,
    key: &'a str,
    instance: Option<&'a str>,
    name: &'a str,
    value: &'a str,
) -> Result<Annotation<'a>, Reason> {
    let bad_key = |problem: String| Reason::BadKey { key: Key::new(level, key), problem };
    if let Some(instance) = instance
        && (instance.len() > MAX_INSTANCE || !is_label(instance))
    {
        return Err(bad_key(format!(
            "the instance {} before .{prefix}/ must be 1 to {MAX_INSTANCE} lower case letters, digits and '-'",
            quote(instance)
        )));
    }
    let (template, parameter) = match name.split_once('.') {
        Some((template, parameter)) => (template, Some(parameter)),
        None => (name, None),
    };
    if template.len() > MAX_TEMPLATE || !is_label(template) {
        return Err(bad_key(format!(
            "the template {} after {prefix}/ must be 1 to {MAX_TEMPLATE} lower case letters, digits and '-'",
            quote(template)
        )));
    }
    let setting = match parameter {
        Some("") => return Err(bad_key("a parameter's name must follow the dot".to_owned())),
        Some(parameter) => Setting::Parameter(parameter, value),
        None => Setting::Main(main_value(value)),
    };
    Ok(Annotation { key, instance, template, setting })
}

fn main_value(value: &str) -> Main<'_> {
    let word = value.trim();
    if word.eq_ignore_ascii_case("true") {
        Main::Yes
    } else if word.eq_ignore_ascii_case("false") {
        Main::No
    } else if word.is_empty() || ALMOST_BOOLEAN.iter().any(|almost| word.eq_ignore_ascii_case(almost)) {
        Main::Unclear(value)
    } else {
        Main::Value(value)
    }
}

/// Whether `text` is an RFC 1123 label, apart from its length.
#[must_use]
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<String, Reason> {
        let mut reasons = Vec::new();
        let found = read("inject", Level::Pod, [(key, value)].into_iter(), &mut reasons);
        match (found.as_slice(), reasons.pop()) {
            ([], Some(reason)) => Err(reason),
            ([], None) => Ok("not ours".to_owned()),
            ([it], None) => Ok(format!("{:?} {} {:?}", it.instance, it.template, it.setting)),
            _ => panic!("one annotation, several answers"),
        }
    }

    #[test]
    fn keys_are_taken_apart() {
        assert_eq!(one("inject/set-env", "TRUE").unwrap(), "None set-env Main(Yes)");
        assert_eq!(one("inject/set-env", "False").unwrap(), "None set-env Main(No)");
        assert_eq!(one("inject/set-env", "A=b").unwrap(), "None set-env Main(Value(\"A=b\"))");
        for word in ["yes", "Off", "", "0"] {
            assert_eq!(one("inject/set-env", word).unwrap(), format!("None set-env Main(Unclear({word:?}))"));
        }
        assert_eq!(one("two.inject/a.path", "/x").unwrap(), "Some(\"two\") a Parameter(\"path\", \"/x\")");
        assert_eq!(one("inject/a.path", "").unwrap(), "None a Parameter(\"path\", \"\")");
    }

    #[test]
    fn other_owners_keys_are_passed_over() {
        for key in ["linkerd.io/inject", "inject", "reinject/a", "sidecar.istio.io/inject", "inject.example.com/a"] {
            assert_eq!(one(key, "true").unwrap(), "not ours", "{key}");
        }
    }

    #[test]
    fn mistakes_name_the_key() {
        for (key, value) in [
            ("inject/", "true"),
            ("inject/Log", "true"),
            ("inject/a.", "true"),
            ("a.b.inject/c", "true"),
            ("-.inject/c", "true"),
        ] {
            let reason = one(key, value).unwrap_err().to_string();
            assert!(reason.contains(key), "{key}: {reason}");
        }
    }
}
