//! Mount paths: cleaned as Go's `path.Clean` does, compared, and kept off where no volume belongs.

use std::borrow::Cow;

/// Paths that no volume may cover: the container's root and what the runtime mounts there itself.
const FORBIDDEN: [&str; 4] = ["/", "/proc", "/sys", "/dev"];

/// `path` without empty and `.` elements and without a trailing slash. `..` stays: [`check`] refuses it.
#[must_use]
pub fn clean(path: &str) -> Cow<'_, str> {
    let mut elements = path.strip_prefix('/').unwrap_or(path).split('/');
    // Most paths are clean as they are written.
    if path == "/" || elements.all(|element| !element.is_empty() && element != ".") {
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

/// The cleaned path, if a volume of ours may be mounted there.
///
/// # Errors
///
/// What is wrong with the path, and what is allowed.
pub fn check(path: &str) -> Result<String, String> {
    let cleaned = clean(path);
    let problem = if !path.starts_with('/') {
        "is not absolute"
    } else if cleaned.split('/').any(|element| element == "..") {
        "has a .. in it"
    } else if cleaned.contains(':') {
        "has a : in it"
    } else if FORBIDDEN.contains(&&*cleaned) {
        "can't be covered by a volume"
    } else if path.contains('\0') {
        "has a NUL in it"
    } else {
        return Ok(cleaned.into_owned());
    };
    Err(format!(
        "mount path {} {problem}; write an absolute path without .. and : that is none of {}",
        super::reason::quote(path),
        FORBIDDEN.join(" ")
    ))
}

/// Whether a path may be a `subPath` or `subPathExpr` of a mount.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_sub_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') || path.split('/').any(|element| element == "..") {
        return Err(format!("subPath {} must be a relative path without ..", super::reason::quote(path)));
    }
    Ok(())
}

/// What leads from `parent` to `path`, both cleaned, if `parent` is above it.
#[must_use]
pub fn below<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(parent)?;
    if parent == "/" { Some(rest) } else { rest.strip_prefix('/') }.filter(|rest| !rest.is_empty())
}

/// Two relative paths, one below the other; either may be empty.
#[must_use]
pub fn join<'p>(first: &'p str, second: &'p str) -> Cow<'p, str> {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => Cow::Borrowed(second),
        (_, true) => Cow::Borrowed(first),
        _ => Cow::Owned(format!("{}/{second}", first.trim_end_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_go_does() {
        for (path, cleaned) in
            [("/a//b/./c/", "/a/b/c"), ("/", "/"), ("//", "/"), ("a/b/", "a/b"), ("", ""), ("/a/../b", "/a/../b")]
        {
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
