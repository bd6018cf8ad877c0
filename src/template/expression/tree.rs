//! The pod in expressions: a view into its text. What no expression looks at is never made into anything.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::data::{Data, List, Map, Text};
use super::evaluate::CHUNK;
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

/// A value that is yet to be read. One of the pod's text is made only then, and a text that holds escapes is copied, so
/// that this is paid for before.
#[derive(Debug)]
pub(super) enum Unread<'v> {
    /// There is nothing to do.
    Made(Data<'v>),
    /// A part of the pod's text, and what a text is instead that says nothing.
    Part(Node<'v, 'v>, &'v str),
}

impl<'v> Unread<'v> {
    /// What reading it costs, in `evaluate`'s units.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Part(node, _) if matches!(node.kind(), Kind::Text | Kind::Number) => node.text().len() / CHUNK,
            _ => 0,
        }
    }

    /// The value, once that is paid.
    pub(super) fn read(self) -> Data<'v> {
        match self {
            Self::Made(data) => data,
            Self::Part(node, instead) if node.kind() == Kind::Text => {
                // Half of a surrogate pair is no text that anybody could mean.
                text(node.string().filter(|text| !text.is_empty()).unwrap_or(instead.into()))
            }
            Self::Part(node, _) => node.into(),
        }
    }
}

impl<'v> From<Node<'v, 'v>> for Unread<'v> {
    fn from(node: Node<'v, 'v>) -> Self {
        Self::Part(node, "")
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
    pub(super) fn items(&self) -> impl Iterator<Item = Unread<'v>> + use<'v> {
        self.node.items().map(Unread::from)
    }

    /// The value of a map's key.
    pub(super) fn get(&self, name: &str) -> Option<Unread<'v>> {
        if let Some(node) = self.node.get(name) {
            return Some(self.value(|known| known == name, node));
        }
        let missing = self.missing().filter(|(missing, _)| *missing == name);
        missing.map(|(_, value)| Unread::Made(value))
    }

    /// The members of a map.
    pub(super) fn members(&self) -> impl Iterator<Item = (Unread<'v>, Unread<'v>)> + use<'v> {
        let this = *self;
        let there = self.node.members().map(move |(key, node)| (key.into(), this.value(|known| key.says(known), node)));
        there.chain(self.missing().map(|(name, value)| (Unread::Made(text(name.into())), Unread::Made(value))))
    }

    /// The value of a member, of which it is known whether it has some name.
    fn value(&self, has_name: impl Fn(&str) -> bool, node: Node<'v, 'v>) -> Unread<'v> {
        match self.filled {
            Filled::Pod { namespace, .. } if has_name("metadata") => Unread::Made(match node.kind() {
                Kind::Map => {
                    let there = node.get("namespace").is_some();
                    Tree { node, filled: Filled::Metadata { namespace, there } }.into()
                }
                _ => Self::of_namespace(namespace),
            }),
            Filled::Metadata { namespace, .. } if has_name("namespace") => match node.kind() {
                Kind::Text => Unread::Part(node, namespace),
                _ => Unread::Made(text(namespace.into())),
            },
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
        Writer::new(&mut out, &Budget::new()).value(&Given::pod(text.root(), "shop").0, Style::Typed, false).unwrap();
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
        let Some(Data::Map(metadata)) = pod.get(&text("metadata")).map(Unread::read) else {
            panic!("metadata is a map")
        };
        let keys: Vec<_> = metadata
            .keys()
            .map(|key| if let Data::Text(key) = key.read() { key.to_string() } else { String::new() })
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

    /// What an expression finds, and what is left of the request's budget; the budget of one evaluation is a tenth.
    fn looked_at(pod: &str, source: &str) -> (Result<bool, String>, usize) {
        let text = json::Json::read(pod).unwrap();
        let pod = OfPod(text.root(), Budget::new());
        let patterns = Patterns::default();
        let names = Names { parameters: &[], in_for_each: false, literal_items: false, patterns: &patterns };
        let found = Expression::compile(source, names).unwrap().condition(&pod, None);
        (found.map_err(|error| error.message.clone()), pod.1.left())
    }

    #[test]
    fn what_is_read_of_a_text_costs_what_it_is_long() {
        const MIB: usize = 1024 * 1024;
        let (escaped, number) = (r"\u003c".repeat(MIB / 6), "1".repeat(MIB));
        let pod =
            format!(r#"{{"spec":{{"a":"{escaped}","b":["{escaped}"],"c":{{"{escaped}":{number}}}}},"n":{number}}}"#);
        // A MiB is 16,384 units.
        let read = MIB / CHUNK - 1;
        for (source, reads) in [
            ("object.spec.a != ''", 1),
            ("object.spec['a'] != '' && object.?spec.?a.hasValue()", 2),
            ("object.spec.b[0] != ''", 1),
            ("object.spec.b.all(x, x != '')", 1),
            ("(object.spec.b + object.spec.b).size() == 2", 2),
            ("object.spec.b.reverse().slice(0, 1).size() == 1", 1),
            ("object.spec.b.sort().size() == 1", 1),
            ("object.spec.b.flatten().size() == 1", 1),
            ("!('' in object.spec.b)", 1),
            ("object.spec.c.all(k, k != '')", 1),
            ("object.spec.c == object.spec.c", 3),
            ("object.n > 1", 1),
            // Whether it is there costs nothing.
            ("has(object.spec.a) && 'a' in object.spec", 0),
            ("size(object.spec.b) == 1", 0),
        ] {
            let (found, left) = looked_at(&pod, source);
            let spent = 1_000_000 - left;
            assert!((read * reads..read * (reads + 1) + 200).contains(&spent), "{source}: {spent}");
            assert_eq!(found, Ok(true), "{source}");
        }
        for source in ["lists.range(100).all(x, object.spec.a != '')", "lists.range(100).all(x, object.n > 1)"] {
            let (found, left) = looked_at(&pod, source);
            assert!(found.unwrap_err().starts_with("takes more than 100000 steps") && left == 900_000, "{source}");
        }
        // Nor does a key of another name, however long.
        assert_eq!(looked_at(&pod, "object.spec.c.?x.hasValue()").0, Ok(false));
    }

    #[test]
    fn what_nests_deeply_is_looked_at_within_the_stack() {
        for depth in [400, 600, 100_000] {
            let text = format!(r#"{{"a":{}1{},"b":"c"}}"#, "[".repeat(depth), "]".repeat(depth));
            let pod = json::Json::read(&text).unwrap();
            let pod = OfPod(pod.root(), Budget::new());
            let condition = |source: &str| {
                let patterns = Patterns::default();
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
