//! A container: all of it that is the same whatever volumes, users and resources the pod has, and how a pod's are put in.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::names::joined;
use super::needs::Needs;
use super::volume::Mount;
use super::{Problems, Size, View, read, render, text};
use crate::inject::draft::PortUse;
use crate::inject::fragment::{Fragment, Kept};
use crate::inject::hardening::{mentions_user, with_user};
use crate::inject::json::MapWriter;
use crate::inject::pod::{EnvVar, Port};
use crate::inject::reason::quote;
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::Node;
use crate::template::{ContainerTemplate, names, verify};

/// What tells whether a pod has the container already.
#[derive(Debug)]
pub struct Identity {
    /// Its name in the pod.
    pub name: String,
    /// `image`, before the operator's mirror.
    pub image: String,
    /// `command`, a list.
    pub command: Option<String>,
}

/// The rest of it.
#[derive(Debug)]
pub struct Body {
    /// The members of its JSON that need nothing of the pod, without braces.
    pub members: String,
    /// `ports`.
    pub ports: Vec<PortUse<'static>>,
    /// `volumeMounts`.
    pub mounts: Vec<Mount>,
    /// `resources`, a map.
    pub resources: Option<String>,
    /// `securityContext`, a map.
    pub security_context: Option<String>,
    /// What it needs of the pod.
    pub needs: Needs,
    /// It may say who the container runs as.
    mentions_user: bool,
}

/// What a pod has a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit<'f> {
    /// `image`, from where it is pulled.
    pub image: Cow<'f, str>,
    /// `volumeMounts`, a list; empty: none.
    pub volume_mounts: Cow<'f, str>,
    /// `resources`, a map.
    pub resources: Option<Cow<'f, str>>,
    /// User and group that are written down, if they are.
    pub user: Option<(Option<i64>, Option<i64>)>,
    /// `restartPolicy`.
    pub restart_policy: Option<&'static str>,
}

/// The most bytes that a pod has a part in of a container that is kept: who makes pods names their volumes.
const MAX_FIT: usize = 4 * 1024;

impl Fit<'_> {
    fn length(&self) -> usize {
        self.image.len() + self.volume_mounts.len() + self.resources.as_ref().map_or(0, |resources| resources.len())
    }

    fn into_owned(self) -> Fit<'static> {
        Fit {
            image: self.image.into_owned().into(),
            volume_mounts: self.volume_mounts.into_owned().into(),
            resources: self.resources.map(|resources| resources.into_owned().into()),
            ..self
        }
    }
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// What it is known by.
    pub identity: Identity,
    /// The rest.
    pub body: Body,
    /// Its JSON of late, and what that was for: the replicas of a workload have the same.
    fitted: ArcSwapOption<(Fit<'static>, Arc<Kept>)>,
}

impl Container {
    /// Renders it; `None` if it can't be one, which is a problem then.
    pub fn render(
        view: View<'_>,
        template: &ContainerTemplate,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Option<Self>, EvaluationError> {
        let Some(identity) = Identity::render(view, template, item, problems)? else { return Ok(None) };
        let body = Body::render(view, template, &identity, item, problems)?;
        Ok(Some(Self { identity, body, fitted: ArcSwapOption::empty() }))
    }

    /// Its JSON in a pod.
    ///
    /// # Errors
    ///
    /// Its `securityContext` is no map.
    pub fn fit(&self, fit: Fit<'_>) -> Result<Fragment, EvaluationError> {
        if let Some(fitted) = &*self.fitted.load()
            && fitted.0 == fit
        {
            return Ok(Fragment::Kept(Arc::clone(&fitted.1)));
        }
        let json = self.body.fit(&self.identity, &fit)?;
        if fit.length() > MAX_FIT {
            return Ok(json.into());
        }
        let kept = Arc::new(Kept::new(json));
        self.fitted.store(Some(Arc::new((fit.into_owned(), Arc::clone(&kept)))));
        Ok(Fragment::Kept(kept))
    }
}

impl Identity {
    /// Renders it; `None` if it can't be a container's, which is a problem then.
    pub fn render(
        view: View<'_>,
        template: &ContainerTemplate,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Option<Self>, EvaluationError> {
        let name = text(&template.name, view, item, "name")?.unwrap_or_default();
        let name = joined([&*name, view.instance]);
        if let Some(problem) = names::label(&name, names::MAX_LABEL) {
            problems.push(problem);
            return Ok(None);
        }
        let image = text(&template.image, view, item, "image")?.unwrap_or_default();
        if image.is_empty() || image.trim() != &*image {
            problems.push(format!("{} is no image; write a name without blanks", quote(&image)));
            return Ok(None);
        }
        let command = owned(template.command.as_ref(), view, item, "command")?;
        Ok(Some(Self { name, image: image.into_owned(), command }))
    }
}

impl Body {
    /// Renders it.
    pub fn render(
        view: View<'_>,
        template: &ContainerTemplate,
        identity: &Identity,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Self, EvaluationError> {
        let before = problems.len();
        let mut json = MapWriter::with_capacity(512 + template.fixed.len());
        json.members(&template.fixed);
        for (key, node) in &template.rest {
            put(&mut json, key, Some(node), view, item)?;
        }
        environment(view, template, item, &mut json, problems)?;
        let ports = ports(view, template, item, &mut json, problems)?;
        let mounts = render(template.volume_mounts.as_ref(), view, item, "volumeMounts")?;
        let security_context = owned(template.security_context.as_ref(), view, item, "securityContext")?;
        let members = json.into_members();
        let rendered = Self {
            needs: Needs::of(&members, security_context.as_deref()),
            members,
            ports,
            mounts: Mount::read_all(mounts.as_ref(), "volumeMounts", problems)?,
            resources: owned(template.resources.as_ref(), view, item, "resources")?,
            mentions_user: security_context.as_deref().is_some_and(mentions_user),
            security_context,
        };
        if template.verify {
            // As the template says it, before a pod changes names of volumes, user and resources.
            let fit = Fit {
                image: (&*identity.image).into(),
                volume_mounts: mounts.unwrap_or_default(),
                resources: rendered.resources.as_deref().map(Cow::Borrowed),
                user: None,
                restart_policy: None,
            };
            problems.extend(verify::container(&rendered.fit(identity, &fit)?));
        }
        for problem in &mut problems[before..] {
            *problem = format!("container {}: {problem}", identity.name);
        }
        Ok(rendered)
    }

    /// The container's JSON in a pod.
    ///
    /// # Errors
    ///
    /// Its `securityContext` is no map.
    pub fn fit(&self, identity: &Identity, fit: &Fit<'_>) -> Result<String, EvaluationError> {
        let script = identity.command.as_deref().map_or(0, str::len);
        let mut json = MapWriter::with_capacity(768 + script + self.members.len());
        json.text("name", &identity.name);
        json.text("image", &fit.image);
        if let Some(command) = &identity.command {
            json.json("command", command);
        }
        json.members(&self.members);
        if !fit.volume_mounts.is_empty() {
            json.json("volumeMounts", &fit.volume_mounts);
        }
        if let Some(resources) = &fit.resources {
            json.json("resources", resources);
        }
        let context = self.security_context.as_deref();
        if let Some(user) = fit.user {
            let context = with_user(context.unwrap_or("{}"), self.mentions_user, user)
                .map_err(|error| EvaluationError::unreadable(&error).within("securityContext"))?;
            json.json("securityContext", &context);
        } else if let Some(context) = context {
            json.json("securityContext", context);
        }
        if let Some(policy) = fit.restart_policy {
            json.text("restartPolicy", policy);
        }
        Ok(json.finish())
    }
}

impl Size for Container {
    fn bytes(&self) -> usize {
        let Self { identity, body, .. } = self;
        let optional = [&identity.command, &body.resources, &body.security_context];
        let ports = body.ports.len() * size_of::<PortUse<'_>>();
        let optional = optional.into_iter().flatten().map(String::len).sum::<usize>();
        let mounts = body.mounts.iter().map(Size::bytes).sum::<usize>();
        let json = identity.name.len() + identity.image.len() + body.members.len() + optional;
        // In parts, and for the pods of late as a whole and as their answers have it.
        4 * json + ports + mounts
    }
}

fn environment(
    view: View<'_>,
    template: &ContainerTemplate,
    item: Option<&Item<'_>>,
    json: &mut MapWriter,
    problems: &mut Problems,
) -> Result<(), EvaluationError> {
    match &template.env {
        Some(env) if !env.has_fixed("name") => {
            let Some(env) = render(Some(env), view, item, "env")? else { return Ok(()) };
            let variables = read::<Vec<EnvVar<'_>>>(&env, "env")?;
            problems.extend(variables.iter().filter_map(|variable| names::variable(&variable.name)));
            json.json("env", &env);
        }
        env => put(json, "env", env.as_ref(), view, item)?,
    }
    put(json, "envFrom", template.env_from.as_ref(), view, item)
}

fn ports(
    view: View<'_>,
    template: &ContainerTemplate,
    item: Option<&Item<'_>>,
    json: &mut MapWriter,
    problems: &mut Problems,
) -> Result<Vec<PortUse<'static>>, EvaluationError> {
    let Some(ports) = render(template.ports.as_ref(), view, item, "ports")? else { return Ok(Vec::new()) };
    let read = read::<Vec<Port<'_>>>(&ports, "ports")?;
    let uses: Vec<_> = read.iter().map(|port| PortUse::of(port).into_owned()).collect();
    for port in &uses {
        let host_port = port.host_port != 0 && !is_port(port.host_port);
        if host_port || !is_port(port.number) {
            let found = if host_port { port.host_port } else { port.number };
            problems.push(format!("{found} is no port; allowed: 1 to 65535"));
        }
    }
    let mut of_host = HashSet::new();
    for port in uses.iter().filter(|port| port.host_port != 0) {
        if !of_host.insert((port.host_port, &*port.protocol, &*port.host_ip)) {
            problems.push(format!("two ports have the hostPort {}/{}", port.host_port, port.protocol));
        }
    }
    json.json("ports", &ports);
    Ok(uses)
}

fn is_port(number: i64) -> bool {
    (1..=65535).contains(&number)
}

/// Writes a field unless it is absent or `null`.
fn put(
    json: &mut MapWriter,
    key: &str,
    node: Option<&Node>,
    view: View<'_>,
    item: Option<&Item<'_>>,
) -> Result<(), EvaluationError> {
    let Some(node) = node else { return Ok(()) };
    json.try_member(key, |out| node.write(view.variables, item, out)).map_err(|error| error.within(key))
}

fn owned(
    node: Option<&Node>,
    view: View<'_>,
    item: Option<&Item<'_>>,
    field: &str,
) -> Result<Option<String>, EvaluationError> {
    Ok(render(node, view, item, field)?.map(std::borrow::Cow::into_owned))
}
