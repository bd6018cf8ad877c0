//! The command line: the tree of subcommands, one file each.

pub mod certs;
pub mod completions;
pub mod inject;
pub mod options;
pub mod serve;
pub mod template;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Grafts init containers and sidecars onto pods that ask by annotation.
#[derive(Debug, Parser)]
#[command(name = "podgraft", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the webhook over HTTPS.
    Serve(serve::Args),
    /// Inject into manifests, off line.
    Inject(inject::Args),
    /// List, show and check templates.
    Template(template::Args),
    /// Make a development certificate.
    Certs(certs::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
}

/// Runs a parsed command line. Exit codes: 0 done, 1 the input was refused, 2 wrong usage.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Inject(args) => inject::run(args),
        Command::Template(args) => template::run(args),
        Command::Certs(args) => certs::run(args),
        Command::Completions(args) => completions::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
