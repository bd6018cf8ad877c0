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
    // Where no bracket closes any more there is no reference, and none is looked for at each dollar sign.
    let closed = text.rfind(')').map(|end| text.len() - end);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(after) = text.strip_prefix('$') else {
            let (before, after) = text.split_at(text.find('$').unwrap_or(text.len()));
            rest = (!after.is_empty()).then_some(after);
            return Some(Piece::Text(before));
        };
        let may_close = closed.is_some_and(|left| after.len() >= left);
        let inner = after.strip_prefix('(').filter(|_| may_close);
        if let Some((name, after)) = inner.and_then(|inner| inner.split_once(')')) {
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
        assert_eq!(names("$(A)$(B)$(C"), ["A", "B"]);
        assert_eq!(names(&format!("$(A){}", "$(".repeat(1_000_000))), ["A"]);
    }
}
