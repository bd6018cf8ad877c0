//! `docs/cli.md` is written from the command line itself, `docs/templates.md` from the built-in templates;
//! `PODGRAFT_UPDATE=1` writes them anew.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::generated::up_to_date;

#[test]
fn the_command_line_reference_is_up_to_date() {
    let mut cli = podgraft::cli::Cli::command();
    cli.build();
    let mut found = "\
# Command line

Written by `PODGRAFT_UPDATE=1 cargo test --test it up_to_date`; edit the options' own descriptions.

Every option can also be given by the environment variable that is named with it; an option wins over its variable, and a
variable that is empty is none.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage; `wait` has more.
"
    .to_owned();
    for command in cli.get_subcommands() {
        describe(command, "podgraft", &mut found);
    }
    up_to_date("docs/cli.md", &found);
}

#[test]
fn the_template_reference_is_up_to_date() {
    up_to_date("docs/templates.md", &page(&[]));
}

#[test]
fn the_page_tells_of_every_part_of_a_template() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/docs/templates");
    let page = page(&["--templates", templates.to_str().unwrap(), "gateway", "nothing"]);
    up_to_date("tests/fixtures/docs/page.md", &page);
}

#[test]
fn every_example_of_the_page_is_grafted() {
    let page = page(&[]);
    let examples: Vec<_> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), page.matches("\n## ").count());
    for example in examples {
        let run = super::run(["inject", "-o", "json"], &format!("{example}{POD}"));
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{example}");
        assert!(run.out.contains("podgraft.dev/status"), "{example}");
    }
}

/// The rest of a pod that has what templates look for.
const POD: &str = "\
apiVersion: v1
kind: Pod
spec:
  containers:
    - name: web
      image: nginx:1.27
      ports: [{containerPort: 8080}]
      securityContext: {runAsUser: 101}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: data, mountPath: /var/lib/data}
        - {name: backups, mountPath: /backups}
        - {name: config, mountPath: /etc/prometheus}
  volumes:
    - {name: data, emptyDir: {}}
    - {name: backups, emptyDir: {}}
    - {name: config, configMap: {name: prometheus}}
";

/// What `podgraft template docs` prints.
fn page(arguments: &[&str]) -> String {
    let run = super::run(["template", "docs"].iter().chain(arguments), "");
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{arguments:?}");
    run.out
}

fn describe(command: &Command, parent: &str, out: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    if command.get_name() == "help" {
        return;
    }
    let positional: Vec<_> = command.get_positionals().map(ToString::to_string).collect();
    let usage = [std::slice::from_ref(&name), &positional].concat().join(" ");
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    write!(out, "\n## `{usage}`\n\n{about}.\n").unwrap();
    let shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let arguments: Vec<_> = command.get_arguments().filter(shown).map(argument).collect();
    if !arguments.is_empty() {
        write!(out, "\n{}", arguments.concat()).unwrap();
    }
    if let Some(help) = command.get_after_help() {
        write!(out, "\n```text\n{help}\n```\n").unwrap();
    }
    for subcommand in command.get_subcommands() {
        describe(subcommand, &name, out);
    }
}

fn argument(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let help = arg.get_long_help().or(arg.get_help()).map(|help| one_line(&help.to_string())).unwrap_or_default();
    let mut notes = Vec::new();
    let values: Vec<_> = arg.get_possible_values().iter().filter(|value| !value.is_hide_set()).map(value).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        notes.push(format!("One of {}.", values.join("; ")));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !default.is_empty() && arg.get_action().takes_values() {
        notes.push(format!("Default `{}`.", default.join(",")));
    }
    if let Some(variable) = arg.get_env() {
        notes.push(format!("`${}`", variable.display()));
    }
    let end = if help.ends_with('.') { "" } else { "." };
    notes.insert(0, format!("- {short}`{}`: {help}{end}", arg.to_string().trim_end_matches("...")));
    notes.join(" ") + "\n"
}

fn value(value: &clap::builder::PossibleValue) -> String {
    let name = value.get_name();
    value.get_help().map_or(format!("`{name}`"), |help| format!("`{name}` ({})", one_line(&help.to_string())))
}

/// Prose on one line, its characters no markup.
fn one_line(text: &str) -> String {
    let markup = |c: char| if "*<[".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(markup).collect()
}
