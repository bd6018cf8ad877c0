//! `podgraft template show`.

use std::process::ExitCode;

use anyhow::bail;

use crate::cli::options::{self, LoadArgs, TemplateArgs};
use crate::cli::{load, print};
use crate::nearest::nearest;
use crate::snapshot::{Lookup, Templates};
use crate::template::Template;
use crate::template::parameter::Parameter;

/// Options of `podgraft template show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  podgraft template show --parameters log-shipper")]
pub struct Args {
    /// The template.
    name: String,
    /// Print its parameters instead of its text.
    #[arg(short, long)]
    parameters: bool,
    /// The namespace whose pods would ask: its own templates come before the cluster's.
    #[arg(short, long, env = "PODGRAFT_NAMESPACE", default_value = "default", value_parser = options::namespace)]
    namespace: String,
    #[command(flatten)]
    sources: TemplateArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Prints the template that a pod of the namespace would get.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(args.sources.library(args.load.options()))?;
    let templates = &loaded.snapshot.templates;
    match templates.find(&args.namespace, &args.name) {
        Lookup::Found(template) if args.parameters => {
            print(parameters(template, &args.load.annotation_prefix).as_bytes())?;
        }
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

/// The parameters as a person reads them: the annotation that sets each, its type, what is allowed.
fn parameters(template: &Template, prefix: &str) -> String {
    let main = format!("{prefix}/{}", template.name);
    let entry = |(index, parameter): (usize, &Parameter)| {
        let default = match parameter.default.as_ref().map(ToString::to_string) {
            None => "required".to_owned(),
            Some(empty) if empty.is_empty() => "default \"\"".to_owned(),
            Some(default) => format!("default {default}"),
        };
        let primary =
            if template.primary == Some(index) { format!("  Also: the value of {main}\n") } else { String::new() };
        format!(
            "\n{main}.{name}: {kind}, {default}\n  {description}\n  Allowed: {allowed}\n{primary}",
            name = parameter.name,
            kind = parameter.kind.name(),
            description = parameter.description,
            allowed = parameter.allowed(),
        )
    };
    let entries: String = template.parameters.iter().enumerate().map(entry).collect();
    let entries = if entries.is_empty() { "\nIt has no parameters.\n".to_owned() } else { entries };
    let security = template.pod_security.map(|standard| format!("Pod Security Standard: {}\n", standard.name()));
    format!("{}: {}\n{}{entries}", template.name, template.description, security.unwrap_or_default())
}
