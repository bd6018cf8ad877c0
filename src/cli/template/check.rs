//! `podgraft template check`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::input::{self, Walk};
use crate::cli::options::LoadArgs;
use crate::cli::{color_on_stderr, print, report};
use crate::template::{self, Origin};

/// Options of `podgraft template check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, for a repository of templates:\n  podgraft template check templates/")]
pub struct Args {
    /// Template files: files, directories (*.yaml, *.yml, *.json; not those in directories below), - for standard input.
    #[arg(value_name = "FILE|DIR|-", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    load: LoadArgs,
}

/// Loads every file by itself. The exit code is 1 if one does not load, or if two declare the same template.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = match input::read(&args.inputs, Walk::Templates) {
        Ok(inputs) => inputs,
        Err(error) => return Ok(error.report(&["template", "check"])),
    };
    let options = args.load.options();
    let color = color_on_stderr();
    let mut good = Vec::new();
    let mut declared = HashMap::new();
    let mut code = ExitCode::SUCCESS;
    for input::Input { name, text } in &inputs {
        let origin = Origin(Arc::from(name.as_str()));
        match template::load(origin.clone(), text, &options) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    report(template::render_warnings(&origin, text, &loaded.warnings, color));
                }
                for template in &loaded.templates {
                    let key = (template.scope.clone(), template.name.clone());
                    if let Some(before) = declared.insert(key, name) {
                        let template = &template.name;
                        report(format_args!(
                            "error: template {template} of {before} is hidden by the one of {name}; remove one of them"
                        ));
                        code = ExitCode::FAILURE;
                    }
                }
                let names: Vec<_> = loaded.templates.iter().map(|template| template.name.as_str()).collect();
                let names = if names.is_empty() { "no template in it".to_owned() } else { names.join(", ") };
                good.push(format!("{name}: ok: {names}\n"));
            }
            Err(error) => {
                report(error.render(color));
                code = ExitCode::FAILURE;
            }
        }
    }
    print(good.concat().as_bytes())?;
    Ok(code)
}
