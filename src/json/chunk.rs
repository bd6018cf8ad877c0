//! Which of 64 bytes mean something to JSON: a bit for each byte, the first in the lowest place.

use wide::u8x16;

/// How many bytes are looked at together.
pub(super) const SIZE: usize = 64;

/// What the bytes of a chunk are, wherever they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// `"`.
    pub(super) quotes: u64,
    /// `{`, `}`, `[` and `]`, but also `\`, `^`, `_`, `|`, `~` and what is no ASCII, in part. None of these may stand outside
    /// of strings, and to leave them out would cost each chunk more.
    pub(super) brackets: u64,
    /// `,` and `:`.
    pub(super) signs: u64,
    /// Bytes whose second bit is set: of brackets those that open, of signs the colons.
    pub(super) second: u64,
    /// ` ` and what is below it.
    pub(super) blanks: u64,
    /// Whether there are backslashes or bytes below a blank; where, [`backslashes`] and [`controls`] tell.
    pub(super) odd: bool,
}

impl Chunk {
    #[inline]
    pub(super) fn of(bytes: &[u8; SIZE]) -> Self {
        let quarters @ [a, b, c, d] = quarters(bytes);
        let is_backslash = |bytes| is(bytes, b'\\');
        let backslash = is_backslash(a) | is_backslash(b) | is_backslash(c) | is_backslash(d);
        let least = a.min(b).min(c.min(d));
        Self {
            quotes: bits(quarters, |bytes| is(bytes, b'"')),
            // Braces and brackets of one direction differ in one bit only.
            brackets: bits(quarters, |bytes| (bytes | u8x16::splat(0x20)) + u8x16::splat(0x80 - b'{')),
            signs: bits(quarters, |bytes| is(bytes, b',') | is(bytes, b':')),
            second: bits(quarters, |bytes| is(bytes & u8x16::splat(2), 2)),
            blanks: bits(quarters, |bytes| is_at_most(bytes, b' ')),
            odd: (backslash | is_at_most(least, b' ' - 1)).to_bitmask() != 0,
        }
    }
}

/// Where backslashes are.
pub(super) fn backslashes(bytes: &[u8; SIZE]) -> u64 {
    bits(quarters(bytes), |bytes| is(bytes, b'\\'))
}

/// Where bytes below a blank are.
pub(super) fn controls(bytes: &[u8; SIZE]) -> u64 {
    bits(quarters(bytes), |bytes| is_at_most(bytes, b' ' - 1))
}

#[inline]
fn quarters(bytes: &[u8; SIZE]) -> [u8x16; 4] {
    let quarter = |index: usize| u8x16::new(bytes.as_chunks().0[index]);
    [quarter(0), quarter(1), quarter(2), quarter(3)]
}

/// The highest bits of what `answers` makes of the bytes.
#[inline]
fn bits([a, b, c, d]: [u8x16; 4], answers: impl Fn(u8x16) -> u8x16) -> u64 {
    let of = |bytes: u8x16| u64::from(answers(bytes).to_bitmask());
    of(a) | of(b) << 16 | of(c) << 32 | of(d) << 48
}

#[inline]
fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Told by the highest bit alone.
#[inline]
fn is_at_most(bytes: u8x16, ascii: u8) -> u8x16 {
    u8x16::splat(0x80 + ascii).saturating_sub(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_in_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..SIZE {
                let mut bytes = [b'1'; SIZE];
                bytes[place] = byte;
                let bit = |is: bool| u64::from(is) << place;
                let found = Chunk::of(&bytes);
                let wanted = Chunk {
                    quotes: bit(byte == b'"'),
                    brackets: if byte.is_ascii() { bit((byte | 0x20) >= b'{') } else { found.brackets },
                    signs: bit(b",:".contains(&byte)),
                    second: bit(byte & 2 != 0),
                    blanks: bit(byte <= b' '),
                    odd: byte == b'\\' || byte < b' ',
                };
                assert_eq!(found, wanted, "{byte} at {place}");
                assert_eq!(backslashes(&bytes), bit(byte == b'\\'), "{byte} at {place}");
                assert_eq!(controls(&bytes), bit(byte < b' '), "{byte} at {place}");
            }
        }
    }
}
