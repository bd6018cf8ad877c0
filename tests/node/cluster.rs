//! The cluster that `$KUBECONFIG` names, and what this run of the tests puts there.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, io, thread};

use crate::podgraft::Podgraft;
use crate::process::{at_the_end, run_directory};

/// The variable without which no cluster is touched.
pub const SWITCH: &str = "PODGRAFT_NODE_TESTS";

/// The label of everything that a run makes; its value is the run's name.
pub const RUN_LABEL: &str = "podgraft.test/run";

/// Deletes what the run `$1` made: first what makes the API server call podgraft.
const DELETE: &str = r#"
    kubectl delete --wait=false --selector "podgraft.test/run=$1" \
        mutatingwebhookconfigurations,validatingwebhookconfigurations,namespaces,clusterroles,clusterrolebindings,customresourcedefinitions \
        >/dev/null 2>&1"#;

static RUN: LazyLock<Option<Run>> = LazyLock::new(|| env::var_os(SWITCH).map(|_| Run::start()));

/// What the tests of one run share.
pub struct Run {
    /// Tells the runs apart that use the cluster at the same time.
    pub name: String,
    /// A directory for what is written here.
    pub directory: PathBuf,
    /// The address at which pods and the API server reach this machine.
    pub host: String,
    /// podgraft's own image.
    pub image: String,
    /// Whether namespaces are left as they are at the end.
    pub keep: bool,
    podgraft: LazyLock<Podgraft>,
}

impl Run {
    /// The run under way; `None`, which is said, where no cluster may be used.
    pub fn get(test: &str) -> Option<&'static Self> {
        let run = RUN.as_ref();
        if run.is_none() {
            skipped(test, &format!("set {SWITCH}=1 to use the cluster of $KUBECONFIG (or run `just node-test`)"));
        }
        run
    }

    /// The podgraft that is in force for the scenes of this run, unless they bring one of their own.
    pub fn podgraft(&self) -> &Podgraft {
        &self.podgraft
    }

    fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let name = format!("{:07x}", since.as_millis() & 0xfff_ffff);
        let keep = env::var_os("PODGRAFT_NODE_KEEP").is_some();
        if !keep {
            at_the_end(DELETE, &name);
        }
        let image = || concat!("podgraft:", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            name,
            keep,
            directory: run_directory(),
            host: env::var("PODGRAFT_NODE_HOST").unwrap_or_else(|_| api_server()),
            image: env::var("PODGRAFT_NODE_IMAGE").unwrap_or_else(|_| image()),
            podgraft: LazyLock::new(|| {
                let run = RUN.as_ref().expect("a run is under way");
                Podgraft::put_in_force(run, "podgraft", &[])
            }),
        }
    }
}

/// Says that a test is skipped.
pub fn skipped(test: &str, why: &str) {
    // Not eprintln!, whose text a passing test keeps to itself; and in one piece, as other tests write too.
    let _ = io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

/// The API server's host.
fn api_server() -> String {
    let args = ["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"];
    let url = kubectl(&args, "").expect("KUBECONFIG names a cluster");
    let authority = url.split('/').nth(2).expect("a URL");
    authority.rsplit_once(':').map_or(authority, |(host, _port)| host).to_owned()
}

/// What a command printed.
pub struct Printed {
    pub output: String,
    /// Standard error: warnings, and the reason of a failure.
    pub errors: String,
}

/// Runs kubectl with this standard input.
///
/// # Errors
///
/// It failed, and this is what it printed.
pub fn kubectl(args: &[&str], input: &str) -> Result<String, String> {
    kubectl_and_warnings(args, input).map(|printed| printed.output)
}

/// The same with the warnings that it passes on.
pub fn kubectl_and_warnings(args: &[&str], input: &str) -> Result<Printed, String> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = kubectl.spawn().expect("kubectl is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let ended = thread::scope(|scope| {
        // Beside reading: neither pipe may fill up. Who ends without reading it all has a reason, which is told below.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("its output")
    });
    let [output, errors] = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if ended.status.success() {
        Ok(Printed { output, errors })
    } else {
        Err(format!("kubectl {}: {}\n{output}{errors}", args.join(" "), ended.status))
    }
}
