//! What the running program costs: `cargo bench --bench load`, of it one part with `-- starts`, `requests`, `unseen`, `rate`,
//! `instructions`, `handshakes`, `memory` or `idle`, of another build with `-- --program PATH`. It fails if that is more than
//! is wanted.
//!
//! The release `podgraft serve` and an echo (`echo.rs`), each a process held to one processor, are asked in turns by a
//! client on the others, because a machine drifts: of each turn and its counterpart there is a ratio, and printed are the
//! median and the extremes. Then starts, handshakes and memory. docs/performance.md says what the figures mean.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]

mod client;
mod cpus;
mod echo;
mod figures;
mod pair;
mod server;

#[path = "../review/mod.rs"]
mod review;
#[path = "../review/sizes.rs"]
#[allow(dead_code, reason = "the other benches need more of it")]
mod sizes;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use serde_json::json;
use tempfile::TempDir;

use client::{Connection, OWN, Protocol, Target, at_rate, saturate};
use cpus::Cpus;
use figures::{median, milliseconds, ratio};
use pair::{Pair, ROUNDS, Side, TURN};
use server::Server;
use sizes::{LARGE, MEDIUM, SMALL, Size};

/// What can be asked for alone.
const PARTS: [&str; 8] = ["starts", "requests", "unseen", "rate", "instructions", "handshakes", "memory", "idle"];

/// How often the program is started for a median.
const STARTS: usize = 21;

/// Requests at a time.
const AT_ONCE: [usize; 3] = [1, 16, 64];

/// Requests a second, where they come whether or not answers do.
const RATE: u32 = 1000;
const RATE_TURN: Duration = Duration::from_secs(4);

/// Connections that are open without a request.
const IDLE: usize = 10_000;

/// The whole run ends after this, whatever hangs.
const LIMIT: Duration = Duration::from_mins(20);

/// Processor time of a request against the echo's, over HTTP/1.1 on 16 connections: at most, and what is aimed at.
const TARGETS: [(Size, f64, f64); 3] = [(SMALL, 1.8, 1.4), (MEDIUM, 2.2, 1.7), (LARGE, 3.2, 2.4)];

fn main() -> Result<()> {
    let (mut program, mut parts, mut asked) = (env!("CARGO_BIN_EXE_podgraft").to_owned(), Vec::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => asked = true,
            "--program" => program = arguments.next().context("--program PATH")?,
            "--echo" => {
                let mut path = || arguments.next().map(PathBuf::from).context("--echo CERTIFICATES ANSWER");
                return echo::serve(&path()?, &path()?);
            }
            part if !part.starts_with('-') => parts.push(part.to_owned()),
            _ => {}
        }
    }
    if !parts.is_empty() && parts.iter().all(|part| !PARTS.contains(&part.as_str())) {
        // A filter for the other benches.
        return Ok(());
    }
    // Test runs that take in every target leave the option out.
    if !asked {
        println!("this takes minutes and a release build: cargo bench --bench load");
        return Ok(());
    }
    let (cpus, certificates, missed) = (Cpus::divide()?, tempfile::tempdir()?, RefCell::default());
    let bench = Bench { program: program.into(), cpus, certificates, parts, missed };
    bench.cpus.hold_client()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(LIMIT, bench.run()).await.context("it took too long")? })
}

/// The review of such a pod that asks for wait-for-db and log-shipper.
fn asking(size: Size) -> Bytes {
    size.review(&review::annotations(2)).into()
}

/// What all parts of the run share.
struct Bench {
    program: PathBuf,
    cpus: Cpus,
    certificates: TempDir,
    /// Which parts to run; all if none is named.
    parts: Vec<String>,
    /// What is more than wanted.
    missed: RefCell<Vec<String>>,
}

impl Bench {
    async fn run(&self) -> Result<()> {
        let binary = fs::metadata(&self.program)?.len() as f64 / 1e6;
        println!("binary: {binary:.1} MB (at most 12)");
        self.want("MB of the binary", binary, 12.0);
        if self.wants("starts") {
            self.starts().await?;
        }
        if self.wants("requests") {
            self.requests().await?;
        }
        if self.wants("unseen") {
            self.unseen().await?;
        }
        if self.wants("rate") {
            self.rate().await?;
        }
        if self.wants("instructions") {
            self.instructions().await?;
        }
        if self.wants("handshakes") {
            self.handshakes().await?;
        }
        if self.wants("memory") {
            self.memory().await?;
        }
        if self.wants("idle") {
            self.idle().await?;
        }
        let missed = self.missed.borrow();
        ensure!(missed.is_empty(), "more than wanted: {}", missed.join("; "));
        Ok(())
    }

    /// Notes what is more than wanted.
    fn want(&self, what: &str, found: f64, most: f64) {
        if found > most {
            self.missed.borrow_mut().push(format!("{found:.2} {what} instead of {most}"));
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    fn podgraft(&self) -> Result<Server> {
        Server::podgraft(self.cpus.server(&self.program), self.certificates.path(), &[])
    }

    /// An echo that answers with these bytes.
    fn echo(&self, answer: &[u8]) -> Result<Server> {
        let path = self.certificates.path().join("answer");
        fs::write(&path, answer)?;
        Server::echo(self.cpus.server(&std::env::current_exe()?), self.certificates.path(), &path)
    }

    fn target(&self, server: &Server, protocol: Protocol, body: &Bytes) -> Result<Target> {
        let tls = client::tls(self.certificates.path(), protocol, true)?;
        Ok(Target { address: server.address, protocol, tls, body: body.clone() })
    }

    /// Times starts on all processors: those that make a certificate, and those that find one.
    async fn starts(&self) -> Result<()> {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let certificates = tempfile::tempdir()?;
            first.push(self.start(certificates.path()).await?);
            later.push(self.start(certificates.path()).await?);
        }
        first.sort();
        later.sort();
        let making = milliseconds(first[STARTS / 2]);
        println!(
            "process start to first good answer: {making:.1} ms where a certificate is made (median of {STARTS}),"
        );
        let (least, median) = (milliseconds(later[0]), milliseconds(later[STARTS / 2]));
        println!("  else {median:.1} ms (median of {STARTS}, least {least:.1} ms; at most 20)");
        self.want("ms from start to answer", median, 20.0);
        Ok(())
    }

    /// The time from the start of the process to the first good answer.
    async fn start(&self, certificates: &Path) -> Result<Duration> {
        let body = asking(MEDIUM);
        let begin = Instant::now();
        let server = Server::podgraft(self.cpus.anywhere(&self.program), certificates, &[])?;
        let tls = client::tls(certificates, Protocol::Http1, true)?;
        good(
            Connection::http1(&Target { address: server.address, protocol: Protocol::Http1, tls, body })
                .await?
                .ask()
                .await?,
        )?;
        Ok(begin.elapsed())
    }

    /// Both servers, and what they are asked and answer.
    async fn pair(&self, protocol: Protocol, body: &Bytes) -> Result<Pair> {
        let podgraft = self.podgraft()?;
        let target = self.target(&podgraft, protocol, body)?;
        let answer = answer(&target).await?;
        let echo = self.echo(&answer)?;
        let targets = [target, self.target(&echo, protocol, body)?];
        Ok(Pair { servers: [podgraft, echo], targets, answer })
    }

    /// As many requests as the servers take.
    async fn requests(&self) -> Result<()> {
        println!(
            "\n{:16}{:>4}{:>10}{:>8}{:>8}{:>8}{:>8}{:>8} | {:>10}{:>8}{:>8}{:>8}{:>8}{:>8} | CPU ratio (extremes), must, aim",
            "",
            "",
            "podgraft/s",
            "p50 ms",
            "p99",
            "p99.9",
            "CPU µs",
            "peak",
            "echo/s",
            "p50 ms",
            "p99",
            "p99.9",
            "CPU µs",
            "peak"
        );
        for protocol in Protocol::ALL {
            for (size, must, aim) in TARGETS {
                let body = asking(size);
                println!("{}, {} ({} bytes):", protocol.name(), size.name, body.len());
                let pair = self.pair(protocol, &body).await?;
                for count in AT_ONCE {
                    let (row, ratio) = pair.saturated(count).await?;
                    print!("{row}");
                    if (protocol, count) == (Protocol::Http1, 16) {
                        print!(", {must}, {aim}");
                        self.want(&format!("times the echo's CPU for {} pods", size.name), ratio, must);
                    }
                    println!();
                }
            }
        }
        Ok(())
    }

    /// The same where no pod says what another has said: nothing that was rendered serves again.
    async fn unseen(&self) -> Result<()> {
        println!("\nHTTP/1.1, each pod with values of its own; columns as above:");
        for (size, ..) in TARGETS {
            let annotations = json!({
                "inject/log-shipper": format!("/var/log/orders{OWN}"),
                "inject/wait-for-db": format!("postgres://orders-db{OWN}"),
            });
            let body = Bytes::from(size.review(&annotations));
            println!("{} ({} bytes):", size.name, body.len());
            println!("{}", self.pair(Protocol::Http1, &body).await?.saturated(16).await?.0);
        }
        Ok(())
    }

    /// So many requests a second, whether or not answers come.
    async fn rate(&self) -> Result<()> {
        let body = asking(MEDIUM);
        let pair = self.pair(Protocol::Http1, &body).await?;
        let mut sides = pair.sides(16).await?;
        for _ in 0..ROUNDS {
            for side in &mut sides {
                let spent = side.server.processor_time()?;
                let turn = at_rate(&mut side.connections, &pair.answer, RATE_TURN, RATE).await?;
                let asked = turn.took.len() as f64 / turn.wall.as_secs_f64();
                ensure!(asked > 0.98 * f64::from(RATE), "the client came to {asked:.0} requests/s");
                side.turns.push(turn, side.server.processor_time()?.saturating_sub(spent));
            }
        }
        println!("\n{RATE} requests/s of {} bytes, on 16 connections of HTTP/1.1:", body.len());
        for (name, per_mille, most) in [("p50", 500, None), ("p99", 990, Some(1.5)), ("p99.9", 999, None)] {
            let [podgraft, echo] = sides.each_ref().map(|side| side.turns.percentiles(per_mille));
            let (middle, least, greatest) = ratio(&podgraft, &echo);
            print!(
                "  {name} {:.2} ms, echo {:.2} ms: {middle:.2} times ({least:.2} to {greatest:.2}",
                median(podgraft),
                median(echo),
            );
            if let Some(most) = most {
                print!("; at most {most}");
                self.want(&format!("times the echo's {name}"), middle, most);
            }
            println!(")");
        }
        let (middle, least, most) = ratio(&sides[0].turns.cost, &sides[1].turns.cost);
        let [podgraft, echo] = sides.map(|side| median(side.turns.cost));
        println!("  CPU {podgraft:.1} µs, echo {echo:.1} µs: {middle:.2} times ({least:.2} to {most:.2})");
        Ok(())
    }

    /// Instructions of a request in user mode, by callgrind: no time, but the same on a busy machine.
    async fn instructions(&self) -> Result<()> {
        println!("\ninstructions of a request in user mode, HTTP/1.1:");
        if !Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|done| done.success()) {
            ensure!(self.parts.is_empty(), "valgrind counts them, and there is none");
            println!("  not counted: there is no valgrind");
            return Ok(());
        }
        for (size, ..) in TARGETS {
            let body = asking(size);
            let server = self.podgraft()?;
            let path = self.certificates.path().join("answer");
            fs::write(&path, answer(&self.target(&server, Protocol::Http1, &body)?).await?)?;
            let certificates = self.certificates.path();
            let podgraft = |mut valgrind: Command| {
                valgrind.arg(&self.program);
                Server::podgraft(valgrind, certificates, &[])
            };
            let echo = |mut valgrind: Command| {
                valgrind.arg(std::env::current_exe()?);
                Server::echo(valgrind, certificates, &path)
            };
            let (podgraft, echo) = (self.count(podgraft, &body).await?, self.count(echo, &body).await?);
            println!("  {:8}{podgraft:>10}, echo {echo:>10}: {:.2} times", size.name, podgraft as f64 / echo as f64);
        }
        Ok(())
    }

    /// The instructions of a request: what 100 more of them add to those of a server's whole life.
    async fn count(&self, start: impl Fn(Command) -> Result<Server>, body: &Bytes) -> Result<u64> {
        let out = self.certificates.path().join("callgrind");
        let mut counts = [0; 2];
        for (count, requests) in counts.iter_mut().zip([20, 120]) {
            let mut valgrind = Command::new("valgrind");
            valgrind.args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())]);
            let server = start(valgrind)?;
            let mut connection = Connection::http1(&self.target(&server, Protocol::Http1, body)?).await?;
            for _ in 0..requests {
                connection.ask().await?;
            }
            drop(connection);
            server.end()?;
            let text = fs::read_to_string(&out)?;
            let totals = text.lines().find_map(|line| line.strip_prefix("totals:")).context("no totals")?;
            *count = totals.trim().parse::<u64>()?;
        }
        Ok((counts[1] - counts[0]) / 100)
    }

    /// A connection for each request, as when API servers open them in bursts.
    async fn handshakes(&self) -> Result<()> {
        const AT_ONCE: usize = 4;
        let body = asking(SMALL);
        let server = self.podgraft()?;
        let target = self.target(&server, Protocol::Http1, &body)?;
        let answer = answer(&target).await?;
        let mut kept = Side::new(&server, &target, AT_ONCE).await?;
        let (mut cost, mut rates) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            let spent = server.processor_time()?;
            let turn = saturate(&mut kept.connections, &answer, TURN, usize::MAX).await?;
            kept.turns.push(turn, server.processor_time()?.saturating_sub(spent));
            for (which, resumption) in [false, true].into_iter().enumerate() {
                let tls = client::tls(self.certificates.path(), Protocol::Http1, resumption)?;
                let target = Target { tls, ..target.clone() };
                let (begin, spent) = (Instant::now(), server.processor_time()?);
                let mut clients = tokio::task::JoinSet::new();
                for _ in 0..AT_ONCE {
                    let (target, answer) = (target.clone(), answer.clone());
                    clients.spawn(async move {
                        let mut count = 0;
                        while begin.elapsed() < TURN {
                            Connection::http1(&target).await?.expect(&answer).await?;
                            count += 1;
                        }
                        anyhow::Ok(count)
                    });
                }
                let mut count = 0;
                while let Some(client) = clients.join_next().await {
                    count += client??;
                }
                rates[which].push(f64::from(count) / begin.elapsed().as_secs_f64());
                let spent = server.processor_time()?.saturating_sub(spent);
                cost[which].push(spent.as_secs_f64() * 1e6 / f64::from(count));
            }
        }
        let request = median(kept.turns.cost.iter().copied());
        println!(
            "\nconnections of one request each ({request:.1} µs of CPU on a kept connection), {AT_ONCE} at a time:"
        );
        for (which, name) in ["full handshake", "resumed session"].into_iter().enumerate() {
            let handshake = median(cost[which].iter().copied()) - request;
            println!("  {name}: {handshake:.0} µs of CPU, {:.0}/s", median(rates[which].iter().copied()));
        }
        Ok(())
    }

    /// What stays in memory, and the most that was there.
    async fn memory(&self) -> Result<()> {
        println!();
        let server = self.podgraft()?;
        let (all, own) = server.resident()?;
        println!("resident before the first request: {all:.1} MiB, {own:.1} of it in no file");
        let mut found = Vec::new();
        for (size, connections, requests) in [(MEDIUM, 16, 100_000), (LARGE, 64, 20_000)] {
            let target = self.target(&server, Protocol::Http1, &asking(size))?;
            let answer = answer(&target).await?;
            // Kept open until memory is looked at: what a connection keeps belongs to it.
            let mut open = Connection::open(&target, connections).await?;
            saturate(&mut open, &answer, LIMIT, requests / connections).await?;
            let (all, own) = server.resident()?;
            found.push((all, server.peak()?));
            println!(
                "after {requests} requests of {} bytes on {connections} connections: {all:.1} MiB, {own:.1} of it in no file; peak {:.1} MiB",
                target.body.len(),
                server.peak()?,
            );
        }
        println!("(at most 12 MiB after the first, 24 MiB at the peak)");
        self.want("MiB resident", found[0].0, 12.0);
        self.want("MiB at the peak", found[1].1, 24.0);
        Ok(())
    }

    /// What connections cost that have asked and may ask again. They need as many descriptors here and in the server.
    async fn idle(&self) -> Result<()> {
        println!();
        let most = (2 * IDLE).to_string();
        let server =
            Server::podgraft(self.cpus.server(&self.program), self.certificates.path(), &["--max-connections", &most])?;
        let target = self.target(&server, Protocol::Http1, &asking(SMALL))?;
        let answer = answer(&target).await?;
        let (before, _) = server.resident()?;
        let mut open = Vec::with_capacity(IDLE);
        let start = Instant::now();
        for _ in 0..IDLE {
            let mut connection = Connection::http1(&target).await.context("another descriptor: ulimit -n")?;
            connection.expect(&answer).await?;
            open.push(connection);
        }
        let (took, (after, _)) = (start.elapsed(), server.resident()?);
        let each = (after - before) * 1024.0 / IDLE as f64;
        println!(
            "{IDLE} connections that idle, opened in {:.0} s: {after:.0} MiB, {each:.1} KiB for each",
            took.as_secs_f64()
        );
        let start = Instant::now();
        for connection in &mut open {
            connection.expect(&answer).await?;
        }
        println!(
            "each of them asked again, one by one: {} answers in {:.1} s",
            open.len(),
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

/// The answer, which grafts something: a rejection would be fast and mean nothing.
async fn answer(target: &Target) -> Result<Bytes> {
    let mut connections = Connection::open(target, 1).await?;
    let answer = Bytes::copy_from_slice(connections[0].ask().await?);
    good(&answer)?;
    Ok(answer)
}

fn good(answer: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(answer);
    ensure!(text.contains("\"allowed\":true") && text.contains("JSONPatch"), "this is no injection: {text}");
    Ok(())
}
