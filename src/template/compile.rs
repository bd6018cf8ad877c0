//! core/v1 parts of a template into [`Node`]s: what no expression touches is serialised here, once.

use std::ops::Range;
use std::rc::Rc;

use super::LoadOptions;
use super::Part;
use super::diagnostic::{Place, Problems, shorten};
use super::expression::MAX_LEAF;
use super::expression::{Expression, ExpressionError, Leaf, Names, Style};
use super::fields::{Fields, unexpected};
use super::node::{CONTROL, Entry, Node};
use super::parameter::Type;
use super::rendered::{Basis, Parts};
use super::stand_in::Trial;
use super::yaml::{Kind, Tree};
use crate::json::write_string;

/// The most expressions of one template: each is compiled and tried, which may take it some milliseconds.
pub(super) const MAX_EXPRESSIONS: usize = 1000;

/// Where in core/v1 a value stands, as far as it decides how an expression's value is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A container.
    Container,
    /// `env`.
    Env,
    /// `volumeMounts`.
    Mounts,
    /// `spec.pod` of a template.
    Pod,
    /// A list of words; how they are written.
    Words(Style),
    /// A probe or lifecycle hook; how the words of its `command` are written.
    Hook(Style),
    /// `resources`.
    Resources,
    /// A map whose values are text.
    Texts,
    /// An entry of `sharedVolumes`.
    SharedVolume,
    /// What the engine itself reads as text, whatever an expression makes of it.
    Wired,
    /// Text.
    Scalar(Style),
    /// Anything else.
    Other,
}

impl Field {
    /// Where a member of a map, or of the maps in a list, stands.
    ///
    /// The kubelet expands `$(VAR)` in `command`, `args`, `env[].value` and `subPathExpr`, and, which the reference
    /// does not mention, in the `exec.command` of probes (`ExpandContainerCommandOnlyStatic`), but not of hooks.
    pub(super) fn member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Container, "name" | "image") | (Self::SharedVolume, "mountPath") => Self::Wired,
            (Self::Container, "command" | "args") => Self::Words(Style::Expanded),
            (Self::Container, "env") => Self::Env,
            (Self::Container, "volumeMounts") => Self::Mounts,
            (Self::Container, "resources") => Self::Resources,
            (Self::Container, "livenessProbe" | "readinessProbe" | "startupProbe") => Self::Hook(Style::Expanded),
            (Self::Container, "lifecycle") => Self::Hook(Style::Text),
            (Self::Hook(style), "command") => Self::Words(style),
            (Self::Hook(style), _) => Self::Hook(style),
            (Self::Env, "value") | (Self::Mounts, "subPathExpr") => Self::Scalar(Style::Expanded),
            // Quantities may be numbers in YAML, and so they may be numbers in expressions.
            (Self::Resources, "limits" | "requests") | (Self::Pod, "labels" | "annotations") => Self::Texts,
            (_, "sizeLimit" | "divisor") | (Self::Texts, _) => Self::Scalar(Style::Text),
            _ => Self::Other,
        }
    }

    /// Where an item of a list stands.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Words(style) => Self::Scalar(style),
            field => field,
        }
    }

    /// How an expression that stands here is written.
    fn style(self) -> Style {
        match self {
            Self::Scalar(style) => style,
            Self::Words(Style::Expanded) => Style::ExpandedItems,
            Self::Env => Style::ExpandedIn("value"),
            Self::Mounts => Style::ExpandedIn("subPathExpr"),
            _ => Style::Typed,
        }
    }

    /// Whether messages and `podgraft.dev/status` tell what stands in a member of a map here: names, ports and paths, by
    /// which parts of a pod are found again, and in which they clash.
    fn tells(self, key: &str) -> bool {
        match self {
            Self::Container => matches!(key, "name" | "ports" | "volumeMounts"),
            Self::Env => key == "name",
            Self::Pod => matches!(key, "imagePullSecrets" | "hostAliases"),
            Self::SharedVolume => key == "mountPath",
            _ => false,
        }
    }
}

/// Compiles one template and tries what comes of it.
pub(super) struct Compiler<'c, 'f, 't> {
    pub(super) problems: &'c mut Problems<'f>,
    pub(super) options: &'c LoadOptions,
    pub(super) names: Names<'c>,
    pub(super) trial: &'c Trial,
    /// The item of the `forEach` around what is tried now.
    pub(super) item: Option<Rc<serde_json::Value>>,
    /// How little values say at best around what is tried now.
    pub(super) floor: Basis,
    /// `os: windows`.
    pub(super) windows: bool,
    /// How many expressions were compiled.
    pub(super) expressions: usize,
    /// An expression was compiled whose type is known only when it is evaluated.
    pub(super) untyped: bool,
    /// What is compiled now is told in messages.
    pub(super) told: bool,
    /// The sensitive parameter that the item of the `forEach` around comes from: its index.
    pub(super) secret_item: Option<usize>,
    pub(super) parts: Parts<'t>,
}

impl<'t> Compiler<'_, '_, 't> {
    /// Compiles a value; `None` for null and for what is wrong.
    pub(super) fn node(&mut self, tree: &'t Tree<'t>, field: Field) -> Option<Node> {
        let mut json = String::new();
        match &tree.kind {
            Kind::Null | Kind::Broken => return None,
            Kind::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Kind::Number(number) => json = number.to_string(),
            Kind::Text(text) => match self.leaf(text, &tree.place, field) {
                Some(leaf) => {
                    // One expression for a whole variable makes its name, too.
                    if self.told || field == Field::Env {
                        self.tells_no_secret(&leaf, &tree.place);
                    }
                    return Some(Node::Leaf(leaf));
                }
                None => write_string(text, &mut json),
            },
            Kind::List(items) => {
                let entries = items.iter().filter_map(|item| self.item(item, field.item())).collect();
                return Some(fold_list(entries));
            }
            Kind::Map(_) => return Some(self.members(tree, field, |_| false).fold()),
        }
        Some(Node::Json(json.into()))
    }

    /// Compiles the members of a map, without those to skip.
    pub(super) fn members(&mut self, tree: &'t Tree<'t>, field: Field, skip: impl Fn(&str) -> bool) -> Members {
        let members = tree.members().filter(|(key, ..)| !skip(key));
        let compiled = members.filter_map(|(key, _, value)| {
            let told = self.told || field.tells(key);
            Some((key.into(), self.telling(told, |compiler| compiler.node(value, field.member(key)))?))
        });
        Members(compiled.collect())
    }

    /// Compiles something that messages tell, or don't.
    pub(super) fn telling<T>(&mut self, told: bool, compile: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.told, told);
        let compiled = compile(self);
        self.told = outer;
        compiled
    }

    /// Refuses a sensitive parameter where a message would tell its value.
    fn tells_no_secret(&mut self, leaf: &Leaf, place: &Place) {
        let Some(index) = leaf.expressions().find_map(|expression| self.secret(expression)) else { return };
        let parameter = &self.names.parameters[index].name;
        self.problems
            .error(place, format!("params.{parameter} is sensitive, and what stands here is told in messages"))
            .help("a sensitive parameter may stand in values: of variables, in command and args, in a volume's source");
    }

    /// The sensitive parameter that an expression looks at, itself or by the item around.
    pub(super) fn secret(&self, expression: &Expression) -> Option<usize> {
        let mut named = expression.parameters().iter().copied();
        let named = named.find(|index| self.names.parameters[*index].sensitive);
        named.or_else(|| self.secret_item.filter(|_| expression.names_item()))
    }

    fn item(&mut self, tree: &'t Tree<'t>, field: Field) -> Option<Entry<Node>> {
        self.entry(tree, |compiler, _, _| match tree.kind {
            Kind::Map(_) => Some(compiler.members(tree, field, |key| CONTROL.contains(&key)).fold()),
            _ => compiler.node(tree, field),
        })
    }

    /// Compiles an entry of a list: its `when` and `forEach`, then itself, which may name what they bind.
    pub(super) fn entry<T>(
        &mut self,
        tree: &'t Tree<'t>,
        compile: impl FnOnce(&mut Self, Option<&Expression>, Option<&Expression>) -> Option<T>,
    ) -> Option<Entry<T>> {
        let outer = (self.names, self.secret_item);
        let repeated = tree.get("forEach");
        let for_each = repeated.and_then(|tree| self.bare(tree, "text with a CEL list, such as \"['a', 'b']\""));
        if let Some(list) = &for_each {
            self.secret_item = self.secret(list);
            self.names.literal_items = list.is_literal(self.names);
        }
        self.names.in_for_each |= repeated.is_some();
        let when = tree.get("when").and_then(|tree| self.condition(tree));
        let value = compile(self, when.as_ref(), for_each.as_ref());
        (self.names, self.secret_item) = outer;
        Some(Entry { when, for_each, value: value?, line: tree.place.line })
    }

    /// Compiles a `when` or the like: CEL, or a YAML boolean.
    pub(super) fn condition(&mut self, tree: &Tree<'_>) -> Option<Expression> {
        let condition = match tree.kind {
            Kind::Bool(value) => self.compile(if value { "true" } else { "false" }, &tree.place),
            _ => self.bare(tree, "true, false or text with a CEL condition"),
        }?;
        Some(condition)
    }

    fn bare(&mut self, tree: &Tree<'_>, wanted: &str) -> Option<Expression> {
        let Some(source) = tree.as_text() else {
            unexpected(tree, wanted, self.problems);
            return None;
        };
        if source.contains("{{") {
            let bare = source.replace("{{", "").replace("}}", "");
            self.problems
                .error(&tree.place, "this is CEL already, without braces")
                .help(format!("write \"{}\"", shorten(bare.trim())));
            return None;
        }
        self.compile(source, &tree.place)
    }

    fn compile(&mut self, source: &str, place: &Place) -> Option<Expression> {
        self.count(1, place)?;
        let compiled = Expression::compile(source, self.names);
        compiled.map_err(|errors| self.report(&errors, source, place)).ok()
    }

    /// Compiles a string leaf; `None` if there is no expression in it, or a wrong one.
    fn leaf(&mut self, text: &str, place: &Place, field: Field) -> Option<Leaf> {
        let style = field.style();
        let expressions = text.matches("{{").count();
        if expressions > 0 && text.len() > MAX_LEAF {
            self.problems
                .error(place, format!("text with an expression can't have {} bytes", text.len()))
                .help(format!("at most {MAX_LEAF}"));
            return None;
        }
        self.count(expressions, place)?;
        let leaf = Leaf::parse(text, style, self.names).unwrap_or_else(|errors| {
            self.report(&errors, text, place);
            None
        })?;
        let parameters = self.names.parameters;
        let is_text = matches!(style, Style::Text | Style::Expanded);
        self.untyped |= !is_text && field != Field::Wired && leaf.known_type(parameters).is_none();
        if is_text && leaf.expressions().any(|expression| expression.known_type(parameters) == Some(Type::List)) {
            self.problems
                .error(place, "this must be text, and the expression gives a list")
                .help("join(',') makes text of it; or repeat the entry with `forEach`");
            return None;
        }
        Some(leaf)
    }

    /// Counts the template's expressions; `None` from the one on that is too many.
    fn count(&mut self, expressions: usize, place: &Place) -> Option<()> {
        let before = self.expressions;
        self.expressions += expressions;
        if before <= MAX_EXPRESSIONS && self.expressions > MAX_EXPRESSIONS {
            self.problems.error(place, format!("the template has more than {MAX_EXPRESSIONS} expressions"));
        }
        (self.expressions <= MAX_EXPRESSIONS).then_some(())
    }

    fn report(&mut self, errors: &[ExpressionError], text: &str, place: &Place) {
        for error in errors {
            let place = part(place, &error.range, text, self.problems.text());
            self.problems.error(&place, &*error.message).help.clone_from(&error.help);
        }
    }
}

/// The place of a part of a leaf's text. Quotes, escapes and folding make the text differ from the file's, so the part is
/// looked for: it is the same occurrence in both.
fn part(leaf: &Place, range: &Range<usize>, text: &str, file: &str) -> Place {
    let Some(fragment) =
        text.get(range.clone()).map(|part| part.lines().next().unwrap_or_default()).filter(|part| !part.is_empty())
    else {
        return leaf.clone();
    };
    let before = text[..range.start].matches(fragment).count();
    let source = file.get(leaf.range.clone()).unwrap_or_default();
    let Some((offset, _)) = source.match_indices(fragment).nth(before) else {
        return leaf.clone();
    };
    let skipped = &source[..offset];
    let line_start = skipped.rfind('\n').map(|newline| newline + 1);
    let characters = skipped[line_start.unwrap_or(0)..].chars().count() as u32;
    let start = leaf.range.start + offset;
    Place {
        line: leaf.line + skipped.matches('\n').count() as u32,
        column: if line_start.is_some() { characters + 1 } else { leaf.column + characters },
        range: start..start + fragment.len(),
    }
}

/// A list as JSON if nothing in it depends on a pod.
fn fold_list(entries: Vec<Entry<Node>>) -> Node {
    let constant: Option<Vec<&str>> = entries
        .iter()
        .map(|entry| match entry {
            Entry { when: None, for_each: None, value: Node::Json(json), .. } => Some(&**json),
            _ => None,
        })
        .collect();
    match constant {
        Some(items) => Node::Json(format!("[{}]", items.join(",")).into()),
        None => Node::List(entries),
    }
}

/// The compiled members of a map, in the file's order.
#[derive(Debug)]
pub(super) struct Members(Vec<(Box<str>, Node)>);

impl Members {
    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let index = self.0.iter().position(|(key, _)| **key == *name)?;
        Some(self.0.remove(index).1)
    }

    /// Takes a member out, with the line of its key.
    pub(super) fn part(&mut self, name: &str, fields: &Fields<'_>, verify: bool) -> Option<Part> {
        let (key, _) = fields.entry(name)?;
        Some(Part { node: self.take(name)?, line: key.line, verify })
    }

    /// What was not taken: members without holes as text, then those that have some.
    pub(super) fn rest(self) -> (Box<str>, Vec<(Box<str>, Node)>) {
        let mut fixed = String::new();
        let mut rest = Vec::new();
        for (key, node) in self.0 {
            let Node::Json(json) = node else {
                rest.push((key, node));
                continue;
            };
            if !fixed.is_empty() {
                fixed.push(',');
            }
            write_string(&key, &mut fixed);
            fixed.push(':');
            fixed.push_str(&json);
        }
        (fixed.into(), rest)
    }

    /// The members.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Box<str>, Node)> {
        self.0.iter()
    }

    /// The map, as JSON if nothing in it depends on a pod.
    pub(super) fn fold(self) -> Node {
        let mut json = String::from("{");
        for (key, node) in &self.0 {
            let Node::Json(value) = node else {
                return Node::Map(self.0);
            };
            if json.len() > 1 {
                json.push(',');
            }
            write_string(key, &mut json);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        Node::Json(json.into())
    }
}
