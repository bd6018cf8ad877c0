//! The release server under load for long: `cargo bench --bench soak -- --minutes 30`.
//!
//! First as fast as it goes, for its capacity; then at half of that, while the templates and the certificate change all
//! the time, and connections come and go. Small and large pods are asked about, those that say what nobody said before,
//! those that ask for nothing or for what there is not, and workloads. Memory, descriptors, threads and errors are sampled
//! from outside and printed. It fails if a request did, if an answer was another one than is wanted or did not graft one
//! version of both templates, if changes were not taken up, or if memory or descriptors still grow in the last third.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]

#[path = "../tests/faults/client.rs"]
mod client;
#[path = "../tests/faults/load.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod load;
#[allow(dead_code, reason = "the other benches need more of it")]
mod review;
#[path = "review/workload.rs"]
mod workload;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use podgraft::tls::authority::{self, Pair};
use podgraft::tls::directory::{self, Files};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use client::{Ask, STAMP, Tally, Task, UID, Wanted, with_uid};
use load::Load;

/// Requests at a time, as an API server with some hundred pods to create.
const WORKERS: usize = 16;

/// How long capacity is measured.
const FULL: Duration = Duration::from_secs(10);

/// How many a connection carries before another one is opened.
const REVIEWS_PER_CONNECTION: u64 = 1000;

/// How often the templates change; the certificate does so every tenth time.
const CHANGES: Duration = Duration::from_secs(2);

/// How many samples are taken.
const SAMPLES: u32 = 60;

/// What memory may still grow by in the last third: an allocator's pages come and go.
const SLACK: f64 = 1.0;

/// Templates that a pod asks for, of one file; each stamps its version once.
const TEMPLATES: usize = 2;

fn main() -> Result<()> {
    let (mut minutes, mut asked) = (30.0, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--client" => return client::run(),
            "--bench" => asked = true,
            "--minutes" => minutes = arguments.next().context("--minutes N")?.parse()?,
            // A filter for the other benches.
            filter if !filter.starts_with('-') && !"soak".contains(filter) => return Ok(()),
            _ => {}
        }
    }
    if !asked {
        println!("this takes half an hour and a release build: cargo bench --bench soak");
        return Ok(());
    }
    soak(Duration::from_secs_f64(60.0 * minutes))
}

fn soak(lasts: Duration) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let now = SystemTime::now();
    let authority = authority::make_ca("podgraft soak", now + 2 * lasts + Duration::from_hours(1), now)?;
    let (certs, templates) = (dir.path().join("certs"), dir.path().join("templates"));
    directory::write(&certs, &leaf(&authority)?)?;
    fs::create_dir(&templates)?;
    change(&templates, 0)?;
    let server = Server::start(&certs, &templates)?;

    let task = Task {
        replicas: vec![server.address],
        ca: authority.cert.clone(),
        workers: WORKERS,
        reviews: reviews()?,
        reviews_per_connection: Some(REVIEWS_PER_CONNECTION),
        ..Task::default()
    };

    let load = Load::start(client(), &task)?;
    std::thread::sleep(FULL);
    let tally = load.end()?;
    ensure!(tally.wrong.is_empty() && tally.lost.is_empty(), "at full load: {tally:?}");
    let capacity = tally.good as f64 / FULL.as_secs_f64();
    println!("capacity: {capacity:.0} requests/s over {WORKERS} connections; now {:.0} requests/s\n", capacity / 2.0);

    let load = Load::start(client(), &Task { rate: Some(capacity / 2.0), ..task })?;
    println!(
        "{:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "seconds", "good", "errors", "MiB", "files", "threads", "swaps"
    );
    let (begin, mut version, mut swaps, mut samples) = (Instant::now(), 0, 0, Vec::new());
    while begin.elapsed() < lasts {
        let due = lasts * samples.len() as u32 / SAMPLES;
        if begin.elapsed() >= due {
            let (tally, sample) = (load.tally(), server.sample()?);
            let errors = tally.wrong.len() + tally.lost.len() + tally.again as usize;
            let Sample { memory, files, threads } = sample;
            let seconds = begin.elapsed().as_secs();
            println!("{seconds:>8} {:>10} {errors:>8} {memory:>8.1} {files:>8} {threads:>8} {swaps:>8}", tally.good);
            samples.push(sample);
        }
        std::thread::sleep(CHANGES.min(lasts / SAMPLES));
        version += 1;
        change(&templates, version)?;
        if version % 10 == 0 {
            directory::write(&certs, &leaf(&authority)?)?;
            swaps += 1;
        }
    }
    let tally = load.end()?;
    println!(
        "\n{} good answers over {} connections; {version} changes of templates, {swaps} of the certificate",
        tally.good, tally.connections
    );
    println!("slowest answer: {:.1} ms", tally.slowest * 1e3);
    let failed = tally.wrong.len() + tally.lost.len() + tally.again as usize + tally.unreachable as usize;
    ensure!(failed == 0, "requests failed: {:?}", Tally { versions: BTreeSet::new(), ..tally });
    let rate = tally.good as f64 / lasts.as_secs_f64();
    ensure!(rate > 0.45 * capacity, "the client came to {rate:.0} requests/s");
    // What a change wakes waits for a moment without one, and a version may be over before anybody asks.
    let seen = tally.versions.len() as u64;
    ensure!(2 * seen > version, "{seen} of {version} versions were in force");
    // The last one may have come a moment ago.
    let (loads, end) = (r#"podgraft_certificate_loads_total{result="ok"}"#, Instant::now() + 5 * CHANGES);
    while server.metric(loads)? < swaps && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let taken = server.metric(loads)?;
    ensure!(taken >= swaps, "{taken} of {swaps} certificates were taken up");
    for (name, unit, slack, of) in [
        ("resident memory", " MiB", SLACK, (|sample| sample.memory) as fn(&Sample) -> f64),
        ("file descriptors", "", 2.0, |sample| f64::from(sample.files)),
        ("threads", "", 1.0, |sample| f64::from(sample.threads)),
    ] {
        let third = samples.len() / 3;
        let median = |samples: &[Sample]| {
            let mut values: Vec<f64> = samples.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let (middle, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
        println!("{name}: median {middle:.1}{unit} in the middle third, {last:.1}{unit} in the last");
        ensure!(last <= middle + slack, "{name} grows");
    }
    Ok(())
}

/// What is asked in turn: most of it as workloads make pods, the rest what else comes.
fn reviews() -> Result<Vec<Ask>> {
    let all: Value = (0..TEMPLATES).map(|index| (format!("inject/t{index}"), json!("true"))).collect();
    let with = |key: &str, value: &str| {
        let mut annotations = all.clone();
        annotations[key] = value.into();
        annotations
    };
    let unknown = with("inject/nowhere", "true");
    let pod = |containers: usize, annotations: &Value, wanted: Wanted| -> Result<Ask> {
        Ok(Ask::mutate(with_uid(&review::review(containers, annotations))?, wanted))
    };
    let deployment = with_uid(&workload::deployment(3, &unknown))?;
    let usual = pod(3, &all, Wanted::Stamps(TEMPLATES))?;
    Ok(vec![
        usual.clone(),
        pod(1, &all, Wanted::Stamps(TEMPLATES))?,
        usual.clone(),
        pod(3, &json!({}), Wanted::Stamps(0))?,
        usual.clone(),
        // Nobody has said this before.
        pod(3, &with("inject/t0.said", UID), Wanted::Stamps(TEMPLATES))?,
        usual.clone(),
        pod(20, &all, Wanted::Stamps(TEMPLATES))?,
        pod(3, &unknown, Wanted::Denial("nowhere".to_owned()))?,
        Ask::validate(deployment, Wanted::Warning("nowhere".to_owned())),
    ])
}

/// This program again, as the client.
fn client() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg("--client");
    command
}

/// Another version of all templates.
fn change(templates: &Path, version: u64) -> Result<()> {
    let document = |index: usize| {
        format!(
            "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata: {{name: t{index}}}\nspec:\n  \
             description: Stamp a version.\n  parameters: {{said: {{type: string, default: nothing}}}}\n  target:\n    env:\n    \
             - {{name: T{index}, value: \"{STAMP}{version}\"}}\n    - {{name: SAID{index}, value: \"{{{{ params.said }}}}\"}}\n"
        )
    };
    // In one step: who reads meanwhile finds the old ones or the new ones.
    let file = templates.join("templates.yaml");
    fs::write(file.with_extension("next"), (0..TEMPLATES).map(document).collect::<Vec<_>>().join("---\n"))?;
    Ok(fs::rename(file.with_extension("next"), file)?)
}

fn leaf(authority: &Pair) -> Result<Files> {
    let ca = CertificateDer::from_pem_slice(authority.cert.as_bytes())?;
    let now = SystemTime::now();
    let names = vec!["localhost".to_owned()];
    let leaf = authority::make_leaf(&ca, &authority.key, names, now + Duration::from_hours(24), now)?;
    Ok(Files { ca: authority.cert.clone().into(), cert: leaf.cert.into(), key: leaf.key.into() })
}

/// What a server holds at a moment.
struct Sample {
    memory: f64,
    files: u32,
    threads: u32,
}

/// A running server; ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    /// It would be a broken pipe without a reader.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(certs: &Path, templates: &Path) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podgraft"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--kubernetes", "never"]);
        command.arg("--tls-dir").arg(certs).arg("--templates").arg(templates);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().context("starting podgraft")?;
        let mut stdout = BufReader::new(child.stdout.take().context("there is no pipe")?);
        let mut greeting = String::new();
        while !greeting.contains("/mutate") || !greeting.contains("http://") {
            ensure!(stdout.read_line(&mut greeting)? > 0, "podgraft did not start: {greeting}");
        }
        let after = |scheme: &str| -> Result<SocketAddr> {
            let address = greeting.split(scheme).nth(1).and_then(|rest| rest.split(['/', ' ', '\n']).next());
            Ok(address.with_context(|| format!("no address is printed: {greeting}"))?.parse()?)
        };
        Ok(Self { address: after("https://")?, admin: after("http://")?, child, _stdout: stdout })
    }

    /// A counter, as Prometheus sees it.
    fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(value.trim().parse()?)
    }

    fn sample(&self) -> Result<Sample> {
        let proc = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{proc}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<u32>()?)
        };
        let files = fs::read_dir(format!("{proc}/fd"))?.count() as u32;
        Ok(Sample { memory: f64::from(number("VmRSS:")?) / 1024.0, files, threads: number("Threads:")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
