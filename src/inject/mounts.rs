//! What a target mounts.

use std::borrow::Cow;

use super::draft::{Draft, GraftIndex};
use super::paths::clean;
use super::pod::Target;

/// A mount that a target has, from the pod or from an earlier graft.
#[derive(Debug, Clone)]
pub struct Mounted<'m> {
    /// The volume's name in the pod.
    pub volume: Cow<'m, str>,
    /// Where, cleaned.
    pub path: Cow<'m, str>,
    /// What of the volume.
    pub sub_path: Cow<'m, str>,
    /// The kubelet computes the sub path.
    pub computed: bool,
    /// Not to be written.
    pub read_only: bool,
    /// The graft that planned it; none: the pod's own.
    pub graft: Option<GraftIndex>,
}

/// What a target mounts: the pod's own, then what earlier grafts planned.
pub fn mounts<'m>(target: &'m Target<'_>, draft: &'m Draft<'_, '_>) -> impl Iterator<Item = Mounted<'m>> + 'm {
    let own = target.container.volume_mounts.iter().flatten().map(|mount| Mounted {
        volume: Cow::Borrowed(&mount.name),
        path: Cow::Borrowed(mount.path()),
        sub_path: Cow::Borrowed(&mount.sub_path),
        computed: !mount.sub_path_expr.is_empty(),
        read_only: mount.read_only.unwrap_or_default(),
        graft: None,
    });
    let planned = draft.mounts.iter().filter(|mount| mount.target.name() == target.name()).map(|mount| Mounted {
        volume: Cow::Borrowed(&mount.volume),
        path: Cow::Borrowed(&mount.path),
        sub_path: Cow::Borrowed(&mount.sub_path),
        computed: mount.computed,
        read_only: mount.read_only,
        graft: Some(mount.graft),
    });
    own.chain(planned)
}

/// Whether two sub paths are one, however they are written.
#[must_use]
pub fn same_sub_path(one: &str, other: &str) -> bool {
    clean(one) == clean(other)
}
