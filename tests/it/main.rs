//! The integration tests, one binary.

mod builtin;
mod golden;
mod http;
mod promises;
mod stopping;
mod tls;
mod webhook;
