//! The Kubernetes API: what a running podgraft reads from it and writes to it.
//!
//! Everything here is optional: without an API server, or without the permission to use it, files and built-in
//! templates are served as before.

pub mod certificate;
pub mod client;
