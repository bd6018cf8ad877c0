//! `podgraft template show`.

use std::process::ExitCode;

use anyhow::bail;

use crate::cli::options::{LoadArgs, SourceArgs};
use crate::cli::{load, print, table};
use crate::nearest::nearest;
use crate::snapshot::{Lookup, Policy, Templates};
use crate::template::Template;
use crate::template::parameter::Parameter;

/// Options of `podgraft template show`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespaces", |arg| arg.hide(true)))]
#[command(after_help = "Example:\n  podgraft template show --parameters log-shipper")]
pub struct Args {
    /// The template.
    name: String,
    /// Print a table of its parameters instead of its text.
    #[arg(short, long)]
    parameters: bool,
    /// The namespace whose pods would ask: its own templates come before the cluster's.
    #[arg(short, long, env = "PODGRAFT_NAMESPACE", default_value = "default")]
    namespace: String,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Prints the template that a pod of the namespace would get.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(args.sources.library(args.load.options(), Policy::default()))?;
    let templates = &loaded.snapshot.templates;
    match templates.find(&args.namespace, &args.name) {
        Lookup::Found(template) if args.parameters => print(parameters(template).as_bytes())?,
        Lookup::Found(template) => print((template.text.trim_end().to_owned() + "\n").as_bytes())?,
        Lookup::Broken(broken) => bail!("template {} in {} does not load", args.name, broken.error.origin.0),
        Lookup::Unknown => bail!(unknown(args, templates)),
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(args: &Args, templates: &Templates) -> String {
    let hint = match nearest(&args.name, templates.names(&args.namespace)) {
        Some(name) => format!("did you mean {name}?"),
        None => "podgraft template list names those there are".to_owned(),
    };
    format!("there is no template {:?}; {hint}", args.name)
}

fn parameters(template: &Template) -> String {
    let primary = template.primary.and_then(|index| template.parameters.get(index));
    let row = |parameter: &Parameter| {
        let default = parameter.default.as_ref().map_or_else(|| "(required)".to_owned(), |value| format!("{value:?}"));
        [
            parameter.name.clone(),
            parameter.kind.name().to_owned(),
            default,
            parameter.allowed(),
            parameter.description.clone(),
        ]
    };
    let rows: Vec<_> = template.parameters.iter().map(row).collect();
    let heading = ["PARAMETER", "TYPE", "DEFAULT", "ALLOWED", "DESCRIPTION"];
    let table = if rows.is_empty() { "It has no parameters.\n".to_owned() } else { table::render(heading, &rows) };
    let primary = match primary {
        Some(primary) => format!("\nThe value of the template's own annotation is its {}.\n", primary.name),
        None => String::new(),
    };
    format!("{}: {}\n\n{table}{primary}", template.name, template.description)
}
