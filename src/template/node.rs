//! JSON with holes: the part of a template that becomes core/v1, serialised at load wherever no expression touches it.

use std::borrow::Cow;

use super::Line;
use super::expression::{EvaluationError, Expression, Item, Leaf, Variables};
use crate::json::write_string;

/// The keys that make a list entry conditional or repeat it; they are podgraft's and gone after rendering.
pub(super) const CONTROL: &[&str] = &["when", "forEach"];

/// The longest JSON, in bytes, that one piece of a template may become: far more than the API server takes of a pod.
pub const MAX_NODE: usize = 1024 * 1024;

/// A piece of core/v1 JSON.
#[derive(Debug)]
pub enum Node {
    /// A subtree without expressions, serialised at load.
    Json(Box<str>),
    /// A string leaf with expressions.
    Leaf(Leaf),
    /// A map of which at least one value has a hole.
    Map(Vec<(Box<str>, Node)>),
    /// A list of which at least one item has a hole, a `when` or a `forEach`.
    List(Vec<Entry<Node>>),
}

/// An entry of a list, which may carry a condition and a repetition.
#[derive(Debug)]
pub struct Entry<T> {
    /// `when`: the entry is there only if it is true; with `for_each`, asked for each item.
    pub when: Option<Expression>,
    /// `forEach`: the entry once for each item of this list, which it sees as `item` and `index`.
    pub for_each: Option<Expression>,
    /// The entry itself.
    pub value: T,
    /// Its line in the template's file.
    pub line: Line,
}

impl Node {
    /// The node as JSON: borrowed where no expression touches it; `None` when it is `null` and so left out.
    ///
    /// # Errors
    ///
    /// The first leaf that has no value.
    pub fn render<'t>(
        &'t self,
        variables: &dyn Variables,
        item: Option<&Item>,
    ) -> Result<Option<Cow<'t, str>>, EvaluationError> {
        if let Self::Json(json) = self {
            return Ok(Some(Cow::Borrowed(json)));
        }
        let mut out = String::with_capacity(128);
        Ok(self.write(variables, item, &mut out)?.then_some(Cow::Owned(out)))
    }

    /// Appends the node's JSON; `false`, and nothing appended, when it is `null`.
    ///
    /// # Errors
    ///
    /// The first leaf that has no value; `out` may then end in a part of it.
    pub fn write(
        &self,
        variables: &dyn Variables,
        item: Option<&Item>,
        out: &mut String,
    ) -> Result<bool, EvaluationError> {
        match self {
            Self::Json(json) => out.push_str(json),
            Self::Leaf(leaf) => return leaf.render(variables, item, out),
            Self::Map(members) => {
                out.push('{');
                let mut separator = "";
                for (key, node) in members {
                    let start = out.len();
                    out.push_str(separator);
                    write_string(key, out);
                    out.push(':');
                    if node.write(variables, item, out).map_err(|error| error.within(key))? {
                        separator = ",";
                    } else {
                        out.truncate(start);
                    }
                }
                out.push('}');
            }
            Self::List(entries) => {
                out.push('[');
                let mut separator = "";
                for (index, entry) in entries.iter().enumerate() {
                    let written = entry.each(variables, item, |node, item| {
                        let start = out.len();
                        out.push_str(separator);
                        if node.write(variables, item, out)? {
                            separator = ",";
                        } else {
                            out.truncate(start);
                        }
                        Ok::<_, EvaluationError>(())
                    });
                    written.map_err(|error| error.at(index, entry.line))?;
                }
                out.push(']');
            }
        }
        if out.len() > MAX_NODE {
            let message = format!("the rendered part is longer than {} KiB", MAX_NODE / 1024);
            return Err(EvaluationError::new(message));
        }
        Ok(true)
    }
}

impl<T> Entry<T> {
    /// Calls `visit` for the entry as often as its `when` and `forEach` say.
    ///
    /// # Errors
    ///
    /// `when` or `forEach` has no value, or what `visit` returns.
    pub fn each<'t, E: From<EvaluationError>>(
        &'t self,
        variables: &dyn Variables,
        outer: Option<&Item>,
        mut visit: impl FnMut(&'t T, Option<&Item>) -> Result<(), E>,
    ) -> Result<(), E> {
        let wanted = |item: Option<&Item>| match &self.when {
            Some(when) => when.condition(variables, item),
            None => Ok(true),
        };
        match &self.for_each {
            None => {
                if wanted(outer)? {
                    visit(&self.value, outer)?;
                }
            }
            Some(for_each) => {
                for item in for_each.items(variables, outer)? {
                    if wanted(Some(&item))? {
                        visit(&self.value, Some(&item))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Node {
    /// Whether every map in this list has a `key` that no expression touches, so that it was checked at load.
    #[must_use]
    pub fn has_fixed(&self, key: &str) -> bool {
        let fixed = |node: &Self| match node {
            Self::Json(_) => true,
            Self::Map(members) => members.iter().any(|(it, node)| **it == *key && matches!(node, Self::Json(_))),
            Self::Leaf(_) | Self::List(_) => false,
        };
        match self {
            Self::Json(_) => true,
            Self::List(entries) => entries.iter().all(|entry| fixed(&entry.value)),
            Self::Leaf(_) | Self::Map(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::expression::{Budget, Given, Names, Style, Variable};
    use crate::template::parameter::{Patterns, Value};

    /// No parameters, no pod.
    struct Nothing(Budget);

    impl Variables for Nothing {
        fn parameter(&self, _: usize) -> &Value {
            unreachable!("there are no parameters")
        }

        fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
            Err(format!("there is no {}", variable.name()))
        }

        fn budget(&self) -> &Budget {
            &self.0
        }
    }

    #[test]
    fn what_is_null_leaves_nothing_and_what_repeats_is_bounded() {
        let patterns = Patterns::default();
        let names = Names { parameters: &[], in_for_each: false, literal_items: false, patterns: &patterns };
        let leaf = |text| Leaf::parse(text, Style::Typed, names).unwrap().map(Node::Leaf).unwrap();
        let list = |for_each, value| {
            let for_each = Some(Expression::compile(for_each, names).unwrap());
            Node::List(vec![Entry { when: None, for_each, value, line: 1 }])
        };
        let map = Node::Map(vec![
            ("a".into(), leaf("{{ null }}")),
            ("b".into(), leaf("{{ 1 + 1 }}")),
            ("c".into(), list("[1, 2]", leaf("{{ null }}"))),
            ("d".into(), leaf("{{ null }}")),
        ]);
        let nothing = Nothing(Budget::new());
        assert_eq!(map.render(&nothing, None).unwrap().unwrap(), r#"{"b":2,"c":[]}"#);
        let long = list("lists.range(64)", Node::Json("1".repeat(MAX_NODE / 50).into()));
        assert_eq!(long.render(&nothing, None).unwrap_err().message, "the rendered part is longer than 1024 KiB");
    }
}
