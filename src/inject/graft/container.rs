//! Injected containers: rendered, wired to the graft's volumes, hardened, checked for what they would clash with.

use std::borrow::Cow;

use super::names::joined;
use super::target::key_of;
use super::{Grafting, items, read, render, text};
use crate::inject::bindings::Bindings;
use crate::inject::draft::{Field, Kind, NewContainer, PortUse};
use crate::inject::hardening::{self, Declare, NO_TOKEN_VOLUME, TOKEN_PATH};
use crate::inject::json::{MapWriter, same};
use crate::inject::pod::{EnvVar, Port};
use crate::inject::reason::{Reason, Warning, quote};
use crate::inject::targets::DEFAULT_CONTAINER;
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::{Node, write_string};
use crate::template::{ContainerTemplate, Environment, Line, RunAs, ServiceAccountToken};
use crate::template::{names, verify};

/// What a container is rendered from, and where its mistakes are noted.
#[derive(Clone, Copy)]
struct Source<'s, 'a> {
    /// `sidecars` or `initContainers`.
    field: &'s str,
    template: &'a ContainerTemplate,
    item: Option<&'s Item<'s>>,
    line: Line,
}

impl<'a> Grafting<'_, 'a> {
    pub(super) fn containers(&mut self) {
        let template = self.template();
        let sidecar = if self.context.policy.native_sidecars { Kind::NativeSidecar } else { Kind::ClassicSidecar };
        self.each("sidecars", &template.sidecars, |this, container, item, line| {
            this.container(sidecar, &Source { field: "sidecars", template: container, item, line })
        });
        self.each("initContainers", &template.init_containers, |this, container, item, line| {
            this.container(Kind::Init, &Source { field: "initContainers", template: container, item, line })
        });
    }

    fn container(&mut self, kind: Kind, from: &Source<'_, 'a>) -> Result<(), EvaluationError> {
        let Source { field, template, item, line } = *from;
        let name = text(&template.name, self.bindings, item, "name")?.unwrap_or_default();
        let name = joined([&*name, self.asked.name.instance.unwrap_or_default()]);
        if let Some(problem) = names::label(&name, names::MAX_LABEL) {
            self.rendered(field, line, problem);
            return Ok(());
        }
        let image = text(&template.image, self.bindings, item, "image")?.unwrap_or_default();
        if image.is_empty() || image.trim() != &*image {
            self.rendered(field, line, format!("{} is no image; write a name without blanks", quote(&image)));
            return Ok(());
        }
        // A container that is there may have come when there was no mirror.
        let mirrored = self.mirrored(&image, &template.image);
        let command = render(template.command.as_ref(), self.bindings, item, "command")?;
        if self.is_there(&name, [&image, &mirrored], command.as_deref()) {
            self.record.containers.push(name);
            return Ok(());
        }
        if let Some(taken) = self.name_is_taken(&name) {
            self.clashes.push(taken);
            return Ok(());
        }

        let script = command.as_deref().map_or(0, str::len);
        let mut json = MapWriter::with_capacity(1024 + script + template.fixed.len());
        json.text("name", &name);
        json.text("image", &mirrored);
        if let Some(command) = command {
            json.json("command", &command);
        }
        json.members(&template.fixed);
        for (key, node) in &template.rest {
            put(&mut json, key, Some(node), self.bindings, item)?;
        }
        self.environment(from, &mut json)?;
        let ports = self.ports(kind, &name, from, &mut json)?;
        self.volume_mounts(&name, from, &mut json)?;
        self.resources(&name, from, &mut json)?;
        self.security_context(from, &mut json)?;
        match kind {
            Kind::NativeSidecar => json.text("restartPolicy", "Always"),
            Kind::ClassicSidecar => self.classic(&name, line),
            Kind::Init => {}
        }
        let json = json.finish();
        if template.verify {
            self.all_rendered(field, line, verify::container(&json));
        }
        self.record.containers.push(name.clone());
        let environment_of = self.targets.first().copied().filter(|_| template.environment == Environment::Target);
        self.draft.containers.push(NewContainer { graft: self.index, line, kind, name, ports, environment_of, json });
        Ok(())
    }

    /// Whether a container of the pod is the one that would be added: a status claims it, or it is a copy of ours whose
    /// annotations were lost, as `kubectl debug --copy-to` makes them.
    fn is_there(&self, name: &str, images: [&str; 2], command: Option<&str>) -> bool {
        let Some((_, there)) = self.of_pod().find(|(_, there)| there.name == *name) else { return false };
        let claimed = self.recorded.is_some_and(|recorded| recorded.containers.iter().any(|ours| **ours == *name));
        let empty = |list: Option<&str>| list.is_none_or(|list| matches!(list, "[]" | "null"));
        let command_of = there.command.map(serde_json::value::RawValue::get);
        let same_command = match (command, command_of) {
            (Some(ours), Some(theirs)) => same(ours, theirs),
            (ours, theirs) => empty(ours) && empty(theirs),
        };
        claimed || (images.contains(&&*there.image) && same_command)
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

    fn environment(&mut self, from: &Source<'_, 'a>, json: &mut MapWriter) -> Result<(), EvaluationError> {
        let Source { field, template, item, line } = *from;
        match &template.env {
            Some(env) if !env.has_fixed("name") => {
                let Some(env) = render(Some(env), self.bindings, item, "env")? else { return Ok(()) };
                for variable in read::<Vec<EnvVar<'_>>>(&env, "env")? {
                    if let Some(problem) = names::variable(&variable.name) {
                        self.rendered(field, line, problem);
                    }
                }
                json.json("env", &env);
            }
            env => put(json, "env", env.as_ref(), self.bindings, item)?,
        }
        put(json, "envFrom", template.env_from.as_ref(), self.bindings, item)?;
        Ok(())
    }

    fn ports(
        &mut self,
        kind: Kind,
        name: &str,
        from: &Source<'_, 'a>,
        json: &mut MapWriter,
    ) -> Result<Vec<PortUse>, EvaluationError> {
        let Source { field, template, item, line } = *from;
        let Some(ports) = render(template.ports.as_ref(), self.bindings, item, "ports")? else { return Ok(Vec::new()) };
        let uses: Vec<PortUse> = read::<Vec<Port<'_>>>(&ports, "ports")?.iter().map(PortUse::of).collect();
        for port in &uses {
            let host_port = port.host_port != 0 && !is_port(port.host_port);
            if host_port || !is_port(port.number) {
                let found = if host_port { port.host_port } else { port.number };
                self.rendered(field, line, format!("{found} is no port; allowed: 1 to 65535"));
            }
        }
        let host_network = self.context.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
        for port in uses.iter().filter(|port| host_network && ![0, port.number].contains(&port.host_port)) {
            let problem = format!(
                "hostPort {} must be containerPort {}, as the pod has hostNetwork",
                port.host_port, port.number
            );
            self.rendered(field, line, problem);
        }
        if !uses.is_empty() && host_network && !self.template().host_network {
            let reason = Reason::HostNetwork { graft: self.name(), container: name.to_owned() };
            self.refuse(reason);
        }
        json.json("ports", &ports);
        if kind == Kind::Init {
            // It is over before the others start.
            return Ok(Vec::new());
        }
        for port in &uses {
            self.port_is_free(name, port);
        }
        Ok(uses)
    }

    fn port_is_free(&mut self, name: &str, port: &PortUse) {
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

    fn volume_mounts(
        &mut self,
        name: &str,
        from: &Source<'_, 'a>,
        json: &mut MapWriter,
    ) -> Result<(), EvaluationError> {
        let Source { field, template, item, line } = *from;
        let rendered = render(template.volume_mounts.as_ref(), self.bindings, item, "volumeMounts")?;
        let mut written = String::with_capacity(512);
        written.push('[');
        let mut paths: Vec<Cow<'_, str>> = Vec::new();
        for item in items(rendered.as_ref(), "volumeMounts")? {
            let Some((mount, json)) = self.resolve_mount(item, field, line)? else { continue };
            if paths.contains(&mount.path) {
                self.rendered(field, line, format!("two mounts at {}", mount.path));
            }
            // By its name in the template: two sites may be in one volume, mounted differently by the targets.
            let volume = key_of(item, "name")?;
            let site = self.sites.iter().find(|site| *site.name == *volume);
            if !mount.read_only
                && let Some((path, by)) = site.and_then(|site| Some((site.path.clone()?, site.read_only.clone()?)))
            {
                self.refuse(Reason::SharedReadOnly { graft: self.name(), container: name.to_owned(), path, by });
            }
            paths.push(mount.path);
            push_item(&mut written, &json);
        }
        let spec = self.context.pod.spec.as_ref();
        let no_token = spec.is_some_and(|spec| spec.automount_service_account_token == Some(false));
        let covered = paths.iter().any(|path| path == TOKEN_PATH);
        if template.service_account_token == ServiceAccountToken::None && !no_token && !covered {
            let volume = format!(r#"{{"name":"{NO_TOKEN_VOLUME}","emptyDir":{{}}}}"#);
            self.add_volume(NO_TOKEN_VOLUME.to_owned(), volume, false, line)?;
            let mount = format!(r#"{{"name":"{NO_TOKEN_VOLUME}","mountPath":"{TOKEN_PATH}","readOnly":true}}"#);
            push_item(&mut written, &mount);
        }
        if written.len() > 1 {
            written.push(']');
            json.json("volumeMounts", &written);
        }
        Ok(())
    }

    fn resources(&mut self, name: &str, from: &Source<'_, 'a>, json: &mut MapWriter) -> Result<(), EvaluationError> {
        let Source { template, item, .. } = *from;
        let find = || self.context.pod.spec.as_ref().map_or(Declare::AsWritten, hardening::declare);
        let declare = *self.context.declare.get_or_init(find);
        if declare == Declare::Nothing {
            return Ok(());
        }
        let mut written = render(template.resources.as_ref(), self.bindings, item, "resources")?;
        if declare == Declare::Guaranteed {
            let of_template = written.as_deref().unwrap_or("{}");
            let (equal, stays) = hardening::guaranteed(of_template)
                .map_err(|error| EvaluationError::unreadable(&error).within("resources"))?;
            if !stays {
                self.warnings.push(Warning::QosLost { graft: self.name(), container: name.to_owned() });
            }
            written = Some(Cow::Owned(equal));
        }
        if let Some(resources) = written {
            json.json("resources", &resources);
        }
        Ok(())
    }

    fn security_context(&self, from: &Source<'_, 'a>, json: &mut MapWriter) -> Result<(), EvaluationError> {
        let Source { template, item, .. } = *from;
        let Some(target) = self.targets.first().filter(|_| template.run_as == RunAs::Target) else {
            return put(json, "securityContext", template.security_context.as_ref(), self.bindings, item);
        };
        let context = render(template.security_context.as_ref(), self.bindings, item, "securityContext")?;
        let user = hardening::run_as(self.context.pod, target, self.context.policy.default_run_as_user);
        let context = hardening::with_user(context.as_deref().unwrap_or("{}"), user)
            .map_err(|error| EvaluationError::unreadable(&error).within("securityContext"))?;
        json.json("securityContext", &context);
        Ok(())
    }

    /// What the classic form of a sidecar asks of the pod.
    fn classic(&mut self, name: &str, line: Line) {
        let policy = self.context.pod.spec.as_ref().map_or("", |spec| &spec.restart_policy);
        if !matches!(policy, "" | "Always") {
            let reason =
                Reason::ClassicSidecar { graft: self.name(), container: name.to_owned(), policy: policy.to_owned() };
            self.refuse(reason);
        }
        // `kubectl logs` and `exec` should go on finding the app.
        let Some(target) = self.targets.first().filter(|target| !target.init) else { return };
        if self.draft.fields.iter().all(|field| field.key != DEFAULT_CONTAINER) {
            let mut json = String::new();
            write_string(target.name(), &mut json);
            self.field(Field::Annotation, DEFAULT_CONTAINER, json, line);
        }
    }
}

/// Writes a field unless it is absent or `null`.
fn put(
    json: &mut MapWriter,
    key: &str,
    node: Option<&Node>,
    bindings: &Bindings<'_, '_>,
    item: Option<&Item<'_>>,
) -> Result<(), EvaluationError> {
    let Some(node) = node else { return Ok(()) };
    json.try_member(key, |out| node.write(bindings, item, out)).map_err(|error| error.within(key))
}

fn is_port(number: i64) -> bool {
    (1..=65535).contains(&number)
}

fn push_item(list: &mut String, json: &str) {
    if list.len() > 1 {
        list.push(',');
    }
    list.push_str(json);
}
