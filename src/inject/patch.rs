//! A plan as JSON Patch (RFC 6902): our own operations over JSON fragments, `add` only.
//!
//! Parents that are absent or `null` are created first, once. What changes a target comes before what is inserted into
//! the lists of containers, so that indices are those of the pod as received.

use std::borrow::Cow;
use std::fmt::Write;

use super::draft::{Draft, Field, Kind, NewField, NewVariable};
use super::fragment::Fragment;
use super::order::Slot;
use super::outcome::Change;
use super::pod::{Metadata, Pod};
use super::status::STATUS;
use super::targets::Target;
use crate::template::Line;
use crate::template::node::write_string;

/// An `add` operation (RFC 6902, section 4.1).
#[derive(Debug)]
pub struct Op {
    /// A JSON Pointer (RFC 6901), escaped.
    pub path: Cow<'static, str>,
    /// The value.
    pub value: Fragment,
}

impl Op {
    /// How many bytes it takes in a document, at most, but for an escaped path.
    #[must_use]
    pub fn room(&self) -> usize {
        self.path.len() + self.value.len() + 48
    }
}

/// Writes operations as a JSON Patch document, values by `put`.
pub fn write<'o>(ops: impl Iterator<Item = &'o Op>, out: &mut String, mut put: impl FnMut(&'o Fragment, &mut String)) {
    out.push('[');
    for (index, op) in ops.enumerate() {
        out.push_str(if index > 0 { r#",{"op":"add","path":"# } else { r#"{"op":"add","path":"# });
        write_string(&op.path, out);
        out.push_str(r#","value":"#);
        put(&op.value, out);
        out.push('}');
    }
    out.push(']');
}

/// The JSON Pointer of a map's member: its key is a reference token (RFC 6901, section 3).
fn member_of(map: &str, key: &str) -> String {
    let mut path = String::with_capacity(map.len() + key.len() + 8);
    path.push_str(map);
    path.push('/');
    for piece in key.split_inclusive(['~', '/']) {
        let plain = piece.trim_end_matches(['~', '/']);
        path.push_str(plain);
        path.push_str(match &piece[plain.len()..] {
            "~" => "~0",
            "/" => "~1",
            _ => "",
        });
    }
    path
}

const CONTAINERS: &str = "/spec/containers";
const INIT_CONTAINERS: &str = "/spec/initContainers";

/// What stands at the end of a pointer to a list for the place behind its last item (RFC 6901, section 4).
const END: &str = "/-";

/// The JSON Pointer of an item of a list, or of a `part` of it.
fn item_of(list: &str, index: usize, part: &str) -> String {
    let mut path = String::with_capacity(list.len() + part.len() + 8);
    path.push_str(list);
    // Writing to a String can't fail.
    let _ = write!(path, "/{index}");
    path.push_str(part);
    path
}

/// The JSON Pointer of a part of a target.
fn part_of(target: &Target<'_>, part: &str) -> String {
    item_of(if target.init { INIT_CONTAINERS } else { CONTAINERS }, target.index, part)
}

/// The draft as operations. `index_of` tells a graft's place in the plan, `status` is the annotation's value as JSON.
pub fn changes(
    pod: &Pod<'_>,
    draft: Draft<'_, '_>,
    order: &[Slot],
    index_of: &[Option<usize>],
    status: String,
) -> Vec<Change> {
    // Each addition, and what is made around it.
    let mut patch = Patch { changes: Vec::with_capacity(draft.len() + 8), created: Vec::new(), index_of };
    let spec = pod.spec.as_ref();

    for volume in draft.volumes {
        let parent = spec.is_some_and(|spec| spec.volumes.is_some());
        patch.append("/spec/volumes/-", parent, Some(volume.graft), volume.line, volume.json);
    }

    // How many have been inserted before the target's own: by target and list.
    let mut inserted: Vec<(String, usize)> = Vec::new();
    for variable in draft.variables {
        let NewVariable { graft, line, target, name, json } = variable;
        let (list, there) = if name.is_empty() {
            ("/envFrom", target.container.env_from.is_some())
        } else {
            ("/env", target.container.env.is_some())
        };
        let list = part_of(&target, list);
        if !there {
            patch.make(list.clone().into(), Some(graft), line, "[]");
        }
        let index = match inserted.iter_mut().find(|(known, _)| *known == list) {
            Some((_, index)) => {
                *index += 1;
                *index
            }
            None => 0,
        };
        patch.add(Some(graft), line, item_of(&list, index, "").into(), json);
        if index == 0 {
            inserted.push((list, 0));
        }
    }
    for mount in draft.mounts {
        let there = mount.target.container.volume_mounts.is_some();
        let item = part_of(&mount.target, "/volumeMounts/-");
        patch.append(item, there, Some(mount.graft), mount.line, mount.json);
    }

    let mut containers: Vec<_> = draft.containers.into_iter().map(Some).collect();
    for container in &mut containers {
        if let Some(it) = container.take_if(|it| it.kind == Kind::ClassicSidecar) {
            patch.append("/spec/containers/-", true, Some(it.graft), it.line, it.json);
        }
    }
    let init = spec.is_some_and(|spec| spec.init_containers.is_some());
    for (place, slot) in order.iter().enumerate() {
        let Slot::New(index) = *slot else { continue };
        let Some(it) = containers.get_mut(index).and_then(Option::take) else { continue };
        if !init {
            patch.make(INIT_CONTAINERS.into(), Some(it.graft), it.line, "[]");
        }
        patch.add(Some(it.graft), it.line, item_of(INIT_CONTAINERS, place, "").into(), it.json);
    }

    for field in draft.fields {
        patch.field(pod, field);
    }
    patch.member(pod, Field::Annotation, STATUS, None, 0, status);
    patch.changes
}

struct Patch<'p> {
    changes: Vec<Change>,
    /// Parents that this patch has made.
    created: Vec<Cow<'static, str>>,
    index_of: &'p [Option<usize>],
}

impl Patch<'_> {
    fn add(&mut self, graft: Option<usize>, line: Line, path: Cow<'static, str>, value: impl Into<Fragment>) {
        let graft = graft.and_then(|graft| self.index_of.get(graft).copied().flatten());
        self.changes.push(Change { graft, line, op: Op { path, value: value.into() } });
    }

    /// Makes a parent that is not there, once.
    fn make(&mut self, path: Cow<'static, str>, graft: Option<usize>, line: Line, empty: &'static str) {
        if !self.created.contains(&path) {
            self.created.push(path.clone());
            self.add(graft, line, path, empty);
        }
    }

    /// Adds to a list: `item` points to its [`END`].
    fn append(
        &mut self,
        item: impl Into<Cow<'static, str>>,
        there: bool,
        graft: Option<usize>,
        line: Line,
        value: impl Into<Fragment>,
    ) {
        let item = item.into();
        if !there {
            let list = match &item {
                Cow::Borrowed(item) => Cow::Borrowed(item.strip_suffix(END).unwrap_or(item)),
                Cow::Owned(item) => Cow::Owned(item.strip_suffix(END).unwrap_or(item).to_owned()),
            };
            self.make(list, graft, line, "[]");
        }
        self.add(graft, line, item, value);
    }

    fn field(&mut self, pod: &Pod<'_>, field: NewField) {
        let NewField { graft, line, field, key, json } = field;
        let spec = pod.spec.as_ref();
        match field {
            Field::Label | Field::Annotation => self.member(pod, field, &key, Some(graft), line, json),
            Field::ImagePullSecret => {
                let there = spec.is_some_and(|spec| spec.image_pull_secrets.is_some());
                self.append("/spec/imagePullSecrets/-", there, Some(graft), line, json);
            }
            Field::HostAlias => {
                let there = spec.is_some_and(|spec| spec.host_aliases.is_some());
                self.append("/spec/hostAliases/-", there, Some(graft), line, json);
            }
        }
    }

    /// A label or annotation.
    fn member(&mut self, pod: &Pod<'_>, field: Field, key: &str, graft: Option<usize>, line: Line, json: String) {
        let metadata: Option<&Metadata<'_>> = pod.metadata.as_ref();
        let (map, there) = match field {
            Field::Label => ("/metadata/labels", metadata.is_some_and(|it| it.labels.is_some())),
            _ => ("/metadata/annotations", metadata.is_some_and(|it| it.annotations.is_some())),
        };
        if metadata.is_none() {
            self.make("/metadata".into(), graft, line, "{}");
        }
        if !there {
            self.make(map.into(), graft, line, "{}");
        }
        self.add(graft, line, member_of(map, key).into(), json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_as_reference_tokens() {
        assert_eq!(member_of("/a", "podgraft.dev/status~1"), "/a/podgraft.dev~1status~01");
        assert_eq!(member_of("/a", "~~//b"), "/a/~0~0~1~1b");
        assert_eq!(member_of("", ""), "/");
    }

    #[test]
    fn operations_are_json() {
        let written = |ops: &[Op]| {
            let mut out = String::new();
            write(ops.iter(), &mut out, |value, out| out.push_str(value));
            out
        };
        let op = |path| Op { path, value: "{}".into() };
        assert_eq!(written(&[op("/a\"b".into())]), r#"[{"op":"add","path":"/a\"b","value":{}}]"#);
        let two = r#"[{"op":"add","path":"/a","value":{}},{"op":"add","path":"/b","value":{}}]"#;
        assert_eq!(written(&[op("/a".into()), op("/b".into())]), two);
        assert_eq!(written(&[]), "[]");
    }
}
