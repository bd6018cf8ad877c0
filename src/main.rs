//! The process: parse, dispatch, exit code.

use std::process::ExitCode;

/// musl's own allocator has one lock for all threads, and takes four times the processor time of a request.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    podgraft::cli::run(podgraft::cli::parse())
}
