//! `podgraft template`: what there is to ask for, and whether a template file is good.

mod check;
mod docs;
mod list;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

/// Options of `podgraft template`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the templates that pods may ask for.
    List(list::Args),
    /// Print a template, or its parameters.
    Show(show::Args),
    /// Say what is wrong with template files.
    Check(check::Args),
    /// Write a Markdown page about templates: how to ask for each, its parameters, what it adds.
    Docs(docs::Args),
}

/// Runs the command.
///
/// # Errors
///
/// Sources that can't be read, output that can't be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Check(args) => check::run(args),
        Command::Docs(args) => docs::run(args),
    }
}
