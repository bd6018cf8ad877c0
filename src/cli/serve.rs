//! `podgraft serve`: reads templates and certificate, wires them to the server, and stops it in order.

mod api;
mod assembly;
mod certificate;
mod greeting;
mod reload;

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use std::{panic, thread};

use anyhow::Context;
use clap::builder::BoolishValueParser;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, client};
use crate::library::{Library, Loaded};
use crate::metrics::Metrics;
use crate::server::{Options, Patience, Server, State, keep_freed};
use crate::shutdown::Signals;
use crate::snapshot::Policy;
use crate::telemetry::{self, LogFormat, LogLevel};
use crate::tls::{Clients, Handshakes};

use super::options::{KubernetesArgs, OnErrorArg, PolicyArgs, SourceArgs, duration};
use super::report;
use assembly::Assembly;
use certificate::{Source, TlsArgs};

/// Options of `podgraft serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the webhook; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", env = "PODGRAFT_LISTEN", default_value = "127.0.0.1:8443", value_parser = address)]
    listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz, plain HTTP.
    #[arg(long, value_name = "IP:PORT", env = "PODGRAFT_ADMIN_LISTEN", default_value = "127.0.0.1:9090", value_parser = address)]
    admin_listen: SocketAddr,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    kubernetes: KubernetesArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// What to do with workloads whose pods would be denied.
    #[arg(
        long,
        value_enum,
        value_name = "warn|deny",
        env = "PODGRAFT_WORKLOAD_ERRORS",
        default_value = "warn",
        help_heading = "Policy"
    )]
    workload_errors: OnErrorArg,
    /// Refuse to start with a template or namespace file that is bad, instead of serving the rest.
    #[arg(long, env = "PODGRAFT_STRICT_START", value_parser = BoolishValueParser::new())]
    strict_start: bool,
    /// Requests that may be in flight; more are told to come again in a second.
    #[arg(long, value_name = "N", env = "PODGRAFT_MAX_IN_FLIGHT", default_value = "512", value_parser = positive)]
    max_in_flight: usize,
    /// Connections that may be open; one more takes the place of the one that has waited longest for its client.
    #[arg(long, value_name = "N", env = "PODGRAFT_MAX_CONNECTIONS", default_value = "1000", value_parser = positive)]
    max_connections: usize,
    /// After SIGTERM, serve this much longer while load balancers learn of it.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_SHUTDOWN_DELAY", default_value = "0s", value_parser = duration)]
    shutdown_delay: Duration,
    /// After that, let requests in flight take this much longer.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_DRAIN_TIMEOUT", default_value = "25s", value_parser = duration)]
    drain_timeout: Duration,
    /// Form of the log, on standard error.
    #[arg(long, value_enum, value_name = "text|json", env = "PODGRAFT_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Least level that is logged: error, warn, info, debug, or directives such as info,podgraft::tls=debug; and trace, which
    /// is for libraries' own developers and only in builds without optimisation.
    #[arg(long, value_name = "LEVEL", env = "PODGRAFT_LOG", default_value = "info")]
    log_level: LogLevel,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8443 or [::]:8443".to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a whole number from 1".to_owned())
}

/// What is checked before a port is bound.
struct Checked {
    certificate: Source,
    clients: Option<Clients>,
    library: Library,
    loaded: Loaded,
}

/// Threads that answer, at most: one a processor. What is made of a large body while it is looked at counts for each of them,
/// and a single one answers more reviews than an API server sends.
const ANSWERING: usize = 4;

/// Threads beside those that answer: they look at objects for `/validate`, compile the cluster's templates and look names
/// up. Work that ends has not always given its thread back when the next begins: on a busy machine, each time one more would
/// be started.
const ASIDE: usize = 8;

/// Serves until a signal ends it.
///
/// # Errors
///
/// What keeps it from starting.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start(args.log_format, &args.log_level).context("starting the log")?;
    keep_freed();
    let signals = take_signals().context("taking signals over")?;
    match check(args) {
        Ok(checked) => {
            // Not before templates are compiled: then the first of its threads goes on with the heap of those that did that.
            let runtime = start_threads().context("starting threads")?;
            let code = runtime.block_on(serve(args, checked, signals));
            // After a second signal, what is still at work is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(problems) => {
            for problem in problems {
                report(format_args!("error: {problem}"));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Starts the threads that answer. Where it gets only some of them, Tokio panics, and then would wait for these without end:
/// the process ends instead.
#[expect(clippy::disallowed_methods, reason = "nothing is to be given back yet, and to unwind takes for ever")]
fn start_threads() -> io::Result<Runtime> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        telemetry::wait();
        report(format_args!("error: starting threads: {}", info.payload_as_str().unwrap_or("there are too few")));
        process::exit(1);
    }));
    let answering = thread::available_parallelism().map_or(1, NonZero::get).min(ANSWERING);
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.enable_all().worker_threads(answering).max_blocking_threads(ASIDE).build();
    panic::set_hook(usual);
    runtime
}

/// Takes signals over before files are read, which may take a while: a container's first process misses those that it has not
/// taken. They belong to no runtime, but one is needed to take them.
fn take_signals() -> io::Result<Signals> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    Signals::take()
}

/// Reads everything that the options name. All that is wrong at once.
fn check(args: &Args) -> Result<Checked, Vec<String>> {
    let mut problems = Vec::new();
    let development = args.listen.ip().is_loopback();
    let certificate = args.tls.open(development, &args.kubernetes);
    let policy = Policy { workload_errors: args.workload_errors.into(), ..args.policy.policy() };
    let mut library = args.sources.library(args.policy.load.options(), policy);
    let loaded = library.load();
    if args.strict_start {
        let color = super::wants_color(&io::stderr());
        problems.extend(loaded.report.problems().map(|problem| problem.render(color)));
    }
    let clients = args.tls.clients().unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    match certificate {
        Ok(certificate) if problems.is_empty() => Ok(Checked { certificate, clients, library, loaded }),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

async fn serve(args: &Args, checked: Checked, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let Checked { certificate, clients, library, loaded } = checked;
    let api = match args.kubernetes.access() {
        Some(access) => Some(client::connect(&access).await?),
        None => None,
    };
    let metrics = Arc::new(Metrics::new().context("setting up metrics")?);
    let mut state = State::new(Arc::clone(&metrics), args.max_in_flight, Patience::default());
    if let Some(api) = &api {
        let (listener, rejections) = mpsc::channel(api::WAITING);
        state = state.with_rejections_told(listener);
        tokio::spawn(api::tell_of(rejections, api.clone(), Arc::clone(&metrics)));
    }
    let state = Arc::new(state);
    let handshakes = Arc::new(Handshakes::new(certificate.resolver(), clients.as_ref())?);
    let options = Options {
        max_connections: args.max_connections,
        shutdown_delay: args.shutdown_delay,
        drain_timeout: args.drain_timeout,
    };
    let server = Server::bind(args.listen, args.admin_listen, Arc::clone(&handshakes), Arc::clone(&state), options);
    let server = server.await?;
    let greeting = greeting::text(&server, &certificate, clients.is_some(), &loaded.snapshot)?;

    let assembly = Arc::new(Assembly::new(Arc::clone(&state), loaded.snapshot, api.is_some()));
    reload::tell(&loaded.report, &metrics, &assembly);
    certificate.keep(&state).await?;
    if let Some(clients) = clients {
        tokio::spawn(reload::clients(clients, handshakes, Arc::clone(&metrics)));
    }
    if let Some(api) = api {
        let prefix = args.policy.load.annotation_prefix.clone();
        tokio::spawn(api::compare(api.clone(), args.tls.configurations(), prefix, Arc::clone(&metrics)));
        let (assembly, metrics) = (Arc::clone(&assembly), Arc::clone(&metrics));
        tokio::spawn(cluster::follow(api, args.policy.load.options(), move |update| {
            api::take(update, &assembly, &metrics);
        }));
    }
    tokio::spawn(reload::templates(library, args.sources.clone(), assembly, metrics));
    super::print(greeting.as_bytes())?;

    let stop = CancellationToken::new();
    let signalled = async {
        let first = signals.next().await;
        tracing::info!(signal = ?first, "stopping; a second signal ends at once");
        stop.cancel();
        signals.next().await
    };
    tokio::select! {
        () = server.run(stop.cancelled()) => Ok(ExitCode::SUCCESS),
        second = signalled => Ok(second.exit_code()),
    }
}
