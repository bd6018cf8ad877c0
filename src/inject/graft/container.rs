//! Injected containers: wired to the graft's volumes, hardened, checked for what they would clash with.

use std::borrow::Cow;
use std::collections::HashSet;
use std::mem::replace;

use super::image::mirrored;
use super::{Grafting, ReadOnly};
use crate::inject::asked::Asked;
use crate::inject::draft::{Kind, MAX_ADDED, NewContainer, PortUse};
use crate::inject::fragment::Fragment;
use crate::inject::hardening::{self, Declare, NO_TOKEN_JSON, NO_TOKEN_MOUNT, NO_TOKEN_VOLUME, TOKEN_PATH};
use crate::inject::json::same;
use crate::inject::pod::{self, Pod};
use crate::inject::reason::{Reason, Warning, cut};
use crate::inject::rendering::{Body, Container, Fit, Identity, Ready};
use crate::snapshot::Policy;
use crate::template::expression::EvaluationError;
use crate::template::node::Entry;
use crate::template::{ContainerTemplate, Environment, Line, RunAs, ServiceAccountToken};

/// Where a container comes from, and where its mistakes are noted.
#[derive(Clone, Copy)]
struct Source<'a> {
    /// `sidecars` or `initContainers`.
    field: &'static str,
    template: &'a ContainerTemplate,
    line: Line,
}

/// The app's containers that are copies of this graft's sidecars.
pub(super) fn unclaimed<'c>(
    asked: &'c Asked<'_>,
    pod: &'c Pod<'_>,
    policy: &'c Policy,
) -> impl Iterator<Item = &'c str> {
    let sidecars = asked.template.sidecars.iter().zip(&asked.rendering.sidecars);
    let ready = sidecars.flat_map(|(entry, ready)| ready.iter().flatten().map(move |it| (&entry.value, &it.identity)));
    ready.filter_map(move |(template, identity)| {
        let (_, there) = pod.all_containers().find(|(init, there)| !init && there.name == *identity.name)?;
        let mirrored = || mirrored(&identity.image, &template.image, asked, pod, policy);
        is_copy(there, identity, mirrored).then_some(&*there.name)
    })
}

/// Whether a container of our name is one of ours: it has the image, or what was the image when it came, as there was no
/// mirror, and the command.
fn is_copy<'i>(there: &pod::Container<'_>, ours: &'i Identity, mirrored: impl FnOnce() -> Cow<'i, str>) -> bool {
    let empty = |list: Option<&str>| list.is_none_or(|list| matches!(list, "[]" | "null"));
    let command_of = there.command.map(serde_json::value::RawValue::get);
    let same_command = match (ours.command.as_deref(), command_of) {
        (Some(ours), Some(theirs)) => same(ours, theirs),
        (ours, theirs) => empty(ours) && empty(theirs),
    };
    same_command && (*there.image == *ours.image || *there.image == *mirrored())
}

impl<'p, 'a> Grafting<'_, 'p, 'a> {
    pub(super) fn containers(&mut self) {
        let (template, rendering) = (self.template(), self.rendering());
        let sidecar = if self.context.policy.native_sidecars { Kind::NativeSidecar } else { Kind::ClassicSidecar };
        self.each_container(sidecar, "sidecars", &template.sidecars, &rendering.sidecars);
        self.each_container(Kind::Init, "initContainers", &template.init_containers, &rendering.init_containers);
    }

    fn each_container(
        &mut self,
        kind: Kind,
        field: &'static str,
        entries: &'a [Entry<ContainerTemplate>],
        ready: &'p [Ready<Container>],
    ) {
        for (entry, ready) in entries.iter().zip(ready) {
            let from = |template| Source { field, template, line: entry.line };
            let planned = match ready {
                Some(all) => self.each_ready(all, |this, ready| {
                    let Container { identity, body, .. } = ready;
                    let (from, name) = (from(&entry.value), Cow::Borrowed(&*identity.name));
                    if this.is_there(from, identity) {
                        this.record.containers.push(name);
                        return Ok(());
                    }
                    this.container(kind, from, name, identity, body, |fit| ready.fit(fit))
                }),
                None => self.each_open(entry, |this, template, item| {
                    let identity = this
                        .open(field, entry.line, |view, problems| Identity::render(view, template, item, problems))?;
                    let Some(identity) = identity else { return Ok(()) };
                    let name = Cow::Owned(identity.name.clone());
                    // Of one that is there, no more need have a value.
                    if this.is_there(from(template), &identity) {
                        this.record.containers.push(name);
                        return Ok(());
                    }
                    let body = this.open(field, entry.line, |view, problems| {
                        Body::render(view, template, &identity, item, problems)
                    })?;
                    this.container(kind, from(template), name, &identity, &body, |fit| {
                        body.fit(&identity, &fit).map(Fragment::from)
                    })
                }),
            };
            if let Err(error) = planned {
                self.evaluation(field, entry.line, &error);
            }
        }
    }

    fn container(
        &mut self,
        kind: Kind,
        from: Source<'a>,
        name: Cow<'p, str>,
        identity: &Identity,
        body: &Body,
        json: impl FnOnce(Fit<'_>) -> Result<Fragment, EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let Source { template, line, .. } = from;
        if self.draft.is_too_much() {
            return Ok(());
        }
        if let Some(taken) = self.name_is_taken(&name) {
            self.clashes.push(taken);
            return Ok(());
        }
        self.needs(&name, from.field, line, body.needs);
        let ports = self.ports(kind, &name, from, &body.ports);
        let fit = Fit {
            image: self.mirrored(&identity.image, &template.image),
            volume_mounts: self.volume_mounts(&name, from, body)?.into(),
            resources: self.resources(&name, body)?,
            user: self.user(template),
            restart_policy: (kind == Kind::NativeSidecar).then_some("Always"),
        };
        let json = json(fit)?;
        if kind == Kind::ClassicSidecar {
            self.classic(&name);
        }
        self.record.containers.push(name.clone());
        let environment_of = self.targets.first().copied().filter(|_| template.environment == Environment::Target);
        self.draft.containers.push(NewContainer { graft: self.index, line, kind, name, ports, environment_of, json });
        Ok(())
    }

    /// Whether a container of the pod is the one that would be added: a status claims it, or it is a copy of ours whose
    /// annotations were lost, as `kubectl debug --copy-to` makes them.
    fn is_there(&self, from: Source<'a>, identity: &Identity) -> bool {
        let Identity { name, image, .. } = identity;
        let Some((_, there)) = self.of_pod().find(|(_, there)| there.name == **name) else { return false };
        let claimed = self.recorded.is_some_and(|recorded| recorded.containers.iter().any(|ours| **ours == **name));
        claimed || is_copy(there, identity, || self.mirrored(image, &from.template.image))
    }

    fn name_is_taken(&self, name: &str) -> Option<super::Clash> {
        let taken = |by: String, with| {
            let reason = Reason::ContainerName { graft: self.name(), container: name.to_owned(), by };
            Some(super::Clash { reason, with })
        };
        let ephemeral = self.context.pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
        if self.of_pod().any(|(_, there)| there.name == *name) || ephemeral.into_iter().any(|it| it.name == *name) {
            return taken("a container of the pod".to_owned(), None);
        }
        let planned = self.draft.containers.iter().find(|planned| planned.name == name)?;
        let with = Some(planned.graft).filter(|with| *with != self.index);
        taken(format!("a container of {}", self.graft_name(planned.graft)), with)
    }

    /// The ports as far as they are in others' way.
    fn ports(&mut self, kind: Kind, name: &str, from: Source<'a>, ports: &[PortUse<'static>]) -> Vec<PortUse<'static>> {
        let host_network = self.context.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
        for port in ports.iter().filter(|port| host_network && ![0, port.number].contains(&port.host_port)) {
            let problem = format!(
                "hostPort {} must be containerPort {}, as the pod has hostNetwork",
                port.host_port, port.number
            );
            self.rendered(from.field, from.line, problem);
        }
        // Each gets its number as hostPort there, init containers' too (core/v1's `defaultHostNetworkPorts`).
        let mut of_node = HashSet::new();
        for port in ports.iter().filter(|_| host_network) {
            if !of_node.insert((port.number, &*port.protocol, &*port.host_ip)) {
                let PortUse { number, protocol, .. } = port;
                let problem = format!(
                    "container {name}: two ports would be hostPort {number}/{protocol}, as the pod has hostNetwork"
                );
                self.rendered(from.field, from.line, problem);
            }
        }
        if !ports.is_empty() && host_network && !self.template().host_network {
            let reason = Reason::HostNetwork { graft: self.name(), container: name.to_owned() };
            self.refuse(reason);
        }
        if kind == Kind::Init {
            // It is over before the others start.
            return Vec::new();
        }
        for port in ports {
            self.port_is_free(name, port);
        }
        ports.to_vec()
    }

    fn port_is_free(&mut self, name: &str, port: &PortUse<'_>) {
        let of_pod = self.of_pod().filter(|(init, it)| !init || it.is_sidecar()).find_map(|(_, it)| {
            let clash = it.ports.get().iter().find_map(|theirs| port.clash(&PortUse::of(theirs)))?;
            Some((clash, format!("container {:?} of the pod", &*it.name), None))
        });
        let taken = of_pod.or_else(|| {
            self.draft.containers.iter().find_map(|it| {
                let clash = it.ports.iter().find_map(|theirs| port.clash(theirs))?;
                Some((clash, format!("container {:?} of {}", it.name, self.graft_name(it.graft)), Some(it.graft)))
            })
        });
        if let Some((port, by, with)) = taken {
            let reason = Reason::Port { graft: self.name(), container: name.to_owned(), port, by };
            self.clash(reason, with);
        }
    }

    /// The mounts, a list; empty if there are none.
    fn volume_mounts(&mut self, name: &str, from: Source<'a>, body: &Body) -> Result<String, EvaluationError> {
        let Source { field, template, line } = from;
        let mut out = String::with_capacity(256);
        let mut separator = '[';
        let mut paths: Vec<&str> = Vec::new();
        for mount in &body.mounts {
            // A pod's sub path may be long, and this much is refused in the end.
            if out.len() > MAX_ADDED {
                break;
            }
            let Some(mounted) = self.resolve_mount(mount, field, line) else { continue };
            if paths.contains(&&*mount.path) {
                self.rendered(field, line, format!("two mounts at {}", mount.path));
            }
            // By its name in the template: two sites may be in one volume, mounted differently by the targets.
            let site = self.sites.iter().find(|site| *site.name == *mount.volume);
            if !mount.read_only
                && let Some((path, ReadOnly { by, with })) =
                    site.and_then(|site| Some((site.path.clone()?.into_owned(), site.read_only.clone()?)))
            {
                let reason = Reason::SharedReadOnly { graft: self.name(), container: name.to_owned(), path, by };
                self.clash(reason, with);
            }
            paths.push(&mount.path);
            out.push(replace(&mut separator, ','));
            out = mount.write(&mounted, out);
        }
        let spec = self.context.pod.spec.as_ref();
        let no_token = spec.is_some_and(|spec| spec.automount_service_account_token == Some(false));
        let covered = paths.contains(&TOKEN_PATH);
        if template.service_account_token == ServiceAccountToken::None && !no_token && !covered {
            self.add_volume(NO_TOKEN_VOLUME.into(), false, NO_TOKEN_JSON, line)?;
            out.push(replace(&mut separator, ','));
            out.push_str(NO_TOKEN_MOUNT);
        }
        if !out.is_empty() {
            out.push(']');
        }
        Ok(out)
    }

    /// The resources as this pod wants them.
    fn resources<'b>(&mut self, name: &str, body: &'b Body) -> Result<Option<Cow<'b, str>>, EvaluationError> {
        let find = || self.context.pod.spec.as_ref().map_or(Declare::AsWritten, hardening::declare);
        let of_template = body.resources.as_deref();
        match *self.context.declare.get_or_init(find) {
            Declare::Nothing => Ok(None),
            Declare::AsWritten => Ok(of_template.map(Cow::Borrowed)),
            Declare::Guaranteed => {
                let (equal, stays) = hardening::guaranteed(of_template.unwrap_or("{}"))
                    .map_err(|error| EvaluationError::unreadable(&error).within("resources"))?;
                if !stays {
                    self.warn(Warning::QosLost { graft: self.name(), container: name.to_owned() });
                }
                Ok(Some(Cow::Owned(equal)))
            }
        }
    }

    /// Who it runs as, where that depends on its target.
    fn user(&self, template: &ContainerTemplate) -> Option<(Option<i64>, Option<i64>)> {
        let target = self.targets.first().filter(|_| template.run_as == RunAs::Target)?;
        Some(hardening::run_as(self.context.pod, target, self.context.policy.default_run_as_user))
    }

    /// What the classic form of a sidecar asks of the pod.
    fn classic(&mut self, name: &str) {
        let policy = self.context.pod.spec.as_ref().map_or("", |spec| &spec.restart_policy);
        if !matches!(policy, "" | "Always") {
            let (container, policy) = (name.to_owned(), cut(policy).to_owned());
            let reason = Reason::ClassicSidecar { graft: self.name(), container, policy };
            self.refuse(reason);
        }
    }
}
