//! The page: what there is, then for each template how to ask for it, what it takes and what it adds.

use std::fmt::Write;
use std::iter;
use std::sync::Arc;

use super::example::{Example, notation};
use super::markdown::{code, on_one_line, prose, table};
use super::parts;
use crate::inject::annotations::CONTAINERS;
use crate::template::node::Entry;
use crate::template::parameter::{Constraints, Parameter};
use crate::template::{Action, FailurePolicy, Scope, Targets, Template, Validation};

/// Writes the page; `prefix` is what annotation keys begin with.
pub(super) fn write(templates: &[&Arc<Template>], prefix: &str) -> String {
    let rows = templates.iter().map(|template| {
        let heading = heading(template);
        [format!("[{heading}](#{})", anchor(&heading)), prose(template.summary())]
    });
    let index = table(["Template", "What it does"], rows);
    let sections: String = templates.iter().map(|template| section(template, prefix)).collect();
    format!(
        "# Injection templates\n\nWritten by `podgraft template docs`.\n\n\
        A pod asks for a template with the annotation `{prefix}/<template>`: `\"true\"`, or a value of its primary parameter. \
        `{prefix}/<template>.<parameter>` sets any parameter, `{prefix}/<template>.{CONTAINERS}` says which containers are \
        its targets. The same keys with `<instance>.` before them ask for it once more. Kubernetes takes only text, so that \
        numbers, `true` and `false` stand in quotes; a list is separated by commas, or one item a line, or a JSON array of \
        texts. A parameter alone asks for nothing.\n\n\
        {index}{sections}"
    )
}

fn heading(template: &Template) -> String {
    match &template.scope {
        Scope::Cluster => template.name.clone(),
        Scope::Namespace(namespace) => format!("{} in namespace {namespace}", template.name),
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    heading.replace(' ', "-")
}

fn section(template: &Template, prefix: &str) -> String {
    let example = Example::of(template, prefix);
    let blocks = [
        format!("## {}\n", heading(template)),
        description(template),
        format!("```yaml\n{}```\n", example.yaml()),
        parameters(template, &format!("{prefix}/{}", template.name)),
        match parts::write(template, &example) {
            none if none.is_empty() => "It adds nothing to a pod.\n".to_owned(),
            parts => format!("With these values it adds:\n\n{parts}"),
        },
        checks(template),
        format!("{}\n", rules(template)),
    ];
    blocks.iter().filter(|it| !it.trim().is_empty()).flat_map(|it| ["\n", it]).collect()
}

/// What it is for, then what else there is to know, in paragraphs that are apart by blank lines as in Markdown.
fn description(template: &Template) -> String {
    let more =
        template.description[template.summary().len()..].split("\n\n").map(str::trim).filter(|it| !it.is_empty());
    let paragraphs: Vec<_> = iter::once(template.summary()).chain(more).map(|it| prose(it) + "\n").collect();
    paragraphs.join("\n")
}

/// What pods are told that don't meet its validations, with the expressions as they are written.
fn checks(template: &Template) -> String {
    let line = |entry: &Entry<Validation>| {
        let message = prose(&parts::written(&entry.value.message));
        let what = match entry.value.action {
            Action::Deny => "refused",
            Action::Warn => "warning",
        };
        format!("- {what}: {message}\n")
    };
    let lines: String = template.validations.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("A pod that it does not fit is told:\n\n{lines}") }
}

fn parameters(template: &Template, key: &str) -> String {
    if template.parameters.is_empty() {
        return "It has no parameters.\n".to_owned();
    }
    let rows = template.parameters.iter().enumerate().map(|(index, parameter)| {
        let default = parameter.default.as_ref().map_or("required".to_owned(), |value| code(&notation(value)));
        let primary = (template.primary == Some(index)).then(|| format!("Primary: what `{key}` itself sets."));
        let mut about = prose(&parameter.description);
        if primary.is_some() && about.ends_with(|last: char| !".!?".contains(last)) {
            about.push('.');
        }
        let description: Vec<_> = [about].into_iter().chain(primary).collect();
        [code(&parameter.name), kind(parameter), default, description.join(" ")]
    });
    let mut out = table(["Parameter", "Type", "Default", "Description"], rows);
    let patterns: Vec<_> = (template.parameters.iter())
        .filter_map(|parameter| Some((&parameter.name, parameter.constraints.pattern.as_ref()?)))
        .collect();
    if !patterns.is_empty() {
        // Not in the table: they are long, and their pipes would have to be escaped.
        out.push_str("\nRegular expressions that values, or a list's items, must match:\n\n```text\n");
        let width = patterns.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, pattern) in patterns {
            // Writing to a String can't fail.
            let _ = writeln!(out, "{name:width$}  {}", on_one_line(pattern.as_str()));
        }
        out.push_str("```\n");
    }
    out
}

/// A parameter's type and what else it must be, its pattern apart. Of a sensitive one, no value is told, as in messages.
fn kind(parameter: &Parameter) -> String {
    let Constraints { one_of, minimum, maximum, min_length, max_length, pattern: _ } = &parameter.constraints;
    let values = one_of.as_ref().map(|values| {
        if parameter.sensitive {
            return format!("one of {} values (not shown)", values.len());
        }
        let values: Vec<_> = values.iter().map(|value| code(&value.to_string())).collect();
        format!("one of {}", values.join(", "))
    });
    let range = match between(minimum.as_ref(), maximum.as_ref()) {
        Some(_) if parameter.sensitive => Some("in a range (not shown)".to_owned()),
        range => range,
    };
    let length = match (min_length, max_length) {
        (Some(1), None) => Some("not empty".to_owned()),
        (least, most) => between(least.as_ref(), most.as_ref()).map(|range| format!("{range} characters")),
    };
    let sensitive = parameter.sensitive.then(|| "sensitive: not shown in logs and messages".to_owned());
    let notes = [Some(parameter.kind.name().to_owned()), values, range, length, sensitive];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn between<T: ToString>(least: Option<&T>, most: Option<&T>) -> Option<String> {
    match (least.map(T::to_string), most.map(T::to_string)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (None, None) => None,
    }
}

/// Which pods and containers it is for, and what happens where it can't be had.
fn rules(template: &Template) -> String {
    let mut sentences = Vec::new();
    if template.os != "linux" {
        sentences.push(format!("It is for pods of {}.", template.os));
    }
    if let Some(when) = &template.when {
        sentences.push(format!("It is passed over unless {}.", code(&when.source)));
    }
    sentences.push(match template.targets {
        Targets::First => "Its target is the pod's default container, or else the first.".to_owned(),
        Targets::All => "Its targets are all containers of the pod.".to_owned(),
    });
    let names = |names: &[String]| names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
    let order = [("after", &template.order.after), ("before", &template.order.before)];
    let order = order.into_iter().filter(|(_, others)| !others.is_empty());
    let order: Vec<_> = order.map(|(side, others)| format!("{side} {}", names(others))).collect();
    if !order.is_empty() {
        sentences.push(format!("Its containers come {}, where these are there.", order.join(" and ")));
    }
    if let Some(standard) = template.pod_security {
        sentences.push(format!("What it adds meets the Pod Security Standard *{}*.", standard.name()));
    }
    if template.host_network {
        sentences.push("It may listen in the node's network.".to_owned());
    }
    sentences.push(match template.failure_policy {
        FailurePolicy::Fail => "A pod that can't get it is denied.".to_owned(),
        FailurePolicy::Ignore => "A pod that can't get it starts without it, with a warning.".to_owned(),
    });
    sentences.join(" ")
}
