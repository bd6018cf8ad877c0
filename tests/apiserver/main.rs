//! A real kube-apiserver calls podgraft as `deploy/webhook.yaml` registers it.
//!
//! `$KUBEBUILDER_ASSETS` names the directory with etcd, kube-apiserver and kubectl (the envtest convention); without it
//! the tests say that they are skipped, and with `CI=true` they fail.

#![expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]

mod authority;
mod control_plane;
mod podgraft;
mod process;
mod scene;
mod stub;

mod accounts;
mod availability;
mod corpus;
mod injection;
mod neighbours;
mod registration;
