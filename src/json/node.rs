//! One value of a text, and the ways from it to those inside.

use std::borrow::Cow;

use super::tape::{Entry, Json};

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

    /// What the scan found.
    #[inline]
    fn found(self) -> Entry {
        self.json.entries[self.entry]
    }

    /// Its first byte, which tells its kind.
    #[inline]
    fn byte(self) -> u8 {
        self.json.text.as_bytes()[self.found().start as usize]
    }

    /// The entry behind the value and all that is in it.
    #[inline]
    fn end(self) -> usize {
        match self.byte() {
            b'{' | b'[' => self.found().next as usize,
            _ => self.entry + 1,
        }
    }

    /// What it is.
    #[must_use]
    #[inline]
    pub fn kind(self) -> Kind {
        match self.byte() {
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
        let Entry { start, next } = self.found();
        let end = match self.byte() {
            b'{' | b'[' => self.json.entries[self.entry + 1].start + 1,
            b'"' => next + 1,
            _ => next,
        };
        &self.json.text[start as usize..end as usize]
    }

    /// What a string says that holds no escapes.
    pub(super) fn plain(self) -> Option<&'a str> {
        self.json.plain(self.found())
    }

    /// The same as bytes.
    #[inline]
    pub(super) fn plain_bytes(self) -> Option<&'a [u8]> {
        self.json.plain_bytes(self.found())
    }

    /// What a string says; `None` if it is none, or says half of a surrogate pair.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        if self.byte() != b'"' {
            return None;
        }
        match self.plain() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.unescaped().map(Cow::Owned),
        }
    }

    /// What a string says that holds escapes; `None` if that is half of a surrogate pair.
    pub(super) fn unescaped(self) -> Option<String> {
        self.json.unescaped(self.found())
    }

    /// Whether a string says this.
    #[must_use]
    #[inline]
    pub fn says(self, text: &str) -> bool {
        /// Bytes of the longest escape, which stands for one byte at least.
        const ESCAPE: usize = 6;
        let Entry { start, next: end } = self.found();
        let quoted = (end - start) as usize - 1;
        // An escape is longer than what it stands for.
        if quoted < text.len() {
            return false;
        }
        match self.plain_bytes() {
            Some(said) => said == text.as_bytes(),
            None => quoted <= text.len() * ESCAPE && self.unescaped().is_some_and(|said| said == text),
        }
    }

    /// Whether it is `true`.
    #[must_use]
    pub fn is_true(self) -> bool {
        self.byte() == b't'
    }

    /// How many items a list, or members a map has.
    #[must_use]
    pub fn len(self) -> usize {
        match self.kind() {
            Kind::Map | Kind::List => self.inside().len(),
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
        self.inside_of(Kind::List)
    }

    /// The members of a map, none of all else; in the text's order, and twice what stands there twice.
    pub fn members(self) -> impl Iterator<Item = (Self, Self)> {
        let mut all = self.inside_of(Kind::Map);
        std::iter::from_fn(move || Some((all.next_key()?, all.next()?)))
    }

    /// What is inside of a value of this kind; nothing if it is of another.
    fn inside_of(self, kind: Kind) -> Inside<'t, 'a> {
        if self.kind() == kind { self.inside() } else { Inside { json: self.json, len: 0, entry: 0, end: 0 } }
    }

    /// What is inside of a list or map.
    #[inline]
    pub(super) fn inside(self) -> Inside<'t, 'a> {
        let len = self.json.entries[self.entry + 1].next as usize;
        Inside { json: self.json, len, entry: self.entry + 2, end: self.found().next as usize }
    }

    /// The member of this name: the last one, as Go takes it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().filter(|(key, _)| key.says(name)).last().map(|(_, value)| value)
    }
}

/// The values inside of a list or map, keys among them.
#[derive(Clone)]
pub(super) struct Inside<'t, 'a> {
    json: &'t Json<'a>,
    len: usize,
    entry: usize,
    end: usize,
}

impl<'t, 'a> Inside<'t, 'a> {
    /// A map's next key; `next` then is its value.
    #[inline]
    pub(super) fn next_key(&mut self) -> Option<Node<'t, 'a>> {
        let key = (self.entry < self.end).then(|| Node::new(self.json, self.entry))?;
        self.entry += 1;
        Some(key)
    }

    /// The value behind the key that was last, and that key.
    #[inline]
    pub(super) fn value(&mut self) -> Option<(Node<'t, 'a>, Node<'t, 'a>)> {
        let key = Node::new(self.json, self.entry - 1);
        Some((key, self.next()?))
    }

    /// How many items of a list were gone through.
    #[cold]
    pub(super) fn passed(&self) -> usize {
        self.len - self.clone().count()
    }

    /// How many items or members there are, with those that were gone through.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl<'t, 'a> Iterator for Inside<'t, 'a> {
    type Item = Node<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'t, 'a>> {
        let node = (self.entry < self.end).then(|| Node::new(self.json, self.entry))?;
        self.entry = node.end();
        Some(node)
    }
}
