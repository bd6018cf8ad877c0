//! `podgraft template docs`.

mod example;
mod markdown;
mod page;
mod parts;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::cli::options::{LoadArgs, TemplateArgs};
use crate::cli::{load, print};
use crate::nearest::nearest;
use crate::snapshot::Templates;
use crate::template::Template;

/// Options of `podgraft template docs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, for a team's own templates:\n  \
    podgraft template docs --templates templates/ notifier page-writer > docs/templates.md")]
pub struct Args {
    /// The templates; none named: all of them.
    names: Vec<String>,
    #[command(flatten)]
    sources: TemplateArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Prints a Markdown page about the templates in force. The exit code is 1 if one does not load.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(args.sources.library(args.load.options()))?;
    let templates = selected(&loaded.snapshot.templates, &args.names)?;
    print(page::write(&templates, &args.load.annotation_prefix).as_bytes())?;
    let good = loaded.report.problems().next().is_none();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The templates of these names, in whatever namespace.
fn selected<'t>(templates: &'t Templates, names: &[String]) -> anyhow::Result<Vec<&'t Arc<Template>>> {
    let unknown: Vec<_> = names.iter().filter(|name| templates.iter().all(|it| it.name != **name)).collect();
    if !unknown.is_empty() {
        let known = || templates.iter().map(|template| &*template.name);
        let said = unknown.iter().map(|name| match nearest(name, known()) {
            Some(near) => format!("there is no template {name:?}; did you mean {near}?"),
            None => format!("there is no template {name:?}; podgraft template list names those there are"),
        });
        bail!(said.collect::<Vec<_>>().join("\n"));
    }
    Ok(templates.iter().filter(|template| names.is_empty() || names.contains(&template.name)).collect())
}
