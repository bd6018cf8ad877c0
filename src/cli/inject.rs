//! `podgraft inject`: manifests in, manifests with the grafts out. The engine call is the server's.

mod declared;
mod graft;
mod output;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use super::input::{self, Walk};
use super::options::{self, PolicyArgs, SourceArgs};
use super::report;
use crate::manifest;
use output::Format;

/// Options of `podgraft inject`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Manifests, YAML or JSON: files, directories (*.yaml, *.yml, *.json, recursively), - for standard input, which
    /// is also read when nothing is named.
    #[arg(value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// The same, for those used to kubectl; repeatable.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    filenames: Vec<PathBuf>,
    /// What to print.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "yaml|json|patch|diff",
        env = "PODGRAFT_OUTPUT",
        default_value = "yaml"
    )]
    output: Format,
    /// The namespace of objects that name none.
    #[arg(short, long, env = "PODGRAFT_NAMESPACE", default_value = "default", value_parser = options::namespace)]
    namespace: String,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

const EXAMPLES: &str = "\
Examples:
  Inject, and send the result to a cluster:
    podgraft inject deploy.yaml | kubectl apply -f -
  See what would change in a directory of manifests, with templates of your own:
    podgraft inject -o diff --templates templates/ manifests/
  Inject what a chart renders, in the namespace where it will be installed:
    helm template web ./chart | podgraft inject -n shop

Pods are found in Pod, PodTemplate, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and
ReplicationController, and in lists of them; other objects that ask are named.
Documents that ask for nothing come out as they went in, byte for byte; templates and Namespaces
among them count.
If any is refused, nothing is printed, every reason goes to standard error and the exit code is 1.";

/// Injects into manifests.
///
/// # Errors
///
/// Nothing could be injected: sources that can't be read, output that can't be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = match input::read(&[&*args.inputs, &*args.filenames].concat(), Walk::Recursive) {
        Ok(inputs) => inputs,
        Err(error) => return Ok(error.report(&["inject"])),
    };
    let library = args.sources.library(args.policy.load.options(), args.policy.policy());
    let mut snapshot = super::load(library)?.snapshot;
    let mut streams: Vec<_> = inputs.iter().map(|input| (input, manifest::read(&input.text))).collect();
    // As in a cluster to which all of this is sent.
    let mut unusable = Vec::new();
    for (input, stream) in &streams {
        if !declared::add(&input.name, stream.as_deref().unwrap_or_default(), args, &mut snapshot) {
            unusable.push(&*input.name);
        }
    }
    if !unusable.is_empty() {
        // Without their templates, pods would be refused for the wrong reasons.
        streams.retain(|(_, stream)| stream.is_err());
    }
    let engine = graft::Engine { snapshot: &snapshot, namespace: &args.namespace };
    let mut files = Vec::new();
    for (input, stream) in streams {
        let file = engine.file(&input.name, stream);
        for message in &file.messages {
            report(message);
        }
        if file.unreadable && input.text.contains("{{") {
            let name = &file.name;
            report(format_args!(
                "{name}: this looks like a Helm template; render it first: helm template … | podgraft inject"
            ));
        }
        files.push(file);
    }
    if !unusable.is_empty() {
        bail!("there are templates that can't be used in {}", unusable.join(", "));
    }
    if files.iter().any(|file| file.refused) {
        return Ok(ExitCode::FAILURE);
    }
    if matches!(args.output, Format::Yaml | Format::Diff) {
        warn_of_lost_comments(&files);
    }
    let color = super::wants_color(&io::stdout());
    super::print(output::render(&files, args.output, color)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Says once which documents lose their comments.
fn warn_of_lost_comments(files: &[graft::File<'_>]) {
    let lost: Vec<_> = files.iter().flat_map(graft::File::without_comments).collect();
    if !lost.is_empty() {
        report(format_args!("warning: the output has no comments of {}", lost.join(", ")));
    }
}
