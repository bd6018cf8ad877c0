//! `$(NAME)`, which the kubelet replaces in a container's commands and variables (Kubernetes'
//! `third_party/forked/golang/expansion`); `$$` is a dollar sign.

/// A part of a text.
pub(crate) enum Piece<'t> {
    /// It stands for itself.
    Text(&'t str),
    /// The value of the variable of this name.
    Reference(&'t str),
}

/// A text's parts, as the kubelet finds them.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(after) = text.strip_prefix('$') else {
            let (before, after) = text.split_at(text.find('$').unwrap_or(text.len()));
            rest = (!after.is_empty()).then_some(after);
            return Some(Piece::Text(before));
        };
        if let Some((name, after)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            rest = Some(after);
            return Some(Piece::Reference(name));
        }
        rest = Some(after.strip_prefix('$').unwrap_or(after));
        Some(Piece::Text("$"))
    })
}

/// The names that a text refers to.
pub(crate) fn references(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Reference(name) => Some(name),
        Piece::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_refers_to_names_in_brackets_behind_one_dollar_sign() {
        let names = |value| references(value).collect::<Vec<_>>();
        assert_eq!(names("http://$(HOST):$(PORT)/$HOME"), ["HOST", "PORT"]);
        assert_eq!(names("$$(A) $$$(B) $x$(C) $()"), ["B", "C", ""]);
        assert_eq!(names("$(A $(B)"), ["A $(B"]);
        assert!(names("$ ( $$(A) $(").is_empty());
    }
}
