//! A real kube-apiserver calls podgraft as `deploy/webhook.yaml` registers it.
//!
//! `$KUBEBUILDER_ASSETS` names the directory with etcd, kube-apiserver and kubectl (the envtest convention); without it
//! the tests say that they are skipped, and with `CI=true` they fail.

#![expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]

mod account;
mod authority;
mod certificates;
mod control_plane;
mod podgraft;
mod process;
mod scene;
mod stub;

#[path = "../it/properties/make.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the property tests use more of it, and may unwrap")]
mod make;

#[path = "../it/properties/templates.rs"]
mod templates;

/// What the made-up pods ask for, beside templates of their own.
mod builtin {
    use std::sync::Arc;

    use podgraft::template::{LoadOptions, Template, builtin};

    pub fn templates() -> impl Iterator<Item = Arc<Template>> {
        builtin(&LoadOptions::default()).expect("they load").into_iter().map(Arc::new)
    }
}

mod accounts;
mod availability;
mod cluster;
mod corpus;
mod events;
mod helm;
mod injection;
mod install;
mod made;
mod neighbours;
mod pod_security;
mod prefix;
mod registration;
mod validation;
