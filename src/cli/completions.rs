//! `podgraft completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

/// Options of `podgraft completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, for bash:\n  source <(podgraft completions bash)")]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a shell's completion script.
///
/// # Errors
///
/// Standard output can't be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "podgraft", &mut script);
    super::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
