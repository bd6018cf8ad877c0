//! One document of a template file into a [`Template`], read by hand so that every mistake has its place.

use std::sync::Arc;

use super::check::select;
use super::compile::Compiler;
use super::diagnostic::{Problems, shorten};
use super::expression::{Expression, Names};
use super::fields::{Fields, choice, expect_map, list, text, unknown_field};
use super::node::Entry;
use super::parameter::{Parameter, Patterns, Type};
use super::pod_security::{self, PodSecurity};
use super::rendered::{Basis, Content, Parts, Rendered, Role};
use super::stand_in::Trial;
use super::yaml::Tree;
use super::{FailurePolicy, LoadOptions, Order, Origin, Scope, Targets, Template, declaration, names, whole};

/// The group and version of every template.
pub(super) const API_VERSION: &str = "podgraft.dev/v1alpha1";

/// The most names on one side of an `order`: of templates and containers that are there together, it may as well name all.
const MAX_ORDER: usize = 64;

const KINDS: &[(&str, bool)] = &[("ClusterInjectionTemplate", false), ("InjectionTemplate", true)];

/// What the API server keeps in `metadata`, beside `name` and `namespace`: templates dumped from a cluster have it.
const METADATA: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "annotations",
    "resourceVersion",
    "uid",
    "generation",
    "generateName",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
];

const SPEC: &[&str] = &[
    "description",
    "parameters",
    "primaryParameter",
    "when",
    "validations",
    "targets",
    "order",
    "failurePolicy",
    "os",
    "hostNetwork",
    "podSecurity",
    "sharedVolumes",
    "sidecars",
    "initContainers",
    "volumes",
    "target",
    "pod",
];

/// Scope and name of the template that a document declares, as far as they can be read.
pub(super) fn declares(root: &Tree<'_>) -> Option<(Scope, String)> {
    let metadata = root.get("metadata")?;
    let name = metadata.get("name")?.as_text()?;
    let scope = match root.get("kind")?.as_text()? {
        "ClusterInjectionTemplate" => Scope::Cluster,
        "InjectionTemplate" => {
            let namespace = metadata.get("namespace").and_then(Tree::as_text);
            Scope::Namespace(namespace.unwrap_or("default").to_owned())
        }
        _ => return None,
    };
    Some((scope, name.to_owned()))
}

/// What is known of a template before its `spec` is read.
struct Header<'t> {
    scope: Scope,
    name: String,
    spec: Fields<'t>,
}

/// Compiles a document. What it returns counts only if no error was reported.
pub(super) fn template(
    root: &Tree<'_>,
    origin: &Origin,
    document: &str,
    options: &LoadOptions,
    patterns: &Patterns,
    problems: &mut Problems<'_>,
) -> Option<Template> {
    let Header { scope, name, spec } = header(root, problems)?;
    let parameters = parameters(&spec, patterns, problems);
    let trial = Trial::new(&parameters);
    let systems = [("linux", "linux"), ("windows", "windows")];
    let os = spec.get("os").and_then(|tree| choice(tree, &systems, problems)).unwrap_or("linux");
    let mut compiler = Compiler {
        problems,
        options,
        names: Names { parameters: &parameters, in_for_each: false, literal_items: false, patterns },
        trial: &trial,
        item: None,
        floor: Basis::Constant,
        windows: os == "windows",
        expressions: 0,
        untyped: false,
        told: false,
        secret_item: None,
        parts: Parts::default(),
    };
    let when = spec.get("when").and_then(|tree| compiler.template_condition(tree));
    let validations = compiler.validations(&spec);
    let shared_volumes = compiler.entries(&spec, "sharedVolumes", Compiler::shared_volume);
    let volumes = compiler.entries(&spec, "volumes", Compiler::volume);
    let sidecars = compiler.entries(&spec, "sidecars", |c, tree| c.container(tree, Role::Sidecar));
    let init_containers = compiler.entries(&spec, "initContainers", |c, tree| c.container(tree, Role::Init));
    let target = compiler.target(&spec).unwrap_or_default();
    let pod = compiler.pod(&spec).unwrap_or_default();
    whole::check(&name, &spec, &compiler.parts, compiler.problems);
    let targets = compiler.word(&spec, "targets", &[("first", Targets::First), ("all", Targets::All)]);
    let policies = [("Fail", FailurePolicy::Fail), ("Ignore", FailurePolicy::Ignore)];
    let failure_policy = compiler.word(&spec, "failurePolicy", &policies);
    let host_network = compiler.word(&spec, "hostNetwork", &[("allow", true), ("deny", false)]);
    let pod_security = spec.get("podSecurity").and_then(|tree| choice(tree, &PodSecurity::NAMES, compiler.problems));
    if let Some(claim) = pod_security {
        pod_security::check(claim, os, &compiler.parts, compiler.problems);
    }
    let may_name_files = may_name_files(document, &compiler.parts);
    let problems = compiler.problems;
    Some(Template {
        name,
        scope,
        origin: origin.clone(),
        built_in: false,
        line: root.place.line,
        hash: super::hash(document),
        description: spec
            .get("description")
            .and_then(|tree| text(tree, problems))
            .unwrap_or_default()
            .trim()
            .to_owned(),
        primary: primary(&spec, &parameters, problems),
        when,
        validations,
        targets,
        order: order(&spec, problems).unwrap_or_default(),
        failure_policy,
        os: os.to_owned(),
        host_network,
        pod_security,
        shared_volumes,
        sidecars,
        init_containers,
        volumes,
        target,
        pod,
        may_name_files,
        text: Arc::from(document),
        parameters,
    })
}

/// Whether a variable may be of a file: the text names such, perhaps with escapes, or an expression makes what may be one.
fn may_name_files(document: &str, parts: &Parts<'_>) -> bool {
    let containers = || parts.containers.iter().map(|(_, container)| container).chain(&parts.target);
    let is_made = |it: &Rendered<'_>| it.expression || matches!(it.content, Content::Hole);
    let made = |path| containers().any(|container| select(container, path).into_iter().any(is_made));
    ["fileKeyRef", "\\x", "\\u", "\\U"].iter().any(|it| document.contains(it))
        || ["env", "env[]", "env[].valueFrom"].into_iter().any(made)
}

/// `apiVersion`, `kind` and `metadata`. Nothing of the rest is looked at if the document is no template of ours.
fn header<'t>(root: &'t Tree<'t>, problems: &mut Problems<'_>) -> Option<Header<'t>> {
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let fields = Fields::read(root, &root.place, &known, problems)?;
    let version = fields.required("apiVersion", problems).and_then(|tree| choice(tree, &[(API_VERSION, ())], problems));
    let kind = fields.required("kind", problems).and_then(|tree| choice(tree, KINDS, problems));
    let (namespaced, ()) = kind.zip(version)?;

    let metadata = fields.required_entry("metadata", problems);
    let spec = fields.required_entry("spec", problems);
    let metadata = metadata.and_then(|(owner, tree)| Fields::read(tree, owner, METADATA, problems))?;
    let name = metadata.required("name", problems).and_then(|tree| name(tree, names::MAX_TEMPLATE, problems));
    let namespace = metadata.get("namespace").and_then(|tree| {
        if namespaced {
            return self::name(tree, names::MAX_LABEL, problems);
        }
        problems
            .error(&tree.place, "a ClusterInjectionTemplate has no namespace")
            .help("remove it, or make this an InjectionTemplate");
        None
    });
    let scope = if namespaced { Scope::Namespace(namespace.unwrap_or("default").to_owned()) } else { Scope::Cluster };
    let spec = spec.and_then(|(owner, tree)| Fields::read(tree, owner, SPEC, problems))?;
    Some(Header { scope, name: name.unwrap_or_default().to_owned(), spec })
}

/// Text that must be an RFC 1123 label.
fn name<'t>(tree: &'t Tree<'_>, longest: usize, problems: &mut Problems<'_>) -> Option<&'t str> {
    let name = text(tree, problems)?;
    if let Some(problem) = names::label(name, longest) {
        problems.error(&tree.place, problem);
    }
    Some(name)
}

fn parameters(spec: &Fields<'_>, patterns: &Patterns, problems: &mut Problems<'_>) -> Vec<Parameter> {
    let tree = spec.get("parameters").filter(|tree| expect_map(tree, problems).is_some());
    let declared = tree.into_iter().flat_map(Tree::members);
    declared.filter_map(|(name, place, tree)| declaration::parameter(name, place, tree, patterns, problems)).collect()
}

fn primary(spec: &Fields<'_>, parameters: &[Parameter], problems: &mut Problems<'_>) -> Option<usize> {
    let tree = spec.get("primaryParameter")?;
    let name = text(tree, problems)?;
    let index = parameters.iter().position(|parameter| parameter.name == name);
    match index {
        None => {
            let declared: Vec<_> = parameters.iter().map(|parameter| &*parameter.name).collect();
            let (_, help) = unknown_field(name, &declared);
            problems.error(&tree.place, format!("there is no parameter `{}`", shorten(name))).help(help);
        }
        Some(index) if parameters[index].kind == Type::Boolean => {
            problems
                .error(&tree.place, format!("the primary parameter can't be a boolean, and `{name}` is one"))
                .help("`true` on a template's own key asks for the template");
        }
        Some(_) => {}
    }
    index
}

fn order(spec: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Order> {
    let (owner, tree) = spec.entry("order")?;
    let fields = Fields::read(tree, owner, &["before", "after"], problems)?;
    let mut side = |key: &str| -> Vec<String> {
        let Some(tree) = fields.get(key) else { return Vec::new() };
        let items = list(tree, problems).unwrap_or_default();
        if items.len() > MAX_ORDER {
            problems
                .error(&tree.place, format!("`{key}` has {} names", items.len()))
                .help(format!("at most {MAX_ORDER}"));
            return Vec::new();
        }
        items.iter().filter_map(|item| name(item, names::MAX_LABEL, problems)).map(str::to_owned).collect()
    };
    Some(Order { before: side("before"), after: side("after") })
}

impl<'t> Compiler<'_, '_, 't> {
    /// The `when` of the template itself, in whose scope everything else stands.
    fn template_condition(&mut self, tree: &'t Tree<'t>) -> Option<Expression> {
        let when = self.condition(tree)?;
        self.enter(&when, &tree.place);
        Some(when)
    }

    /// A list of the spec, each entry compiled in the scope of its `when` and `forEach`.
    fn entries<T>(
        &mut self,
        spec: &Fields<'t>,
        name: &str,
        compile: impl Fn(&mut Self, &'t Tree<'t>) -> Option<T>,
    ) -> Vec<Entry<T>> {
        let items = spec.get(name).and_then(|tree| list(tree, self.problems)).unwrap_or_default();
        let entry = |item| {
            self.entry(item, |compiler, when, for_each| {
                compiler.within(item, when, for_each, |compiler| compile(compiler, item))
            })
        };
        items.iter().filter_map(entry).collect()
    }
}
