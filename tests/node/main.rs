//! Real pods on a real kubelet, seen through kubectl.
//!
//! The tests run where `PODGRAFT_NODE_TESTS=1` says that the cluster of `$KUBECONFIG` may be used, and say that they are
//! skipped elsewhere. They put everything into namespaces of their own and remove these at the end, so that several runs
//! can share a cluster. More variables:
//!
//! - `PODGRAFT_NODE_SERVER`: `cluster` (default): podgraft runs in the cluster, from its image; `local`: the program just
//!   built runs on this machine, which is quicker to try things with.
//! - `PODGRAFT_NODE_IMAGE`: podgraft's image, which the node must have or be able to pull; default `podgraft:VERSION`.
//!   `tests/node/images podgraft` makes `podgraft:dev` of the program just built, for quick turns.
//! - `PODGRAFT_NODE_HOST`: the address at which pods and the API server reach this machine; default: that of the API server.
//! - `PODGRAFT_NODE_KEEP=1` leaves the namespaces as they are at the end, to be looked at.

#![expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]

mod cluster;
mod databases;
mod manifests;
mod podgraft;
mod scene;

#[path = "../apiserver/process.rs"]
mod process;

#[path = "../it"]
mod it {
    #[expect(dead_code, unused_imports, clippy::unwrap_used, reason = "tests/it uses more of it, and may unwrap")]
    pub mod servers;
}

mod availability;
mod every_template;
mod init;
mod lifecycle;
mod messages;
mod security;
mod sidecar;
mod waiting;
mod workloads;
