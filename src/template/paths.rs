//! Where volumes may be mounted: the same rule for what a template says and for what its expressions make of it.

use std::borrow::Cow;

/// Paths that no volume may cover: the container's root and what the runtime mounts there itself.
pub(crate) const SYSTEM: [&str; 4] = ["/", "/proc", "/sys", "/dev"];

/// What keeps a volume from being mounted at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not absolute.
    Relative,
    /// It has a `..` in it.
    Parent,
    /// It has a colon in it.
    Colon,
    /// It is one of [`SYSTEM`].
    System,
    /// It has a NUL in it.
    Nul,
}

/// What is wrong with a mount path. It is more than the API server asks, which lets a pod hide its own `/proc`.
pub(crate) fn fault(path: &str) -> Option<Fault> {
    if !path.starts_with('/') {
        Some(Fault::Relative)
    } else if climbs(path) {
        Some(Fault::Parent)
    } else if path.contains(':') {
        Some(Fault::Colon)
    } else if SYSTEM.contains(&&*clean(path)) {
        Some(Fault::System)
    } else {
        path.contains('\0').then_some(Fault::Nul)
    }
}

/// Whether a `subPath` would leave its volume.
pub(crate) fn leaves(sub_path: &str) -> bool {
    sub_path.starts_with('/') || climbs(sub_path)
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|element| element == "..")
}

/// Whether none of a path's elements is empty or `.`: most paths are so as they are written.
fn is_clean(path: &[u8]) -> bool {
    let mut begins = true;
    for (at, byte) in path.iter().enumerate() {
        if begins && (*byte == b'/' || (*byte == b'.' && matches!(path.get(at + 1), None | Some(b'/')))) {
            return false;
        }
        begins = *byte == b'/';
    }
    !begins
}

/// `path` without empty and `.` elements and without a trailing slash. `..` stays: it is a [`Fault`].
pub(crate) fn clean(path: &str) -> Cow<'_, str> {
    if path == "/" || is_clean(path.strip_prefix('/').unwrap_or(path).as_bytes()) {
        return Cow::Borrowed(path);
    }
    let mut cleaned = String::with_capacity(path.len());
    for element in path.split('/').filter(|element| !element.is_empty() && *element != ".") {
        if !cleaned.is_empty() || path.starts_with('/') {
            cleaned.push('/');
        }
        cleaned.push_str(element);
    }
    if cleaned.is_empty() && path.starts_with('/') {
        cleaned.push('/');
    }
    Cow::Owned(cleaned)
}
