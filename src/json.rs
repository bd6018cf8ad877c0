//! JSON that is looked at in places (RFC 8259). One pass finds where each value begins and ends; a reader then goes
//! straight to those that it wants, and what it passes over costs nothing more, however long it is.
//!
//! **Why not serde_json alone:** it passes over a value character by character. Of a pod little is looked at, so that was
//! four fifths of what a pod with many containers costs. What serde_json reads, this reads alike; what this can't read,
//! serde_json explains.
//!
//! [`chunk`] finds quotes and brackets 64 bytes at a time, [`tape`] makes a list of values of them, [`node`] goes through
//! it, and [`reader`] is serde's door to it.

mod chunk;
mod node;
mod reader;
mod tape;

pub use node::{Kind, Node};
pub use reader::Unreadable;
pub use tape::Json;

#[cfg(test)]
mod tests;
