//! Additions to a YAML document written into its text: comments, quotes and layout around them stay.
//!
//! What is added goes where its neighbours are, in their indentation and flow or block style. An addition to what an
//! alias or a merge key stands for can't be written there, nor one to a list right within a list; then there is no such
//! text, and the caller writes the whole document anew. The caller also reads the text again, as only that proves that
//! it says what it should.

use std::ops::Range;

use serde_json::{Value, json};

use super::emit::{self, Style};
use super::tree::{Kind, Node};

/// How many characters a flow collection may have after an addition; a longer one becomes a block.
const WIDE: usize = 120;

/// The text of a document with what `patched` has beyond it; `None` where that can't be written into the text.
pub fn splice(text: &str, node: &Node, patched: &Value) -> Option<String> {
    let style = Style { indent_lists: indents_lists(text, node).unwrap_or_default() };
    let mut splicer = Splicer { text, style, edits: Vec::new() };
    if splicer.unfolds(node, patched) {
        return None;
    }
    splicer.node(node, patched)?;
    splicer.apply()
}

struct Splicer<'t> {
    text: &'t str,
    style: Style,
    /// What replaces which bytes. Of two insertions at one place the first is the inner one.
    edits: Vec<(Range<usize>, String)>,
}

impl Splicer<'_> {
    /// The text with the edits; `None` if two are at the same bytes, as for a key that is there twice.
    fn apply(mut self) -> Option<String> {
        self.edits.sort_by_key(|(range, _)| range.start);
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut out = String::new();
        let mut copied = 0;
        for (range, new) in &self.edits {
            out.push_str(self.text.get(copied..range.start)?);
            out.push_str(&new.replace('\n', newline));
            copied = range.end;
        }
        Some(out + &self.text[copied..])
    }

    fn insert(&mut self, at: usize, new: String) {
        self.edits.push((at..at, new));
    }

    /// Adds what `value` has beyond `node`.
    fn node(&mut self, node: &Node, value: &Value) -> Option<()> {
        if node.to_value() == *value {
            return Some(());
        }
        if node.span != node.defined {
            return None;
        }
        match (&node.kind, value) {
            (Kind::Map(members), Value::Object(object)) => {
                for (key, member) in members {
                    let value = object.get(&key.to_key())?;
                    if member.to_value() != *value {
                        self.member(node, key, member, value)?;
                    }
                }
                let new = object.iter().filter(|(name, _)| members.iter().all(|(key, _)| key.to_key() != **name));
                for (name, value) in new {
                    self.add_member(node, members, name, value)?;
                }
                Some(())
            }
            (Kind::List(items), Value::Array(values)) => self.list(node, items, values),
            // A stale status annotation.
            (Kind::Scalar(_), Value::String(_)) => {
                self.edits.push((node.span.clone(), value.to_string()));
                Some(())
            }
            _ => None,
        }
    }

    /// A member whose value changes.
    fn member(&mut self, map: &Node, key: &Node, member: &Node, value: &Value) -> Option<()> {
        let empty = match &member.kind {
            Kind::Scalar(scalar) => scalar.is_null(),
            Kind::List(items) => items.is_empty(),
            Kind::Map(members) => members.is_empty(),
        };
        let flow = self.is_flow(map);
        if member.span != member.defined || !(empty || !flow && self.unfolds(member, value)) {
            return self.node(member, value);
        }
        let colon = self.text[key.span.end..].find(':')? + key.span.end + 1;
        if !self.text[key.span.end..colon - 1].trim().is_empty() {
            return None;
        }
        let end = self.end(member)?.max(colon);
        if flow {
            self.edits.push((colon..end, format!(" {}", emit::flow(value))));
        } else {
            let indent = self.column(key.span.start) + if value.is_array() && !self.style.indent_lists { 0 } else { 2 };
            self.edits.push((colon..end, String::new()));
            self.insert_lines(end, &emit::indented(value, indent, self.style));
        }
        Some(())
    }

    /// An item of a block list that changes.
    fn item(&mut self, item: &Node, value: &Value) -> Option<()> {
        if !self.unfolds(item, value) {
            return self.node(item, value);
        }
        let end = self.end(item)?;
        let rest = self.text[end..].lines().next().unwrap_or_default();
        let block = emit::indented(value, self.column(item.span.start), self.style);
        // A comment behind it would get into a block scalar at its end.
        rest.trim().is_empty().then(|| self.edits.push((item.span.start..end, block.trim().to_owned())))
    }

    /// Whether a value is better written as a block than in the brackets that it has: it is long, and no comment is lost.
    fn unfolds(&self, node: &Node, value: &Value) -> bool {
        node.span == node.defined
            && self.is_flow(node)
            && node.to_value() != *value
            && emit::flow(value).len() > WIDE
            && self.end(node).is_some_and(|end| !node.has_comments(&self.text[..end], node.span.start))
    }

    fn add_member(&mut self, map: &Node, members: &[(Node, Node)], name: &str, value: &Value) -> Option<()> {
        let member = json!({ name: value });
        if self.is_flow(map) {
            let member = emit::flow(&member);
            let member = member.strip_prefix('{')?.strip_suffix('}')?;
            let comma = if members.is_empty() { "" } else { ", " };
            self.insert(self.last_end(map)?, format!("{comma}{member}"));
        } else {
            let indent = self.column(members.first()?.0.span.start);
            self.insert_lines(self.end(map)?, &emit::indented(&member, indent, self.style));
        }
        Some(())
    }

    /// The items of a list are among the values, in their order; the other values are new.
    fn list(&mut self, list: &Node, items: &[Node], values: &[Value]) -> Option<()> {
        let flow = self.is_flow(list);
        let comma = if items.is_empty() { "" } else { ", " };
        let mut rest = items.iter().peekable();
        for (index, value) in values.iter().enumerate() {
            let later = &values[index + 1..];
            let left = rest.len();
            let is_old = |item: &&Node| {
                let item = item.to_value();
                // An item that is there unchanged further on is not this one, unless all that is left must be old.
                extends(value, &item) && (left > later.len() || *value == item || !later.contains(&item))
            };
            if let Some(item) = rest.next_if(is_old) {
                let write = if flow { Self::node } else { Self::item };
                write(self, item, value)?;
                continue;
            }
            match (rest.peek(), flow) {
                (Some(next), true) => self.insert(next.span.start, format!("{}, ", emit::flow(value))),
                (None, true) => self.insert(self.last_end(list)?, format!("{comma}{}", emit::flow(value))),
                (next, false) => {
                    let dash = self.dash(next.copied().or_else(|| items.last())?)?;
                    let lines = emit::indented(&json!([value]), self.column(dash), self.style);
                    match next {
                        Some(_) => self.insert(self.above(dash)?, lines),
                        None => self.insert_lines(self.end(list)?, &lines),
                    }
                }
            }
        }
        rest.next().is_none().then_some(())
    }

    /// Inserts lines below the line on which something ends.
    fn insert_lines(&mut self, end: usize, lines: &str) {
        if end > 0 && self.text[..end].ends_with('\n') {
            // A block scalar: its newline is part of it.
            return self.insert(end, lines.to_owned());
        }
        match self.text[end..].find('\n') {
            Some(newline) => self.insert(end + newline + 1, lines.to_owned()),
            None => self.insert(self.text.len(), format!("\n{}", lines.trim_end_matches('\n'))),
        }
    }

    /// Whether a collection is written in brackets.
    fn is_flow(&self, collection: &Node) -> bool {
        self.text[collection.span.clone()].starts_with(['{', '['])
    }

    /// Where a node's text ends: a collection's with its last entry or its bracket.
    fn end(&self, node: &Node) -> Option<usize> {
        if node.span != node.defined || matches!(node.kind, Kind::Scalar(_)) {
            // The span of a block scalar may go on into the next line's indentation.
            let text = self.text[node.span.clone()].trim_end_matches(' ');
            return Some(node.span.start + text.len());
        }
        let mut at = self.last_end(node)?;
        if !self.is_flow(node) {
            return Some(at);
        }
        loop {
            let rest = &self.text[at..];
            let next = rest.chars().next()?;
            match next {
                '}' | ']' => return Some(at + 1),
                '#' => at += rest.find('\n')?,
                ',' | ':' => at += 1,
                _ if next.is_whitespace() => at += next.len_utf8(),
                _ => return None,
            }
        }
    }

    /// Where the last entry of a collection ends; behind the bracket of an empty one.
    fn last_end(&self, collection: &Node) -> Option<usize> {
        let empty = Some(collection.span.end);
        match &collection.kind {
            Kind::Scalar(_) => empty,
            Kind::List(items) => items.last().map_or(empty, |item| self.end(item)),
            // What a merge key brought is listed last and stands anywhere.
            Kind::Map(members) => {
                let ends = members.iter().map(|(key, value)| Some(self.end(value)?.max(key.span.end)));
                ends.reduce(|a, b| Some(a?.max(b?))).unwrap_or(empty)
            }
        }
    }

    /// The dash of a block list's item.
    fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.text[..item.span.start].trim_end();
        let before = match before.rsplit_once(' ') {
            // The header of a block scalar.
            Some((before, header)) if header.starts_with(['|', '>']) => before.trim_end(),
            _ => before,
        };
        before.ends_with('-').then(|| before.len() - 1)
    }

    /// The start of the line on which this is the first thing, or of the comments right above it.
    fn above(&self, at: usize) -> Option<usize> {
        let column = self.column(at);
        let mut start = at - column;
        if !self.text[start..at].trim().is_empty() {
            return None;
        }
        while let Some(before) = self.text[..start].strip_suffix('\n') {
            let line = before.rfind('\n').map_or(0, |newline| newline + 1);
            if !before[line..].starts_with(&format!("{}#", " ".repeat(column))) {
                break;
            }
            start = line;
        }
        Some(start)
    }

    fn column(&self, at: usize) -> usize {
        column(self.text, at)
    }
}

/// The bytes before this one on its line.
fn column(text: &str, at: usize) -> usize {
    at - text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Whether the first block list below a key is indented below it.
fn indents_lists(text: &str, node: &Node) -> Option<bool> {
    match &node.kind {
        Kind::Scalar(_) => None,
        Kind::List(items) => items.iter().find_map(|item| indents_lists(text, item)),
        Kind::Map(members) => members.iter().find_map(|(key, value)| match &value.kind {
            Kind::List(items) if !text[value.span.clone()].starts_with('[') => {
                let dash = text[..items.first()?.span.start].trim_end().strip_suffix('-')?.len();
                Some(column(text, dash) > column(text, key.span.start))
            }
            _ => indents_lists(text, value),
        }),
    }
}

/// Whether a value is another one with additions. A member that is null counts as absent.
fn extends(value: &Value, base: &Value) -> bool {
    match (value, base) {
        (Value::Object(value), Value::Object(base)) => {
            let has = |(name, base): (&String, &Value)| {
                value.get(name).is_some_and(|new| base.is_null() || extends(new, base))
            };
            base.iter().all(has)
        }
        (Value::Array(values), Value::Array(base)) => {
            let mut values = values.iter();
            base.iter().all(|base| values.any(|value| extends(value, base)))
        }
        _ => value == base,
    }
}
