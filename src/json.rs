//! JSON that is looked at in places (RFC 8259). One pass finds where each value begins and ends, and holds the text to the
//! grammar; a reader then goes straight to the values that it wants, in any order and as often as it likes.
//!
//! **Why not serde_json alone:** it has no such way. Expressions look at members of the pod that are known only once its
//! annotations are read, and for them the whole body was read a second time, into a tree. What serde_json reads, this
//! reads alike; why a text is no JSON, serde_json explains.
//!
//! `chunk` finds quotes and brackets 64 bytes at a time, `tape` makes a list of values of them, `node` goes through
//! it, and `reader` is serde's door to it. `write` is the other way, for text.

mod chunk;
mod node;
mod reader;
mod tape;
mod write;

pub use node::{Kind, Node};
pub use reader::Unreadable;
pub use tape::{Json, MAX_VALUES};
pub use write::{write_escaped, write_string};

#[cfg(test)]
mod tests;
