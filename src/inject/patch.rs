//! A plan as JSON Patch (RFC 6902): our own operations over JSON fragments, `add` only.

use std::borrow::Cow;

/// An `add` operation (RFC 6902, section 4.1).
#[derive(Debug)]
pub struct Op<'a> {
    /// A JSON Pointer (RFC 6901), escaped.
    pub path: String,
    /// The value's JSON.
    pub value: Cow<'a, str>,
}

/// Writes operations as a JSON Patch document.
pub fn write<'o, 'a: 'o>(ops: impl Iterator<Item = &'o Op<'a>>) -> String {
    let _ = ops.count();
    todo!()
}
