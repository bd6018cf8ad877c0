//! "Did you mean": the known name that someone probably meant.

/// More edits than this make another name of any name.
const MAX_EDITS: usize = 4;

/// Longer names are hardly typed by hand, and comparing two takes the product of their lengths, in bytes.
const MAX_NAME: usize = 100;

/// Of more names than these, the first are compared: whoever mistypes may be hostile, too.
const MAX_KNOWN: usize = 1000;

/// The known name nearest to `name`: fewest insertions, deletions, replacements and swaps of neighbours, at most about a
/// third of the longer name's length. Of equally near ones, one that differs only in letter case wins, then the first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let folded = name.to_lowercase();
    let near = |candidate: &'a str| {
        let most = name.len().max(candidate.len()).div_ceil(3).min(MAX_EDITS);
        // Names whose lengths differ by more need not be compared.
        if candidate == name || name.len().abs_diff(candidate.len()) > most {
            return None;
        }
        let edits = strsim::osa_distance(&folded, &candidate.to_lowercase());
        (edits <= most).then(|| (edits, strsim::osa_distance(name, candidate), candidate))
    };
    let nearest =
        known.into_iter().take(MAX_KNOWN).filter_map(near).min_by_key(|(edits, exact, _)| (*edits, *exact))?;
    Some(nearest.2)
}

/// The end of a message: ` (did you mean NAME?)`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["wait-for-db", "wait-for-service", "log-shipper", "set-env"];
        for (typed, meant) in [
            ("wait-for-bd", Some("wait-for-db")),
            ("log-shiper", Some("log-shipper")),
            ("LOG-SHIPPER", Some("log-shipper")),
            ("waitforservice", Some("wait-for-service")),
            ("setenv", Some("set-env")),
            ("nginx", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest("x", ["y"]), Some("y"));
        assert_eq!(nearest("Path", ["bath", "path"]), Some("path"));
        let long = "x".repeat(10_000_000);
        assert_eq!(nearest(&long, [&*format!("{long}y")]), None);
        assert_eq!(did_you_mean("pahts", ["paths"]), " (did you mean paths?)");
    }
}
