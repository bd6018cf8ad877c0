//! An AdmissionReview as it is answered, within the API server's limits.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::PAD;

use crate::inject::fragment::Fragment;
use crate::inject::json::MapWriter;
use crate::inject::op::{self, Op};
use crate::inject::outcome::Plan;
use crate::json::write_string;

use super::audit::Audit;

/// The longest warning in characters; the API server cuts longer ones.
const LONGEST_WARNING: usize = 256;

/// What all warnings of an answer may hold together, in characters; the API server drops what exceeds it.
const ALL_WARNINGS: usize = 4096;

/// The longest rejection in characters: enough for dozens of mistakes, and a bound for hostile pods.
pub(super) const LONGEST_MESSAGE: usize = 16 * 1024;

/// The longest value of an audit annotation in characters: each is kept for every request.
const LONGEST_AUDIT: usize = 256;

/// An answer in the making. It is written as text: the patch is most of it, and goes from its own text straight into the
/// answer's base64, which needs no escaping.
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn new(uid: &str, allowed: bool, room: usize) -> Self {
        let mut out = String::with_capacity(512 + room);
        out.push_str(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#);
        write_string(uid, &mut out);
        out.push_str(if allowed { r#","allowed":true"# } else { r#","allowed":false"# });
        Self(out.into_bytes())
    }

    pub(super) fn patched(uid: &str, plan: &Plan<'_>) -> Self {
        let room = plan.ops().map(Op::room).sum::<usize>();
        let Self(mut out) = Self::new(uid, true, room.div_ceil(3) * 4);
        out.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
        let engine = base64();
        let mut text = String::with_capacity(1024);
        op::write(plan.ops(), &mut text, |value, text| match value {
            Fragment::Own(json) => text.push_str(json),
            Fragment::Kept(kept) => {
                fill_up(text);
                write_letters(&engine, text, &mut out);
                text.clear();
                let letters = kept.encoded(|json| {
                    let mut json = json.to_owned();
                    fill_up(&mut json);
                    engine.encode(json)
                });
                out.extend_from_slice(letters.as_bytes());
            }
        });
        write_letters(&engine, &text, &mut out);
        out.push(b'"');
        Self(out)
    }

    pub(super) fn denied(uid: &str, code: u16, reason: &str, message: &str) -> Self {
        let Self(mut out) = Self::new(uid, false, message.len());
        let mut status = String::with_capacity(message.len() + 64);
        status.push_str(r#","status":{"status":"Failure","message":"#);
        write_string(message, &mut status);
        // Writing to a String can't fail.
        let _ = write!(status, r#","reason":"{reason}","code":{code}}}"#);
        out.extend_from_slice(status.as_bytes());
        Self(out)
    }

    /// The answer with its warnings, and with what the API server is to write into its audit log: there, each key has
    /// the webhook's name before it.
    pub(super) fn finish<W: ToString>(self, warned: &[W], audit: Audit) -> Vec<u8> {
        let Self(mut answer) = self;
        let mut out = String::with_capacity(256);
        if !warned.is_empty() {
            out.push_str(r#","warnings":["#);
            for (index, line) in warnings(warned).iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(line, &mut out);
            }
            out.push(']');
        }
        out.push_str(r#","auditAnnotations":"#);
        let mut annotations = MapWriter::behind(out);
        for (key, value) in audit.0.into_iter().filter(|(_, value)| !value.is_empty()) {
            annotations.text(key, &cut(value, LONGEST_AUDIT));
        }
        let mut out = annotations.finish();
        out.push_str("}}");
        answer.extend_from_slice(out.as_bytes());
        answer
    }
}

/// Three bytes become four letters. Where a value begins and ends with a group of three, its letters are the same in every
/// answer: blanks before and after it mean nothing (RFC 8259, section 2).
fn fill_up(json: &mut String) {
    json.push_str(["", "  ", " "][json.len() % 3]);
}

/// Writes the base64 of a text that whole groups stand before.
fn write_letters(engine: &impl Engine, text: &str, out: &mut Vec<u8>) {
    const PIECE: usize = 3 * 256;
    let mut letters = [0; PIECE / 3 * 4];
    for piece in text.as_bytes().chunks(PIECE) {
        // There is room for all of it.
        let length = engine.encode_slice(piece, &mut letters).unwrap_or_default();
        out.extend_from_slice(&letters[..length]);
    }
}

/// Most of a patch is scripts: with the processor's wide registers, their base64 costs a tenth.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn base64() -> impl Engine {
    base64::engine::Simd::standard(PAD)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn base64() -> impl Engine {
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, PAD)
}

/// Warnings as the API server lets them through: one line each, in length and number bounded.
fn warnings(warnings: &[impl ToString]) -> Vec<String> {
    let mut left = ALL_WARNINGS;
    let lines = warnings.iter().map(|warning| {
        let line: String = warning.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(line, LONGEST_WARNING).into_owned()
    });
    let fitting = lines.take_while(|line| {
        let length = line.chars().count();
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    });
    fitting.collect()
}

/// A text of at most so many characters.
pub(super) fn cut<'t>(text: impl Into<Cow<'t, str>>, most: usize) -> Cow<'t, str> {
    let text = text.into();
    // It has no more characters than bytes.
    if text.len() <= most {
        return text;
    }
    match text.char_indices().nth(most.saturating_sub(1)) {
        Some((at, _)) if text.chars().count() > most => format!("{}…", &text[..at]).into(),
        _ => text,
    }
}

/// A text of at most so many bytes, for what counts in these.
pub(super) fn cut_bytes(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inject::fragment::Kept;
    use crate::inject::outcome::Change;

    #[test]
    fn texts_are_cut_to_their_bound() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut_bytes("abcde".to_owned(), 5), "abcde");
        assert_eq!(cut_bytes("äöüßä".to_owned(), 6), "ä…");
    }

    #[test]
    fn warnings_keep_to_what_the_api_server_lets_through() {
        let long = vec!["a\nb".repeat(1000); 40];
        let lines = warnings(&long);
        assert!(lines.iter().all(|line| line.chars().count() == LONGEST_WARNING && !line.contains('\n')));
        assert_eq!(lines.len(), ALL_WARNINGS / LONGEST_WARNING);
    }

    #[test]
    fn what_is_kept_has_the_same_letters_wherever_it_stands() {
        let patch = |values: &[Fragment]| {
            let op = |value: &Fragment| Op { path: "/a".into(), value: value.clone() };
            let changes = values.iter().map(|value| Change { graft: None, line: 0, op: op(value) }).collect();
            let plan = Plan { grafts: Vec::new(), changes, not_applied: Vec::new(), warnings: Vec::new() };
            let Answer(mut answer) = Answer::patched("u", &plan);
            answer.extend_from_slice(b"}}");
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            let letters = answer["response"]["patch"].as_str().unwrap().to_owned();
            let written: serde_json::Value = serde_json::from_slice(&base64().decode(&letters).unwrap()).unwrap();
            assert_eq!(written, serde_json::from_str::<serde_json::Value>(&plan.patch()).unwrap());
            letters
        };
        for json in [r#""""#, r#""é""#, r#"{"a":"b"}"#, r#"{"a": ["c"]}"#, r#""\"\\""#] {
            let known = Arc::new(Kept::new(json.to_owned()));
            let kept = Fragment::Kept(Arc::clone(&known));
            for before in ["1", "12", "123", r#""é""#] {
                let own = Fragment::from(before);
                let letters = patch(&[own.clone(), kept.clone(), own, kept.clone()]);
                let its_own = known.encoded(|json| panic!("{json} was not encoded"));
                assert_eq!(letters.matches(its_own).count(), 2, "{json} behind {before}");
            }
        }
    }

    #[test]
    fn what_there_is_nothing_to_say_of_is_not_written_down() {
        let audit = Audit([("a", "x".into()), ("b", "".into()), ("c", "y".repeat(1000).into())]);
        let body = Answer::new("u", true, 0).finish::<String>(&[], audit);
        let said = &serde_json::from_slice::<serde_json::Value>(&body).unwrap()["response"]["auditAnnotations"];
        assert_eq!(*said, serde_json::json!({"a": "x", "c": format!("{}…", "y".repeat(LONGEST_AUDIT - 1))}));
    }
}
