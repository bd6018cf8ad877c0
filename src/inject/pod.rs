//! A borrowed view of the incoming pod: only what the engine looks at is parsed, the text stays the truth.
//!
//! Lists and maps that are absent or `null` are `None`: for Kubernetes both are empty, and a patch has to create them.

mod volume;

pub use volume::Volume;

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::json::{Lazy, Members, Raw, Text, from_map};
use super::paths::clean;

/// How much of an entry's text counts as one where the entries themselves are not looked at: few are as short.
pub const ENTRY: usize = 32;

/// A core/v1 Pod.
#[derive(Debug, Default)]
pub struct Pod<'a> {
    /// `apiVersion`.
    pub api_version: Text<'a>,
    /// `kind`.
    pub kind: Text<'a>,
    /// `metadata`.
    pub metadata: Option<Metadata<'a>>,
    /// `spec`.
    pub spec: Option<Spec<'a>>,
    /// How many entries it has, where they are so many that they are not read ([`super::crowd`]).
    pub crowd: Option<usize>,
}

impl<'a> Pod<'a> {
    /// Its containers, and whether they are init containers: these first, then the app's.
    pub fn all_containers(&self) -> impl Iterator<Item = (bool, &Container<'a>)> {
        let init = self.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let app = self.spec.iter().flat_map(|spec| spec.containers.iter().flatten());
        init.map(|container| (true, container)).chain(app.map(|container| (false, container)))
    }

    /// How many bytes its annotations of such keys take, keys and values together, as Kubernetes counts them.
    #[must_use]
    pub fn annotations_len(&self, counts: impl Fn(&str) -> bool) -> usize {
        let all = self.metadata.iter().flat_map(|metadata| metadata.annotations.iter().flat_map(Members::iter));
        all.filter(|(key, _)| counts(key)).map(|(key, value)| key.len() + value.len()).sum()
    }

    /// The names that grafts compare theirs with, and what has them: containers and volumes.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let containers = self.all_containers().map(|(_, container)| ("container", &*container.name));
        let ephemeral = self.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
        let volumes = self.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let ephemeral = ephemeral.map(|container| ("container", &*container.name));
        containers.chain(ephemeral).chain(volumes.map(|volume| ("volume", &*volume.name)))
    }

    /// How much there is to compare with.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.crowd.unwrap_or_else(|| self.spec.as_ref().map_or(0, Spec::entries))
    }
}

/// `metadata`.
#[derive(Debug, Default)]
pub struct Metadata<'a> {
    /// `name`; empty while the API server has not made one from `generateName`.
    pub name: Text<'a>,
    /// `generateName`.
    pub generate_name: Text<'a>,
    /// `namespace`.
    pub namespace: Text<'a>,
    /// `labels`.
    pub labels: Option<Members<'a, Text<'a>>>,
    /// `annotations`.
    pub annotations: Option<Members<'a, Text<'a>>>,
}

/// `spec`.
#[derive(Debug, Default)]
pub struct Spec<'a> {
    /// `initContainers`.
    pub init_containers: Option<Vec<Container<'a>>>,
    /// `containers`.
    pub containers: Option<Vec<Container<'a>>>,
    /// `ephemeralContainers`.
    pub ephemeral_containers: Option<Vec<Named<'a>>>,
    /// `volumes`.
    pub volumes: Option<Vec<Volume<'a>>>,
    /// `imagePullSecrets`.
    pub image_pull_secrets: Option<Vec<Named<'a>>>,
    /// `hostAliases`.
    pub host_aliases: Option<Vec<HostAlias<'a>>>,
    /// `restartPolicy`; empty is Always.
    pub restart_policy: Text<'a>,
    /// `hostNetwork`.
    pub host_network: Option<bool>,
    /// `hostUsers`; `false` gives the pod a user namespace of its own (KEP-127).
    pub host_users: Option<bool>,
    /// `terminationGracePeriodSeconds`.
    pub termination_grace_period_seconds: Option<i64>,
    /// `automountServiceAccountToken`.
    pub automount_service_account_token: Option<bool>,
    /// `os`.
    pub os: Option<Named<'a>>,
    /// `nodeSelector`.
    pub node_selector: Option<Members<'a, Text<'a>>>,
    /// `securityContext`.
    pub security_context: Option<SecurityContext>,
    /// `resources` of the pod as a whole (KEP-2837).
    pub resources: Option<Resources<'a>>,
}

impl Spec<'_> {
    /// How much there is to compare with: volumes, containers, the entries of their lists, and those of the pod's own.
    #[must_use]
    pub fn entries(&self) -> usize {
        fn len<T>(list: Option<&Vec<T>>) -> usize {
            list.map_or(0, Vec::len)
        }
        let each = self.init_containers.iter().chain(&self.containers).flatten().map(Container::entries);
        let lists = len(self.volumes.as_ref()) + len(self.ephemeral_containers.as_ref());
        lists + len(self.image_pull_secrets.as_ref()) + len(self.host_aliases.as_ref()) + each.sum::<usize>()
    }
}

/// Something of which only the name matters.
#[derive(Debug, Clone, Default)]
pub struct Named<'a> {
    /// `name`.
    pub name: Text<'a>,
}

/// An entry of `hostAliases`.
#[derive(Debug, Clone, Default)]
pub struct HostAlias<'a> {
    /// `ip`.
    pub ip: Text<'a>,
}

/// An entry of `containers` or `initContainers`.
#[derive(Debug, Default)]
pub struct Container<'a> {
    /// `name`.
    pub name: Text<'a>,
    /// `image`.
    pub image: Text<'a>,
    /// `command`.
    pub command: Option<&'a RawValue>,
    /// `env`.
    pub env: Lazy<'a, EnvVar<'a>>,
    /// `envFrom`.
    pub env_from: Lazy<'a, EnvSource<'a>>,
    /// `ports`.
    pub ports: Lazy<'a, Port<'a>>,
    /// `volumeMounts`.
    pub volume_mounts: Option<Vec<VolumeMount<'a>>>,
    /// `volumeDevices`.
    pub volume_devices: Lazy<'a, VolumeDevice<'a>>,
    /// `resources`.
    pub resources: Option<Resources<'a>>,
    /// `securityContext`.
    pub security_context: Option<SecurityContext>,
    /// `restartPolicy`; `Always` on an init container makes it a native sidecar (KEP-753).
    pub restart_policy: Text<'a>,
}

impl Container<'_> {
    /// It and the entries of its lists, as they count against those of a pod.
    #[must_use]
    pub fn entries(&self) -> usize {
        // These lists are not read for it.
        let Self { env, env_from, ports, volume_devices, .. } = self;
        let text = env.text_len() + env_from.text_len() + ports.text_len() + volume_devices.text_len();
        1 + self.volume_mounts.as_ref().map_or(0, Vec::len) + text / ENTRY
    }

    /// Whether an entry of `initContainers` is a native sidecar (KEP-753).
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        &*self.restart_policy == "Always"
    }
}

/// One of the pod's containers and its place: what grafts are wired into.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// It is in `initContainers`, else in `containers`.
    pub init: bool,
    /// Its index there.
    pub index: usize,
    /// The container.
    pub container: &'a Container<'a>,
}

impl<'a> Target<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.container.name
    }

    /// The list that it is in.
    #[must_use]
    pub const fn list(&self) -> &'static str {
        if self.init { "initContainers" } else { "containers" }
    }
}

/// An entry of `env`.
#[derive(Debug, Clone, Default)]
pub struct EnvVar<'a> {
    /// `name`.
    pub name: Text<'a>,
    /// `value`.
    pub value: Text<'a>,
    /// `valueFrom`.
    pub value_from: Option<&'a RawValue>,
}

/// An entry of `envFrom`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EnvSource<'a> {
    /// `prefix`.
    pub prefix: Text<'a>,
    /// `configMapRef`.
    pub config_map_ref: Option<SourceRef<'a>>,
    /// `secretRef`.
    pub secret_ref: Option<SourceRef<'a>>,
}

impl EnvSource<'_> {
    /// Whether it is of a kind that is known: only of these can be said that two are the same.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.config_map_ref.is_some() || self.secret_ref.is_some()
    }
}

/// What an entry of `envFrom` refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SourceRef<'a> {
    /// `name`.
    pub name: Text<'a>,
    /// `optional`.
    pub optional: Option<bool>,
}

/// An entry of `ports`.
#[derive(Debug, Clone, Default)]
pub struct Port<'a> {
    /// `name`.
    pub name: Text<'a>,
    /// `containerPort`.
    pub container_port: i64,
    /// `hostPort`; 0 is none.
    pub host_port: Option<i64>,
    /// `hostIP`; empty is every address.
    pub host_ip: Text<'a>,
    /// `protocol`; empty is TCP.
    pub protocol: Text<'a>,
}

impl Port<'_> {
    /// `protocol`, the default filled in.
    #[must_use]
    pub fn protocol(&self) -> &str {
        if self.protocol.is_empty() { "TCP" } else { &self.protocol }
    }
}

/// An entry of `volumeMounts`.
#[derive(Debug, Clone, Default)]
pub struct VolumeMount<'a> {
    /// `name` of the volume.
    pub name: Text<'a>,
    /// `mountPath`.
    pub mount_path: Text<'a>,
    /// `subPath`.
    pub sub_path: Text<'a>,
    /// `subPathExpr`.
    pub sub_path_expr: Text<'a>,
    /// `readOnly`.
    pub read_only: Option<bool>,
    /// The cleaned path, where that is another one.
    cleaned: OnceCell<Option<String>>,
}

impl<'a> VolumeMount<'a> {
    /// `mountPath`, cleaned: once, as each graft asks several times.
    #[must_use]
    pub fn path(&self) -> &str {
        let cleaned = self.cleaned.get_or_init(|| match clean(&self.mount_path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(cleaned) => Some(cleaned),
        });
        cleaned.as_deref().unwrap_or(&self.mount_path)
    }

    /// The view of a mount that has been taken apart.
    #[must_use]
    pub fn of(members: &Members<'a, Raw<'a>>) -> Self {
        let text = |key| members.get(key).map(|raw| Text::of(raw)).unwrap_or_default();
        Self {
            name: text("name"),
            mount_path: text("mountPath"),
            sub_path: text("subPath"),
            sub_path_expr: text("subPathExpr"),
            read_only: members.get("readOnly").map(|raw| raw.get() == "true"),
            cleaned: OnceCell::new(),
        }
    }
}

/// An entry of `volumeDevices`.
#[derive(Debug, Clone, Default)]
pub struct VolumeDevice<'a> {
    /// `name` of the volume.
    pub name: Text<'a>,
    /// `devicePath`.
    pub device_path: Text<'a>,
}

/// `resources` of a container or pod.
#[derive(Debug, Clone, Default)]
pub struct Resources<'a> {
    /// `limits`.
    pub limits: Option<Members<'a, Text<'a>>>,
    /// `requests`.
    pub requests: Option<Members<'a, Text<'a>>>,
}

impl<'a> Resources<'a> {
    /// A limit that is set.
    #[must_use]
    pub fn limit(&self, resource: &str) -> Option<&Text<'a>> {
        self.limits.as_ref()?.get(resource)
    }

    /// A request that is set.
    #[must_use]
    pub fn request(&self, resource: &str) -> Option<&Text<'a>> {
        self.requests.as_ref()?.get(resource)
    }

    /// Whether nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limits.as_ref().is_none_or(Members::is_empty) && self.requests.as_ref().is_none_or(Members::is_empty)
    }
}

/// `securityContext` of a container or pod.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecurityContext {
    /// `runAsUser`.
    pub run_as_user: Option<i64>,
    /// `runAsGroup`.
    pub run_as_group: Option<i64>,
    /// `windowsOptions`.
    pub windows_options: Option<WindowsOptions>,
}

/// `windowsOptions` of a container or pod.
#[derive(Debug, Clone, Copy, Default)]
pub struct WindowsOptions {
    /// `hostProcess`.
    pub host_process: Option<bool>,
}

from_map! {
    Pod<'a>, "a pod": {
        b"apiVersion" => api_version,
        b"kind" => kind,
        b"metadata" => metadata,
        b"spec" => spec; but crowd
    }
    Metadata<'a>, "metadata": {
        b"name" => name,
        b"generateName" => generate_name,
        b"namespace" => namespace,
        b"labels" => labels,
        b"annotations" => annotations
    }
    Spec<'a>, "a pod spec": {
        b"initContainers" => init_containers,
        b"containers" => containers,
        b"ephemeralContainers" => ephemeral_containers,
        b"volumes" => volumes,
        b"imagePullSecrets" => image_pull_secrets,
        b"hostAliases" => host_aliases,
        b"restartPolicy" => restart_policy,
        b"hostNetwork" => host_network,
        b"hostUsers" => host_users,
        b"terminationGracePeriodSeconds" => termination_grace_period_seconds,
        b"automountServiceAccountToken" => automount_service_account_token,
        b"os" => os,
        b"nodeSelector" => node_selector,
        b"securityContext" => security_context,
        b"resources" => resources
    }
    Named<'a>, "a map with a name": {
        b"name" => name
    }
    HostAlias<'a>, "a host alias": {
        b"ip" => ip
    }
    Container<'a>, "a container": {
        b"name" => name,
        b"image" => image,
        b"command" => command,
        b"env" => env,
        b"envFrom" => env_from,
        b"ports" => ports,
        b"volumeMounts" => volume_mounts,
        b"volumeDevices" => volume_devices,
        b"resources" => resources,
        b"securityContext" => security_context,
        b"restartPolicy" => restart_policy
    }
    EnvVar<'a>, "a variable": {
        b"name" => name,
        b"value" => value,
        b"valueFrom" => value_from
    }
    EnvSource<'a>, "a source of variables": {
        b"prefix" => prefix,
        b"configMapRef" => config_map_ref,
        b"secretRef" => secret_ref
    }
    SourceRef<'a>, "a reference": {
        b"name" => name,
        b"optional" => optional
    }
    Port<'a>, "a port": {
        b"name" => name,
        b"containerPort" => container_port,
        b"hostPort" => host_port,
        b"hostIP" => host_ip,
        b"protocol" => protocol
    }
    VolumeMount<'a>, "a volume mount": {
        b"name" => name,
        b"mountPath" => mount_path,
        b"subPath" => sub_path,
        b"subPathExpr" => sub_path_expr,
        b"readOnly" => read_only; but cleaned
    }
    VolumeDevice<'a>, "a volume device": {
        b"name" => name,
        b"devicePath" => device_path
    }
    Resources<'a>, "resources": {
        b"limits" => limits,
        b"requests" => requests
    }
    SecurityContext, "a security context": {
        b"runAsUser" => run_as_user,
        b"runAsGroup" => run_as_group,
        b"windowsOptions" => windows_options
    }
    WindowsOptions, "options of Windows": {
        b"hostProcess" => host_process
    }
}
