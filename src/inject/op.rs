//! The operation that we answer with (RFC 6902), and its text.

use std::borrow::Cow;

use super::fragment::Fragment;
use crate::json::write_string;

/// An `add` operation (RFC 6902, section 4.1).
#[derive(Debug)]
pub struct Op {
    /// A JSON Pointer (RFC 6901), escaped.
    pub path: Cow<'static, str>,
    /// The value.
    pub value: Fragment,
}

impl Op {
    /// How many bytes it takes in a document, at most, but for an escaped path.
    #[must_use]
    pub fn room(&self) -> usize {
        self.path.len() + self.value.len() + 48
    }
}

/// Writes operations as a JSON Patch document, values by `put`.
pub fn write<'o>(ops: impl Iterator<Item = &'o Op>, out: &mut String, mut put: impl FnMut(&'o Fragment, &mut String)) {
    out.push('[');
    for (index, op) in ops.enumerate() {
        out.push_str(if index > 0 { r#",{"op":"add","path":"# } else { r#"{"op":"add","path":"# });
        write_string(&op.path, out);
        out.push_str(r#","value":"#);
        put(&op.value, out);
        out.push('}');
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_json() {
        let written = |ops: &[Op]| {
            let mut out = String::new();
            write(ops.iter(), &mut out, |value, out| out.push_str(value));
            out
        };
        let op = |path| Op { path, value: "{}".into() };
        assert_eq!(written(&[op("/a\"b".into())]), r#"[{"op":"add","path":"/a\"b","value":{}}]"#);
        let two = r#"[{"op":"add","path":"/a","value":{}},{"op":"add","path":"/b","value":{}}]"#;
        assert_eq!(written(&[op("/a".into()), op("/b".into())]), two);
        assert_eq!(written(&[]), "[]");
    }
}
