//! The Secret that the replicas share.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::authority::{Material, Sight, Stored};

use super::attempt::insist;
use super::{Failure, Names, Told, is_outdated};

/// The Secret, and what was last read of it.
pub(super) struct Vault {
    pub(super) api: Api<Secret>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) sight: Sight,
    /// What was told of failures to write it.
    pub(super) told: Told,
    /// The object itself, without the keys that the sight holds already.
    known: Option<Secret>,
}

impl Vault {
    pub(super) fn new(client: &Client, names: &Names) -> Self {
        let api = Api::namespaced(client.clone(), &names.namespace);
        let (namespace, name) = (names.namespace.clone(), names.secret.clone());
        Self { api, namespace, name, sight: Sight::Unread, told: Told::default(), known: None }
    }

    /// Takes in what a watch or an answer says; `false` if it is older than what is known, and then it is not.
    pub(super) fn take(&mut self, found: Option<Secret>) -> bool {
        let Some(mut secret) = found else {
            (self.known, self.sight) = (None, Sight::Absent);
            return true;
        };
        if self.known.as_ref().is_some_and(|known| is_outdated(&secret.metadata, &known.metadata)) {
            return false;
        }
        let data = secret.data.take().unwrap_or_default();
        let stored = Stored {
            data: data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect(),
            annotations: secret.metadata.annotations.clone().unwrap_or_default(),
        };
        let sight = match Material::read(&stored) {
            Ok(Some(material)) => Sight::Whole(Arc::new(material)),
            Ok(None) => Sight::Absent,
            Err(damage) => Sight::Damaged(damage),
        };
        if let Sight::Damaged(damage) = &sight
            && !matches!(self.sight, Sight::Damaged(_))
        {
            tracing::warn!("secret {}/{} is damaged: {damage}", self.namespace, self.name);
        }
        (self.known, self.sight) = (Some(secret), sight);
        true
    }

    /// Writes what is to be shared over what was last read.
    pub(super) async fn write(&mut self, material: &Material) -> Result<(), Failure> {
        let Stored { data, annotations } = material.store();
        let data: BTreeMap<_, _> = data.into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect();
        let mut secret = self.known.clone().unwrap_or_else(|| self.made());
        let kept = secret.metadata.annotations.take().unwrap_or_default();
        let kept = kept.into_iter().filter(|(key, _)| !Material::ANNOTATIONS.contains(&key.as_str()));
        secret.metadata.annotations = Some(kept.chain(annotations).collect());
        secret.data = Some(data);
        let params = PostParams::default();
        let written = match &self.known {
            // It carries the resourceVersion that was read.
            Some(_) => self.api.replace(&self.name, &params, &secret).await?,
            None => match self.api.create(&params, &secret).await {
                // What is not found is its namespace, and to read the Secret again would tell nothing.
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    return Err(Failure::Other(kube::Error::Api(status).into()));
                }
                created => created?,
            },
        };
        self.take(Some(written));
        Ok(())
    }

    /// A Secret where there is none. It says nothing that a manifest of it could disagree with.
    fn made(&self) -> Secret {
        let label = ("app.kubernetes.io/name".to_owned(), "podgraft".to_owned());
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some([label].into()),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        }
    }

    /// Reads what is there now: that counts, however old it says it is.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let found = insist(|| self.api.get_opt(&self.name)).await?;
        self.known = None;
        self.take(found);
        Ok(())
    }
}
