//! Shared volumes: one volume at one path in every target, reused where a target mounts something there already.

use std::borrow::Cow;

use super::draft::{Draft, GraftIndex};
use super::outcome::GraftName;
use super::paths::{below, join};
use super::reason::Reason;
use super::targets::Target;

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
        computed: false,
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
        /// The target that decided, for messages.
        by: String,
        /// The volume and what of it is at the path.
        volume: String,
        /// The sub path in the volume.
        sub_path: String,
        /// A target's mount of it can't be written.
        read_only: bool,
    },
    /// Nobody does: the template's own volume.
    New,
}

/// What a target mounts at exactly this path.
fn at<'m>(path: &str, target: &'m Target<'_>, draft: &'m Draft<'_, '_>) -> Option<Mounted<'m>> {
    mounts(target, draft).find(|mount| mount.path == path)
}

/// What a target sees at the path by mounting a directory above: the nearest one, other than what `own` planned.
fn above<'m>(path: &str, target: &'m Target<'_>, draft: &'m Draft<'_, '_>, own: GraftIndex) -> Option<Mounted<'m>> {
    let others = mounts(target, draft).filter(|mount| mount.graft != Some(own));
    others.filter(|mount| below(path, &mount.path).is_some()).max_by_key(|mount| mount.path.len())
}

/// Finds what is at `path`: the first target that mounts exactly it, else the first that mounts a directory above, other
/// than what the graft `own` itself has planned there.
///
/// # Errors
///
/// The targets disagree, or the kubelet computes the sub path.
pub fn locate(
    graft: &GraftName<'_>,
    own: GraftIndex,
    path: &str,
    targets: &[Target<'_>],
    draft: &Draft<'_, '_>,
) -> Result<Site, Reason> {
    let computed = |target: &Target<'_>, path: &str| Reason::SharedSubPathExpr {
        graft: graft.to_string(),
        container: target.name().to_owned(),
        path: path.to_owned(),
    };
    if let Some((decider, mount)) = targets.iter().find_map(|target| Some((target, at(path, target, draft)?))) {
        if mount.computed {
            return Err(computed(decider, path));
        }
        for target in targets {
            let Some(other) = at(path, target, draft) else { continue };
            if other.computed {
                return Err(computed(target, path));
            }
            if (&other.volume, &other.sub_path) != (&mount.volume, &mount.sub_path) {
                let shown = |mount: &Mounted<'_>| {
                    if mount.sub_path.is_empty() {
                        mount.volume.to_string()
                    } else {
                        format!("{}, subPath {}", mount.volume, mount.sub_path)
                    }
                };
                return Err(Reason::SharedVolumes {
                    graft: graft.to_string(),
                    path: path.to_owned(),
                    first: decider.name().to_owned(),
                    first_volume: shown(&mount),
                    second: target.name().to_owned(),
                    second_volume: shown(&other),
                });
            }
        }
        let read_only = targets.iter().filter_map(|target| at(path, target, draft)).any(|mount| mount.read_only);
        let by = decider.name().to_owned();
        return Ok(Site::Existing {
            by,
            volume: mount.volume.into_owned(),
            sub_path: mount.sub_path.into_owned(),
            read_only,
        });
    }
    let Some((decider, mount)) = targets.iter().find_map(|target| Some((target, above(path, target, draft, own)?)))
    else {
        return Ok(Site::New);
    };
    if mount.computed {
        return Err(computed(decider, &mount.path));
    }
    Ok(Site::Existing {
        by: decider.name().to_owned(),
        sub_path: join(mount.sub_path, below(path, &mount.path).unwrap_or_default()).into_owned(),
        volume: mount.volume.into_owned(),
        read_only: mount.read_only,
    })
}

/// Whether the target sees this part of the volume at `path` without another mount.
#[must_use]
pub fn sees(target: &Target<'_>, draft: &Draft<'_, '_>, path: &str, volume: &str, sub_path: &str) -> bool {
    let nearest = mounts(target, draft)
        .filter(|mount| mount.path == path || below(path, &mount.path).is_some())
        .max_by_key(|mount| mount.path.len());
    nearest.is_some_and(|mount| {
        mount.volume == volume && join(mount.sub_path, below(path, &mount.path).unwrap_or_default()) == sub_path
    })
}
