//! The kinds of objects that are watched.

use kube::api::Api;
use kube::core::ApiResource;
use kube::{Client, ResourceExt};

use super::object::Object;

/// The API group of the templates.
pub(super) const GROUP: &str = "podgraft.dev";

/// The version of that group.
pub(super) const VERSION: &str = "v1alpha1";

/// A kind of objects that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ClusterInjectionTemplate`.
    ClusterTemplate,
    /// `InjectionTemplate`.
    Template,
    /// `Namespace`.
    Namespace,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::ClusterTemplate, Self::Template, Self::Namespace];

    /// As `kubectl get` and the rules of a ClusterRole name it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ClusterTemplate => "clusterinjectiontemplates",
            Self::Template => "injectiontemplates",
            Self::Namespace => "namespaces",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClusterTemplate => "ClusterInjectionTemplate",
            Self::Template => "InjectionTemplate",
            Self::Namespace => "Namespace",
        }
    }

    /// Whether there is none of it in a cluster before its definition is installed.
    pub(super) fn is_custom(self) -> bool {
        match self {
            Self::Namespace => false,
            Self::ClusterTemplate | Self::Template => true,
        }
    }

    fn resource(self) -> ApiResource {
        let (group, version, api_version) = match self {
            Self::Namespace => ("", "v1", "v1".to_owned()),
            Self::ClusterTemplate | Self::Template => (GROUP, VERSION, api_version()),
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: self.name().to_owned(),
            plural: self.plural().to_owned(),
        }
    }

    /// All objects of the kind, in all namespaces.
    pub(super) fn all(self, client: &Client) -> Api<Object> {
        Api::all_with(client.clone(), &self.resource())
    }

    /// The objects beside `key`: those of its namespace, or of the cluster.
    pub(super) fn beside(self, key: &Key, client: &Client) -> Api<Object> {
        match &key.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource()),
            None => self.all(client),
        }
    }
}

/// `apiVersion` of the templates.
pub(super) fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// An object among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Key {
    pub(super) fn of(object: &Object) -> Self {
        Self { namespace: object.namespace(), name: object.name_any() }
    }
}
