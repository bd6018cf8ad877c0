//! The integration tests, one binary.

mod builtin;
mod cli;
mod golden;
mod layers;
mod promises;
