//! What a template says of a container's variables, whose values the kubelet pastes into its commands.

use std::collections::{HashMap, HashSet};

use super::{is_open, word};
use crate::template::expansion::{Piece, pieces, references};
use crate::template::expression::{Names, Word};
use crate::template::node::CONTROL;
use crate::template::yaml::Tree;

/// The longest text, in bytes, that variables make of one another here, as each may double the one before it. What is
/// longer is no name of a shell.
const MAX_VALUE: usize = 1024;

/// The most texts that are looked at for one variable.
const MAX_VALUES: usize = 64;

/// The variables of a container, whose values the kubelet pastes into its commands.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Those that a pod decides.
    tainted: HashSet<String>,
    /// Those that are the container's own, always there and the template's.
    own: HashSet<String>,
    /// The values that the template has for its variables.
    values: HashMap<String, Vec<String>>,
    /// There may be more, from elsewhere.
    more: bool,
    /// A pod decides those: they are the target's, or of a source that it chooses.
    more_tainted: bool,
    /// A name is made by an expression: every name is meant.
    all: bool,
}

impl Environment {
    /// What is known of a container's variables, which may be made of one another.
    pub(super) fn of(container: &Tree<'_>, names: Names<'_>) -> Self {
        let of_target = container.get("environment").and_then(Tree::as_text) == Some("target");
        let sources = container.get("envFrom");
        let mut environment = Self {
            more: of_target || sources.is_some(),
            more_tainted: of_target || sources.is_some_and(|sources| is_from_pod(sources, names)),
            ..Self::default()
        };
        let Some(env) = container.get("env") else { return environment };
        environment.all = env.as_text().is_some();
        for entry in env.items() {
            let Some(name) = entry.get("name").and_then(Tree::as_text).and_then(|name| word(name, names)) else {
                // An expression makes all of it.
                environment.all |= entry.as_text().is_some();
                continue;
            };
            if name.open {
                environment.all = true;
                continue;
            }
            let value = entry.get("value").and_then(Tree::as_text).and_then(|value| word(value, names));
            let from_pod = value
                .as_ref()
                .is_some_and(|value| value.open || references(&value.text).any(|other| environment.is_tainted(other)));
            let source = entry.get("valueFrom");
            let known = value.map(|value| environment.expand(&value));
            let values = environment.values.entry(name.text.clone()).or_default();
            if let Some(Word { text, open, made_of, .. }) = known {
                let texts = (!open).then_some(text).into_iter().chain(made_of);
                let room = MAX_VALUES.saturating_sub(values.len());
                values.extend(texts.filter(|text| text.len() <= MAX_VALUE).take(room));
            } else if source.is_none() {
                values.push(String::new());
            }
            if from_pod || source.is_some_and(|source| is_from_pod(source, names)) {
                environment.tainted.insert(name.text);
            } else if CONTROL.iter().all(|key| entry.get(key).is_none()) {
                environment.own.insert(name.text);
            }
        }
        environment
    }

    pub(super) fn is_tainted(&self, name: &str) -> bool {
        self.all || self.tainted.contains(name) || (self.more_tainted && !self.own.contains(name))
    }

    /// A word as the kubelet hands it on, as far as the template decides it.
    pub(super) fn expand(&self, word: &Word) -> Word {
        let mut expanded = Word { many: word.many, ..Word::default() };
        self.paste(&word.text, &mut expanded);
        expanded.open |= word.open;
        for text in &word.made_of {
            let mut made = Word::default();
            self.paste(text, &mut made);
            expanded.made_of.push(made.text);
            if expanded.made_of.len() < MAX_VALUES {
                expanded.made_of.extend(made.made_of);
            }
        }
        expanded
    }

    fn paste(&self, text: &str, word: &mut Word) {
        for piece in pieces(text) {
            let name = match piece {
                Piece::Text(text) => {
                    word.add(text.to_owned());
                    continue;
                }
                Piece::Reference(name) => name,
            };
            match self.values.get(name).map(Vec::as_slice) {
                Some([value])
                    if self.own.contains(name)
                        && !self.is_tainted(name)
                        && word.text.len() <= MAX_VALUE
                        && word.made_of.len() < MAX_VALUES =>
                {
                    word.add(value.clone());
                }
                None if !self.all && !self.more => word.add(format!("$({name})")),
                values => {
                    word.open = true;
                    if word.made_of.len() < MAX_VALUES {
                        word.made_of.extend(values.into_iter().flatten().cloned());
                    }
                }
            }
        }
    }
}

/// Whether a pod decides a variable's source, or the text in it.
fn is_from_pod(source: &Tree<'_>, names: Names<'_>) -> bool {
    match source.as_text() {
        Some(text) => text.starts_with("metadata.annotations") || is_open(text, names),
        None => {
            source.members().any(|(.., value)| is_from_pod(value, names))
                || source.items().iter().any(|item| is_from_pod(item, names))
        }
    }
}
