//! What operators see: one struct of metrics on a registry of its own, so that tests run beside each other.
//!
//! Times are in seconds and labels bounded. Everything that a request counts is resolved beforehand, because looking
//! a labelled counter up takes a lock; rejections are looked up, as they are rare and are logged anyway.

mod label;
mod process;

pub use label::{ByLabel, EventFate, Graft, HandshakeFailure, Label, Load, Operation, Verdict};

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::inject::outcome::Reason;
use crate::snapshot::Snapshot;

/// Upper bounds of the latency histogram: most answers take well under a millisecond, the registration's timeout
/// is 5 s.
const LATENCIES: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Templates that are counted under their own names. Each name costs five series, and whoever may write templates in some
/// namespace says how many there are.
const MAX_COUNTED: usize = 1_000;

/// The name that all others are counted under: no template can have it.
const OTHERS: &str = "(others)";

/// Counts something for as long as it lasts.
#[derive(Debug)]
pub struct Lasting(IntGauge);

impl Lasting {
    /// Counts it from now on.
    #[must_use]
    pub fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Vec<(Operation, ByLabel<Verdict>)>,
    /// From the body's last byte to the answer's first, without the network.
    pub duration: Histogram,
    injections: IntCounterVec,
    /// The templates that have series in it.
    counted: Mutex<HashSet<String>>,
    rejections: IntCounterVec,
    /// Readings of template files, compiled or refused.
    pub template_loads: ByLabel<Load>,
    template_last_success: Gauge,
    templates: IntGauge,
    /// Files and objects of templates that are bad as they are now.
    pub templates_refused: IntGauge,
    /// Readings of the certificate directory that brought another certificate, or a bad one; the same of client authorities.
    pub certificate_loads: ByLabel<Load>,
    certificate_expiry: Gauge,
    /// Failed handshakes.
    pub handshake_failures: ByLabel<HandshakeFailure>,
    /// Open connections of the webhook.
    pub connections: IntGauge,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// Requests that were turned away because too many were in flight.
    pub shed: IntCounter,
    /// Rejections that Events tell of.
    pub events: ByLabel<EventFate>,
    /// Entries of the registration that look for another annotation prefix.
    pub prefix_mismatches: IntGauge,
    /// 1 where `/readyz` says that requests should be sent here.
    pub ready: IntGauge,
}

/// The counters of a snapshot's templates.
#[derive(Debug, Default)]
pub struct Injections(HashMap<String, Arc<ByLabel<Graft>>>);

impl Injections {
    /// Counts what became of a template. Names that the snapshot doesn't know are not counted: they are no label.
    pub fn inc(&self, template: &str, graft: Graft) {
        if let Some(counters) = self.0.get(template) {
            counters.inc(graft);
        }
    }
}

impl Metrics {
    /// Metrics that are all zero.
    ///
    /// # Errors
    ///
    /// A name is taken or no name: a mistake of ours, which every test would find.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests =
            counters(&registry, "podgraft_admission_requests_total", "Requests, by answer", &["operation", "outcome"])?;
        let injections = counters(
            &registry,
            "podgraft_injections_total",
            "Templates asked for, by what came of it",
            &["template", "outcome"],
        )?;
        let rejections =
            counters(&registry, "podgraft_rejections_total", "Reasons for which pods were denied", &["reason"])?;
        for reason in Reason::LABELS {
            rejections.with_label_values(&[reason]);
        }
        let duration = Histogram::with_opts(
            HistogramOpts::new("podgraft_admission_duration_seconds", "Time to decide, without the network")
                .buckets(LATENCIES.to_vec()),
        )?;
        registry.register(Box::new(duration.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("podgraft_build_info", "1, with the version as its label"), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let shed =
            IntCounter::new("podgraft_requests_shed_total", "Requests turned away because too many were in flight")?;
        registry.register(Box::new(shed.clone()))?;
        let metrics = Self {
            requests: Operation::ALL
                .iter()
                .map(|operation| {
                    (*operation, ByLabel::resolve(|word| requests.with_label_values(&[operation.word(), word])))
                })
                .collect(),
            duration,
            injections,
            counted: Mutex::default(),
            rejections,
            template_loads: by_label(
                &registry,
                "podgraft_template_loads_total",
                "Readings of template files",
                "result",
            )?,
            template_last_success: timestamp(
                &registry,
                "podgraft_template_last_success_timestamp_seconds",
                "When templates were last read without a mistake",
            )?,
            templates: gauge(&registry, "podgraft_templates", "Templates in force")?,
            templates_refused: gauge(
                &registry,
                "podgraft_templates_refused",
                "Files and objects that are refused as they are now; of some, the last good version is in force",
            )?,
            certificate_loads: by_label(
                &registry,
                "podgraft_certificate_loads_total",
                "Changes of the certificate files, and of those of client authorities",
                "result",
            )?,
            certificate_expiry: timestamp(
                &registry,
                "podgraft_certificate_expiry_timestamp_seconds",
                "When the certificate in force expires",
            )?,
            handshake_failures: by_label(
                &registry,
                "podgraft_tls_handshake_failures_total",
                "Failed TLS handshakes; unknown_ca and bad_certificate mean a stale caBundle, client_refused a stranger",
                "reason",
            )?,
            connections: gauge(&registry, "podgraft_connections", "Open connections of the webhook")?,
            in_flight: gauge(&registry, "podgraft_requests_in_flight", "Requests being answered")?,
            shed,
            events: by_label(
                &registry,
                "podgraft_rejection_events_total",
                "Rejections of controllers' pods, by what became of the Event that tells of them",
                "result",
            )?,
            prefix_mismatches: gauge(
                &registry,
                "podgraft_registration_prefix_mismatches",
                "Entries of the webhook configurations that look for another annotation prefix than this replica",
            )?,
            ready: gauge(&registry, "podgraft_ready", "1 if requests should be sent here, as /readyz says")?,
            registry,
        };
        metrics.registry.register(Box::new(process::Collector::new()?))?;
        Ok(metrics)
    }

    /// Counts an answer.
    pub fn answered(&self, operation: Operation, verdict: Verdict) {
        if let Some((_, verdicts)) = self.requests.iter().find(|(known, _)| *known == operation) {
            verdicts.inc(verdict);
        }
    }

    /// Counts a reason for which a pod was denied.
    pub fn rejected(&self, reason: &'static str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    /// Notes a new set of templates, and resolves its counters: those of the first so many names are their own, the cluster's
    /// before those of namespaces. Those of templates that are gone are no more: names come and go, and each costs a scrape
    /// for as long as it stays.
    #[must_use]
    pub fn templates(&self, snapshot: &Snapshot) -> Injections {
        let of = |name: &str| Arc::new(ByLabel::resolve(|word| self.injections.with_label_values(&[name, word])));
        let mut known = HashMap::new();
        let mut labels = HashSet::new();
        let mut others = None;
        let mut count = 0;
        for template in snapshot.templates.iter() {
            count += 1;
            known.entry(template.name.clone()).or_insert_with_key(|name| {
                if labels.len() < MAX_COUNTED {
                    labels.insert(name.clone());
                    of(name)
                } else {
                    Arc::clone(others.get_or_insert_with(|| of(OTHERS)))
                }
            });
        }
        labels.extend(others.map(|_| OTHERS.to_owned()));
        self.templates.set(count);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for name in counted.difference(&labels) {
            // An error says that there is no such series.
            let gone = |graft: &Graft| self.injections.remove_label_values(&[name.as_str(), graft.word()]).is_ok();
            Graft::ALL.iter().map(gone).for_each(drop);
        }
        *counted = labels;
        Injections(known)
    }

    /// Notes that all templates could be read.
    pub fn templates_read(&self, at: SystemTime) {
        self.template_last_success.set(seconds(at));
    }

    /// Notes a certificate in force.
    pub fn certificate(&self, not_after: SystemTime) {
        self.certificate_expiry.set(seconds(not_after));
    }

    /// All of it in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// The encoder's; it has none for what is registered here.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn by_label<L: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<ByLabel<L>, prometheus::Error> {
    let counters = counters(registry, name, help, &[label])?;
    Ok(ByLabel::resolve(|word| counters.with_label_values(&[word])))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn timestamp(registry: &Registry, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    let gauge = Gauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{self, LoadOptions, Origin, Template};

    #[test]
    fn every_metric_that_operators_build_on_is_there_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.rejected("port");
        let text = metrics.text().unwrap();
        for line in [
            r#"podgraft_admission_requests_total{operation="create",outcome="injected"} 0"#,
            r#"podgraft_admission_duration_seconds_bucket{le="0.0001"} 0"#,
            r#"podgraft_rejections_total{reason="port"} 1"#,
            r#"podgraft_template_loads_total{result="failed"} 0"#,
            "podgraft_template_last_success_timestamp_seconds 0",
            "podgraft_templates 0",
            "podgraft_templates_refused 0",
            "podgraft_ready 0",
            "podgraft_certificate_expiry_timestamp_seconds 0",
            r#"podgraft_tls_handshake_failures_total{reason="unknown_ca"} 0"#,
            "podgraft_connections 0",
            "podgraft_requests_in_flight 0",
            "podgraft_requests_shed_total 0",
            concat!(r#"podgraft_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn an_answer_counts_where_it_belongs() {
        let metrics = Metrics::new().unwrap();
        metrics.answered(Operation::Create, Verdict::Rejected);
        metrics.handshake_failures.inc(HandshakeFailure::Timeout);
        let text = metrics.text().unwrap();
        assert!(text.contains("podgraft_admission_requests_total{operation=\"create\",outcome=\"rejected\"} 1\n"));
        assert!(text.contains("podgraft_admission_requests_total{operation=\"other\",outcome=\"rejected\"} 0\n"));
        assert!(text.contains("podgraft_tls_handshake_failures_total{reason=\"timeout\"} 1\n"));
    }

    #[test]
    fn the_process_is_measured_under_the_names_that_dashboards_know() {
        let text = Metrics::new().unwrap().text().unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name)).expect(name);
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let age = seconds(SystemTime::now()) - value("process_start_time_seconds");
        assert!((-2.0..24.0 * 3600.0).contains(&age), "{age}");
    }

    fn load(name: &str, namespace: Option<&str>) -> Arc<Template> {
        let (kind, namespace) = match namespace {
            Some(namespace) => ("InjectionTemplate", format!(", namespace: {namespace}")),
            None => ("ClusterInjectionTemplate", String::new()),
        };
        let metadata = format!("{{name: {name}{namespace}}}");
        let text = format!("apiVersion: podgraft.dev/v1alpha1\nkind: {kind}\nmetadata: {metadata}\nspec: {{}}\n");
        let mut loaded = template::load(Origin("a".into()), &text, &LoadOptions::default()).unwrap();
        Arc::new(loaded.templates.remove(0))
    }

    fn take(metrics: &Metrics, templates: impl IntoIterator<Item = Arc<Template>>) -> Injections {
        let mut snapshot = Snapshot::default();
        templates.into_iter().for_each(|template| snapshot.templates.insert(template));
        metrics.templates(&snapshot)
    }

    fn series(metrics: &Metrics, template: &str) -> usize {
        let label = format!("template=\"{template}\"");
        metrics.text().unwrap().lines().filter(|line| line.contains(&label)).count()
    }

    #[test]
    fn templates_that_are_gone_have_no_series() {
        let metrics = Metrics::new().unwrap();
        let both = |metrics: &Metrics| (series(metrics, "stays"), series(metrics, "goes"));
        let injections = take(&metrics, [load("stays", None), load("goes", None)]);
        injections.inc("stays", Graft::Injected);
        assert_eq!(both(&metrics), (Graft::ALL.len(), Graft::ALL.len()));
        let _ = take(&metrics, [load("stays", None)]);
        // A request that still has the set of before.
        injections.inc("goes", Graft::Injected);
        assert_eq!(both(&metrics), (Graft::ALL.len(), 0));
        let stays = r#"podgraft_injections_total{outcome="injected",template="stays"} 1"#;
        assert!(metrics.text().unwrap().contains(stays), "its count goes on");
    }

    #[test]
    fn templates_beyond_a_thousand_are_counted_together_and_the_clusters_by_themselves() {
        let metrics = Metrics::new().unwrap();
        let many = |count: usize| (0..count).map(|number| load(&format!("own-{number:04}"), Some("shop")));
        let injections = take(&metrics, many(MAX_COUNTED + 1).chain([load("zz", None)]));
        for name in ["own-0000", "own-0999", "own-1000", "zz"] {
            injections.inc(name, Graft::Injected);
        }
        let text = metrics.text().unwrap();
        for (template, count) in [("own-0000", 1), ("(others)", 2), ("zz", 1)] {
            let line = format!("podgraft_injections_total{{outcome=\"injected\",template=\"{template}\"}} {count}\n");
            assert!(text.contains(&line), "{line}");
        }
        let lines = text.lines().filter(|line| line.starts_with("podgraft_injections_total{")).count();
        assert_eq!(lines, (MAX_COUNTED + 1) * Graft::ALL.len());
        let _ = take(&metrics, many(1));
        assert_eq!((series(&metrics, "own-0000"), series(&metrics, "(others)")), (Graft::ALL.len(), 0));
    }
}
