//! Names and values in the sentences of reasons: quoted, cut, with the nearest one that would have been right.

use std::fmt;
use std::sync::Arc;

use crate::inject::key::Key;

/// The names that would have been right, as far as a sentence shows them: there may be many, and many mistakes, which then
/// have one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known(Arc<str>);

impl Known {
    /// The first of these names, and how many there are.
    pub fn new<'n>(mut names: impl Iterator<Item = &'n str>) -> Self {
        const MOST: usize = 20;
        let shown: Vec<_> = names.by_ref().take(MOST).map(|name| cut(name).escape_debug().to_string()).collect();
        let said = match (&shown[..], names.count()) {
            ([], _) => "known: none".to_owned(),
            (shown, 0) => format!("known: {}", shown.join(", ")),
            (shown, more) => format!("known: {} and {more} more", shown.join(", ")),
        };
        Self(said.into())
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `did you mean "x"? `, or nothing.
pub(super) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("did you mean {nearest:?}? ")).unwrap_or_default()
}

/// A value in a message: quoted, escaped and cut, as it may be long or hostile.
#[must_use]
pub fn quote(value: &str) -> String {
    let shown = cut(value);
    if shown.len() < value.len() { format!("{shown:?}…") } else { format!("{value:?}") }
}

/// As much of a text as a message shows.
#[must_use]
pub fn cut(text: &str) -> &str {
    const MOST: usize = 80;
    text.char_indices().nth(MOST).map_or(text, |(end, _)| &text[..end])
}

/// The first of many things in a message, and how many more there are: these are only counted.
pub fn some<T>(mut all: impl Iterator<Item = T>, between: &str, said: impl Fn(T) -> String) -> String {
    const MOST: usize = 10;
    let mut shown: Vec<_> = all.by_ref().take(MOST).map(said).collect();
    let more = all.count();
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown.join(between)
}

/// A template's own words in a message: one line, and no longer than people read.
#[must_use]
pub fn said(words: &str) -> String {
    const MOST: usize = 1024;
    words.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How a word that looks like a boolean is meant literally.
pub(super) fn literally(key: &Key, parameter: Option<&str>) -> String {
    let own = |parameter| format!(", or, to mean it literally, set {}.{parameter}", key.text.escape_debug());
    parameter.map(own).unwrap_or_default()
}

/// That a container, by itself or by an earlier graft, mounts what only the kubelet knows.
pub(super) fn computed(container: &str, path: &str, by: Option<&str>) -> String {
    match by {
        None => format!("container {container:?} mounts {path} with subPathExpr"),
        Some(by) => format!("{by} makes container {container:?} mount {path} with subPathExpr"),
    }
}

/// Two values in a sentence.
pub(super) fn both(values: Option<&(String, String)>) -> String {
    values.map(|(one, other)| format!(" ({} and {})", quote(one), quote(other))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::key::Level;
    use crate::inject::pod::Target;
    use crate::inject::reason::Reason;
    use crate::inject::request::PodRequest;
    use crate::inject::targets;
    use crate::nearest::Hints;

    #[test]
    fn all_unknown_targets_of_a_graft_have_one_text_of_what_is_known() {
        let containers: Vec<_> = (0..30).map(|it| format!(r#"{{"name": "c{it}"}}"#)).collect();
        let pod = format!(r#"{{"spec": {{"containers": [{}]}}}}"#, containers.join(","));
        let request = PodRequest::create(&pod, "default").unwrap();
        let (key, names) = (Key::new(Level::Pod, "inject/a.containers"), ["c1", "x", "c2", "y"].map(str::to_owned));
        let mistakes = targets::named(&request.pod, &key, &names, &Hints::default()).unwrap_err();
        let unknown: Vec<_> = mistakes
            .iter()
            .map(|(_, reason)| match reason {
                Reason::UnknownTarget { container, known, .. } => (&**container, known),
                reason => panic!("{reason}"),
            })
            .collect();
        let [("x", of_x), ("y", of_y)] = unknown[..] else { panic!("{unknown:?}") };
        assert!(Arc::ptr_eq(&of_x.0, &of_y.0));
        assert!(of_x.to_string().ends_with("c19 and 10 more"), "{of_x}");
        let found = targets::named(&request.pod, &key, &["c2", "c1", "c2"].map(str::to_owned), &Hints::default());
        assert_eq!(found.unwrap().iter().map(Target::name).collect::<Vec<_>>(), ["c1", "c2"]);
    }
}
