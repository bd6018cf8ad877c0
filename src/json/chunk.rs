//! Which of 64 bytes mean something to JSON: a bit for each byte, the first in the lowest place.

use wide::u8x16;

/// How many bytes are looked at together.
pub(super) const SIZE: usize = 64;

/// What the bytes of a chunk are, wherever they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// `"`.
    pub(super) quotes: u64,
    /// `\`.
    pub(super) backslashes: u64,
    /// `{`, `}`, `[` and `]`.
    pub(super) brackets: u64,
    /// `,` and `:`.
    pub(super) signs: u64,
    /// ` `.
    pub(super) blanks: u64,
    /// What is below a blank.
    pub(super) control: u64,
}

impl Chunk {
    #[inline]
    pub(super) fn of(bytes: &[u8; SIZE]) -> Self {
        let quarter = |index: usize| u8x16::new(bytes.as_chunks().0[index]);
        let bytes = [quarter(0), quarter(1), quarter(2), quarter(3)];
        let equal = |bytes: u8x16, byte: u8| bytes.simd_eq(u8x16::splat(byte));
        Self {
            quotes: bits(bytes, |bytes| equal(bytes, b'"')),
            backslashes: bits(bytes, |bytes| equal(bytes, b'\\')),
            brackets: bits(bytes, |bytes| {
                // Braces and brackets of one direction differ in one bit only.
                let bytes = bytes | u8x16::splat(0x20);
                equal(bytes, b'{') | equal(bytes, b'}')
            }),
            signs: bits(bytes, |bytes| equal(bytes, b',') | equal(bytes, b':')),
            blanks: bits(bytes, |bytes| equal(bytes, b' ')),
            control: bits(bytes, |bytes| bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes)),
        }
    }
}

/// Of which bytes this holds.
#[inline]
fn bits([a, b, c, d]: [u8x16; 4], holds: impl Fn(u8x16) -> u8x16) -> u64 {
    let of = |bytes: u8x16| u64::from(holds(bytes).to_bitmask());
    of(a) | of(b) << 16 | of(c) << 32 | of(d) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_in_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..SIZE {
                let mut bytes = [b'a'; SIZE];
                bytes[place] = byte;
                let bit = |is: bool| u64::from(is) << place;
                let wanted = Chunk {
                    quotes: bit(byte == b'"'),
                    backslashes: bit(byte == b'\\'),
                    brackets: bit(b"{}[]".contains(&byte)),
                    signs: bit(b",:".contains(&byte)),
                    blanks: bit(byte == b' '),
                    control: bit(byte < b' '),
                };
                assert_eq!(Chunk::of(&bytes), wanted, "{byte} at {place}");
            }
        }
    }
}
