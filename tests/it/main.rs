//! The integration tests, one binary.

mod bad_input;
mod builtin;
mod golden;
mod layers;
mod promises;
mod properties;
mod template_diagnostics;
