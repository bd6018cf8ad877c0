//! One value of a text, and the ways from it to those inside.

use std::borrow::Cow;

use super::tape::Json;

/// A value of a text. A copy costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t, 'a> {
    pub(super) json: &'t Json<'a>,
    entry: usize,
}

/// What kind of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Map,
    /// `[...]`
    List,
    /// `"..."`
    Text,
    /// `true` or `false`.
    Boolean,
    /// `null`
    Null,
    /// `-1.5e3`
    Number,
}

impl<'t, 'a> Node<'t, 'a> {
    pub(super) const fn new(json: &'t Json<'a>, entry: usize) -> Self {
        Self { json, entry }
    }

    fn start(self) -> usize {
        self.json.entries[self.entry].start as usize
    }

    /// The entry behind the value and all that is in it.
    fn end(self) -> usize {
        if matches!(self.kind(), Kind::Map | Kind::List) {
            self.json.entries[self.entry].next as usize
        } else {
            self.entry + 1
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.json.text.as_bytes()[self.start()] {
            b'{' => Kind::Map,
            b'[' => Kind::List,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self) -> &'a str {
        match self.kind() {
            Kind::Map | Kind::List => &self.json.text[self.start()..=self.json.entries[self.end() - 1].start as usize],
            _ => self.json.scalar(self.entry),
        }
    }

    /// What a string says; `None` if it is none, or says half of a surrogate pair.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        if self.kind() == Kind::Text { self.json.string(self.entry) } else { None }
    }

    /// Whether it is `true`.
    #[must_use]
    pub fn is_true(self) -> bool {
        self.text() == "true"
    }

    /// How many items a list, or members a map has.
    #[must_use]
    pub fn len(self) -> usize {
        match self.kind() {
            Kind::Map | Kind::List => self.json.entries[self.end() - 1].next as usize,
            _ => 0,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The items of a list, none of all else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        self.inside(Kind::List)
    }

    /// The members of a map, none of all else; in the text's order, and twice what stands there twice.
    pub fn members(self) -> impl Iterator<Item = (Self, Self)> {
        let mut all = self.inside(Kind::Map);
        std::iter::from_fn(move || Some((all.next()?, all.next()?)))
    }

    /// What is inside of a value of this kind; nothing if it is of another.
    fn inside(self, kind: Kind) -> Inside<'t, 'a> {
        let first = self.entry + 1;
        Inside { json: self.json, entry: first, end: if self.kind() == kind { self.end() - 1 } else { first } }
    }

    /// The member of this name: the last one, as Go takes it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().filter(|(key, _)| key.string().is_some_and(|key| key == name)).last().map(|(_, value)| value)
    }
}

/// The values inside of a list or map, keys among them.
struct Inside<'t, 'a> {
    json: &'t Json<'a>,
    entry: usize,
    end: usize,
}

impl<'t, 'a> Iterator for Inside<'t, 'a> {
    type Item = Node<'t, 'a>;

    fn next(&mut self) -> Option<Node<'t, 'a>> {
        if self.entry == self.end {
            return None;
        }
        let node = Node::new(self.json, self.entry);
        self.entry = node.end();
        Some(node)
    }
}
