//! The annotation's text as an answer has it: JSON that stands in a JSON string.

use crate::json::write_escaped;

/// The annotation's value.
#[derive(Debug)]
pub struct Written {
    /// The text, which is JSON, as a JSON string.
    pub json: String,
    /// Bytes of the text.
    pub len: usize,
}

/// A writer of JSON that stands in a JSON string itself. In one pass: written by itself first, each of its quotes would
/// have to be found again.
pub(super) struct Quoted {
    json: String,
    /// Bytes that only the outer string needs.
    escapes: usize,
    /// What comes next has something before it.
    comma: bool,
}

impl Quoted {
    pub(super) fn new() -> Self {
        let mut json = String::with_capacity(1024);
        json.push('"');
        Self { json, escapes: 0, comma: false }
    }

    pub(super) fn finish(mut self) -> Written {
        self.json.push('"');
        Written { len: self.json.len() - 2 - self.escapes, json: self.json }
    }

    fn separate(&mut self) {
        if self.comma {
            self.json.push(',');
        }
        self.comma = true;
    }

    pub(super) fn open(&mut self, bracket: char) {
        self.separate();
        self.json.push(bracket);
        self.comma = false;
    }

    pub(super) fn close(&mut self, bracket: char) {
        self.json.push(bracket);
        self.comma = true;
    }

    pub(super) fn key(&mut self, key: &str) {
        self.text(key);
        self.json.push(':');
        self.comma = false;
    }

    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.json.push_str("\\\"");
        let start = self.json.len();
        write_escaped(text, &mut self.json);
        if self.json.len() - start > text.len() {
            let once = self.json.split_off(start);
            write_escaped(&once, &mut self.json);
            self.escapes += self.json.len() - start - once.len();
        }
        self.json.push_str("\\\"");
        self.escapes += 2;
    }

    /// A [`key!`].
    pub(super) fn name(&mut self, key: &'static str) {
        self.separate();
        self.json.push_str(key);
        self.escapes += 2;
        self.comma = false;
    }

    pub(super) fn member(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.text(text);
    }

    /// A member that is left out when it is empty.
    pub(super) fn some(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.member(name, text);
        }
    }

    pub(super) fn list(&mut self, texts: &[impl AsRef<str>]) {
        self.open('[');
        for text in texts {
            self.text(text.as_ref());
        }
        self.close(']');
    }
}
