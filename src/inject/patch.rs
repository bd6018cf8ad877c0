//! A plan as JSON Patch (RFC 6902): our own operations over JSON fragments, `add` only.
//!
//! Parents that are absent or `null` are created first, once. What changes a target comes before what is inserted into
//! the lists of containers, so that indices are those of the pod as received.

use std::borrow::Cow;
use std::fmt::Write;

use super::draft::{Draft, Field, Kind, NewField, NewVariable};
use super::fragment::Fragment;
use super::op::Op;
use super::order::Slot;
use super::outcome::Change;
use super::pod::{Pod, Spec, Target};
use super::status::STATUS;
use crate::template::Line;

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

/// A list that grafts add to.
#[derive(Clone, Copy)]
enum List<'t, 'a> {
    Volumes,
    InitContainers,
    Containers,
    ImagePullSecrets,
    HostAliases,
    Env(&'t Target<'a>),
    EnvFrom(&'t Target<'a>),
    VolumeMounts(&'t Target<'a>),
}

impl List<'_, '_> {
    /// The ends of pointers: to the list, and to the place behind its last item (RFC 6901, section 4).
    const fn pieces(self) -> (&'static str, &'static str) {
        match self {
            Self::Volumes => ("/spec/volumes", "/spec/volumes/-"),
            Self::InitContainers => ("/spec/initContainers", "/spec/initContainers/-"),
            Self::Containers => ("/spec/containers", "/spec/containers/-"),
            Self::ImagePullSecrets => ("/spec/imagePullSecrets", "/spec/imagePullSecrets/-"),
            Self::HostAliases => ("/spec/hostAliases", "/spec/hostAliases/-"),
            Self::Env(_) => ("/env", "/env/-"),
            Self::EnvFrom(_) => ("/envFrom", "/envFrom/-"),
            Self::VolumeMounts(_) => ("/volumeMounts", "/volumeMounts/-"),
        }
    }

    fn pointer(self) -> Cow<'static, str> {
        self.complete(self.pieces().0)
    }

    fn end(self) -> Cow<'static, str> {
        self.complete(self.pieces().1)
    }

    fn complete(self, piece: &'static str) -> Cow<'static, str> {
        match self {
            Self::Env(target) | Self::EnvFrom(target) | Self::VolumeMounts(target) => {
                let list = if target.init { Self::InitContainers } else { Self::Containers };
                item_of(list.pieces().0, target.index, piece).into()
            }
            _ => piece.into(),
        }
    }

    fn is_in(self, pod: &Pod<'_>) -> bool {
        let has = |list: fn(&Spec<'_>) -> bool| pod.spec.as_ref().is_some_and(list);
        match self {
            Self::Volumes => has(|spec| spec.volumes.is_some()),
            Self::InitContainers => has(|spec| spec.init_containers.is_some()),
            Self::Containers => has(|spec| spec.containers.is_some()),
            Self::ImagePullSecrets => has(|spec| spec.image_pull_secrets.is_some()),
            Self::HostAliases => has(|spec| spec.host_aliases.is_some()),
            Self::Env(target) => target.container.env.is_some(),
            Self::EnvFrom(target) => target.container.env_from.is_some(),
            Self::VolumeMounts(target) => target.container.volume_mounts.is_some(),
        }
    }
}

/// The JSON Pointer of an item of a list, or of a `part` of it.
fn item_of(list: &str, index: usize, part: &str) -> String {
    let mut path = String::with_capacity(list.len() + part.len() + 8);
    path.push_str(list);
    // Writing to a String can't fail.
    let _ = write!(path, "/{index}");
    path.push_str(part);
    path
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
    let mut patch = Patch { pod, changes: Vec::with_capacity(draft.len() + 8), created: Vec::new(), index_of };

    for volume in draft.volumes {
        patch.append(List::Volumes, volume.graft, volume.line, volume.json);
    }

    // How many have been inserted before the target's own: by target and list.
    let mut inserted: Vec<(Cow<'static, str>, usize)> = Vec::new();
    for variable in draft.variables {
        let NewVariable { graft, line, target, name, json } = variable;
        let list = if name.is_some() { List::Env(&target) } else { List::EnvFrom(&target) };
        let pointer = list.pointer();
        let index = if let Some((_, index)) = inserted.iter_mut().find(|(known, _)| *known == pointer) {
            *index += 1;
            *index
        } else {
            patch.ensure(list, graft, line);
            inserted.push((pointer.clone(), 0));
            0
        };
        patch.add(Some(graft), line, item_of(&pointer, index, "").into(), json);
    }
    for mount in draft.mounts {
        patch.append(List::VolumeMounts(&mount.target), mount.graft, mount.line, mount.json);
    }

    let mut containers: Vec<_> = draft.containers.into_iter().map(Some).collect();
    for slot in order {
        let Slot::New(index) = *slot else { continue };
        let classic = containers.get_mut(index).and_then(|it| it.take_if(|it| it.kind == Kind::ClassicSidecar));
        if let Some(it) = classic {
            patch.append(List::Containers, it.graft, it.line, it.json);
        }
    }
    for (place, slot) in order.iter().enumerate() {
        let Slot::New(index) = *slot else { continue };
        let Some(it) = containers.get_mut(index).and_then(Option::take) else { continue };
        patch.ensure(List::InitContainers, it.graft, it.line);
        let item = item_of(&List::InitContainers.pointer(), place, "");
        patch.add(Some(it.graft), it.line, item.into(), it.json);
    }

    for NewField { graft, line, field, key, json } in draft.fields {
        match field {
            Field::Label | Field::Annotation => patch.member(field, &key, Some(graft), line, json),
            Field::ImagePullSecret => patch.append(List::ImagePullSecrets, graft, line, json),
            Field::HostAlias => patch.append(List::HostAliases, graft, line, json),
        }
    }
    patch.member(Field::Annotation, STATUS, None, 0, status);
    patch.changes
}

struct Patch<'p, 'a> {
    pod: &'p Pod<'a>,
    changes: Vec<Change>,
    /// Parents that this patch has made.
    created: Vec<Cow<'static, str>>,
    index_of: &'p [Option<usize>],
}

impl Patch<'_, '_> {
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

    /// Makes the list unless the pod has it.
    fn ensure(&mut self, list: List<'_, '_>, graft: usize, line: Line) {
        if !list.is_in(self.pod) {
            self.make(list.pointer(), Some(graft), line, "[]");
        }
    }

    /// Adds to the end of a list.
    fn append(&mut self, list: List<'_, '_>, graft: usize, line: Line, value: impl Into<Fragment>) {
        self.ensure(list, graft, line);
        self.add(Some(graft), line, list.end(), value);
    }

    /// Adds a label or annotation.
    fn member(&mut self, field: Field, key: &str, graft: Option<usize>, line: Line, json: String) {
        let metadata = self.pod.metadata.as_ref();
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
}
