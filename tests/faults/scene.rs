//! A server with a certificate of an authority that is kept, with templates that tell their version; and a load for it,
//! whose every answer has to graft them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use podgraft::tls::authority::{self, Pair};
use podgraft::tls::directory::{self, Files};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::client::{Ask, STAMP, Tally, Task, Wanted, with_uid};
use crate::load::Load;
use crate::process::Process;
use crate::review;

/// For whatever takes as long as it takes on a busy machine.
pub const LONG: Duration = Duration::from_mins(1);

const HOUR: Duration = Duration::from_hours(1);

/// How many templates a pod asks for; each stamps its version twice.
pub const TEMPLATES: usize = 8;
const STAMPS: usize = 2 * TEMPLATES;

/// An authority whose leaves come and go while clients trust it all the time.
pub struct Authority(Pair);

impl Authority {
    pub fn new() -> Self {
        let now = SystemTime::now();
        Self(authority::make_ca("podgraft tests", now + HOUR, now).unwrap())
    }

    pub fn pem(&self) -> &str {
        &self.0.cert
    }

    /// A leaf that is valid until then, with its key.
    pub fn leaf(&self, not_after: SystemTime) -> Files {
        let ca = CertificateDer::from_pem_slice(self.0.cert.as_bytes()).unwrap();
        let made = not_after.min(SystemTime::now()) - HOUR;
        let leaf = authority::make_leaf(&ca, &self.0.key, vec!["localhost".to_owned()], not_after, made).unwrap();
        Files { ca: self.0.cert.clone().into(), cert: leaf.cert.into(), key: leaf.key.into() }
    }

    /// A client's certificate and its key, in PEM.
    pub fn client(&self) -> (String, String) {
        let issuer = Issuer::from_ca_cert_pem(&self.0.cert, KeyPair::from_pem(&self.0.key).unwrap()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A leaf that is good.
    pub fn good(&self) -> Files {
        self.leaf(SystemTime::now() + HOUR)
    }
}

/// A running server.
pub struct Scene {
    pub authority: Authority,
    pub server: Process,
}

impl Scene {
    pub fn start(options: &[&str]) -> Self {
        Self::prepared(|_| {}, options)
    }

    /// With what `prepare` puts into its directory beside certificate and templates, or instead of them.
    pub fn prepared(prepare: impl FnOnce(&Path), options: &[&str]) -> Self {
        let authority = Authority::new();
        let server = serve(&authority, prepare, options);
        Self { authority, server }
    }

    /// Reviews of a medium pod.
    pub fn task(&self, workers: usize) -> Task {
        Task { replicas: vec![self.server.address], workers, ..task(&self.authority) }
    }

    pub fn load(&self, workers: usize) -> Load {
        load(&self.task(workers))
    }
}

/// A replica with a leaf of this authority.
pub fn serve(authority: &Authority, prepare: impl FnOnce(&Path), options: &[&str]) -> Process {
    let prepare = |dir: &Path| {
        directory::write(&dir.join("certs"), &authority.good()).unwrap();
        write(&dir.join("templates"), &templates(0));
        prepare(dir);
    };
    Process::start(prepare, &[&["--templates", "templates"], options].concat())
}

/// Reviews of a medium pod that asks for all templates, for replicas whose authority this is.
pub fn task(authority: &Authority) -> Task {
    Task { ca: authority.pem().to_owned(), reviews: vec![stamped(review(3, TEMPLATES))], ..Task::default() }
}

/// This binary again, as the client.
pub fn load(task: &Task) -> Load {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["the_load", "--exact", "--ignored", "--nocapture", "--quiet"]);
    Load::start(command, task).unwrap()
}

/// Ends the load, of which no review was lost or answered wrongly, and no connection refused.
pub fn sound(load: Load) -> Tally {
    let tally = load.end().unwrap();
    assert_eq!((&tally.wrong[..], tally.lost.len(), tally.unreachable), (&[][..], 0, 0), "{:?}", tally.lost);
    tally
}

/// The same, and none was asked to come again.
pub fn served_at_once(load: Load) -> Tally {
    let tally = sound(load);
    assert_eq!(tally.again, 0);
    tally
}

/// A review of a pod with so many containers that asks for so many of the versioned templates.
pub fn review(containers: usize, templates: usize) -> String {
    let annotations = (0..templates).map(|index| (format!("inject/t{index}"), json!("true"))).collect();
    with_uid(&review::review(containers, &serde_json::Value::Object(annotations))).unwrap()
}

/// The review of a pod that asks for all templates.
pub fn stamped(review: String) -> Ask {
    Ask::mutate(review, Wanted::Stamps(STAMPS))
}

/// A template file that stamps its version on a pod in two places.
pub fn template(name: &str, version: u64) -> String {
    format!(
        "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata: {{name: {name}}}\nspec:\n  \
         description: Stamp a version.\n  target: {{env: [{{name: {}, value: \"{STAMP}{version}\"}}]}}\n  \
         pod: {{annotations: {{example.com/{name}: \"{STAMP}{version}\"}}}}\n",
        name.to_uppercase()
    )
}

/// The files of one version of all templates.
pub fn templates(version: u64) -> Vec<(String, String)> {
    (0..TEMPLATES)
        .map(|index| format!("t{index}"))
        .map(|name| (format!("{name}.yaml"), template(&name, version)))
        .collect()
}

/// Files in a directory, which is made if need be.
pub fn write(dir: &Path, files: &[(String, String)]) {
    fs::create_dir_all(dir).unwrap();
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
}

/// Waits until a metric is as wanted.
pub fn metric(server: &Process, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    metric_within(server, LONG, name, wanted)
}

pub fn metric_within(server: &Process, patience: Duration, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let begin = Instant::now();
    loop {
        let found = runtime().block_on(server.metric(name));
        if wanted(found) {
            return found;
        }
        assert!(begin.elapsed() < patience, "{name} is {found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a peer that is no load runs on.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A line of a process's status, in MiB.
pub fn memory(server: &Process, line: &str) -> u64 {
    status(server, line) / 1024
}

/// A number in what the kernel says of a process; of memory, in KiB.
pub fn status(server: &Process, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many files a process may have open.
pub fn limit_files(process: u32, most: u32) {
    let limit = format!("--nofile={most}:{most}");
    assert!(Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status().unwrap().success());
}
