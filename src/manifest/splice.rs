//! Additions to a YAML document written into its text: comments, quotes and layout around them stay.
//!
//! What is added goes where its neighbours are, in their indentation and flow or block style. Where that can't be, as in
//! what an alias stands for, the smallest collection around it is written anew, without the comments in it. The caller
//! reads the text again, as only that proves that it says what it should and has which comments.

use std::ops::Range;

use serde_json::{Value, json};

use super::emit::{self, Style};
use super::tree::{Kind, Node};
use crate::inject::status::STATUS;

/// How many characters a flow collection may have after an addition; a longer one becomes a block.
const WIDE: usize = 120;

/// The text of a document with what `patched` has beyond it; `None` where that can't be written into the text.
pub fn splice(text: &str, node: &Node, patched: &Value) -> Option<String> {
    let style = Style { indent_lists: indents_lists(text, node).unwrap_or_default() };
    let mut splicer = Splicer { text, style, edits: Vec::new() };
    if splicer.unfolds(node, patched) && !node.has_comments(text, splicer.end(node)?) {
        return None;
    }
    splicer.node(node, patched, node.span.start)?;
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

    /// Adds what `value` has beyond `node`, whose text begins somewhere behind `start`.
    fn node(&mut self, node: &Node, value: &Value, start: usize) -> Option<()> {
        if node.to_value() == *value {
            return Some(());
        }
        if node.span != node.defined {
            return None;
        }
        match (&node.kind, value) {
            (Kind::Map(members), Value::Object(object)) => {
                for (index, (key, member)) in members.iter().enumerate() {
                    let name = key.to_key();
                    let value = object.get(&name)?;
                    // Of a key that is repeated the last one counts.
                    let counts = members[index + 1..].iter().all(|(later, _)| later.to_key() != name);
                    if !counts || member.to_value() == *value {
                        continue;
                    }
                    if key.span == key.defined {
                        self.member(node, key, member, value)?;
                    } else {
                        // What a merge key brought gives way to a member of the map's own.
                        self.add_member(node, members, &name, value, false)?;
                    }
                }
                let new = object.iter().filter(|(name, _)| members.iter().all(|(key, _)| key.to_key() != **name));
                for (index, (name, value)) in new.enumerate() {
                    self.add_member(node, members, name, value, members.is_empty() && index == 0)?;
                }
                Some(())
            }
            (Kind::List(items), Value::Array(values)) => self.list(node, items, values, start),
            _ => None,
        }
    }

    /// A member whose value changes.
    fn member(&mut self, map: &Node, key: &Node, member: &Node, value: &Value) -> Option<()> {
        if matches!(&member.kind, Kind::Scalar(Value::String(_))) && key.to_key() == STATUS {
            self.edits.push((member.span.start..self.end(member)?, value.to_string()));
            return Some(());
        }
        let flow = self.is_flow(map);
        let empty = match &member.kind {
            Kind::Scalar(scalar) => scalar.is_null(),
            Kind::List(items) => items.is_empty() && !self.holds_comments(member),
            Kind::Map(members) => members.is_empty() && !self.holds_comments(member),
        };
        let done = self.edits.len();
        let start = self.colon(key).unwrap_or(member.span.start);
        if !empty && (flow || !self.unfolds(member, value)) && self.node(member, value, start).is_some() {
            return Some(());
        }
        self.edits.truncate(done);
        self.anew(flow, key, member, value)
    }

    /// Writes a member's value in the place of the one that it has. What stands between the colon and that one stays.
    fn anew(&mut self, flow: bool, key: &Node, member: &Node, value: &Value) -> Option<()> {
        let colon = self.colon(key)?;
        let (start, end) = match &member.kind {
            Kind::Scalar(Value::Null) if member.span.is_empty() => (colon, colon),
            // No addition changes what is there.
            Kind::Scalar(scalar) if !scalar.is_null() => return None,
            _ => (member.span.start.max(colon), self.end(member)?.max(colon)),
        };
        if flow {
            let blank = if start == colon { " " } else { "" };
            self.edits.push((start..end, format!("{blank}{}", emit::flow(value))));
            return Some(());
        }
        let indent = self.column(key.span.start) + if value.is_array() && !self.style.indent_lists { 0 } else { 2 };
        let block = emit::indented(value, indent, self.style);
        let before = self.text[..start].trim_end_matches([' ', '\t']);
        match (before.ends_with('\n'), self.ends_line(end)) {
            (true, true) => self.edits.push((before.len()..end, block.strip_suffix('\n')?.to_owned())),
            (on_its_own_line, _) => {
                let from = if on_its_own_line { start } else { before.len() };
                self.edits.push((from..end, String::new()));
                self.insert_lines(end, &block);
            }
        }
        Some(())
    }

    /// The end of the colon behind a key.
    fn colon(&self, key: &Node) -> Option<usize> {
        let (between, _) = self.text[key.span.end..].split_once(':')?;
        between.trim().is_empty().then(|| key.span.end + between.len() + 1)
    }

    /// An item of a list that changes.
    fn item(&mut self, flow: bool, item: &Node, value: &Value) -> Option<()> {
        let end = self.end(item)?;
        // A comment behind a block would get into a scalar at its end.
        let block = !flow && self.ends_line(end);
        let done = self.edits.len();
        if !(block && self.unfolds(item, value)) && self.node(item, value, item.span.start).is_some() {
            return Some(());
        }
        self.edits.truncate(done);
        let new = if block {
            emit::indented(value, self.column(item.span.start), self.style).trim_start().strip_suffix('\n')?.to_owned()
        } else {
            emit::flow(value)
        };
        // No addition changes what is there.
        (item.span != item.defined || !matches!(item.kind, Kind::Scalar(_)))
            .then(|| self.edits.push((item.span.start..end, new)))
    }

    /// Whether nothing else stands on the line on which something ends.
    fn ends_line(&self, end: usize) -> bool {
        self.text[end..].lines().next().unwrap_or_default().trim().is_empty()
    }

    fn holds_comments(&self, node: &Node) -> bool {
        self.end(node).is_none_or(|end| node.has_comments(&self.text[..end], node.span.start))
    }

    /// Whether a value is better written as a block than in the brackets that it has: it is long, and no comment is lost.
    fn unfolds(&self, node: &Node, value: &Value) -> bool {
        node.span == node.defined
            && self.is_flow(node)
            && node.to_value() != *value
            && emit::flow(value).len() > WIDE
            && !self.holds_comments(node)
    }

    fn add_member(
        &mut self,
        map: &Node,
        members: &[(Node, Node)],
        name: &str,
        value: &Value,
        first: bool,
    ) -> Option<()> {
        let member = json!({ name: value });
        if self.is_flow(map) {
            let member = emit::flow(&member);
            let member = member.strip_prefix('{')?.strip_suffix('}')?;
            let comma = if first { "" } else { ", " };
            self.insert(self.last_end(map)?, format!("{comma}{member}"));
        } else {
            let indent = self.column(members.first()?.0.span.start);
            self.insert_lines(self.end(map)?, &emit::indented(&member, indent, self.style));
        }
        Some(())
    }

    /// The items of a list are among the values, in their order; the other values are new.
    fn list(&mut self, list: &Node, items: &[Node], values: &[Value], start: usize) -> Option<()> {
        let flow = self.is_flow(list);
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
                if item.to_value() != *value {
                    self.item(flow, item, value)?;
                }
                continue;
            }
            match (rest.peek(), flow) {
                (Some(next), true) => self.insert(next.span.start, format!("{}, ", emit::flow(value))),
                (None, true) => {
                    let comma = if index == 0 { "" } else { ", " };
                    self.insert(self.last_end(list)?, format!("{comma}{}", emit::flow(value)));
                }
                (next, false) => {
                    let number = items.len() - left - usize::from(next.is_none());
                    let dash = self.dash(items, number, start)?;
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

    /// The dash of a block list's item: behind the item before it, or behind where the list starts, there are only
    /// comments, and the list's own anchor and tag. (The span of a list that isn't indented begins behind its dash.)
    fn dash(&self, items: &[Node], number: usize, start: usize) -> Option<usize> {
        let mut at = match number.checked_sub(1) {
            Some(before) => self.end(items.get(before)?)?,
            None => start,
        };
        loop {
            let rest = &self.text[at..];
            match rest.chars().next()? {
                '-' => return Some(at),
                '#' => at += rest.find('\n')?,
                '&' | '!' => at += rest.find(char::is_whitespace)?,
                blank if blank.is_whitespace() => at += blank.len_utf8(),
                _ => return None,
            }
        }
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
                // The span of a list that isn't indented begins behind its dash.
                Some(
                    items.first()?.span.start > value.span.start
                        && column(text, value.span.start) > column(text, key.span.start),
                )
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
