//! `podgraft wait`: what the wait templates run, in podgraft's own image.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::builder::BoolishValueParser;

use crate::shutdown::{Signals, Stop};
use crate::wait::{Options, Rounded, State, StatusSet, TargetError, Trust, Wait};

use super::{options, report};

/// Threads that look names up. A look-up can't be ended, and one whose name servers don't answer lasts longer than an
/// attempt; more of them would learn no more.
const LOOKUPS: usize = 16;

/// The authorities that most images bring, Debian's and Alpine's among them.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the kubelet takes of a termination message, in bytes (Kubernetes documentation, "Customizing the termination
/// message"): the last ones, so a longer one is cut here, where its end says the least.
const LONGEST_MESSAGE: usize = 4096;

/// Options of `podgraft wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What must be ready, all of it: a URL or HOST:PORT, see below.
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
    /// How long to wait in all.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_WAIT_TIMEOUT", default_value = "5m", value_parser = above_zero)]
    timeout: Duration,
    /// About the first pause between two attempts; pauses double up to 10 s, and begin anew when something changes.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_WAIT_INTERVAL", default_value = "1s", value_parser = above_zero)]
    interval: Duration,
    /// How long one attempt may take: look-up, connection and answer.
    #[arg(long, value_name = "DURATION", env = "PODGRAFT_WAIT_ATTEMPT_TIMEOUT", default_value = "5s", value_parser = above_zero)]
    attempt_timeout: Duration,
    /// Status codes of HTTP that are ready, and ranges of them. Redirections are not followed.
    #[arg(long, value_name = "CODES", env = "PODGRAFT_WAIT_HTTP_STATUS", default_value_t)]
    http_status: StatusSet,
    /// PEM file of the authorities whose certificates are believed, instead of the system's: $SSL_CERT_FILE, else
    /// /etc/ssl/certs/ca-certificates.crt.
    #[arg(long, value_name = "FILE", env = "PODGRAFT_WAIT_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Believe every certificate; not together with --ca-file.
    #[arg(long, env = "PODGRAFT_WAIT_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,
    /// Where to leave for the kubelet what was being waited for; written only if it is there already.
    #[arg(
        long,
        value_name = "FILE",
        env = "PODGRAFT_WAIT_TERMINATION_MESSAGE_PATH",
        default_value = "/dev/termination-log"
    )]
    termination_message_path: PathBuf,
}

const HELP: &str = "\
Targets:
  tcp://HOST:PORT, HOST:PORT   accepts connections
  postgres://HOST[:PORT]       PostgreSQL accepts sessions; also postgresql://
  mysql://HOST[:PORT]          MySQL or MariaDB accepts sessions; also mariadb://
  redis://HOST[:PORT]          Redis answers; one without a password has also loaded its data;
                               rediss:// over TLS
  http://HOST[:PORT][/PATH]    a GET is answered with a wanted status; https:// over TLS
  dns://NAME                   the name has an address
A name with several addresses is ready when one of them is. A database that asks for a password
accepts sessions. Its URL may be the application's own: user, password, database and options are
neither used nor printed.

Examples:
  Wait for a database and a cache, before the application starts:
    podgraft wait postgres://orders-db redis://cache:6379
  The same by the application's own variable:
    podgraft wait \"$DATABASE_URL\"
  Wait two minutes for a service that wants a login, and for a name:
    podgraft wait --timeout 2m --http-status 200,401 https://auth/healthz dns://broker.shop

Every change is a line on standard output. Exit codes: 0 all targets are ready; 1 the time is up;
2 wrong usage; 143 and 130 ended by SIGTERM and SIGINT.";

/// How waiting ended.
enum End {
    Ready,
    TimeIsUp,
    Stopped(Stop),
}

/// Waits.
///
/// # Errors
///
/// The system gives no runtime or signals.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // One thread for everything but look-ups: this runs within the memory of an init container.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKUPS)
        .build()
        .context("starting the runtime")?;
    let code = runtime.block_on(wait(args));
    // Look-ups are not waited for.
    runtime.shutdown_background();
    code
}

async fn wait(args: &Args) -> anyhow::Result<ExitCode> {
    // First of all: the first process of a container has no signal handlers but its own, and would not be ended.
    let mut signals = Signals::take().context("taking signals over")?;
    let mut wait = match prepare(args) {
        Ok(wait) => wait,
        Err(problems) => return Ok(super::usage(&["wait"], &problems.join("\n       "))),
    };
    let targets: Vec<_> = wait.missing().map(|(target, _)| target.to_string()).collect();
    say(&format!("waiting up to {} for {}", Rounded(args.timeout), targets.join(", ")));
    let end = tokio::select! {
        biased;
        stop = signals.next() => End::Stopped(stop),
        () = wait.run(|target, state| say(&format!("{target}: {state}"))) => match wait.missing().next() {
            None => End::Ready,
            Some(_) => End::TimeIsUp,
        },
    };
    let message = summary(&end, &wait);
    say(&message);
    Ok(match end {
        End::Ready => ExitCode::SUCCESS,
        End::TimeIsUp => {
            leave(&args.termination_message_path, &message);
            ExitCode::FAILURE
        }
        End::Stopped(stop) => {
            leave(&args.termination_message_path, &message);
            stop.exit_code()
        }
    })
}

/// Reads targets and certificates. All that is wrong at once.
fn prepare(args: &Args) -> Result<Wait, Vec<String>> {
    let mut problems = Vec::new();
    let mut target = |text: &String| text.parse().map_err(|error: TargetError| problems.push(error.to_string())).ok();
    let targets = args.targets.iter().filter_map(&mut target).collect();
    if args.insecure && args.ca_file.is_some() {
        let problem =
            "--insecure believes every certificate, so that --ca-file would not be read; leave one of them out";
        problems.push(problem.to_owned());
    }
    let options = Options {
        timeout: args.timeout,
        interval: args.interval,
        attempt_timeout: args.attempt_timeout,
        status: args.http_status.clone(),
        trust: args.trust(),
    };
    match Wait::new(targets, options) {
        Ok(wait) if problems.is_empty() => Ok(wait),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(error.to_string());
            Err(problems)
        }
    }
}

impl Args {
    /// Whose certificates are believed.
    fn trust(&self) -> Trust {
        if self.insecure {
            return Trust::Anyone;
        }
        let system = || std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
        Trust::File(self.ca_file.clone().or_else(system).unwrap_or_else(|| SYSTEM_CA_FILE.into()))
    }
}

/// What it came to, in one sentence.
fn summary(end: &End, wait: &Wait) -> String {
    let took = wait.elapsed();
    let missing = || {
        let missing = wait.missing().map(|(target, state)| match state {
            State::NotYet(reason) => format!("{target} ({reason})"),
            other => format!("{target} ({other})"),
        });
        missing.collect::<Vec<_>>().join(", ")
    };
    match end {
        End::Ready => format!("all targets are ready after {took}"),
        End::TimeIsUp => format!("gave up after {took}, still waiting for {}", missing()),
        End::Stopped(stop) => format!("ended by {} after {took} while waiting for {}", name(*stop), missing()),
    }
}

fn name(stop: Stop) -> &'static str {
    match stop {
        Stop::Terminate => "SIGTERM",
        Stop::Interrupt => "SIGINT",
    }
}

/// Writes a line to standard output. One that can't be written changes nothing about the waiting.
fn say(line: &str) {
    let _ = super::print(format!("{line}\n").as_bytes());
}

/// Leaves a message for the kubelet, where it has put a file for it.
fn leave(path: &Path, message: &str) {
    let message = &message[..message.floor_char_boundary(LONGEST_MESSAGE)];
    let file = OpenOptions::new().write(true).truncate(true).open(path);
    match file.and_then(|mut file| file.write_all(message.as_bytes())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            report(format_args!("warning: {}: no termination message can be left: {error}", path.display()));
        }
        _ => {}
    }
}

fn above_zero(text: &str) -> Result<Duration, String> {
    let duration = options::duration(text)?;
    if duration.is_zero() { Err("write a duration above zero, such as 10s".to_owned()) } else { Ok(duration) }
}
