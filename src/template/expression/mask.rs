//! Which members of the pod expressions look at: the rest of it, which is most, is not read for them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Variable;
use super::code::Code;
use super::data::Data;

/// A part of a tree: all of it, or these members. What is said of a list holds for each of its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldMask {
    /// The tree with all that is in it.
    All,
    /// The members of these names, as far as they are looked at; none: nothing is.
    Of(BTreeMap<Box<str>, FieldMask>),
}

impl Default for FieldMask {
    fn default() -> Self {
        Self::Of(BTreeMap::new())
    }
}

impl FieldMask {
    /// The tree's member of this name alone.
    #[must_use]
    pub fn member(name: &str, mask: Self) -> Self {
        Self::Of(BTreeMap::from([(name.into(), mask)]))
    }

    /// Looks at more.
    pub fn add(&mut self, more: &Self) {
        match (self, more) {
            (Self::All, _) => {}
            (Self::Of(members), Self::Of(more)) => {
                for (name, mask) in more {
                    members.entry(name.clone()).or_default().add(mask);
                }
            }
            (this, Self::All) => *this = Self::All,
        }
    }

    /// Reads the part of a tree; other members of a map that is looked into are `null`, so that a message about a key
    /// that is missing still knows all that are there.
    ///
    /// # Errors
    ///
    /// The text is no JSON, or nests deeper than its reader goes.
    pub fn read(&self, text: &str) -> Result<Value, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

/// What expressions look at of the pod, by the name that it has there: they are read apart, as what is seen of containers
/// takes more than a field or two of the rest.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// As `object`.
    pub object: FieldMask,
    /// As `target` or `targets`, which are containers of the pod.
    pub targets: FieldMask,
}

impl Looks {
    /// What code looks at.
    pub(super) fn of(code: &Code) -> Self {
        let mut looks = Self::default();
        looks.visit(code);
        looks
    }

    /// Looks at more.
    pub fn add(&mut self, more: &Self) {
        self.object.add(&more.object);
        self.targets.add(&more.targets);
    }

    fn visit(&mut self, code: &Code) {
        let mut path = Vec::new();
        let Some(variable) = followed(code, &mut path) else {
            return code.children(&mut |child| self.visit(child));
        };
        let masked = path.into_iter().rev().fold(FieldMask::All, |mask, name| FieldMask::member(name, mask));
        match variable {
            Variable::Object => self.object.add(&masked),
            Variable::Target | Variable::Targets => {
                for list in ["containers", "initContainers"] {
                    self.targets.add(&FieldMask::member("spec", FieldMask::member(list, masked.clone())));
                }
            }
            _ => {}
        }
    }
}

/// The variable that a chain of members leads from, and their names; `None` for all else. What is taken of a list by a
/// number is its items'.
fn followed<'c>(code: &'c Code, path: &mut Vec<&'c str>) -> Option<Variable> {
    let (of, field) = match code {
        Code::Variable(variable) => return Some(*variable),
        Code::Select(select) => (&select.of, Some(&select.field)),
        Code::Has(of, field) => (&**of, Some(field)),
        Code::At(at) if matches!(at.index, Code::Constant(Data::Integer(_))) => (&at.of, None),
        _ => return None,
    };
    let variable = followed(of, path)?;
    path.extend(field.map(|field| &**field));
    Some(variable)
}

impl<'de> DeserializeSeed<'de> for &FieldMask {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            FieldMask::All => Value::deserialize(deserializer),
            FieldMask::Of(members) => deserializer.deserialize_any(Masked { mask: self, members }),
        }
    }
}

struct Masked<'m> {
    mask: &'m FieldMask,
    members: &'m BTreeMap<Box<str>, FieldMask>,
}

impl<'de> Visitor<'de> for Masked<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value = match self.members.get(&*key) {
                Some(mask) => map.next_value_seed(mask)?,
                None => map.next_value::<IgnoredAny>().map(|_| Value::Null)?,
            };
            read.insert(key.into_owned(), value);
        }
        Ok(Value::Object(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = list.next_element_seed(self.mask)? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Expression, Names};
    use super::*;

    fn mask(sources: &[&str]) -> FieldMask {
        let mut mask = FieldMask::default();
        for source in sources {
            let names = Names { parameters: &[], in_for_each: true };
            let looks = Expression::compile(source, names).unwrap().looks();
            mask.add(&looks.object);
            mask.add(&looks.targets);
        }
        mask
    }

    #[test]
    fn what_expressions_name_is_read_and_nothing_else() {
        let pod = json!({
            "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
            "spec": {
                "dnsPolicy": "Default",
                "hostNetwork": true,
                "priority": -3,
                "containers": [{"name": "a", "image": "b", "env": [{"name": "X"}]}, null, "odd", 1.5],
                "initContainers": [{"name": "i", "image": "j"}],
            },
        });
        let cases: &[(&[&str], Value)] = &[
            (&["1 + 1", "request.name", "namespaceObject.metadata"], json!({"metadata": null, "spec": null})),
            (&["object"], pod.clone()),
            (&["size(object.metadata)"], json!({"metadata": pod["metadata"], "spec": null})),
            (
                &["object.spec.?dnsPolicy.orValue('') == 'x' && !has(object.spec.hostNetwork)"],
                json!({"metadata": null, "spec": {"dnsPolicy": "Default", "hostNetwork": true, "priority": null,
                    "containers": null, "initContainers": null}}),
            ),
            (
                &["[item].exists(x, object.metadata.?labels[?'app'].hasValue())", "{'a': object.metadata.missing}"],
                json!({"metadata": {"name": null, "labels": {"app": "web", "tier": null}}, "spec": null}),
            ),
            (
                &["target.image", "targets[0].name"],
                json!({"metadata": null, "spec": {"dnsPolicy": null, "hostNetwork": null, "priority": null,
                    "containers": [{"name": "a", "image": "b", "env": null}, null, "odd", 1.5],
                    "initContainers": [{"name": "i", "image": "j"}]}}),
            ),
            (
                &["object.spec.containers[item].image", "object.spec.priority.x"],
                json!({"metadata": null, "spec": {"dnsPolicy": null, "hostNetwork": null, "priority": -3,
                    "containers": pod["spec"]["containers"], "initContainers": null}}),
            ),
        ];
        for (sources, wanted) in cases {
            assert_eq!(mask(sources).read(&pod.to_string()).unwrap(), *wanted, "{sources:?}");
        }
    }

    #[test]
    fn what_is_more_covers_what_is_less() {
        assert_eq!(mask(&["object.spec.x", "object.spec"]), mask(&["object.spec"]));
        assert_eq!(mask(&["object.spec", "object.spec.x"]), mask(&["object.spec"]));
        assert_eq!(mask(&["object.a", "object"]), FieldMask::All);
    }

    #[test]
    fn broken_text_is_an_error() {
        for text in ["", "{", "{}x", r#"{"a":}"#] {
            FieldMask::default().read(text).expect_err(text);
        }
    }
}
