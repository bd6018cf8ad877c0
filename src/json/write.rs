//! Text as JSON.

use std::fmt::Write;

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_escaped(text, out);
    out.push('"');
}

/// Which bytes can't stand in a JSON string as they are (RFC 8259, section 7).
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

/// Appends what stands between the quotes of a JSON string: `text`, escaped as serde_json does it, in place.
pub fn write_escaped(text: &str, out: &mut String) {
    if is_all_plain(text.as_bytes()) {
        out.push_str(text);
        return;
    }
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| ESCAPED[usize::from(*byte)]) {
        out.push_str(&text[written..at]);
        write_escape(byte, out);
        written = at + 1;
    }
    out.push_str(&text[written..]);
}

/// Whether there is nothing to escape: nearly always, so that it is looked for eight bytes at a time.
fn is_all_plain(bytes: &[u8]) -> bool {
    match bytes.last_chunk() {
        // The last eight may have been looked at in part.
        Some(last) => bytes.as_chunks().0.iter().all(|eight| is_plain(*eight)) && is_plain(*last),
        None => bytes.iter().all(|byte| !ESCAPED[usize::from(*byte)]),
    }
}

/// Whether none of eight bytes is one of [`ESCAPED`].
fn is_plain(bytes: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(bytes);
    // In the highest bit of a byte: that one is below the limit, which is at most 128.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (EACH << 7) == 0
}

fn write_escape(byte: u8, out: &mut String) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        // Writing to a String can't fail.
        byte => drop(write!(out, "\\u{byte:04x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_serde_json_escapes_it() {
        let every: String = (0..0x300_u32).filter_map(char::from_u32).collect();
        for text in ["", "plain", "\"", "a\\b\"c\nd", "\u{7f}\u{2028}é\u{1f600}", &every] {
            // At each place among eight bytes.
            for before in 0..9 {
                let text = format!("{}{text}", "x".repeat(before));
                let mut out = String::new();
                write_string(&text, &mut out);
                assert_eq!(out, serde_json::to_string(&text).unwrap());
            }
        }
    }
}
