//! The integration tests, one binary.

mod bad_input;
mod builtin;
mod golden;
mod promises;
mod properties;
