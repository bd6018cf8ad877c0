//! The integration tests, one binary.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]

mod bad_input;
mod builtin;
mod certs;
mod chart;
mod cli;
mod config_map;
mod crds;
mod deploy;
mod fuzz;
#[path = "../../fuzz/src/targets.rs"]
mod fuzz_targets;
mod generated;
mod golden;
mod http;
mod image;
mod image_mirror;
mod layers;
mod limits;
mod manifest;
mod patience;
mod process;
mod prometheus;
mod promises;
mod properties;
mod readme;
mod reload;
mod rules;
mod security;
mod serve;
mod servers;
mod stopping;
mod template_diagnostics;
mod tls;
mod validate;
mod wait;
mod webhook;
