//! Which images the operator's mirror has.

use std::borrow::Cow;

use super::Grafting;
use crate::inject::asked::Asked;
use crate::inject::outcome::Source;
use crate::inject::pod::Pod;
use crate::snapshot::Policy;
use crate::template::expression::Variable;
use crate::template::node::Node;
use crate::template::parameter::Value;

impl Grafting<'_, '_, '_> {
    /// The image as it is pulled here.
    pub(super) fn mirrored<'i>(&self, image: &'i str, from: &Node) -> Cow<'i, str> {
        mirrored(image, from, self.asked, self.context.pod, self.context.policy)
    }
}

/// A graft's image as it is pulled here: from the mirror if it is the template's own choice. What the pod's people named,
/// and podgraft's own, is where they say.
pub(super) fn mirrored<'i>(
    image: &'i str,
    from: &Node,
    asked: &Asked<'_>,
    pod: &Pod<'_>,
    policy: &Policy,
) -> Cow<'i, str> {
    match &policy.image_mirror {
        Some(mirror) if asked.template.built_in && image != policy.image && !is_named(image, from, asked, pod) => {
            Cow::Owned(mirror.of(image))
        }
        _ => Cow::Borrowed(image),
    }
}

/// Whether pod or namespace name the image: as a parameter, or as that of a container which the expression looks at.
fn is_named(image: &str, from: &Node, asked: &Asked<'_>, pod: &Pod<'_>) -> bool {
    let said = |value: &Value| matches!(value, Value::Text(text) if text == image);
    let of_pod = [Variable::Object, Variable::Target, Variable::Targets];
    let looks_at_pod = matches!(from, Node::Leaf(leaf) if of_pod.iter().any(|variable| leaf.names(*variable)));
    asked.rendering.parameters.iter().any(|bound| bound.source != Source::Default && said(&bound.value))
        || (looks_at_pod && pod.all_containers().any(|(_, container)| container.image == *image))
}
