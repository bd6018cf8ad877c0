//! A text's values in its order, each with where it ends: found and held against the grammar in one pass.

use serde::de::IgnoredAny;

use super::chunk::{Chunk, SIZE, backslashes, controls};
use super::node::Node;

/// The most values of a text that is read, keys among them, lists and maps twice. Each is an entry of eight bytes, where a text
/// may have one a byte; of a pod, etcd takes 1.5 MiB, which are a tenth of these.
pub const MAX_VALUES: usize = 1024 * 1024;

/// A value of the text, or a member's key. A list or map has a second one, of its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it begins in the text, in bytes.
    pub(super) start: u32,
    /// Of a list or map, the entry behind all that is in it; in its second, how many items or members there are. Of a
    /// string, the place of its closing quote; of a number or word, the place behind it.
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
    /// Finds the values; `None` if the text is no JSON, or has more than [`MAX_VALUES`].
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        // A string that does not end is taken to end behind the last chunk, and a level has 31 bits for its entry.
        i32::try_from(text.len() + SIZE).ok()?;
        let mut scan = Scan::new(text.as_bytes());
        scan.run()?;
        Some(Self { text, entries: scan.entries, last_escape: scan.last_escape })
    }

    /// How many values there are, keys among them, lists and maps twice.
    #[must_use]
    pub fn values(&self) -> usize {
        self.entries.len()
    }

    /// Why a text is not read, in words; with a line and a column if it is no JSON.
    #[must_use]
    pub fn why_not(text: &str) -> String {
        if is_too_much(text) {
            return format!("it has more than {MAX_VALUES} values, keys among them, lists and maps twice");
        }
        // It keeps to the same grammar, and says where a text leaves it.
        let read = serde_json::from_str::<IgnoredAny>(text);
        read.map_or_else(|error| error.to_string(), |_| "it can't be read".to_owned())
    }

    /// The text's value.
    #[must_use]
    pub fn root(&self) -> Node<'_, 'a> {
        Node::new(self, 0)
    }

    /// Whether there are escapes between a string's quotes. Behind the last one of the text there is nothing to look for.
    #[inline]
    fn is_escaped(&self, start: u32, quoted: &[u8]) -> bool {
        (start as usize) < self.last_escape && quoted.contains(&b'\\')
    }

    /// What a string says that holds no escapes.
    #[inline]
    pub(super) fn plain(&self, Entry { start, next: end }: Entry) -> Option<&'a str> {
        let text = &self.text[start as usize + 1..end as usize];
        (!self.is_escaped(start, text.as_bytes())).then_some(text)
    }

    /// The same as bytes, which are cut out without a look at where characters begin.
    #[inline]
    pub(super) fn plain_bytes(&self, Entry { start, next: end }: Entry) -> Option<&'a [u8]> {
        let text = self.text.as_bytes().get(start as usize + 1..end as usize)?;
        (!self.is_escaped(start, text)).then_some(text)
    }

    /// What a string says that holds escapes; `None` if that is half of a surrogate pair.
    pub(super) fn unescaped(&self, Entry { start, next: end }: Entry) -> Option<String> {
        serde_json::from_str(&self.text[start as usize..=end as usize]).ok()
    }
}

/// A list or map that the scan is in: its entry, and in the highest bit whether it is a map. What itself is in waits in its
/// entries until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level(u32);

impl Level {
    /// The text: a list without an entry.
    const TEXT: Self = Self(u32::MAX >> 1);

    const fn new(entry: usize, map: u32) -> Self {
        Self(entry as u32 | map << 31)
    }

    const fn entry(self) -> usize {
        (self.0 & Self::TEXT.0) as usize
    }

    /// 1 in a map.
    const fn map(self) -> u32 {
        self.0 >> 31
    }
}

/// Whether the last byte before a chunk that is no blank is one of these: 1 if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before(u64);

/// One pass over a text. What may stand behind what is held against the grammar for all of a chunk at once; where a value
/// has to stand behind a colon, and what may be closed, depends on the list or map and is left for each value.
struct Scan<'a> {
    bytes: &'a [u8],
    /// What was found, and behind it room for what the next chunk may hold.
    entries: Vec<Entry>,
    found: usize,
    level: Level,
    /// Where its entries would begin if each of its items, or keys and values, had but one: what tells their number.
    first: usize,
    /// 1, if a map's value is next.
    value: u32,
    /// All bits, if the chunk begins inside of a string.
    inside: u64,
    /// 1, if the chunk's first byte is escaped.
    escaped: u64,
    /// 1, if the byte before the chunk belongs to a string, number or word that may go on.
    within: u64,
    /// Signs and what opens: behind them, something begins. Before the text's value is nothing, as before a list's first.
    before: Before,
    before_colon: Before,
    last_escape: usize,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            entries: Vec::with_capacity(4 * SIZE + bytes.len() / 8),
            found: 0,
            level: Level::TEXT,
            first: 0,
            value: 0,
            inside: 0,
            escaped: 0,
            within: 0,
            before: Before(1),
            before_colon: Before(0),
            last_escape: 0,
        }
    }

    fn run(&mut self) -> Option<()> {
        // Strings, numbers and words end before the blanks.
        let mut last = [b' '; SIZE];
        let (_, rest) = self.bytes.as_chunks::<SIZE>();
        last[..rest.len()].copy_from_slice(rest);
        let mut base = 0;
        while base <= self.bytes.len() {
            self.chunk(base as u32, self.bytes[base..].first_chunk().unwrap_or(&last))?;
            base += SIZE;
        }
        self.entries.truncate(self.found);
        let one = self.level == Level::TEXT && self.found - self.first == 1;
        (one && self.found <= MAX_VALUES && self.inside == 0 && self.before == Before(0)).then_some(())
    }

    #[inline]
    fn chunk(&mut self, base: u32, bytes: &[u8; SIZE]) -> Option<()> {
        let chunk = Chunk::of(bytes);
        let escaped = if chunk.odd || self.escaped != 0 { self.escapes(base, bytes)? } else { 0 };
        let quotes = chunk.quotes & !escaped;
        // From each opening quote to before its closing one.
        let inside = before_and_at(quotes) ^ self.inside;
        if chunk.odd {
            control(inside, bytes)?;
        }
        // What is nothing else is a number or word.
        let within = inside | !(quotes | chunk.brackets | chunk.signs | chunk.blanks);
        let edges = within ^ (within << 1 | self.within);
        let scalars = edges & within;
        // They end in the order in which they begin, and before them the one that the chunk begins in.
        let mut ends = edges & !within;
        let brackets = chunk.brackets & !inside;
        let signs = chunk.signs & !inside;
        let blanks = chunk.blanks & !inside;
        let opens = brackets & chunk.second;
        // Where a string begins behind a number or word, it is no edge.
        let values = scalars | (quotes & inside) | opens;
        let behind = self.before.behind(signs | opens, blanks);
        let behind_colon = self.before_colon.behind(signs & chunk.second, blanks);
        // Something begins behind each of them and nowhere else, or what was opened is closed.
        (behind & (values | !brackets) == values).then_some(())?;

        let words = scalars & !quotes;
        if words | self.within & !self.inside != 0 {
            self.words(base, words, ends)?;
        }
        if self.within != 0 {
            self.entries[self.found - 1].next = base + ends.trailing_zeros();
            ends &= ends.wrapping_sub(1);
        }
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        self.within = within >> 63;
        let of_maps = self.values(base, bytes, values | brackets, ends, brackets, behind)?;
        (of_maps == behind_colon).then_some(())
    }

    /// The values, keys and ends that begin in a chunk. Tells which are the values of maps.
    #[inline]
    fn values(
        &mut self,
        base: u32,
        bytes: &[u8; SIZE],
        mut begins: u64,
        mut ends: u64,
        brackets: u64,
        behind: u64,
    ) -> Option<u64> {
        if self.found + 2 * SIZE > self.entries.len() {
            (self.found <= MAX_VALUES).then_some(())?;
            self.entries.extend_from_slice(&[Entry { start: 0, next: 0 }; 4 * SIZE]);
        }
        let (entries, mut found) = (&mut self.entries[..], self.found);
        let (mut level, mut first, mut value, mut of_maps) = (self.level, self.first, self.value, 0);
        while begins != 0 {
            let place = begins.trailing_zeros();
            begins &= begins - 1;
            let start = base + place;
            if brackets >> place & 1 == 0 {
                entries[found] = Entry { start, next: base + ends.trailing_zeros() };
                found += 1;
                ends &= ends.wrapping_sub(1);
                of_maps |= u64::from(value) << place;
                value ^= level.map();
                continue;
            }
            let byte = bytes[place as usize];
            // Braces have this bit, brackets don't.
            let map = u32::from(byte >> 5 & 1);
            let count = (found - first) as u32;
            match byte | 0x20 {
                b'{' => {
                    // A key is a string.
                    (value == level.map()).then_some(())?;
                    of_maps |= u64::from(value) << place;
                    entries[found] = Entry { start, next: level.0 };
                    entries[found + 1].next = count + 1;
                    level = Level::new(found, map);
                    found += 2;
                    first = found;
                }
                b'}' => {
                    let whole = value == 0 && (count == 0 || behind >> place & 1 == 0);
                    (map == level.map() && whole).then_some(())?;
                    let opened = level.entry();
                    level = Level(std::mem::replace(&mut entries.get_mut(opened)?.next, found as u32));
                    first = found - entries[opened + 1].next as usize;
                    entries[opened + 1] = Entry { start, next: count >> map };
                }
                _ => return None,
            }
            // Behind a map's value is a key.
            value = 0;
        }
        (self.level, self.first, self.value, self.found) = (level, first, value, found);
        Some(of_maps)
    }

    /// Holds the numbers and words that end in a chunk against the grammar, the one among them that it begins in.
    fn words(&mut self, base: u32, words: u64, ends: u64) -> Option<()> {
        if self.within & !self.inside != 0 {
            let start = self.entries[self.found - 1].start as usize;
            self.word(base, start, ends)?;
        }
        let mut left = words;
        while left != 0 {
            let place = left.trailing_zeros();
            self.word(base, (base + place) as usize, ends & u64::MAX << place)?;
            left &= left - 1;
        }
        Some(())
    }

    /// A number or word up to the first of these ends. Without one, it goes on in the next chunk.
    fn word(&self, base: u32, start: usize, ends: u64) -> Option<()> {
        if ends == 0 {
            return Some(());
        }
        let end = (base + ends.trailing_zeros()) as usize;
        // A key is a string.
        let key = self.bytes[end..].trim_ascii_start().first() == Some(&b':');
        (is_scalar(&self.bytes[start..end]) && !key).then_some(())
    }

    /// Which bytes are escaped by a backslash before them. Kept out of the loop over the chunks, which has no register to
    /// spare, since most chunks hold none.
    #[inline(never)]
    fn escapes(&mut self, base: u32, bytes: &[u8; SIZE]) -> Option<u64> {
        let (base, mut backslashes) = (base as usize, backslashes(bytes));
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

impl Before {
    /// What stands behind these, over blanks.
    #[inline]
    fn behind(&mut self, these: u64, blanks: u64) -> u64 {
        let behind = these << 1 | self.0;
        *self = Self(these >> 63);
        if blanks == 0 {
            return behind;
        }
        // The sum carries it over blanks.
        let (sum, carried) = blanks.overflowing_add(behind & blanks);
        self.0 |= u64::from(carried);
        (behind | sum) & !blanks
    }
}

/// Bytes below a blank: line breaks and tabs may stand outside of strings.
#[inline(never)]
fn control(inside: u64, bytes: &[u8; SIZE]) -> Option<()> {
    let mut left = controls(bytes);
    (left & inside == 0).then_some(())?;
    while left != 0 {
        matches!(bytes[left.trailing_zeros() as usize], b'\n' | b'\r' | b'\t').then_some(())?;
        left &= left - 1;
    }
    Some(())
}

/// Whether a text has more values than are read, as far as it is JSON.
pub(super) fn is_too_much(text: &str) -> bool {
    let mut scan = Scan::new(text.as_bytes());
    scan.run().is_none() && scan.found > MAX_VALUES
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
