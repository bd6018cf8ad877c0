//! The pod in expressions: a view into its text. What no expression looks at is never made into anything.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::data::{Data, List, Map, Text};
use crate::json::{Kind, Node};

/// A variable's value, as whoever knows it hands it over.
#[derive(Debug, Clone)]
pub struct Given<'v>(pub(super) Data<'v>);

impl<'v> From<&'v Json> for Given<'v> {
    fn from(json: &'v Json) -> Self {
        Self(json.into())
    }
}

impl<'v> Given<'v> {
    /// A pod; its `metadata.namespace`, which may be empty in a request, is this one then.
    #[must_use]
    pub fn pod(node: Node<'v, 'v>, namespace: &'v str) -> Self {
        // Looked for once, however often expressions do.
        let is_there = node.get("metadata").is_some();
        Self(Tree { node, filled: Filled::Pod { namespace, metadata: is_there } }.into())
    }

    /// Parts of a pod.
    #[must_use]
    pub fn list(nodes: impl Iterator<Item = Node<'v, 'v>>) -> Self {
        Self(Data::list(nodes.map(Data::from).collect()))
    }

    /// A part of a pod.
    #[must_use]
    pub fn part(node: Node<'v, 'v>) -> Self {
        Self(node.into())
    }
}

/// A list or map of the pod's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'v> {
    node: Node<'v, 'v>,
    filled: Filled<'v>,
}

/// Which part of a pod it is, as far as something is filled in.
#[derive(Debug, Clone, Copy)]
enum Filled<'v> {
    /// The pod, whose metadata gets this namespace; whether it has any.
    Pod { namespace: &'v str, metadata: bool },
    /// Its metadata, which gets the namespace; whether one stands there.
    Metadata { namespace: &'v str, there: bool },
    /// Any other part.
    Nothing,
}

impl<'v> From<Node<'v, 'v>> for Data<'v> {
    fn from(node: Node<'v, 'v>) -> Self {
        Tree { node, filled: Filled::Nothing }.into()
    }
}

impl<'v> From<Tree<'v>> for Data<'v> {
    fn from(tree: Tree<'v>) -> Self {
        let node = tree.node;
        match node.kind() {
            Kind::Map => Self::Map(Map::Tree(tree)),
            Kind::List => Self::List(List::Tree(tree)),
            // Half of a surrogate pair is no text that anybody could mean.
            Kind::Text => text(node.string().unwrap_or_default()),
            Kind::Boolean => Self::Boolean(node.is_true()),
            Kind::Null => Self::Null,
            Kind::Number => match node.text().parse() {
                Ok(integer) => Self::Integer(integer),
                Err(_) => Self::Double(node.text().parse().unwrap_or(f64::NAN)),
            },
        }
    }
}

fn text(text: Cow<'_, str>) -> Data<'_> {
    Data::Text(match text {
        Cow::Borrowed(text) => Text::Borrowed(text),
        Cow::Owned(text) => Text::Shared(text.into()),
    })
}

impl<'v> Tree<'v> {
    /// How many items or members there are; a member that stands twice counts twice.
    pub(super) fn len(&self) -> usize {
        self.node.len() + usize::from(self.missing().is_some())
    }

    /// The items of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Data<'v>> + use<'v> {
        self.node.items().map(Data::from)
    }

    /// The value of a map's key.
    pub(super) fn get(&self, name: &str) -> Option<Data<'v>> {
        match self.node.get(name) {
            Some(node) => Some(self.value(name, node)),
            None => self.missing().filter(|(missing, _)| *missing == name).map(|(_, value)| value),
        }
    }

    /// The members of a map.
    pub(super) fn members(&self) -> impl Iterator<Item = (Data<'v>, Data<'v>)> + use<'v> {
        let this = *self;
        let there = self.node.members().map(move |(key, node)| {
            let key = key.string().unwrap_or_default();
            let value = this.value(&key, node);
            (text(key), value)
        });
        there.chain(self.missing().map(|(name, value)| (text(name.into()), value)))
    }

    fn value(&self, name: &str, node: Node<'v, 'v>) -> Data<'v> {
        match self.filled {
            Filled::Pod { namespace, .. } if name == "metadata" => match node.kind() {
                Kind::Map => {
                    let there = node.get("namespace").is_some();
                    Tree { node, filled: Filled::Metadata { namespace, there } }.into()
                }
                _ => Self::of_namespace(namespace),
            },
            Filled::Metadata { namespace, .. } if name == "namespace" => {
                text(node.string().filter(|text| !text.is_empty()).unwrap_or(namespace.into()))
            }
            _ => node.into(),
        }
    }

    /// A member that is filled in because there is none.
    fn missing(&self) -> Option<(&'static str, Data<'v>)> {
        match self.filled {
            Filled::Pod { namespace, metadata: false } => Some(("metadata", Self::of_namespace(namespace))),
            Filled::Metadata { namespace, there: false } => Some(("namespace", text(namespace.into()))),
            _ => None,
        }
    }

    fn of_namespace(namespace: &'v str) -> Data<'v> {
        let namespace = (text("namespace".into()), text(namespace.into()));
        Data::Map(Map::Shared(Arc::new([namespace])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::write::Writer;
    use super::super::{Budget, Expression, Names, Style, Variable, Variables};
    use super::*;
    use crate::json;
    use crate::template::parameter::{Patterns, Value};

    /// What an expression that is the pod would write, with the namespace `shop`.
    fn written(pod: &str) -> Json {
        let text = json::Json::read(pod).unwrap();
        let mut out = String::new();
        Writer::new(&mut out).value(&Given::pod(text.root(), "shop").0, Style::Typed, false).unwrap();
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn the_namespace_is_filled_in_and_all_else_as_it_is_written() {
        let filled = json!({"metadata": {"namespace": "shop"}});
        for pod in ["{}", r#"{"metadata":null}"#, r#"{"metadata":{}}"#, r#"{"metadata":{"namespace":null}}"#] {
            assert_eq!(written(pod), filled, "{pod}");
        }
        let pod = r#"{"metadata":{"name":"a","namespace":"b"},"spec":{"x":[1,-2,1.5,true,"c\n",{"metadata":{}}]},"\u0073":1e2}"#;
        let mut wanted: Json = serde_json::from_str(pod).unwrap();
        wanted["s"] = json!(100);
        assert_eq!(written(pod), wanted);
    }

    #[test]
    fn maps_know_their_members() {
        let pod = json::Json::read(r#"{"metadata":{"labels":{"b":"1","a":"2"}},"spec":{}}"#).unwrap();
        let Given(Data::Map(pod)) = Given::pod(pod.root(), "shop") else { panic!("a pod is a map") };
        assert_eq!(pod.len(), 2);
        let text = |text: &'static str| Data::Text(Text::Borrowed(text));
        let Some(Data::Map(metadata)) = pod.get(&text("metadata")) else { panic!("metadata is a map") };
        let keys: Vec<_> = metadata
            .keys()
            .map(|key| if let Data::Text(key) = key { key.to_string() } else { String::new() })
            .collect();
        assert_eq!((metadata.len(), keys), (2, vec!["labels".to_owned(), "namespace".to_owned()]));
        assert!(metadata.get(&text("name")).is_none() && metadata.get(&Data::Integer(1)).is_none());
    }

    /// A pod, and nothing else.
    struct OfPod<'v>(Node<'v, 'v>, Budget);

    impl Variables for OfPod<'_> {
        fn parameter(&self, _: usize) -> &Value {
            unreachable!("there are no parameters")
        }

        fn variable(&self, _: Variable) -> Result<Given<'_>, String> {
            Ok(Given::pod(self.0, "shop"))
        }

        fn budget(&self) -> &Budget {
            &self.1
        }
    }

    #[test]
    fn what_nests_deeply_is_looked_at_within_the_stack() {
        for depth in [400, 600, 100_000] {
            let text = format!(r#"{{"a":{}1{},"b":"c"}}"#, "[".repeat(depth), "]".repeat(depth));
            let pod = json::Json::read(&text).unwrap();
            let pod = OfPod(pod.root(), Budget::new());
            let condition = |source: &str| {
                let patterns = Patterns::new();
                let names = Names { parameters: &[], in_for_each: false, literal_items: false, patterns: &patterns };
                Expression::compile(source, names).unwrap().condition(&pod, None)
            };
            assert!(condition("object.b == 'c' && size(object.a) == 1").unwrap());
            for source in ["object.a == object.a", "'%s'.format([object.a]) != ''", "object.a.flatten(1000) != []"] {
                match condition(source) {
                    Ok(holds) => assert!(holds && depth == 400, "{source}, {depth}"),
                    Err(error) => assert_eq!(error.message, "the value nests more than 512 deep", "{source}, {depth}"),
                }
            }
        }
    }
}
