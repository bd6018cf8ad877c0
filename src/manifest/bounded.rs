//! JSON of others as trees, which take up to hundreds of times the memory of their texts: `[{"":0},…]` does.

use serde_json::Value;

/// What texts may have to be made trees.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Bytes.
    pub bytes: usize,
    /// Brackets, commas and colons, strings left aside: each value has one at least, and takes some hundred bytes at most.
    pub marks: usize,
}

/// Why a text is not made a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTree {
    /// It is too long.
    #[error("it has {found} bytes of JSON; at most {most} are read")]
    Long {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// It has too many values.
    #[error("it has {found} brackets, commas and colons; at most {most} are read")]
    Many {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// It nests deeper than 127 levels, or says what has no value: half a character, a number beyond all bounds.
    #[error("it can't be read: {0}")]
    Unreadable(String),
}

impl Most {
    /// Whether texts may be made trees, all of them together.
    ///
    /// # Errors
    ///
    /// They are too large.
    pub fn holds<'t>(self, texts: impl Iterator<Item = &'t str> + Clone) -> Result<(), NoTree> {
        let found = texts.clone().map(str::len).sum();
        if found > self.bytes {
            return Err(NoTree::Long { found, most: self.bytes });
        }
        let found = texts.map(marks).sum();
        if found > self.marks { Err(NoTree::Many { found, most: self.marks }) } else { Ok(()) }
    }

    /// A text as a tree.
    ///
    /// # Errors
    ///
    /// It is too large, too deep, or no JSON.
    pub fn tree(self, text: &str) -> Result<Value, NoTree> {
        self.holds(std::iter::once(text))?;
        json_tree(text)
    }
}

/// A text as a tree: one of which [`Most::holds`] has said that it may be made one.
///
/// # Errors
///
/// It is too deep, or no JSON.
pub fn json_tree(text: &str) -> Result<Value, NoTree> {
    serde_json::from_str(text).map_err(|error| NoTree::Unreadable(error.to_string()))
}

/// The brackets, commas and colons of a JSON text outside of its strings.
fn marks(text: &str) -> usize {
    let (mut marks, mut inside, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        if escaped {
            escaped = false;
        } else if inside {
            escaped = byte == b'\\';
            inside = byte != b'"';
        } else {
            inside = byte == b'"';
            marks += usize::from(matches!(byte, b'[' | b'{' | b',' | b':'));
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_counted_outside_of_strings() {
        for (text, found) in
            [("5", 0), ("[]", 1), (r#"{"a":[1,2],"b":{"":0}}"#, 8), (r#"["[,:{","\"[,",",\\",":"]"#, 4)]
        {
            assert_eq!(marks(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_said_and_not_read() {
        let most = Most { bytes: 10, marks: 3 };
        assert_eq!(most.tree(r#"{"a":[1]}"#), Ok(serde_json::json!({"a": [1]})));
        assert_eq!(most.tree("\"123456789\""), Err(NoTree::Long { found: 11, most: 10 }));
        assert_eq!(most.tree("[0,0,0,0]"), Err(NoTree::Many { found: 4, most: 3 }));
        assert!(most.holds(["[0,0]", "[0]"].into_iter()).is_ok());
        assert!(most.holds(["[0,0]", "[0,0]"].into_iter()).is_err(), "they count together");
    }

    #[test]
    fn what_has_no_value_is_unreadable() {
        let most = Most { bytes: 1000, marks: 1000 };
        for text in [&*format!("{}{}", "[".repeat(128), "]".repeat(128)), r#""\ud800""#, "1e999", "["] {
            assert!(matches!(most.tree(text), Err(NoTree::Unreadable(_))), "{text}");
        }
        assert!(most.tree(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
    }
}
