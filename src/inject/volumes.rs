//! Shared volumes: one volume at one path in every target, reused where a target mounts something there already.

use std::borrow::Cow;

use super::draft::{Draft, GraftIndex};
use super::paths::{below, clean, join};
use super::pod::Target;
use super::reason::Reason;
use super::resolve::Asked;

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

/// The volume at a shared path.
#[derive(Debug)]
pub enum Site {
    /// A target mounts it already.
    Existing {
        /// The volume.
        volume: String,
        /// What of the volume is at the path.
        sub_path: String,
        /// A target's mount of it that can't be written: the target, and the graft that planned it.
        read_only: Option<(String, Option<GraftIndex>)>,
    },
    /// Nobody does: the template's own volume.
    New,
}

/// By which mount a target sees something at `path`: one at exactly it, else the nearest above. What the graft `own`
/// planned above does not count.
fn nearest<'m>(
    path: &'m str,
    target: &'m Target<'_>,
    draft: &'m Draft<'_, '_>,
    own: Option<GraftIndex>,
) -> Option<Mounted<'m>> {
    let counts = |mount: &Mounted<'_>| {
        mount.path == path || (below(path, &mount.path).is_some() && (mount.graft.is_none() || mount.graft != own))
    };
    mounts(target, draft).filter(counts).max_by_key(|mount| mount.path.len())
}

/// What of the volume a mount shows at `path`.
fn part<'m>(mount: &Mounted<'m>, path: &'m str) -> Cow<'m, str> {
    join(mount.sub_path.clone(), below(path, &mount.path).unwrap_or_default())
}

/// Whether two sub paths are one, however they are written.
#[must_use]
pub fn same_sub_path(one: &str, other: &str) -> bool {
    clean(one) == clean(other)
}

/// Finds what is at `path`: the first target that mounts exactly it decides, else the first that mounts a directory above,
/// other than what the graft `own` itself has planned there.
///
/// # Errors
///
/// The targets disagree, or the kubelet computes the sub path; and the graft that has a part in it.
pub fn locate(
    asked: &[Asked<'_>],
    own: GraftIndex,
    path: &str,
    targets: &[Target<'_>],
    draft: &Draft<'_, '_>,
) -> Result<Site, (Reason, Option<GraftIndex>)> {
    let all = || targets.iter().filter_map(|target| Some((target, nearest(path, target, draft, Some(own))?)));
    let Some((decider, mount)) = all().find(|(_, mount)| mount.path == path).or_else(|| all().next()) else {
        return Ok(Site::New);
    };
    let graft = || asked[own].name.to_string();
    let sub_path = part(&mount, path);
    let mut read_only = None;
    for (target, other) in all() {
        if other.computed {
            let reason = Reason::SharedSubPathExpr {
                graft: graft(),
                container: target.name().to_owned(),
                path: other.path.into_owned(),
                by: other.graft.map(|by| asked[by].name.to_string()),
            };
            return Err((reason, other.graft));
        }
        let of_other = part(&other, path);
        if other.volume != mount.volume || !same_sub_path(&of_other, &sub_path) {
            let shown = |volume: &str, sub_path: &str| {
                if sub_path.is_empty() { volume.to_owned() } else { format!("{volume}, subPath {sub_path}") }
            };
            let reason = Reason::SharedVolumes {
                graft: graft(),
                path: path.to_owned(),
                first: decider.name().to_owned(),
                first_volume: shown(&mount.volume, &sub_path),
                second: target.name().to_owned(),
                second_volume: shown(&other.volume, &of_other),
            };
            return Err((reason, mount.graft.max(other.graft)));
        }
        if other.read_only && read_only.is_none() {
            read_only = Some((target.name().to_owned(), other.graft));
        }
    }
    Ok(Site::Existing { volume: mount.volume.into_owned(), sub_path: sub_path.into_owned(), read_only })
}

/// Whether the target sees this part of the volume at `path` without another mount.
#[must_use]
pub fn sees(target: &Target<'_>, draft: &Draft<'_, '_>, path: &str, volume: &str, sub_path: &str) -> bool {
    let nearest = nearest(path, target, draft, None);
    nearest
        .is_some_and(|mount| !mount.computed && mount.volume == volume && same_sub_path(&part(&mount, path), sub_path))
}
