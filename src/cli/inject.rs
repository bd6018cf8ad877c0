//! `podgraft inject`.

use std::process::ExitCode;

/// Options of `podgraft inject`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
///
/// What could not be done.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let _ = args;
    todo!()
}
