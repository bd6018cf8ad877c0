//! What a template adds, rendered with the values of its example; what depends on the pod stays as it is written.

use serde_json::{Map, Value as Json, json};

use super::example::Example;
use super::markdown::code;
use crate::template::expression::{Budget, Given, Item, Leaf, Variable, Variables};
use crate::template::node::{Entry, Node};
use crate::template::parameter::Value;
use crate::template::{ContainerTemplate, Environment, RunAs, SharedVolume, Template, VolumeTemplate};

/// What stands for podgraft's own image, whose name is the operator's choice.
const OWN_IMAGE: &str = "podgraft's own image";

/// A list item for each container, volume and other addition.
pub(super) fn write(template: &Template, example: &Example) -> String {
    let parts = Parts {
        values: template
            .parameters
            .iter()
            .zip(&example.values)
            .map(|(it, value)| value.clone().unwrap_or(it.trial()))
            .collect(),
        known: example.values.iter().map(Option::is_some).collect(),
        podgraft: json!({"image": OWN_IMAGE, "version": env!("CARGO_PKG_VERSION")}),
        budget: Budget::new(),
    };
    let Template { init_containers, sidecars, shared_volumes, volumes, target, pod, .. } = template;
    let mut lines = parts.entries(init_containers, |parts, it, item| parts.container("init container", it, item));
    lines.extend(parts.entries(sidecars, |parts, it, item| parts.container("sidecar", it, item)));
    lines.extend(parts.entries(shared_volumes, Parts::shared_volume));
    lines.extend(parts.entries(volumes, Parts::volume));
    let additions = [
        ("environment of each target", &target.env, variable as fn(&Json) -> String),
        ("environment of each target, all of", &target.env_from, source),
        ("mounts of each target", &target.volume_mounts, mount),
        ("labels of the pod", &pod.labels, pair),
        ("annotations of the pod", &pod.annotations, pair),
        ("image pull secrets of the pod", &pod.image_pull_secrets, name),
        ("host names of the pod", &pod.host_aliases, host),
    ];
    for (what, part, show) in additions {
        lines.extend(part.as_ref().map(|part| format!("{what}: {}", parts.list(&part.node, None, show))));
    }
    lines.iter().flat_map(|line| ["- ", line, "\n"]).collect()
}

/// What a template's expressions see.
struct Parts {
    values: Vec<Value>,
    /// Which of the values the template itself gives.
    known: Vec<bool>,
    podgraft: Json,
    budget: Budget,
}

impl Variables for Parts {
    fn parameter(&self, index: usize) -> &Value {
        &self.values[index]
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        match variable {
            Variable::Podgraft => Ok((&self.podgraft).into()),
            other => Err(format!("{} is a pod's", other.name())),
        }
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Parts {
    fn container(&self, kind: &str, container: &ContainerTemplate, item: Option<&Item<'_>>) -> String {
        let image = match self.text(&container.image, item) {
            own if own == OWN_IMAGE => own,
            image => format!("image {}", code(&image)),
        };
        let lists = [
            ("listening on", &container.ports, port as fn(&Json) -> String),
            ("with the volumes", &container.volume_mounts, mount),
        ];
        let lists = lists.into_iter().filter_map(|(what, list, show)| {
            let list = self.list(list.as_ref()?, item, show);
            Some(format!("{what} {list}"))
        });
        let like_target = [
            (container.environment == Environment::Target).then_some("with the target's environment"),
            (container.run_as == RunAs::Target).then_some("run as the target's user"),
        ];
        let like_target = like_target.into_iter().flatten().map(str::to_owned);
        let line = [format!("{kind} {} of {image}", code(&self.text(&container.name, item)))];
        line.into_iter().chain(lists).chain(like_target).collect::<Vec<_>>().join(", ")
    }

    fn shared_volume(&self, volume: &SharedVolume, item: Option<&Item<'_>>) -> String {
        let path = code(&self.text(&volume.mount_path, item));
        let read_only = if volume.read_only { ", read-only" } else { "" };
        let kind = match &volume.volume {
            Some(node) => format!(
                "volume {} ({}), or what a target mounts there",
                code(&volume.name),
                kind(&self.value(node, item))
            ),
            None => format!("volume {}: what a target mounts there; one must", code(&volume.name)),
        };
        format!("at {path} of each target{read_only}: {kind}")
    }

    fn volume(&self, volume: &VolumeTemplate, item: Option<&Item<'_>>) -> String {
        format!("volume {} ({})", code(&volume.name), kind(&self.value(&volume.source, item)))
    }

    /// The entries of a list, each as often as its `forEach` says.
    fn entries<T>(&self, entries: &[Entry<T>], show: impl Fn(&Self, &T, Option<&Item<'_>>) -> String) -> Vec<String> {
        let lines = |entry| self.each(entry, None, &show).into_iter().map(move |line| line + &clause(entry));
        entries.iter().flat_map(lines).collect()
    }

    /// An entry once for each item of its `forEach`; once where that depends on the pod.
    fn each<T>(
        &self,
        entry: &Entry<T>,
        outer: Option<&Item<'_>>,
        show: impl Fn(&Self, &T, Option<&Item<'_>>) -> String,
    ) -> Vec<String> {
        let items = entry.for_each.as_ref().and_then(|list| list.items(self, outer).ok()).unwrap_or_default();
        let parts = self.where_there(entry);
        if items.is_empty() {
            return vec![show(&parts, &entry.value, outer)];
        }
        items.iter().map(|item| show(&parts, &entry.value, Some(item))).collect()
    }

    /// What an entry's expressions see where it is there: if it isn't with the example's values, other ones of the
    /// parameters that its condition names.
    fn where_there<T>(&self, entry: &Entry<T>) -> Self {
        let Self { values, known, podgraft, .. } = self;
        let mut parts =
            Self { values: values.clone(), known: known.clone(), podgraft: podgraft.clone(), budget: Budget::new() };
        if let Some(when) = entry.when.as_ref().filter(|when| when.condition(self, None).is_ok_and(|holds| !holds)) {
            when.parameters().iter().for_each(|index| parts.known[*index] = false);
        }
        parts
    }

    /// The items of a list, or the members of a map, in a phrase.
    fn list(&self, node: &Node, item: Option<&Item<'_>>, show: fn(&Json) -> String) -> String {
        let shown: Vec<String> = match node {
            Node::List(entries) => entries
                .iter()
                .map(|entry| {
                    self.each(entry, item, |parts, it, item| show(&parts.value(it, item))).join(", ") + &clause(entry)
                })
                .collect(),
            node => match self.value(node, item) {
                Json::Array(items) => items.iter().map(show).collect(),
                Json::Object(members) => {
                    members.into_iter().map(|member| show(&Map::from_iter([member]).into())).collect()
                }
                other => vec![show(&other)],
            },
        };
        shown.join(", ")
    }

    fn text(&self, node: &Node, item: Option<&Item<'_>>) -> String {
        plain(&self.value(node, item))
    }

    /// A node's value; where it depends on the pod, the text of the leaf that does.
    fn value(&self, node: &Node, item: Option<&Item<'_>>) -> Json {
        match node {
            Node::Json(json) => serde_json::from_str(json).unwrap_or_default(),
            Node::Leaf(leaf) => self.leaf(leaf, item).unwrap_or_else(|| leaf.source.as_ref().into()),
            Node::Map(members) => members.iter().map(|(key, node)| (key.to_string(), self.value(node, item))).collect(),
            Node::List(entries) => entries.iter().map(|entry| self.value(&entry.value, item)).collect(),
        }
    }

    fn leaf(&self, leaf: &Leaf, item: Option<&Item<'_>>) -> Option<Json> {
        let known = leaf.expressions().all(|expression| {
            expression.parameters().iter().all(|index| self.known[*index])
                && (item.is_some() || !expression.names_item())
        });
        let mut json = String::new();
        let rendered = known && leaf.render(self, item, &mut json).ok()?;
        if rendered { serde_json::from_str(&json).ok() } else { None }
    }
}

/// When an entry is there, and how often.
fn clause<T>(entry: &Entry<T>) -> String {
    let each = entry.for_each.as_ref().map(|list| format!("for each of {}", code(&list.source)));
    let when = entry.when.as_ref().map(|when| format!("if {}", code(&when.source)));
    let clauses: Vec<_> = each.into_iter().chain(when).collect();
    if clauses.is_empty() { String::new() } else { format!(" ({})", clauses.join(", ")) }
}

/// A text as the template writes it, expressions and all.
pub(super) fn written(text: &Node) -> String {
    match text {
        Node::Leaf(leaf) => leaf.source.to_string(),
        Node::Json(json) => serde_json::from_str(json).unwrap_or_default(),
        Node::Map(_) | Node::List(_) => String::new(),
    }
}

/// A scalar's text; of anything else, its JSON.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A member of a map; of a whole that an expression makes, the expression.
fn member(value: &Json, key: &str) -> String {
    plain(value.get(key).unwrap_or(value))
}

fn name(value: &Json) -> String {
    code(&member(value, "name"))
}

/// What a name stands for, unless it depends on the pod.
fn assignment(name: &str, sign: &str, value: Option<&Json>) -> String {
    match value.map(plain).filter(|value| !value.contains("{{")) {
        Some(value) => code(&format!("{name}{sign}{value}")),
        None => code(name),
    }
}

fn variable(value: &Json) -> String {
    assignment(&member(value, "name"), "=", value.get("value"))
}

fn source(value: &Json) -> String {
    let (kind, of) = value.as_object().and_then(|source| source.iter().find(|(key, _)| key.ends_with("Ref"))).unzip();
    kind.map_or_else(
        || code(&plain(value)),
        |kind| format!("{} {}", kind.trim_end_matches("Ref"), of.map(name).unwrap_or_default()),
    )
}

fn port(value: &Json) -> String {
    let named = value.get("name").map(|name| format!(" ({})", code(&plain(name)))).unwrap_or_default();
    code(&member(value, "containerPort")) + &named
}

fn mount(value: &Json) -> String {
    let read_only = if value["readOnly"] == true { " read-only" } else { "" };
    format!("{} at {}{read_only}", name(value), code(&member(value, "mountPath")))
}

fn pair(value: &Json) -> String {
    let pair = value.as_object().and_then(|map| map.iter().next());
    pair.map_or_else(|| code(&plain(value)), |(key, value)| assignment(key, ": ", Some(value)))
}

fn host(value: &Json) -> String {
    let names = value["hostnames"].as_array().map(|names| names.iter().map(plain).collect::<Vec<_>>().join(" "));
    names.map_or_else(|| code(&plain(value)), |names| format!("{} for {}", code(&names), code(&member(value, "ip"))))
}

/// A member's text; a size that was computed in bytes as people write it.
fn quantity(key: &str, value: &Json) -> String {
    let bytes = Some(plain(value)).filter(|_| key == "sizeLimit");
    let Some(mut size) = bytes.and_then(|bytes| bytes.parse::<u64>().ok()) else { return plain(value) };
    let mut units = ["", "Ki", "Mi", "Gi", "Ti"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while let Some(next) = units.next().filter(|_| size > 0 && size % 1024 == 0) {
        (size, unit) = (size / 1024, next);
    }
    format!("{size}{unit}")
}

/// A volume source: its kind, and what it says of it.
fn kind(source: &Json) -> String {
    let Some((kind, of)) = source.as_object().and_then(|source| source.iter().next()) else {
        return code(&plain(source));
    };
    let members = of.as_object().into_iter().flatten();
    let details: Vec<_> = members.map(|(key, value)| format!("{key} {}", code(&quantity(key, value)))).collect();
    [vec![code(kind)], details].concat().join(", ")
}
