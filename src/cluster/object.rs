//! An object as the API server tells of it, as far as it is looked at.
//!
//! Not a tree: serde_json reads none that nests deeper than 127 levels, and then the list has failed in which the object
//! stands, with the objects of everybody else. Nor is what nobody may use kept in memory. So whatever an author may
//! shape freely is passed over when it is read, and one object harms itself alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::manifest;

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Without the history of fields, which is the larger part of it, and as deep as they are.
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Part,
    pub(super) status: Part,
}

/// A part of an object.
#[derive(Debug, Clone, Default)]
pub(super) enum Part {
    /// There is none.
    #[default]
    None,
    /// Its JSON.
    Text(Box<RawValue>),
    /// More bytes than anybody looks at.
    TooLong(usize),
}

impl Part {
    fn of(text: Option<&RawValue>) -> Self {
        match text {
            None => Self::None,
            Some(text) if text.get().len() > manifest::SPEC.bytes => Self::TooLong(text.get().len()),
            Some(text) => Self::Text(text.to_owned()),
        }
    }

    /// Its JSON, if there is some that may be looked at.
    pub(super) fn text(&self) -> Option<&RawValue> {
        match self {
            Self::Text(text) => Some(text),
            Self::None | Self::TooLong(_) => None,
        }
    }
}

/// What is wanted of an object's text.
#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    metadata: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { mut metadata, spec, status } = Wire::deserialize(deserializer)?;
        metadata.remove("managedFields");
        let metadata = ObjectMeta::deserialize(MapDeserializer::new(metadata.into_iter())).map_err(Error::custom)?;
        Ok(Self { metadata, spec: Part::of(spec), status: Part::of(status) })
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.api_version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    /// An object whose spec and history nest so deep.
    fn nested(levels: usize) -> String {
        let value = |open: &str, close: &str| format!("{}{}", open.repeat(levels), close.repeat(levels));
        let (spec, fields) = (value("[", "]"), value(r#"{"f:a":"#, "}").replace(":}", ":{}}"));
        format!(
            r#"{{"apiVersion":"v1","kind":"A","metadata":{{"managedFields":[{{"fieldsV1":{fields}}}],"name":"a","uid":"u","generation":7,
            "labels":{{"x":"y"}}}},"spec":{{"when":{spec}}},"status":null,"new":{spec}}}"#
        )
    }

    #[test]
    fn one_that_nests_without_end_spoils_no_list() {
        let list = format!(
            r#"{{"kind":"List","metadata":{{"resourceVersion":"1"}},"items":[{},{}]}}"#,
            nested(1),
            nested(500)
        );
        let list: ObjectList<Object> = serde_json::from_str(&list).unwrap();
        for object in list.items {
            assert_eq!((object.metadata.name.as_deref(), object.metadata.generation), (Some("a"), Some(7)));
            assert!(object.spec.text().is_some_and(|spec| spec.get().starts_with(r#"{"when":["#)));
            assert!(matches!(object.status, Part::None));
        }
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, nested(500));
        assert!(matches!(serde_json::from_str(&event).unwrap(), WatchEvent::<Object>::Added(_)));
    }

    #[test]
    fn of_what_is_too_long_the_length_is_kept() {
        let text = format!(r#"{{"metadata":{{"name":"a"}},"spec":"{}"}}"#, "x".repeat(manifest::SPEC.bytes));
        let object: Object = serde_json::from_str(&text).unwrap();
        assert!(matches!(object.spec, Part::TooLong(length) if length == manifest::SPEC.bytes + 2));
    }
}
