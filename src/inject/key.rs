//! An annotation's key and its owner, as messages name them.

use std::fmt;

/// Whose annotation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The pod's.
    Pod,
    /// Its namespace's.
    Namespace,
}

/// An annotation key in messages: says whose it is when it is not the pod's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose annotation.
    pub level: Level,
    /// The key as written.
    pub text: String,
}

impl Key {
    pub(crate) fn new(level: Level, text: &str) -> Self {
        Self { level, text: text.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            // A key comes before the API server has validated it: it may hold anything.
            Level::Pod => write!(f, "annotation {}", self.text.escape_debug()),
            Level::Namespace => write!(f, "namespace annotation {}", self.text.escape_debug()),
        }
    }
}
