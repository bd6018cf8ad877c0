//! The process: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    podgraft::cli::run(podgraft::cli::Cli::parse())
}
