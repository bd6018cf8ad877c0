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

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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

/// Parses the command line of this process, or ends it. A variable that is empty is none.
#[must_use]
pub fn parse() -> Cli {
    let command = without_empty_variables(Cli::command());
    let parsed = command.clone().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|mut error| {
        let mut command = command;
        // Only then do options know their names.
        command.build();
        if let Some(variable) = blamed(&error, &command) {
            let tip = format!("the value is that of the environment variable {variable}");
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        error.exit()
    })
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// The variable that gave an option the value which an error is about, if nobody typed it.
fn blamed(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.as_str()),
        _ => None,
    };
    let (option, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    // A path need not be UTF-8.
    let typed = std::env::args_os().any(|typed| typed.to_string_lossy().contains(value));
    let mut commands = vec![command];
    while let Some(command) = commands.pop().filter(|_| !typed) {
        let mut named = command.get_arguments().filter(|arg| arg.to_string() == option).filter_map(clap::Arg::get_env);
        let given = |name: &&OsStr| std::env::var(name).is_ok_and(|given| given.contains(value));
        if let Some(variable) = named.find(given) {
            return Some(variable.to_string_lossy().into_owned());
        }
        commands.extend(command.get_subcommands());
    }
    None
}

/// Runs a parsed command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
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
fn print(output: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("can't write to standard output"),
    }
}

/// Writes a line to standard error. There is nobody to tell if that fails.
fn report(line: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Says what is wrong with a command line that could be parsed.
fn usage(subcommands: &[&str], message: &str) -> ExitCode {
    let mut cli = Cli::command();
    cli.build();
    let command = subcommands.iter().try_fold(&mut cli, |command, name| command.find_subcommand_mut(name));
    let error = command.map(|command| command.error(ErrorKind::ArgumentConflict, message));
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
    for directory in library.empty_directories() {
        report(format_args!("warning: {}", no_template_file(directory)));
    }
    let unreadable =
        loaded.report.problems().filter(|problem| !matches!(problem, library::Problem::Template(_))).count();
    anyhow::ensure!(unreadable == 0, "{unreadable} of the templates and namespaces named can't be read");
    Ok(loaded)
}

fn no_template_file(directory: &Path) -> String {
    let directory = directory.display();
    format!("no template file (*.yaml, *.yml, *.json) in {directory}; directories in it are not read, name them too")
}

fn color_on_stderr() -> bool {
    wants_color(&io::stderr())
}

/// Whether to print in colour: to a terminal, unless `NO_COLOR` is set.
fn wants_color(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}
