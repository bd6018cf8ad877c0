//! The command line: the tree of subcommands, one file each.

pub mod certs;
pub mod completions;
pub mod inject;
mod input;
pub mod options;
pub mod serve;
mod table;
pub mod template;
pub mod wait;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::library::{self, Library};

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
    Serve(Box<serve::Args>),
    /// Inject into manifests, off line.
    Inject(inject::Args),
    /// List, show and check templates.
    Template(template::Args),
    /// Make a development certificate.
    Certs(certs::Args),
    /// Wait until databases and services are ready.
    Wait(wait::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
}

/// Runs a parsed command line. Exit codes: 0 done, 1 the input was refused, 2 wrong usage.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::Template(args) => template::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            report(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output, byte for byte. A reader that has seen enough is no error.
///
/// # Errors
///
/// Standard output can't be written.
fn print(output: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes a line to standard error. There is nobody to tell if that fails.
fn report(line: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Says what is wrong with a command line that could be parsed.
fn usage(subcommand: &str, message: &str) -> ExitCode {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand_mut(subcommand);
    let error = command.map(|command| command.error(ErrorKind::MissingRequiredArgument, message));
    let _ = error.map(|error| error.print());
    ExitCode::from(2)
}

/// Reads templates and namespaces once, and reports what is wrong with them. A template that doesn't compile is for
/// the pods that ask for it to stumble on; a source that can't be read is an error.
///
/// # Errors
///
/// A directory or file can't be read.
fn load(mut library: Library) -> anyhow::Result<library::Loaded> {
    let loaded = library.load();
    let color = color_on_stderr();
    for problem in loaded.report.problems() {
        report(problem.render(color));
    }
    for warning in &loaded.report.warnings {
        report(format_args!("warning: {warning}"));
    }
    let unreadable =
        loaded.report.problems().filter(|problem| !matches!(problem, library::Problem::Template(_))).count();
    anyhow::ensure!(unreadable == 0, "{unreadable} of the templates and namespaces named can't be read");
    Ok(loaded)
}

fn color_on_stderr() -> bool {
    wants_color(&io::stderr())
}

/// Whether to print in colour: to a terminal, unless `NO_COLOR` is set.
fn wants_color(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}
