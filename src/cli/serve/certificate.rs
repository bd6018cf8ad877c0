//! Where the certificate comes from: files that somebody keeps, or ourselves.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;

use crate::authority::{Leaf, Machine, Options};
use crate::cli::certs::host;
use crate::cli::options::{KubernetesArgs, duration};
use crate::cluster::certificate::{self, Event, Names};
use crate::cluster::client::{self, Access};
use crate::metrics::Load;
use crate::server::State;
use crate::tls::{Clients, Keeper, Resolver};

use super::reload;

/// Where the kubelet writes a pod's namespace (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Options of the certificate.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Certificate")]
pub(super) struct TlsArgs {
    /// Where the certificate comes from.
    #[arg(long, value_enum, value_name = "files|self-managed", env = "PODGRAFT_TLS", default_value = "files")]
    tls: Tls,
    /// Directory of ca.crt, tls.crt and tls.key. Empty or absent, and the address a loopback one: a development
    /// certificate is made there.
    #[arg(long, value_name = "DIR", env = "PODGRAFT_TLS_DIR", default_value = "certs")]
    tls_dir: PathBuf,
    /// Serve only clients with a certificate of these authorities: the API server, as its admission configuration says. The
    /// file, in PEM, is watched.
    #[arg(long, value_name = "FILE", env = "PODGRAFT_CLIENT_CA")]
    client_ca: Option<PathBuf>,
    /// Self-managed: the Service by which the API server reaches us; the certificate is for SERVICE.NAMESPACE.svc.
    #[arg(long, value_name = "NAME", env = "PODGRAFT_SERVICE", default_value = "podgraft")]
    service: String,
    /// Self-managed: the namespace of Service and Secret, if it isn't that of the pod.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    service_namespace: Option<String>,
    /// Self-managed: more DNS names and IP addresses of the certificate, for configurations that say url.
    #[arg(long, value_name = "NAMES", env = "PODGRAFT_TLS_NAMES", value_delimiter = ',', value_parser = host)]
    tls_names: Vec<String>,
    /// Self-managed: the Secret that the replicas share.
    #[arg(long, value_name = "NAME", env = "PODGRAFT_TLS_SECRET", default_value = "podgraft-tls")]
    tls_secret: String,
    /// The MutatingWebhookConfiguration: it should look for --annotation-prefix and, self-managed, is told whom to trust.
    #[arg(long, value_name = "NAME", env = "PODGRAFT_MUTATING_CONFIGURATION", default_value = "zz-podgraft")]
    mutating_configuration: String,
    /// The ValidatingWebhookConfiguration, in the same way.
    #[arg(long, value_name = "NAME", env = "PODGRAFT_VALIDATING_CONFIGURATION", default_value = "podgraft")]
    validating_configuration: String,
    /// Self-managed: how long a certificate lives; it is renewed at two thirds.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_TLS_LIFETIME", default_value = "720h", value_parser = duration)]
    tls_lifetime: Duration,
    /// Self-managed: how long the certificate authority lives; the next one is made at two thirds.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_TLS_CA_LIFETIME", default_value = "8760h", value_parser = duration)]
    tls_ca_lifetime: Duration,
    /// Self-managed: how long all API servers may take to trust an authority that one of them trusts.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_TLS_SETTLE", default_value = "60s", value_parser = duration)]
    tls_settle: Duration,
}

/// `--tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Tls {
    /// From the files of --tls-dir, which somebody else keeps.
    Files,
    /// From our own authority, kept in a Secret; the webhook configurations are told to trust it.
    SelfManaged,
}

/// Where the certificate comes from, checked.
pub(super) enum Source {
    /// Files.
    Files(Box<Keeper>, PathBuf),
    /// Ourselves.
    SelfManaged(Box<SelfManaged>),
}

/// What self-managed certificates take.
pub(super) struct SelfManaged {
    access: Access,
    names: Names,
    options: Options,
    resolver: Arc<Resolver>,
}

impl SelfManaged {
    /// The Secret, for people.
    pub(super) fn secret(&self) -> String {
        format!("{}/{}", self.names.namespace, self.names.secret)
    }
}

impl TlsArgs {
    /// The names of both webhook configurations.
    pub(super) fn configurations(&self) -> [String; 2] {
        [self.mutating_configuration.clone(), self.validating_configuration.clone()]
    }

    /// Reads the files, or checks the options. All that is wrong at once.
    pub(super) fn open(&self, development: bool, kubernetes: &KubernetesArgs) -> Result<Source, Vec<String>> {
        if self.tls == Tls::Files {
            let keeper = Keeper::open(&self.tls_dir, development, SystemTime::now());
            let keeper = keeper.map_err(|error| vec![error.to_string()])?;
            return Ok(Source::Files(Box::new(keeper), self.tls_dir.clone()));
        }
        let mut problems = Vec::new();
        // Whatever --kubernetes says: that is about templates and namespaces.
        let access = kubernetes.kubeconfig.clone().map(Access::Kubeconfig).or_else(Access::detect);
        if access.is_none() {
            problems.push(
                "--tls self-managed needs the Kubernetes API; run in a pod with a service account, or pass --kubeconfig"
                    .to_owned(),
            );
        }
        let namespace = self.service_namespace.clone().or_else(|| fs::read_to_string(NAMESPACE).ok());
        let namespace = namespace.map(|text| text.trim().to_owned()).unwrap_or_default();
        if namespace.is_empty() {
            problems.push(format!(
                "--tls self-managed needs a namespace; {NAMESPACE} is not there, pass --service-namespace"
            ));
        }
        let service = format!("{}.{namespace}.svc", self.service);
        let options = Options {
            names: [service].into_iter().chain(self.tls_names.iter().cloned()).collect(),
            ca_lifetime: self.tls_ca_lifetime,
            leaf_lifetime: self.tls_lifetime,
            settle: self.tls_settle,
        };
        problems.extend(options.check().err());
        let Some(access) = access.filter(|_| problems.is_empty()) else { return Err(problems) };
        let [mutating, validating] = self.configurations();
        let names = Names { namespace, secret: self.tls_secret.clone(), mutating, validating };
        let resolver = Arc::new(Resolver::empty());
        Ok(Source::SelfManaged(Box::new(SelfManaged { access, names, options, resolver })))
    }
}

impl TlsArgs {
    /// Whom to serve, if not everybody.
    pub(super) fn clients(&self) -> Result<Option<Clients>, String> {
        self.client_ca.as_deref().map(Clients::open).transpose().map_err(|error| error.to_string())
    }
}

impl Source {
    /// What gives the certificate in force to handshakes.
    pub(super) fn resolver(&self) -> Arc<Resolver> {
        match self {
            Self::Files(keeper, _) => keeper.resolver(),
            Self::SelfManaged(own) => Arc::clone(&own.resolver),
        }
    }

    /// Keeps the certificate true from now on.
    pub(super) async fn keep(self, state: &Arc<State>) -> anyhow::Result<()> {
        match self {
            Self::Files(keeper, dir) => {
                state.certified(keeper.bundle().not_after);
                tokio::spawn(reload::certificate(*keeper, dir, Arc::clone(state)));
            }
            Self::SelfManaged(own) => {
                let SelfManaged { access, names, options, resolver } = *own;
                let client = client::connect(&access).await?;
                let machine = Machine::new(options, jitter());
                state.distrusted(Some("there is no certificate yet"));
                let state = Arc::clone(state);
                tokio::spawn(certificate::keep(client, names, machine, SystemTime::now, move |event| match event {
                    Event::Serve(leaf) => serve(&leaf, &resolver, &state),
                    Event::Standing(standing) => {
                        state.distrusted(standing.obstacle());
                        tracing::info!("certificate: {}", standing.obstacle().unwrap_or("the API server trusts it"));
                    }
                }));
            }
        }
        Ok(())
    }
}

fn serve(leaf: &Leaf, resolver: &Resolver, state: &State) {
    resolver.swap(Arc::clone(&leaf.bundle.key));
    state.metrics.certificate_loads.inc(Load::Ok);
    state.certified(leaf.bundle.not_after);
    let (names, until) = (leaf.bundle.names.join(", "), leaf.bundle.valid_until());
    tracing::info!(names, until, "another certificate is in force");
}

/// A number from 0 to 1 that differs among replicas: the standard library seeds its hashers at random.
#[expect(clippy::cast_precision_loss, reason = "any number will do")]
fn jitter() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
