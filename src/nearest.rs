//! "Did you mean": the known name that someone probably meant.

use std::cell::Cell;

/// More edits than this make another name of any name.
const MAX_EDITS: usize = 4;

/// No name of Kubernetes' is longer that people write, and comparing two takes the product of their lengths, in bytes.
const MAX_NAME: usize = 63;

/// Of more names than these, the first are compared: whoever mistypes may be hostile, too.
const MAX_KNOWN: usize = 1000;

/// As many mistakes of one input are looked at so closely: whoever makes more has not mistyped.
const MAX_HINTS: usize = 8;

/// The known name nearest to `name`: fewest insertions, deletions, replacements and swaps of neighbours, at most about a
/// third of the longer name's length. Letter case does not count; of equally near ones, the first wins.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let folded = name.to_lowercase();
    let near = |candidate: &'a str| {
        let most = name.len().max(candidate.len()).div_ceil(3).min(MAX_EDITS);
        // Names whose lengths differ by more need not be compared.
        if candidate == name || candidate.len() > MAX_NAME || name.len().abs_diff(candidate.len()) > most {
            return None;
        }
        let edits = strsim::osa_distance(&folded, &candidate.to_lowercase());
        (edits <= most).then_some((edits, candidate))
    };
    let nearest = known.into_iter().take(MAX_KNOWN).filter_map(near).min_by_key(|(edits, _)| *edits)?;
    Some(nearest.1)
}

/// "Did you mean" for the first mistakes of one input.
#[derive(Debug)]
pub struct Hints(Cell<usize>);

impl Default for Hints {
    fn default() -> Self {
        Self(Cell::new(MAX_HINTS))
    }
}

impl Hints {
    /// The known name [`nearest`] to `name`, while the input has not made too many mistakes.
    pub fn nearest<'a>(&self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        self.0.set(self.0.get().checked_sub(1)?);
        nearest(name, known).map(str::to_owned)
    }
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
        // Neither side is compared beyond what a name may have.
        let (name, other) = ("x".repeat(63), "x".repeat(64));
        assert_eq!(nearest(&format!("{}y", &name[1..]), [&*name]), Some(&*name));
        assert_eq!(nearest(&name, [&*other]), None);
        assert_eq!(nearest(&other, [&*name]), None);
        assert_eq!(did_you_mean("pahts", ["paths"]), " (did you mean paths?)");
    }

    #[test]
    fn hints_are_for_the_first_mistakes() {
        let hints = Hints::default();
        let found = (0..100).filter(|_| hints.nearest("pahts", ["paths"]).is_some()).count();
        assert_eq!(found, MAX_HINTS);
    }
}
