//! What the running program costs: `cargo bench --bench load`; with `-- --program PATH`, what another build does.
//!
//! Starts the release `podgraft serve`, on free loopback ports, and looks at it from outside: the time from the start of
//! the process to the first good answer, then 100,000 reviews of a medium pod over kept connections, as an API server
//! sends them, then fewer large ones over many connections. Memory and processor time are read from `/proc`, so this is
//! for Linux. The client takes one thread and leaves the rest of the machine to the server; its log goes nowhere.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]

mod review;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How often the program is started for a median.
const STARTS: usize = 21;

/// The whole run ends after this, whatever hangs.
const LIMIT: Duration = Duration::from_mins(10);

/// A load: so many reviews of a pod with so many containers, over so many connections at once.
struct Load {
    containers: usize,
    connections: usize,
    reviews: usize,
}

const MEDIUM: Load = Load { containers: 3, connections: 16, reviews: 100_000 };
const LARGE: Load = Load { containers: 40, connections: 64, reviews: 10_000 };

fn main() -> Result<()> {
    let (mut program, mut asked) = (env!("CARGO_BIN_EXE_podgraft").to_owned(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => asked = true,
            "--program" => program = arguments.next().context("--program PATH")?,
            // A filter for the other benches.
            filter if !filter.starts_with('-') && !"load".contains(filter) => return Ok(()),
            _ => {}
        }
    }
    // Test runs that take in every target leave the option out.
    if !asked {
        println!("this takes minutes and a release build: cargo bench --bench load");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(LIMIT, run(Path::new(&program))).await.context("it took too long")? })
}

async fn run(program: &Path) -> Result<()> {
    println!("binary: {:.1} MB", fs::metadata(program)?.len() as f64 / 1e6);
    starts(program).await?;

    let certificates = tempfile::tempdir()?;
    let mut server = Server::start(program, certificates.path())?;
    let tls = client(certificates.path())?;
    println!("memory before the first request: {}", server.memory()?);
    for load in [MEDIUM, LARGE] {
        load.run(&mut server, &tls).await?;
    }
    Ok(())
}

/// Times starts: the first, which makes its certificate, and the median of those that find one.
async fn starts(program: &Path) -> Result<()> {
    let certificates = tempfile::tempdir()?;
    let first = start(program, certificates.path()).await?;
    let mut later = Vec::new();
    for _ in 0..STARTS {
        later.push(start(program, certificates.path()).await?);
    }
    later.sort();
    println!("process start to first good answer: {:.1} ms where a certificate is made,", milliseconds(first));
    let (least, median) = (milliseconds(later[0]), milliseconds(later[STARTS / 2]));
    println!("  else {median:.1} ms (median of {STARTS}, least {least:.1} ms)");
    Ok(())
}

/// The time from the start of the process to the first good answer.
async fn start(program: &Path, certificates: &Path) -> Result<Duration> {
    let begin = Instant::now();
    let server = Server::start(program, certificates)?;
    let mut connection = connect(server.address, &client(certificates)?).await?;
    good(&send(&mut connection, &medium()).await?)?;
    Ok(begin.elapsed())
}

fn medium() -> Bytes {
    review::review(MEDIUM.containers, &review::annotations(2)).into()
}

impl Load {
    async fn run(self, server: &mut Server, tls: &TlsConnector) -> Result<()> {
        let Self { containers, connections, reviews } = self;
        let body = Bytes::from(review::review(containers, &review::annotations(2)));
        let mut first = connect(server.address, tls).await?;
        let expected = send(&mut first, &body).await?;
        good(&expected)?;

        let (begin, spent) = (Instant::now(), server.processor_time()?);
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (address, tls, body, expected) = (server.address, tls.clone(), body.clone(), expected.clone());
            clients.spawn(async move {
                let mut connection = connect(address, &tls).await?;
                let mut took = Vec::with_capacity(reviews / connections);
                for _ in 0..reviews / connections {
                    let begin = Instant::now();
                    let answer = send(&mut connection, &body).await?;
                    took.push(begin.elapsed());
                    ensure!(
                        answer == expected,
                        "the same review, another answer: {}",
                        String::from_utf8_lossy(&answer)
                    );
                }
                // Kept open until all are done: what a connection keeps belongs to the memory that is shown.
                anyhow::Ok((took, connection))
            });
        }
        let (mut took, mut open) = (Vec::new(), Vec::new());
        while let Some(client) = clients.join_next().await {
            let (times, connection) = client??;
            took.extend(times);
            open.push(connection);
        }
        let (wall, spent) = (begin.elapsed(), server.processor_time()?.saturating_sub(spent));
        took.sort();

        let count = took.len();
        println!("\n{count} reviews of {} bytes over {connections} connections, two templates:", body.len());
        println!("  {:.0} requests/s", count as f64 / wall.as_secs_f64());
        let percentile = |percent: usize| milliseconds(took[(count - 1) * percent / 100]);
        println!("  p50 {:.2} ms, p99 {:.2} ms", percentile(50), percentile(99));
        println!("  {:.1} µs of processor time a request", spent.as_secs_f64() * 1e6 / count as f64);
        println!("  memory: {}", server.memory()?);
        Ok(())
    }
}

/// A running server; ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    /// It would be a broken pipe without a reader.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(program: &Path, certificates: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--tls-dir"]);
        command.arg(certificates).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().context("starting podgraft")?;
        let mut stdout = BufReader::new(child.stdout.take().context("there is no pipe")?);
        let mut greeting = String::new();
        while !greeting.contains("/mutate") {
            ensure!(stdout.read_line(&mut greeting)? > 0, "podgraft did not start: {greeting}");
        }
        let address = greeting.split("https://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.context("no address is printed")?.parse()?;
        Ok(Self { child, address, _stdout: stdout })
    }

    /// What of its memory is resident: all of it, its own, and pages of files; and the most that ever was.
    fn memory(&self) -> Result<String> {
        let rollup = self.proc("smaps_rollup")?;
        let (all, own) = (mebibytes(&rollup, "Rss:")?, mebibytes(&rollup, "Anonymous:")?);
        let peak = mebibytes(&self.proc("status")?, "VmHWM:")?;
        let files = all - own;
        Ok(format!("{all:.1} MiB resident ({own:.1} its own, {files:.1} of files), {peak:.1} MiB at the peak"))
    }

    /// The processor time that it has spent, in user and kernel mode: fields 14 and 15 of proc_pid_stat(5), counted after
    /// the name, which may hold anything, in hundredths of a second.
    fn processor_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).context(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line such as `Rss:   1234 kB`.
fn mebibytes(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A client that trusts this directory's CA.
fn client(certificates: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.join("ca.crt"))?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(podgraft::tls::provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

async fn connect(address: SocketAddr, tls: &TlsConnector) -> Result<SendRequest<Body>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let stream = tls.connect(ServerName::from(address.ip()), socket).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(connection: &mut SendRequest<Body>, body: &Bytes) -> Result<Bytes> {
    connection.ready().await?;
    let request = Request::post("/mutate")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.clone()))?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let answer = answer.into_body().collect().await?.to_bytes();
    ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&answer));
    Ok(answer)
}

/// A rejection would be fast and mean nothing.
fn good(answer: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(answer);
    ensure!(text.contains("\"allowed\":true") && text.contains("JSONPatch"), "this is no injection: {text}");
    Ok(())
}
