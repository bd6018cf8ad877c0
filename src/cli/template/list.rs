//! `podgraft template list`.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use crate::cli::options::{LoadArgs, TemplateArgs};
use crate::cli::{load, print, table};
use crate::template::{PodSecurity, Scope, Template};

/// Options of `podgraft template list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print them.
    #[arg(short, long, value_enum, value_name = "table|json|name", default_value = "table")]
    output: Format,
    #[command(flatten)]
    sources: TemplateArgs,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Columns: name, scope, source, description.
    Table,
    /// A list of objects with these fields.
    Json,
    /// One name a line.
    Name,
}

/// Lists the templates in force. The exit code is 1 if one does not load.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(args.sources.library(args.load.options()))?;
    let templates = loaded.snapshot.templates.iter();
    let text = match args.output {
        Format::Table => {
            let row = |template: &Template| {
                let [name, scope, source] = cells(template);
                [name, scope, source, template.summary().to_owned()]
            };
            let rows: Vec<_> = templates.map(|template| row(template)).collect();
            table::render(["NAME", "SCOPE", "SOURCE", "DESCRIPTION"], &rows)
        }
        Format::Json => {
            let object = |template: &Template| {
                let [name, scope, source] = cells(template);
                let pod_security = template.pod_security.map(PodSecurity::name);
                json!({
                    "name": name,
                    "scope": scope,
                    "source": source,
                    "description": template.description,
                    "podSecurity": pod_security,
                })
            };
            let list: Vec<_> = templates.map(|template| object(template)).collect();
            serde_json::to_string_pretty(&list)? + "\n"
        }
        Format::Name => templates.map(|template| template.name.clone() + "\n").collect(),
    };
    print(text.as_bytes())?;
    let good = loaded.report.problems().next().is_none();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cells(template: &Template) -> [String; 3] {
    let scope = match &template.scope {
        Scope::Cluster => "cluster".to_owned(),
        Scope::Namespace(name) => format!("namespace {name}"),
    };
    [template.name.clone(), scope, template.origin.0.to_string()]
}
