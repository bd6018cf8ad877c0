//! What goes wrong around a running `podgraft serve`, and what is done to it. Each test counts what became of requests.
//!
//! The server is a process, and so is the load: this binary, started again for its ignored test `the_load`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here are thousands")]

#[path = "../it/config_map.rs"]
mod config_map;
#[path = "../it/process.rs"]
#[allow(dead_code, reason = "the other integration tests need more of it")]
mod process;
#[path = "../../benches/review/mod.rs"]
#[allow(dead_code, reason = "the benches need more of it")]
mod review;
#[path = "../it/webhook.rs"]
#[allow(dead_code, reason = "the other integration tests need more of it")]
mod webhook;
#[path = "../../benches/review/workload.rs"]
mod workload;

mod certificates;
mod client;
mod hostile;
mod http2;
mod load;
mod memory;
mod scene;
mod stopping;
mod templates;
mod threads;

#[test]
#[ignore = "the load, which other tests start as a process"]
fn the_load() {
    client::run().unwrap();
}
