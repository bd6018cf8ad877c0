//! What the sidecars of the built-in templates do in real pods.

mod backup;
mod cache;
mod config_reloader;
mod content_sync;
mod log_shipper;
mod metrics_exporter;
mod proxy;
