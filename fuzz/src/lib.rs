//! What libFuzzer calls.

#[path = "../../tests/it/promises.rs"]
#[allow(dead_code, unused_imports, reason = "the property tests use more of it")]
mod promises;
pub mod targets;
