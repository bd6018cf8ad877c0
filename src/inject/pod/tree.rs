//! The pod as a tree, as far as expressions look at it, from the texts of what the view does not take apart: most templates
//! that look at the pod at all ask for a field or two, and the body need not be read a second time for these.

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess};
use serde_json::{Map, Value};

use super::{Pod, Raw, Text};
use crate::inject::request::without_position;
use crate::template::expression::FieldMask;

/// A map's members in the order of the text, each with its own text if the view does not take it apart.
#[derive(Debug, Default)]
pub struct Kept<'a>(Vec<(Text<'a>, Option<Raw<'a>>)>);

impl Pod<'_> {
    /// The pod as far as the mask says; `None` if that takes more than what was kept.
    #[must_use]
    pub fn tree(&self, mask: &FieldMask) -> Option<Map<String, Value>> {
        self.kept.tree(mask, |key, mask| match key {
            "metadata" => self.metadata.as_ref()?.kept.tree(mask, |_, _| None),
            "spec" => self.spec.as_ref()?.kept.tree(mask, |_, _| None),
            _ => None,
        })
    }
}

impl Kept<'_> {
    /// With room for as many members as the API server gives a pod's spec.
    pub(in crate::inject) fn with_room() -> Self {
        Self(Vec::with_capacity(20))
    }

    /// The members that the mask looks at, and the names of the others with `null`, as [`FieldMask::read`] gives them.
    fn tree(
        &self,
        mask: &FieldMask,
        below: impl Fn(&str, &FieldMask) -> Option<Map<String, Value>>,
    ) -> Option<Map<String, Value>> {
        let FieldMask::Of(members) = mask else { return None };
        let mut tree = Map::with_capacity(self.0.len());
        for (key, text) in &self.0 {
            let value = match (members.get(&**key), text) {
                (None, _) => Value::Null,
                (Some(mask), Some(text)) => mask.read(text.get()).ok()?,
                (Some(mask), None) => Value::Object(below(key, mask)?),
            };
            tree.insert(key.to_string(), value);
        }
        Some(tree)
    }
}

/// A map's members on their way to the view, which keeps the texts of all but those that it takes `apart`.
pub(in crate::inject) struct Keeping<'k, 'de, A> {
    pub(in crate::inject) map: A,
    pub(in crate::inject) apart: &'static [&'static str],
    pub(in crate::inject) kept: &'k mut Kept<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Keeping<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.map.next_key::<Text<'de>>()? else { return Ok(None) };
        let field = match &key.0 {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(key.as_str().into_deserializer()),
        }?;
        self.kept.0.push((key, None));
        Ok(Some(field))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.kept.0.last_mut() {
            Some((key, text)) if !self.apart.contains(&&**key) => self.map.next_value_seed(AndText { seed, text }),
            _ => self.map.next_value_seed(seed),
        }
    }
}

/// A value and its text.
struct AndText<'k, 'de, V> {
    seed: V,
    text: &'k mut Option<Raw<'de>>,
}

impl<'de, V: DeserializeSeed<'de>> DeserializeSeed<'de> for AndText<'_, 'de, V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let text: Raw<'de> = serde::Deserialize::deserialize(deserializer)?;
        *self.text = Some(text);
        let mut reader = serde_json::Deserializer::from_str(text.get());
        self.seed.deserialize(&mut reader).map_err(|error| D::Error::custom(without_position(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"kind":"Pod","metadata":{"name":"a","labels":{"app":"b\n","x":null},"annotations":{"n":"1"}},"spec":{
"dnsPolicy":"Default","hostNetwork":true,"containers":[{"name":"c"}],"priority":1.5,"tolerations":[{"key":"k"}]},"status":{}}"#;

    fn mask(path: &str) -> FieldMask {
        path.rsplit('.').fold(FieldMask::All, |mask, name| FieldMask::member(name, mask))
    }

    #[test]
    fn what_is_kept_says_what_the_text_says() {
        let text = POD.replace('\n', "");
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        let mut all = FieldMask::default();
        for path in [
            "kind",
            "metadata.name",
            "metadata.missing",
            "spec.dnsPolicy",
            "spec.hostNetwork",
            "spec.priority",
            "spec.tolerations",
            "status",
            "missing",
        ] {
            all.add(&mask(path));
            for mask in [&mask(path), &all] {
                assert_eq!(pod.tree(mask).map(Value::Object), Some(mask.read(&text).unwrap()), "{path}");
            }
        }
    }

    #[test]
    fn for_more_the_text_is_read_again() {
        let text = POD.replace('\n', "");
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        for path in ["metadata", "spec", "spec.containers.name", "metadata.annotations", "metadata.labels.app"] {
            assert_eq!(pod.tree(&mask(path)), None, "{path}");
        }
        assert_eq!(pod.tree(&FieldMask::All), None);
        let empty: Pod<'_> = serde_json::from_str(r#"{"metadata":null}"#).unwrap();
        assert_eq!(empty.tree(&mask("metadata.name")), None);
    }
}
