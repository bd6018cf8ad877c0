//! Mount paths: compared, and kept off where no volume belongs, in the words for whoever made the pod.

use std::borrow::Cow;

use super::reason::quote;
use crate::template::paths::{Fault, SYSTEM, fault, leaves};

pub(crate) use crate::template::paths::clean;

/// The cleaned path, if a volume of ours may be mounted there.
///
/// # Errors
///
/// What is wrong with the path, and what is allowed.
pub fn check(path: &str) -> Result<String, String> {
    let problem = match fault(path) {
        None => return Ok(clean(path).into_owned()),
        Some(Fault::Relative) => "is not absolute",
        Some(Fault::Parent) => "has a .. in it",
        Some(Fault::Colon) => "has a : in it",
        Some(Fault::System) => "can't be covered by a volume",
        Some(Fault::Nul) => "has a NUL in it",
    };
    Err(format!(
        "mount path {} {problem}; write an absolute path without .. and : that is none of {}",
        quote(path),
        SYSTEM.join(" ")
    ))
}

/// Whether a path may be a `subPath` or `subPathExpr` of a mount.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_sub_path(path: &str) -> Result<(), String> {
    if leaves(path) { Err(format!("subPath {} must be a relative path without ..", quote(path))) } else { Ok(()) }
}

/// What leads from `parent` to `path`, both cleaned, if `parent` is above it.
#[must_use]
pub fn below<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(parent)?;
    if parent == "/" { Some(rest) } else { rest.strip_prefix('/') }.filter(|rest| !rest.is_empty())
}

/// Two relative paths, one below the other; either may be empty.
#[must_use]
pub fn join<'p>(first: Cow<'p, str>, second: &'p str) -> Cow<'p, str> {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => Cow::Borrowed(second),
        (_, true) => first,
        _ => Cow::Owned(format!("{}/{second}", first.trim_end_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_go_does() {
        for (path, cleaned) in [
            ("/a//b/./c/", "/a/b/c"),
            ("/a/b.c/.d", "/a/b.c/.d"),
            ("/a/..", "/a/.."),
            ("/a/.", "/a"),
            ("./a", "a"),
            ("/./a", "/a"),
            ("//a", "/a"),
            ("/", "/"),
            ("//", "/"),
            ("a/b/", "a/b"),
            ("", ""),
            ("/a/../b", "/a/../b"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn refuses_where_no_volume_belongs() {
        for path in ["", "a", "/", "//", "/proc", "/sys/", "/dev/.", "/a/../b", "/a:b", "/a\0"] {
            assert!(check(path).is_err(), "{path:?}");
        }
        assert_eq!(check("/dev/shm/").unwrap(), "/dev/shm");
    }

    #[test]
    fn finds_what_lies_below() {
        assert_eq!(below("/var/log/app", "/var"), Some("log/app"));
        assert_eq!(below("/var/log", "/var/log"), None);
        assert_eq!(below("/variable", "/var"), None);
        assert_eq!(below("/var", "/"), Some("var"));
    }
}
