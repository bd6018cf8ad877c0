//! `podgraft serve`.

use std::process::ExitCode;

/// Options of `podgraft serve`.
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
