//! The integration tests, one binary.

mod builtin;
mod certs;
mod golden;
mod http;
mod layers;
mod process;
mod promises;
mod reload;
mod serve;
mod stopping;
mod tls;
mod webhook;
