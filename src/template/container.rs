//! The core/v1 parts of a template: containers, volumes, and what is added to targets and pod. Each is compiled, tried,
//! and what the trial gave is checked.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;

use super::check;
use super::compile::{Compiler, Field, MAX_EXPRESSIONS, Members};
use super::decode;
use super::diagnostic::{Place, Problems};
use super::fields::{Fields, choice, expect_map, flag, text};
use super::metadata;
use super::node::CONTROL;
use super::rendered::{Rendered, Role};
use super::shell;
use super::yaml::Tree;
use super::{
    ContainerTemplate, Environment, PodAdditions, RunAs, ServiceAccountToken, SharedVolume, TargetAdditions,
    VolumeTemplate, names,
};

/// The fields of a container that are podgraft's own.
const OURS: &[&str] = &["environment", "runAs", "serviceAccountToken", "when", "forEach"];

/// Checks the keys and values of a map of labels or annotations.
type MetadataCheck = fn(&Rendered<'_>, &str, &mut Problems<'_>);

const METADATA: [(&str, MetadataCheck); 2] = [("labels", metadata::labels), ("annotations", metadata::annotations)];

impl<'t> Compiler<'_, '_, 't> {
    /// A container of `sidecars` or `initContainers`.
    pub(super) fn container(&mut self, tree: &'t Tree<'t>, role: Role) -> Option<ContainerTemplate> {
        expect_map(tree, self.problems)?;
        let fields = Fields::open(tree);
        self.untyped = false;
        let mut nodes = self.members(tree, Field::Container, |key| OURS.contains(&key) || key == "restartPolicy");
        let rendered = self.tried(tree, &nodes);
        if self.expressions <= MAX_EXPRESSIONS {
            shell::check(tree, self.names, self.problems);
        }
        decode::strictly::<v1::Container>(&rendered, OURS, self.options, self.problems);
        check::container(&rendered, Some(role), self.problems);
        check::os(&rendered, self.windows, self.problems);
        let verify = self.untyped || check::is_open(&rendered);
        self.parts.containers.push((role, rendered));

        if let Some((place, policy)) = fields.entry("restartPolicy") {
            self.restart_policy(place, policy, role);
        }
        let environments = [("own", Environment::Own), ("target", Environment::Target)];
        let environment = self.word(&fields, "environment", &environments);
        let run_as = self.word(&fields, "runAs", &[("own", RunAs::Own), ("target", RunAs::Target)]);
        if let (true, RunAs::Target, Some((place, _))) = (self.windows, run_as, fields.entry("runAs")) {
            self.problems
                .error(place, "a container of Windows runs as no user by number, so not as the target's")
                .help("name one in `securityContext.windowsOptions.runAsUserName`");
        }
        let tokens = [("none", ServiceAccountToken::None), ("mount", ServiceAccountToken::Mount)];
        let service_account_token = self.word(&fields, "serviceAccountToken", &tokens);
        let named = fields.required("name", self.problems).is_some();
        fields.required("image", self.problems).filter(|_| named)?;
        let (name, image) = (nodes.take("name")?, nodes.take("image")?);
        let command = nodes.take("command");
        let (env, env_from, ports) = (nodes.take("env"), nodes.take("envFrom"), nodes.take("ports"));
        let volume_mounts = nodes.take("volumeMounts");
        let (resources, security_context) = (nodes.take("resources"), nodes.take("securityContext"));
        let (fixed, rest) = nodes.rest();
        Some(ContainerTemplate {
            name,
            image,
            command,
            env,
            env_from,
            ports,
            volume_mounts,
            resources,
            security_context,
            fixed,
            rest,
            environment,
            run_as,
            service_account_token,
            verify,
        })
    }

    /// The members of a list entry as the trial renders them.
    fn tried(&mut self, tree: &'t Tree<'t>, nodes: &Members) -> Rendered<'t> {
        let conditional = CONTROL.iter().any(|key| tree.get(key).is_some());
        Rendered { conditional, ..self.render_members(tree, nodes.iter()) }
    }

    /// A field that is one of a few words; absent, its type's default.
    pub(super) fn word<T: Copy + Default>(&mut self, fields: &Fields<'_>, name: &str, words: &[(&str, T)]) -> T {
        fields.get(name).and_then(|tree| choice(tree, words, self.problems)).unwrap_or_default()
    }

    /// `restartPolicy` is what makes an init container a sidecar, so podgraft sets it.
    fn restart_policy(&mut self, place: &Place, policy: &Tree<'_>, role: Role) {
        match (role, policy.as_text()) {
            (Role::Sidecar, Some("Always")) => {}
            (Role::Sidecar, _) => {
                self.problems.error(place, "a sidecar is always restarted").help("remove `restartPolicy`");
            }
            (Role::Init, _) => {
                self.problems
                    .error(place, "an init container runs once, and has no `restartPolicy`")
                    .help("a container that runs beside the app stands under `sidecars`");
            }
        }
    }

    /// A volume of `sharedVolumes`.
    pub(super) fn shared_volume(&mut self, tree: &'t Tree<'t>) -> Option<SharedVolume> {
        let known = ["name", "mountPath", "readOnly", "volume", "when", "forEach"];
        let fields = Fields::read(tree, &tree.place, &known, self.problems)?;
        let name = self.volume_name(&fields);
        self.untyped = false;
        let mut nodes = self.members(tree, Field::SharedVolume, |key| !["name", "mountPath", "volume"].contains(&key));
        let rendered = self.tried(tree, &nodes);
        if let Some((place, source)) = fields.entry("volume") {
            expect_map(source, self.problems)?;
            if let Some((place, _)) = Fields::open(source).entry("name") {
                self.problems.error(place, "the volume's name stands beside `volume`");
            }
            if let Some(source) = rendered.get("volume") {
                self.volume_source(source, place);
            }
        }
        check::shared_volume(&rendered, self.problems);
        let verify = self.untyped || rendered.get("volume").is_some_and(check::is_open_volume);
        self.parts.shared_volumes.push(rendered);
        fields.required("mountPath", self.problems)?;
        let read_only = fields.get("readOnly").and_then(|tree| flag(tree, self.problems)).unwrap_or_default();
        Some(SharedVolume {
            name: name?,
            mount_path: nodes.take("mountPath")?,
            read_only,
            volume: nodes.take("volume"),
            verify,
        })
    }

    /// A volume of `volumes`.
    pub(super) fn volume(&mut self, tree: &'t Tree<'t>) -> Option<VolumeTemplate> {
        expect_map(tree, self.problems)?;
        let name = self.volume_name(&Fields::open(tree));
        self.untyped = false;
        let mut nodes = self.members(tree, Field::Other, |key| CONTROL.contains(&key));
        let rendered = self.tried(tree, &nodes);
        self.volume_source(&rendered, &tree.place);
        let verify = self.untyped || check::is_open_volume(&rendered);
        self.parts.volumes.push(rendered);
        nodes.take("name");
        Some(VolumeTemplate { name: name?, source: nodes.fold(), verify })
    }

    fn volume_source(&mut self, source: &Rendered<'_>, place: &Place) {
        decode::strictly::<v1::Volume>(source, CONTROL, self.options, self.problems);
        check::volume_source(source, place, self.problems);
    }

    /// The name of a volume, which is fixed: so a volume can't be repeated.
    fn volume_name(&mut self, fields: &Fields<'_>) -> Option<String> {
        if let Some((place, _)) = fields.entry("forEach") {
            self.problems
                .error(place, "a volume can't be repeated, because its name is fixed")
                .help("`forEach` may repeat containers, mounts, variables and the like");
        }
        let tree = fields.required("name", self.problems)?;
        let name = text(tree, self.problems)?;
        if let Some(problem) = names::label(name, names::MAX_LABEL) {
            self.problems.error(&tree.place, problem);
        }
        Some(name.to_owned())
    }

    /// `target`: what each target container gets.
    pub(super) fn target(&mut self, spec: &Fields<'t>) -> Option<TargetAdditions> {
        let (owner, tree) = spec.entry("target")?;
        let fields = Fields::read(tree, owner, &["env", "envFrom", "volumeMounts"], self.problems)?;
        self.untyped = false;
        let mut nodes = self.members(tree, Field::Container, |_| false);
        let rendered = self.tried(tree, &nodes);
        decode::strictly::<v1::Container>(&rendered, &[], self.options, self.problems);
        check::container(&rendered, None, self.problems);
        let verify = self.untyped || check::is_open(&rendered);
        self.parts.target = Some(rendered);
        let mut part = |name| nodes.part(name, &fields, verify);
        Some(TargetAdditions { env: part("env"), env_from: part("envFrom"), volume_mounts: part("volumeMounts") })
    }

    /// `pod`: what the pod itself gets.
    pub(super) fn pod(&mut self, spec: &Fields<'t>) -> Option<PodAdditions> {
        let (owner, tree) = spec.entry("pod")?;
        let known = ["labels", "annotations", "imagePullSecrets", "hostAliases"];
        let fields = Fields::read(tree, owner, &known, self.problems)?;
        self.untyped = false;
        let mut nodes = self.members(tree, Field::Pod, |_| false);
        let rendered = self.tried(tree, &nodes);
        for (name, check) in METADATA {
            let Some(rendered) = rendered.get(name) else { continue };
            // An expression for the whole map could set keys that are reserved.
            if fields.get(name).and_then(|tree| expect_map(tree, self.problems)).is_some() {
                decode::strictly::<BTreeMap<String, String>>(rendered, &[], self.options, self.problems);
                check(rendered, &self.options.annotation_prefix, self.problems);
            }
        }
        if let Some(secrets) = rendered.get("imagePullSecrets") {
            decode::strictly::<Vec<v1::LocalObjectReference>>(secrets, &[], self.options, self.problems);
        }
        if let Some(aliases) = rendered.get("hostAliases") {
            decode::strictly::<Vec<v1::HostAlias>>(aliases, &[], self.options, self.problems);
        }
        check::pod(&rendered, self.problems);
        self.parts.pod = Some(rendered);
        let mut part = |name| nodes.part(name, &fields, self.untyped);
        Some(PodAdditions {
            labels: part("labels"),
            annotations: part("annotations"),
            image_pull_secrets: part("imagePullSecrets"),
            host_aliases: part("hostAliases"),
        })
    }
}
