//! A text's values in its order, each with where it ends: found and held against the grammar in one pass.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::chunk::{Chunk, SIZE};
use super::node::Node;

/// A value of the text, a member's key, or the end of a list or map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it begins in the text, in bytes. Where a string, number or word ends, the next entry tells.
    pub(super) start: u32,
    /// Of a list or map, the entry behind its end; of such an end, how many items or members there are.
    pub(super) next: u32,
}

/// A text that is JSON, and where its values are.
#[derive(Debug)]
pub struct Json<'a> {
    pub(super) text: &'a str,
    pub(super) entries: Vec<Entry>,
    /// The last place where a backslash may be: only before it, strings hold escapes.
    last_escape: usize,
}

impl<'a> Json<'a> {
    /// Finds the values; `None` if the text is no JSON.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        let mut scan = Scan::new(text.as_bytes());
        scan.run()?;
        Some(Self { text, entries: scan.found.entries, last_escape: scan.last_escape })
    }

    /// The text's value.
    #[must_use]
    pub fn root(&self) -> Node<'_, 'a> {
        Node::new(self, 0)
    }

    /// The text of a string with its quotes, of a number or of a word. Behind it may stand blanks and the sign before what
    /// is next.
    pub(super) fn scalar(&self, entry: usize) -> &'a str {
        let start = self.entries[entry].start as usize;
        let end = self.entries.get(entry + 1).map_or(self.text.len(), |next| next.start as usize);
        &self.text[start..end_of_scalar(self.text.as_bytes(), end)]
    }

    /// What a string says; `None` if it says half of a surrogate pair.
    pub(super) fn string(&self, entry: usize) -> Option<Cow<'a, str>> {
        let quoted = self.scalar(entry);
        if self.last_escape > self.entries[entry].start as usize && quoted.contains('\\') {
            return serde_json::from_str(quoted).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
    }
}

/// No place in a text: those are below.
const NONE: u32 = u32::MAX;

/// What may stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The text's one value.
    Root,
    /// A member's key.
    Key,
    /// A member's value.
    Member,
    /// An item of a list.
    Item,
    /// Nothing: the text's value is over.
    End,
}

/// A list or map around the one that is open.
#[derive(Debug, Clone, Copy)]
struct Outer {
    entry: u32,
    count: u32,
    inside: Place,
}

/// One pass over a text. A value, key or end is held against the sign before it; that there are no other signs, their
/// number tells in the end.
struct Scan<'a> {
    bytes: &'a [u8],
    found: Found,
    state: State,
    signs: u32,
    /// All bits, if the chunk begins inside of a string.
    inside: u64,
    /// 1, if the chunk's first byte is escaped.
    escaped: u64,
    /// 1, if the byte before the chunk belongs to a number or word.
    in_word: u64,
    last_escape: usize,
}

/// What there is so far.
struct Found {
    entries: Vec<Entry>,
    outer: Vec<Outer>,
}

/// Where in the grammar the scan is: small enough for a processor's registers.
#[derive(Clone, Copy)]
struct State {
    place: Place,
    /// The sign that has to stand before a value here: what opened the list or map, a comma, or a colon; 0: nothing may.
    sign: u8,
    /// The innermost list or map: its entry, its items or members so far, and what it is made of, keys or items.
    entry: u32,
    count: u32,
    inner: Place,
    /// Where a number or word began whose end is looked for when something else begins; else [`NONE`].
    word: u32,
    /// How many commas and colons there have to be.
    signs: u32,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let entries = Vec::with_capacity(16 + bytes.len() / 8);
        let state = State { place: Place::Root, sign: 0, entry: 0, count: 0, inner: Place::End, word: NONE, signs: 0 };
        Self {
            bytes,
            found: Found { entries, outer: Vec::with_capacity(16) },
            state,
            signs: 0,
            inside: 0,
            escaped: 0,
            in_word: 0,
            last_escape: 0,
        }
    }

    fn run(&mut self) -> Option<()> {
        let (chunks, rest) = self.bytes.as_chunks::<SIZE>();
        for (index, chunk) in chunks.iter().enumerate() {
            self.chunk(index * SIZE, chunk)?;
        }
        let mut last = [b' '; SIZE];
        last[..rest.len()].copy_from_slice(rest);
        self.chunk(chunks.len() * SIZE, &last)?;
        self.state.end_word(self.bytes, self.bytes.len())?;
        let State { place, signs, .. } = self.state;
        (place == Place::End && self.inside == 0 && self.signs == signs).then_some(())
    }

    fn chunk(&mut self, base: usize, bytes: &[u8; SIZE]) -> Option<()> {
        let chunk = Chunk::of(bytes);
        let quotes = chunk.quotes & !self.escapes(base, chunk.backslashes)?;
        // From each opening quote to before its closing one.
        let inside = before_and_at(quotes) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        if chunk.control != 0 {
            control(chunk.control, inside, bytes)?;
        }
        self.signs += (chunk.signs & !inside).count_ones();
        let brackets = chunk.brackets & !inside;
        let word = !(inside | quotes | brackets | chunk.signs | chunk.blanks | chunk.control);
        let words = word & !(word << 1 | self.in_word);
        self.in_word = word >> 63;
        let mut begins = brackets | (quotes & inside) | words;
        let mut state = self.state;
        while begins != 0 {
            let place = begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let before = if place > 0 { bytes[(place - 1) % SIZE] } else { b' ' };
            let at = base + place;
            // All blanks are below the others.
            let before = if before > b' ' { before } else { last_of(&self.bytes[..at]) };
            if state.word != NONE {
                state.end_word(self.bytes, at)?;
            }
            state.begin(&mut self.found, at as u32, bytes[place % SIZE], before)?;
        }
        self.state = state;
        Some(())
    }

    /// Which bytes are escaped by a backslash before them.
    fn escapes(&mut self, base: usize, mut backslashes: u64) -> Option<u64> {
        let mut escaped = std::mem::take(&mut self.escaped);
        if backslashes == 0 {
            return Some(escaped);
        }
        self.last_escape = base + 63 - backslashes.leading_zeros() as usize;
        backslashes &= !escaped;
        while backslashes != 0 {
            let place = backslashes.trailing_zeros();
            is_escape(self.bytes.get(base + place as usize + 1..)?).then_some(())?;
            if place == 63 {
                self.escaped = 1;
                break;
            }
            escaped |= 2 << place;
            backslashes &= !(3 << place);
        }
        Some(escaped)
    }
}

impl State {
    /// A bracket, a string, or a number or word begins, behind this byte and blanks.
    #[inline]
    fn begin(&mut self, found: &mut Found, at: u32, byte: u8, before: u8) -> Option<()> {
        if matches!(byte, b'}' | b']') {
            return self.close(found, at, byte, before);
        }
        (before == self.sign).then_some(())?;
        found.entries.push(Entry { start: at, next: 0 });
        match self.place {
            Place::Key => {
                self.count += 1;
                (self.place, self.sign) = (Place::Member, b':');
                return (byte == b'"').then_some(());
            }
            Place::Item => self.count += 1,
            Place::Member | Place::Root => {}
            Place::End => return None,
        }
        match byte {
            b'"' => self.end_value(),
            b'{' | b'[' => self.open(found, byte),
            _ => {
                self.word = at;
                self.end_value();
            }
        }
        Some(())
    }

    #[inline]
    fn open(&mut self, found: &mut Found, byte: u8) {
        found.outer.push(Outer { entry: self.entry, count: self.count, inside: self.inner });
        self.inner = if byte == b'{' { Place::Key } else { Place::Item };
        (self.entry, self.count) = (found.entries.len() as u32 - 1, 0);
        (self.place, self.sign) = (self.inner, byte);
    }

    #[inline]
    fn close(&mut self, found: &mut Found, at: u32, byte: u8, before: u8) -> Option<()> {
        let map = self.inner == Place::Key;
        let empty = self.count == 0 && before == self.sign;
        let full = self.count > 0 && before != b',';
        (self.place == self.inner && (byte == b'}') == map && (empty || full)).then_some(())?;
        // Each item or member but the first has a comma before it, and each key a colon behind it.
        self.signs += self.count.saturating_sub(1) + if map { self.count } else { 0 };
        found.entries.push(Entry { start: at, next: self.count });
        found.entries[self.entry as usize].next = found.entries.len() as u32;
        let outer = found.outer.pop()?;
        (self.entry, self.count, self.inner) = (outer.entry, outer.count, outer.inside);
        self.end_value();
        Some(())
    }

    /// A value is over: what may follow?
    #[inline]
    fn end_value(&mut self) {
        (self.place, self.sign) = (self.inner, b',');
    }

    /// If a number or word was last, it ended before this place.
    #[inline]
    fn end_word(&mut self, bytes: &[u8], at: usize) -> Option<()> {
        let start = std::mem::replace(&mut self.word, NONE);
        (start == NONE || is_scalar(&bytes[start as usize..end_of_scalar(bytes, at)])).then_some(())
    }
}

/// Bytes below a blank: line breaks and tabs may stand outside of strings.
fn control(mut control: u64, inside: u64, bytes: &[u8; SIZE]) -> Option<()> {
    (control & inside == 0).then_some(())?;
    while control != 0 {
        matches!(bytes[control.trailing_zeros() as usize], b'\n' | b'\r' | b'\t').then_some(())?;
        control &= control - 1;
    }
    Some(())
}

/// The last byte that is no blank; 0 if there is none.
fn last_of(bytes: &[u8]) -> u8 {
    bytes.trim_ascii_end().last().copied().unwrap_or_default()
}

/// Where a string, number or word ends behind which, before `at`, are only blanks and perhaps a comma or colon.
fn end_of_scalar(bytes: &[u8], mut at: usize) -> usize {
    while let [.., b',' | b':' | b' ' | b'\n' | b'\r' | b'\t'] = bytes[..at] {
        at -= 1;
    }
    at
}

/// For each bit whether the number of those set at it and below is odd.
const fn before_and_at(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}

/// Whether a text that begins with no bracket or quote is JSON: `null`, `true`, `false` or a number.
fn is_scalar(text: &[u8]) -> bool {
    match text {
        b"null" | b"true" | b"false" | b"0" => true,
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => true,
        other => serde_json::from_slice::<IgnoredAny>(other).is_ok(),
    }
}

/// Whether what follows a backslash in a string makes an escape (RFC 8259, section 7).
fn is_escape(rest: &[u8]) -> bool {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => true,
        [b'u', a, b, c, d, ..] => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}
