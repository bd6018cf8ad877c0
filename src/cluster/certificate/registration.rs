//! A webhook configuration, whose entries say by `caBundle` whom the API server trusts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::authority::{self, GENERATION, Registration, Trust};

use super::attempt::insist;
use super::{Failure, Told, is_outdated};

/// Who owns the `caBundle` fields, as server-side apply keeps account of them.
const MANAGER: &str = "podgraft-certificates";

/// The two kinds of configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mutating,
    Validating,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// As a Role names it.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }

    fn resource(self) -> ApiResource {
        ApiResource {
            group: "admissionregistration.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "admissionregistration.k8s.io/v1".to_owned(),
            kind: self.name().to_owned(),
            plural: self.plural().to_owned(),
        }
    }
}

/// A configuration, and what was last read of it.
pub(super) struct Configuration {
    pub(super) kind: Kind,
    pub(super) api: Api<DynamicObject>,
    pub(super) name: String,
    pub(super) sight: Registration,
    /// What was told of failures to write it.
    pub(super) told: Told,
    known: Option<DynamicObject>,
}

impl Configuration {
    pub(super) fn new(client: &Client, kind: Kind, name: String) -> Self {
        let api = Api::all_with(client.clone(), &kind.resource());
        Self { kind, api, name, sight: Registration::Unread, told: Told::default(), known: None }
    }

    /// Takes in what a watch or an answer says; `false` if it is older than what is known, and then it is not.
    pub(super) fn take(&mut self, found: Option<DynamicObject>) -> bool {
        let Some(object) = found else {
            if self.sight != Registration::Missing {
                let (kind, name) = (self.kind.plural(), &self.name);
                tracing::warn!("there is no {kind}/{name}: the API server does not call us by it");
            }
            (self.known, self.sight) = (None, Registration::Missing);
            return true;
        };
        if self.known.as_ref().is_some_and(|known| is_outdated(&object.metadata, &known.metadata)) {
            return false;
        }
        let generation = object.metadata.annotations.as_ref().and_then(authority::generation);
        let entries = entries(&object).iter().map(trust).collect();
        (self.known, self.sight) = (Some(object), Registration::Present { generation, entries });
        true
    }

    /// Has every entry of what was last read trust these, and touches nothing else.
    ///
    /// Apply would make a configuration that was deleted anew, and an entry that was removed too: uid and
    /// resourceVersion make it conflict instead.
    pub(super) async fn apply(&mut self, wanted: &Trust, generation: u64) -> Result<(), Failure> {
        let Some(known) = &self.known else { return Ok(()) };
        let bundle = BASE64_STANDARD.encode(wanted.pem());
        let entries: Vec<_> = entries(known)
            .iter()
            .map(|entry| json!({"name": entry["name"], "clientConfig": {"caBundle": bundle}}))
            .collect();
        let ours = json!({
            "apiVersion": self.kind.resource().api_version,
            "kind": self.kind.name(),
            "metadata": {
                "name": self.name,
                "uid": known.metadata.uid,
                "resourceVersion": known.metadata.resource_version,
                "annotations": {(GENERATION): generation.to_string()},
            },
            "webhooks": entries,
        });
        let params = PatchParams::apply(MANAGER).force();
        let applied = self.api.patch(&self.name, &params, &Patch::Apply(ours)).await?;
        self.take(Some(applied));
        Ok(())
    }

    /// Reads what is there now: that counts, however old it says it is.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let found = insist(|| self.api.get_opt(&self.name)).await?;
        self.known = None;
        self.take(found);
        Ok(())
    }
}

fn entries(configuration: &DynamicObject) -> &[Value] {
    configuration.data["webhooks"].as_array().map_or(&[], Vec::as_slice)
}

/// Whom an entry trusts. Nothing at all is nothing else but certificates too.
fn trust(entry: &Value) -> (Trust, bool) {
    let bundle = entry["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    match BASE64_STANDARD.decode(bundle) {
        Ok(pem) => Trust::read(&pem),
        Err(_) => (Trust::default(), false),
    }
}
