//! Shared volumes: one volume at one path in every target, reused where a target mounts something there already.

use std::borrow::Cow;

use super::asked::Asked;
use super::draft::{Draft, GraftIndex};
use super::mounts::{Mounted, mounts, same_sub_path};
use super::paths::{below, join};
use super::pod::Target;
use super::reason::{Reason, cut};

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
                let (volume, sub_path) = (cut(volume), cut(sub_path));
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
