//! The JSON of what a pod gets: made for it, or kept for the next pod that gets the same.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A value's JSON.
#[derive(Debug, Clone)]
pub enum Fragment {
    /// This pod's.
    Own(Cow<'static, str>),
    /// Of all pods that get the same.
    Kept(Arc<Kept>),
}

/// JSON that is written into many answers.
#[derive(Debug)]
pub struct Kept {
    json: String,
    encoded: OnceLock<String>,
}

impl Kept {
    /// Keeps it.
    #[must_use]
    pub const fn new(json: String) -> Self {
        Self { json, encoded: OnceLock::new() }
    }

    /// It as answers have it, encoded once. There is one encoding: that of the first who asks.
    pub fn encoded(&self, encode: impl FnOnce(&str) -> String) -> &str {
        self.encoded.get_or_init(|| encode(&self.json))
    }
}

impl From<String> for Fragment {
    fn from(json: String) -> Self {
        Self::Own(json.into())
    }
}

impl From<&'static str> for Fragment {
    fn from(json: &'static str) -> Self {
        Self::Own(json.into())
    }
}

impl Deref for Fragment {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Own(json) => json,
            Self::Kept(kept) => &kept.json,
        }
    }
}
