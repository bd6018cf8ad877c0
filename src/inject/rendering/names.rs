//! Names of what is added.

use crate::template::names;

/// Names joined by `-`; over 63 characters they are cut, and a hash of the whole keeps them apart.
#[must_use]
pub fn joined<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let whole = parts.join("-");
    if whole.len() <= names::MAX_LABEL || !whole.is_ascii() {
        return whole;
    }
    let hash = crate::template::fnv1a(whole.as_bytes()) & 0xffff_ffff;
    let kept = whole[..names::MAX_LABEL - 9].trim_end_matches('-');
    format!("{kept}-{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_kept_apart() {
        let one = joined(["a".repeat(60).as_str(), "logs"]);
        let two = joined(["a".repeat(60).as_str(), "data"]);
        assert_eq!((one.len(), two.len()), (63, 63));
        assert_ne!(one, two);
        assert_eq!(joined(["x", "", "y"]), "x-y");
        assert_eq!(names::label(&one, names::MAX_LABEL), None);
    }
}
