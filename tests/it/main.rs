//! The integration tests, one binary.

mod bad_input;
mod builtin;
mod certs;
mod cli;
mod golden;
mod http;
mod layers;
mod manifest;
mod process;
mod promises;
mod properties;
mod readme;
mod reload;
mod serve;
mod stopping;
mod template_diagnostics;
mod tls;
mod webhook;
