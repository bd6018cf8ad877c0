//! The integration tests, one binary.

mod builtin;
mod golden;
mod layers;
mod promises;
