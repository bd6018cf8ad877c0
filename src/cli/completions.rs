//! `podgraft completions`.

use std::process::ExitCode;

/// Options of `podgraft completions`.
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
