//! podgraft: a mutating admission webhook that grafts init containers and sidecars onto pods that ask by annotation.
//!
//! A pure core in a thin shell. The core decides and never touches a file, a clock, the environment or a socket:
//!
//! - [`template`]: YAML in, compiled templates out;
//! - [`snapshot`]: the immutable set that a request sees;
//! - [`inject`]: pod and snapshot in, [`inject::Outcome`] out;
//! - [`admission`]: the same over AdmissionReview bytes;
//! - [`validate`]: warnings about workloads, namespaces and templates while they are applied;
//! - [`manifest`]: the pods in YAML and JSON files, and the files with a patch applied.
//!
//! The shell does IO and decides nothing:
//!
//! - [`files`]: files read whole, within a bound, and directories in one version;
//! - [`library`]: template directories and namespace files into snapshots, watched;
//! - [`cluster`]: templates and namespaces of the Kubernetes API, watched;
//! - [`authority`]: what replicas do to have certificates that the API server trusts; decides, and does nothing;
//! - [`tls`]: certificates into a rustls configuration, watched;
//! - [`server`]: HTTPS webhook and admin port;
//! - [`wait`]: what the injected init containers run until a database or service is ready;
//! - [`cli`]: the command line, one file a subcommand.

pub mod admission;
pub(crate) mod anew;
pub(crate) mod aside;
pub mod authority;
pub mod cli;
pub mod cluster;
pub mod files;
pub mod inject;
pub mod json;
pub mod library;
pub mod manifest;
pub mod metrics;
pub(crate) mod nearest;
pub mod server;
pub mod shutdown;
pub mod snapshot;
pub mod telemetry;
pub mod template;
pub mod tls;
pub mod validate;
pub mod wait;
pub mod watch;
