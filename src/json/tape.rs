//! A text's values in its order, each with where it ends: found and held against the grammar in one pass.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::chunk::{Chunk, SIZE};
use super::node::Node;

/// A value of the text, a member's key, or the end of a list or map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it begins in the text, in bytes.
    pub(super) start: u32,
    /// Of a list or map, the entry behind its end; of such an end, how many items or members there are. Of a string, the
    /// place of its closing quote; of a number or word, the place behind it.
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
        // A string that does not end is taken to end behind the last chunk.
        u32::try_from(text.len() + SIZE).ok()?;
        let mut scan = Scan::new(text.as_bytes());
        scan.run()?;
        Some(Self { text, entries: scan.found.entries, last_escape: scan.last_escape })
    }

    /// The text's value.
    #[must_use]
    pub fn root(&self) -> Node<'_, 'a> {
        Node::new(self, 0)
    }

    /// Whether a string that begins here may hold escapes.
    #[inline]
    pub(super) const fn may_be_escaped(&self, start: u32) -> bool {
        (start as usize) < self.last_escape
    }

    /// What a string says that stands where there are no escapes; `None` if it may hold some.
    #[inline]
    pub(super) fn plain(&self, Entry { start, next: end }: Entry) -> Option<&'a str> {
        (!self.may_be_escaped(start)).then(|| &self.text[start as usize + 1..end as usize])
    }

    /// What a string says; `None` if it says half of a surrogate pair.
    pub(super) fn string(&self, entry: Entry) -> Option<Cow<'a, str>> {
        if let Some(plain) = self.plain(entry) {
            return Some(Cow::Borrowed(plain));
        }
        let quoted = &self.text[entry.start as usize..=entry.next as usize];
        if quoted.contains('\\') {
            serde_json::from_str(quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
        }
    }
}

/// No text holds this byte (RFC 3629): what it has to stand before can't be.
const NEVER: u8 = 0xff;

/// Where in the grammar the scan is.
#[derive(Debug, Clone, Copy)]
struct State {
    /// What has to stand before the next value or key: what opened the list or map, a comma, or a colon; 0 where the text
    /// begins, [`NEVER`] where its value is over.
    sign: u8,
    /// What has to stand behind a key of the innermost map, a colon, or an item of the innermost list, a comma;
    /// [`NEVER`] if none is open.
    follows: u8,
    /// The innermost list's or map's entry, and its items or members so far.
    entry: u32,
    count: u32,
}

/// One pass over a text. Each value, key and end is held against the sign before it, and behind each sign something has to
/// begin.
struct Scan<'a> {
    bytes: &'a [u8],
    found: Found,
    state: State,
    /// All bits, if the chunk begins inside of a string.
    inside: u64,
    /// 1, if the chunk's first byte is escaped.
    escaped: u64,
    /// 1, if the byte before the chunk belongs to a number or word.
    in_word: u64,
    /// 1, if the last byte before the chunk that is no blank is a comma or colon.
    behind_sign: u64,
    last_escape: usize,
}

/// What there is so far.
struct Found {
    entries: Vec<Entry>,
    /// Where the scan goes on when the lists and maps that are open are over.
    outer: Vec<State>,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let entries = Vec::with_capacity(16 + bytes.len() / 8);
        Self {
            bytes,
            found: Found { entries, outer: Vec::with_capacity(16) },
            state: State { sign: 0, follows: NEVER, entry: 0, count: 0 },
            inside: 0,
            escaped: 0,
            in_word: 0,
            behind_sign: 0,
            last_escape: 0,
        }
    }

    fn run(&mut self) -> Option<()> {
        let (chunks, rest) = self.bytes.as_chunks::<SIZE>();
        // Strings, numbers and words end before the blanks.
        let mut last = [b' '; SIZE];
        last[..rest.len()].copy_from_slice(rest);
        for (index, chunk) in chunks.iter().chain([&last]).enumerate() {
            self.chunk(index * SIZE, chunk)?;
        }
        (self.state.sign == NEVER && self.inside == 0 && self.behind_sign == 0).then_some(())
    }

    #[inline]
    fn chunk(&mut self, base: usize, bytes: &[u8; SIZE]) -> Option<()> {
        let chunk = Chunk::of(bytes);
        let escaped = if chunk.backslashes | self.escaped == 0 { 0 } else { self.escapes(base, chunk.backslashes)? };
        let quotes = chunk.quotes & !escaped;
        // From each opening quote to before its closing one.
        let inside = before_and_at(quotes) ^ self.inside;
        if chunk.control != 0 {
            control(chunk.control, inside, bytes)?;
        }
        let brackets = chunk.brackets & !inside;
        let signs = chunk.signs & !inside;
        let blanks = (chunk.blanks | chunk.control) & !inside;
        let word = !(inside | quotes | brackets | signs | blanks);
        let words = word & !(word << 1 | self.in_word);
        let begins = brackets | (quotes & inside) | words;
        // Behind a sign and blanks, which the sum carries it over, something has to begin.
        let behind = signs << 1 | self.behind_sign;
        let (sum, carried) = blanks.overflowing_add(behind & blanks);
        ((behind | sum) & !(blanks | begins) == 0).then_some(())?;
        // Strings end in the order in which they begin, and before them the one that the chunk begins in.
        let mut ends = Places { base, left: quotes & !inside };
        if self.inside != 0 {
            self.found.entries.last_mut()?.next = ends.take();
        }
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        self.in_word = word >> 63;
        self.behind_sign = signs >> 63 | u64::from(carried);
        self.values(base, bytes, begins, ends)
    }

    /// The values, keys and ends that begin in a chunk.
    #[inline]
    fn values(&mut self, base: usize, bytes: &[u8; SIZE], mut begins: u64, mut ends: Places) -> Option<()> {
        let mut state = self.state;
        while begins != 0 {
            let place = begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let start = (base + place) as u32;
            let before = if place > 0 { bytes[place - 1] } else { b' ' };
            // All blanks are below the others.
            let before = if before > b' ' { before } else { last_of(&self.bytes[..base + place]) };
            let byte = bytes[place];
            if matches!(byte, b'}' | b']') {
                state.close(&mut self.found, start, byte, before)?;
                continue;
            }
            (before == state.sign && (byte == b'"' || state.may_be_value())).then_some(())?;
            match byte {
                b'{' | b'[' => state.open(&mut self.found, start, byte),
                b'"' => state.pass(&mut self.found, Entry { start, next: ends.take() }),
                _ => state.pass(&mut self.found, Entry { start, next: end_of_word(self.bytes, base + place)? }),
            }
        }
        self.state = state;
        Some(())
    }

    /// Which bytes are escaped by a backslash before them. Kept out of the loop over the chunks, which has no register to
    /// spare, since most chunks hold none.
    #[inline(never)]
    fn escapes(&mut self, base: usize, mut backslashes: u64) -> Option<u64> {
        let mut escaped = std::mem::take(&mut self.escaped);
        // Without one in the chunk, it is the byte before.
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
    /// Whether what is next may be no key.
    #[inline]
    fn may_be_value(&self) -> bool {
        self.sign == b':' || self.follows != b':'
    }

    /// Goes behind a value or key.
    #[inline]
    fn pass(&mut self, found: &mut Found, entry: Entry) {
        found.entries.push(entry);
        if self.sign == b':' {
            self.sign = b',';
        } else {
            self.sign = self.follows;
            self.count += 1;
        }
    }

    /// Goes into a list or map.
    #[inline]
    fn open(&mut self, found: &mut Found, start: u32, byte: u8) {
        let entry = found.entries.len() as u32;
        self.pass(found, Entry { start, next: 0 });
        found.outer.push(*self);
        *self = Self { sign: byte, follows: if byte == b'{' { b':' } else { b',' }, entry, count: 0 };
    }

    /// Goes behind the innermost list or map.
    #[inline]
    fn close(&mut self, found: &mut Found, start: u32, byte: u8, before: u8) -> Option<()> {
        let map = self.follows == b':';
        (map == (byte == b'}') && self.sign != b':' && !matches!(before, b',' | b':')).then_some(())?;
        found.entries.push(Entry { start, next: self.count });
        found.entries[self.entry as usize].next = found.entries.len() as u32;
        *self = found.outer.pop()?;
        Some(())
    }
}

/// Places in a chunk that are still to be looked at.
struct Places {
    base: usize,
    left: u64,
}

impl Places {
    /// The first of them, as a place in the text; one behind the chunk if there is none.
    #[inline]
    fn take(&mut self) -> u32 {
        let place = self.base as u32 + self.left.trailing_zeros();
        self.left &= self.left.wrapping_sub(1);
        place
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
#[cold]
fn last_of(bytes: &[u8]) -> u8 {
    bytes.trim_ascii_end().last().copied().unwrap_or_default()
}

/// Where the number or word ends that begins here; `None` if it is none.
#[cold]
fn end_of_word(bytes: &[u8], at: usize) -> Option<u32> {
    let rest = &bytes[at..];
    let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
    let length = length.unwrap_or(rest.len());
    is_scalar(&rest[..length]).then_some((at + length) as u32)
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
