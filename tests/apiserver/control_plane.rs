//! etcd and API servers, started once for all tests and shared by them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs, net::TcpListener, thread};

use rcgen::KeyPair;

use crate::authority::Authority;
use crate::process::{Process, run_directory};

/// The variable that names the directory with `etcd`, `kube-apiserver` and `kubectl`: envtest's convention.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// How long etcd and an API server may take to start on a slow machine.
const START: Duration = Duration::from_mins(2);

/// The audit log, in the server's directory: a JSON event a line.
pub const AUDIT_LOG: &str = "audit.log";

/// What goes into it.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
                            rules: [{level: Metadata, verbs: [create, patch]}, {level: None}]\n";

/// Without the ServiceAccount admission plugin, as in envtest: pods need no account that a controller would make.
pub static PLAIN: LazyLock<Option<ApiServer>> =
    LazyLock::new(|| ApiServer::start("plain", &["--disable-admission-plugins=ServiceAccount"]));

/// With all default admission plugins, ServiceAccount among them.
pub static FULL: LazyLock<Option<ApiServer>> = LazyLock::new(|| ApiServer::start("full", &[]));

/// For what `deploy/install.yaml` puts in force everywhere. It calls Services at their endpoints, of which there are none,
/// and lets critical pods in only where a quota says so.
pub static INSTALLED: LazyLock<Option<ApiServer>> = LazyLock::new(|| {
    let config =
        concat!("--admission-control-config-file=", env!("CARGO_MANIFEST_DIR"), "/tests/apiserver/admission.yaml");
    ApiServer::start("installed", &["--enable-aggregator-routing", config])
});

/// For what Helm installs and removes.
pub static HELM: LazyLock<Option<ApiServer>> = LazyLock::new(|| ApiServer::start("helm", &[]));

static RUN: LazyLock<Option<Run>> = LazyLock::new(Run::start);

/// What the API servers share: the directory of this run, and etcd.
struct Run {
    assets: PathBuf,
    directory: PathBuf,
    authority: Authority,
    etcd: Process,
}

impl Run {
    fn start() -> Option<Self> {
        let assets = PathBuf::from(env::var_os(ASSETS)?);
        let directory = run_directory();
        let args = [
            format!("--data-dir={}", directory.join("etcd").display()),
            format!("--listen-client-urls={}", socket(&directory)),
            // etcd takes no socket here, and nobody asks it for this address.
            "--advertise-client-urls=http://127.0.0.1:0".to_owned(),
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let etcd = Process::spawn(&assets.join("etcd"), args, directory.join("etcd.log")).expect("etcd starts");
        Some(Self { assets, directory, authority: Authority::new(), etcd })
    }
}

/// Where etcd listens: no port that another process could take.
fn socket(directory: &Path) -> String {
    format!("unix://{}", directory.join("etcd.sock").display())
}

/// A running API server.
pub struct ApiServer {
    /// The administrator's.
    pub kubeconfig: PathBuf,
    /// A directory for what the tests write.
    pub directory: PathBuf,
    kubectl: PathBuf,
    process: Process,
}

impl ApiServer {
    /// Starts an API server with its own part of etcd, and waits until it is of use; `None` where there are no binaries.
    fn start(name: &str, more: &[&str]) -> Option<Self> {
        let run = RUN.as_ref()?;
        let start = || Self::try_start(run, name, more);
        // Another process may have taken the port between our choice and the server's start.
        Some(start().or_else(|_| start()).unwrap_or_else(|why| panic!("{name}: {why}")))
    }

    /// What it said is the error if it ends at once.
    fn try_start(run: &Run, name: &str, more: &[&str]) -> Result<Self, String> {
        let directory = run.directory.join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let write = |file: &str, text: &str| {
            let path = directory.join(file);
            fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let (certificate, key) = run.authority.issue();
        let accounts = KeyPair::generate().expect("a key");
        let own = [
            format!("--etcd-servers={}", socket(&run.directory)),
            format!("--etcd-prefix=/{name}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", write("tls.crt", &certificate)),
            format!("--tls-private-key-file={}", write("tls.key", &key)),
            format!("--token-auth-file={}", write("tokens", "admin,admin,1,system:masters\n")),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-account-key-file={}", write("accounts.pub", &accounts.public_key_pem())),
            format!("--service-account-signing-key-file={}", write("accounts.key", &accounts.serialize_pem())),
            format!("--audit-policy-file={}", write("audit.yaml", AUDIT_POLICY)),
            format!("--audit-log-path={}", directory.join(AUDIT_LOG).display()),
        ];
        let args = own.iter().map(String::as_str).chain(more.iter().copied());
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: it, user: {{token: admin}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            write("ca.crt", &run.authority.pem()),
        );
        let kubeconfig = write("kubeconfig", &kubeconfig).into();
        let program = run.assets.join("kube-apiserver");
        let process = Process::spawn(&program, args, directory.join("log")).expect("kube-apiserver starts");
        let mut server = Self { kubeconfig, kubectl: run.assets.join("kubectl"), directory, process };

        let until = Instant::now() + START;
        while !server.ready() {
            if let Some(status) = server.process.ended() {
                return Err(format!("{status}\n{}\netcd:\n{}", server.process.output(), run.etcd.output()));
            }
            assert!(Instant::now() < until, "kube-apiserver is not ready in time:\n{}", server.process.output());
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// Whether everything that it does at its start is done, its namespaces made.
    fn ready(&self) -> bool {
        let succeeds = |args: &[&str]| {
            let status = self.kubectl().args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.expect("kubectl starts").success()
        };
        succeeds(&["get", "--raw=/readyz"]) && succeeds(&["get", "namespace", "kube-system"])
    }

    /// kubectl, as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }
}
