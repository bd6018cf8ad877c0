//! The custom resources as the API server knows them: `deploy/crds.yaml` is made from these types.
//!
//! They say what a schema can say. What they leave open (the parts of pods, and everything that an expression may
//! stand for) is checked when a template is compiled, and the result stands in the object's status.
//! Nothing is ever read into these types: a template is compiled from its text, as one of a file is.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::template::PodSecurity;
use crate::template::names::MAX_TEMPLATE;
use crate::template::parameter::Type;

/// The most parameters of a template: what an annotation can't reach, no one needs; it bounds the rules' cost.
const MAX_PARAMETERS: u32 = 200;

/// The most values of an `enum`, as in files.
const MAX_ENUM: u32 = 64;

/// The most names on one side of an `order`, as in files.
const MAX_ORDER: u32 = 64;

/// An injection template: what a pod gets when it asks for it by an annotation.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(
    group = "podgraft.dev",
    version = "v1alpha1",
    kind = "InjectionTemplate",
    doc = "A template for the pods of its namespace, found before a cluster-wide one of the same name.",
    namespaced,
    status = "Status",
    shortname = "inj",
    category = "podgraft",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Description", type_ = "string", json_path = ".spec.description"),
    printcolumn(
        name = "Problem",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.status==\"False\")].message"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[expect(clippy::duplicated_attributes, reason = "each column has a type")]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [primary_is_declared(), primary_is_no_boolean()]))]
struct InjectionTemplateSpec {
    /// What it is for, in a sentence; then, in more lines, what else there is to know.
    description: Option<String>,
    /// What pods may set, by name: camelCase, at most 22 characters.
    #[schemars(extend("maxProperties" = MAX_PARAMETERS))]
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    /// The parameter that text on the template's own annotation sets. Never a boolean.
    primary_parameter: Option<String>,
    /// CEL, bool: a pod for which it is false is skipped.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    when: Option<Value>,
    /// What must hold for a pod and its values.
    #[serde(default)]
    validations: Vec<Validation>,
    /// The app containers that it is wired into when the pod does not say: the default or first one, or all.
    #[schemars(schema_with = "targets")]
    #[serde(default)]
    targets: Option<String>,
    /// What its containers stand before and after.
    order: Option<Order>,
    /// Whether a pod that can't get it is denied, or goes in without.
    #[schemars(schema_with = "failure_policy")]
    #[serde(default)]
    failure_policy: Option<String>,
    /// The operating system of the pods that it is for.
    #[schemars(schema_with = "os")]
    #[serde(default)]
    os: Option<String>,
    /// Whether ports of its containers may lie in the node's network.
    #[schemars(schema_with = "host_network")]
    #[serde(default)]
    host_network: Option<String>,
    /// The Pod Security Standard that what it adds meets.
    #[schemars(schema_with = "pod_security")]
    #[serde(default)]
    pod_security: Option<String>,
    /// Volumes that the targets and the template's own containers share.
    #[serde(default)]
    shared_volumes: Vec<SharedVolume>,
    /// Containers that run beside the app: core/v1 Container.
    #[serde(default)]
    sidecars: Vec<Container>,
    /// Containers that run to their end before the app: core/v1 Container.
    #[serde(default)]
    init_containers: Vec<Container>,
    /// Volumes of the template's own containers: core/v1 Volume.
    #[serde(default)]
    volumes: Vec<Volume>,
    /// What is added to each target container.
    target: Option<Target>,
    /// What is added to the pod itself.
    pod: Option<Pod>,
}

/// A parameter.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Parameter {
    /// What its values are.
    #[serde(rename = "type")]
    #[schemars(schema_with = "parameter_type")]
    kind: String,
    /// What it is for.
    description: Option<String>,
    /// Its value where a pod sets none. Without a default, a pod must set one.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    default: Option<Value>,
    /// A value as a pod might set it.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    example: Option<Value>,
    /// The values that are allowed.
    #[serde(rename = "enum")]
    #[schemars(schema_with = "anys", extend("maxItems" = MAX_ENUM))]
    #[serde(default)]
    one_of: Option<Vec<Value>>,
    /// A regular expression (RE2) that values match.
    pattern: Option<String>,
    /// The least value.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    minimum: Option<Value>,
    /// The greatest value.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    maximum: Option<Value>,
    /// The least length, in characters.
    #[schemars(schema_with = "length")]
    #[serde(default)]
    min_length: Option<u64>,
    /// The greatest length, in characters.
    #[schemars(schema_with = "length")]
    #[serde(default)]
    max_length: Option<u64>,
    /// Its values don't appear in messages.
    sensitive: Option<bool>,
    /// `$(VAR)` in its values is expanded by the kubelet.
    expand: Option<bool>,
}

/// What must hold.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Validation {
    /// CEL, bool.
    #[schemars(schema_with = "any")]
    expression: Value,
    /// What is wrong, and what to do.
    message: String,
    /// Whether the graft is denied, or comes with a warning.
    #[schemars(schema_with = "action")]
    #[serde(default)]
    action: Option<String>,
    /// CEL, bool: whether this is looked at.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    when: Option<Value>,
    /// CEL, list: this is looked at for each item.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    for_each: Option<Value>,
}

/// Names of templates and containers.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
struct Order {
    /// What comes later.
    #[schemars(extend("maxItems" = MAX_ORDER))]
    #[serde(default)]
    before: Vec<String>,
    /// What comes earlier.
    #[schemars(extend("maxItems" = MAX_ORDER))]
    #[serde(default)]
    after: Vec<String>,
}

/// A shared volume.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SharedVolume {
    /// By which the template's containers mount it.
    name: String,
    /// Where it is in the targets.
    #[schemars(schema_with = "any")]
    mount_path: Value,
    /// The targets can't write to it.
    read_only: Option<bool>,
    /// Its source, as in core/v1 Volume; without one, a target must mount the path already.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    volume: Option<Value>,
    /// CEL, bool: whether it is there.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    when: Option<Value>,
    /// Volumes can't be repeated.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    for_each: Option<Value>,
}

/// A core/v1 Container, and what podgraft adds to it.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
struct Container {
    /// Its name in the pod, before the instance is appended.
    name: String,
    /// Its image.
    image: String,
    /// Whether it finds the target's environment.
    #[schemars(schema_with = "own_or_target")]
    #[serde(default)]
    environment: Option<String>,
    /// Whether it runs as the target's user.
    #[schemars(schema_with = "own_or_target")]
    #[serde(default)]
    run_as: Option<String>,
    /// Whether it sees the pod's token.
    #[schemars(schema_with = "token")]
    #[serde(default)]
    service_account_token: Option<String>,
    /// CEL, bool: whether it is there.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    when: Option<Value>,
    /// CEL, list: there is one for each item.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    for_each: Option<Value>,
}

/// A core/v1 Volume.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
struct Volume {
    /// By which the template's containers mount it.
    name: String,
}

/// What each target container gets.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Target {
    /// core/v1 EnvVar.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    env: Option<Value>,
    /// core/v1 EnvFromSource.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    env_from: Option<Value>,
    /// core/v1 VolumeMount.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    volume_mounts: Option<Value>,
}

/// What the pod gets.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Pod {
    /// Labels.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    labels: Option<Value>,
    /// Annotations.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    annotations: Option<Value>,
    /// core/v1 LocalObjectReference.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    image_pull_secrets: Option<Value>,
    /// core/v1 HostAlias.
    #[schemars(schema_with = "any")]
    #[serde(default)]
    host_aliases: Option<Value>,
}

/// What podgraft says of the template.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
struct Status {
    /// `Accepted`: it compiles. `Ready`: pods that ask get it as it is written.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// meta/v1 Condition.
#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Condition {
    /// Which condition.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it holds.
    #[schemars(schema_with = "condition_status")]
    status: String,
    /// Why, in a word.
    reason: String,
    /// Why, for people.
    message: String,
    /// The generation that was looked at.
    #[schemars(schema_with = "generation")]
    #[serde(default)]
    observed_generation: Option<i64>,
    /// Since when.
    #[schemars(schema_with = "date_time")]
    last_transition_time: String,
}

/// The definitions of both kinds, as `kubectl apply` wants them.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let namespaced = InjectionTemplate::crd();
    let mut cluster = namespaced.clone();
    let kind = super::kind::Kind::ClusterTemplate;
    cluster.metadata.name = Some(format!("{}.{}", kind.plural(), super::kind::GROUP));
    "Cluster".clone_into(&mut cluster.spec.scope);
    kind.name().clone_into(&mut cluster.spec.names.kind);
    kind.plural().clone_into(&mut cluster.spec.names.plural);
    cluster.spec.names.singular = Some(kind.name().to_ascii_lowercase());
    cluster.spec.names.short_names = Some(vec!["cinj".to_owned()]);
    let mut definitions = vec![cluster, namespaced];
    for definition in &mut definitions {
        let everywhere = definition.spec.scope == "Cluster";
        let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
        for root in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
            without_defaults(root);
            root.x_kubernetes_validations = Some(vec![name_is_a_label()]);
            if everywhere {
                root.description = Some("A template for the pods of all namespaces.".to_owned());
            }
        }
    }
    definitions
}

/// The API server would write defaults into every object, where nobody wants to read them.
fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.properties.iter_mut().flatten().for_each(|(_, property)| without_defaults(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_defaults(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_defaults(values);
    }
}

/// The name of a template is part of annotation keys. The API server itself takes dots, and up to 253 characters.
fn name_is_a_label() -> ValidationRule {
    ValidationRule {
        rule: format!(
            "self.metadata.name.size() <= {MAX_TEMPLATE} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
        ),
        message: Some(format!(
            "metadata.name: at most {MAX_TEMPLATE} lower-case letters, digits and `-`, with a letter or digit at both ends"
        )),
        ..ValidationRule::default()
    }
}

fn primary_is_declared() -> Value {
    serde_json::json!({
        "rule": "!has(self.primaryParameter) || (has(self.parameters) && self.primaryParameter in self.parameters)",
        "message": "primaryParameter must be one of the parameters",
    })
}

fn primary_is_no_boolean() -> Value {
    serde_json::json!({
        "rule": "!has(self.primaryParameter) || !has(self.parameters) || !(self.primaryParameter in self.parameters) || \
                 self.parameters[self.primaryParameter].type != 'boolean'",
        "message": "primaryParameter can't be a boolean: `true` on a template's own annotation asks for the template",
    })
}

/// What an expression may stand for, or what core/v1 defines.
fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

fn anys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
}

fn length(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
}

fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

fn words(words: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": words})
}

fn targets(_: &mut SchemaGenerator) -> Schema {
    words(&["first", "all"])
}

fn failure_policy(_: &mut SchemaGenerator) -> Schema {
    words(&["Fail", "Ignore"])
}

fn os(_: &mut SchemaGenerator) -> Schema {
    words(&["linux", "windows"])
}

fn host_network(_: &mut SchemaGenerator) -> Schema {
    words(&["allow", "deny"])
}

fn pod_security(_: &mut SchemaGenerator) -> Schema {
    words(&PodSecurity::NAMES.map(|(name, _)| name))
}

fn parameter_type(_: &mut SchemaGenerator) -> Schema {
    words(&Type::ALL.map(Type::name))
}

fn action(_: &mut SchemaGenerator) -> Schema {
    words(&["Deny", "Warn"])
}

fn own_or_target(_: &mut SchemaGenerator) -> Schema {
    words(&["own", "target"])
}

fn token(_: &mut SchemaGenerator) -> Schema {
    words(&["none", "mount"])
}

fn condition_status(_: &mut SchemaGenerator) -> Schema {
    words(&["True", "False", "Unknown"])
}
