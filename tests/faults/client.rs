//! The load: a client that treats webhooks as an API server does, in a process of its own.
//!
//! It speaks HTTP/1.1, keeps at most 25 idle connections and takes the one used last, opens another when none is idle, and
//! never sends a review again that may have been read. A connection that can't be opened goes to the next replica: a
//! balancer in front would have noticed. Answers that ask to come again are obeyed. Every answer is checked.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsConnector;

/// Connections without a request that are kept (Kubernetes: `webhook.ClientManager` leaves it at client-go's 25).
const IDLE: usize = 25;

/// How long they are kept (apimachinery's transports: Go's 90 s).
const IDLE_FOR: Duration = Duration::from_secs(90);

/// An answer that has not come by then never does: no webhook may have a longer `timeoutSeconds`.
const LOST: Duration = Duration::from_secs(30);

/// How often a review that is asked to come again does.
const ATTEMPTS: usize = 60;

/// What stands in bodies for the uid.
pub const UID: &str = "uid-goes-here";

/// What stands in answers before a version.
pub const STAMP: &str = "stamp-";

/// Before each line for the parent: a test's output has others.
pub const MARK: &str = "tally ";

/// What to do: the first line of standard input. Its end is the sign to stop.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Task {
    /// The replicas; new connections take turns.
    pub replicas: Vec<SocketAddr>,
    /// Whom to trust, in PEM.
    pub ca: String,
    /// Certificate and key to show, in PEM.
    pub identity: Option<(String, String)>,
    /// Reviews at a time.
    pub workers: usize,
    /// Reviews a second; none: as many as there are answers.
    pub rate: Option<f64>,
    /// The reviews, in turn.
    pub reviews: Vec<Ask>,
    /// How many reviews a connection carries; none: as many as there are.
    pub reviews_per_connection: Option<u64>,
    /// A replica that has closed a connection in order is not connected to again: its Service has seen that it is not ready.
    pub heeds_close: bool,
}

/// A review, and what has to come of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// Where it is sent.
    pub path: String,
    /// The body.
    pub review: String,
    /// The answer.
    pub wanted: Wanted,
}

impl Ask {
    /// Of a pod.
    pub fn mutate(review: String, wanted: Wanted) -> Self {
        Self { path: "/mutate".to_owned(), review, wanted }
    }

    /// Of anything else.
    pub fn validate(review: String, wanted: Wanted) -> Self {
        Self { path: "/validate".to_owned(), review, wanted }
    }
}

/// A review, with what stands for the uid in it.
pub fn with_uid(review: &[u8]) -> serde_json::Result<String> {
    let mut review: Value = serde_json::from_slice(review)?;
    review["request"]["uid"] = UID.into();
    Ok(review.to_string())
}

/// What an answer has to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Wanted {
    /// A patch with so many stamps, all of one version; with none, no patch.
    Stamps(usize),
    /// Let in, with a warning that says so.
    Warning(String),
    /// Denied, with a message that says so.
    Denial(String),
}

/// What has come of it so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Reviews that were answered as they should.
    pub good: u64,
    /// Answers that asked to come again: 429 or 503 with `Retry-After`.
    pub again: u64,
    /// Other answers, and what is wrong with them; the first few.
    pub wrong: Vec<String>,
    /// Reviews that were sent and had no answer.
    pub lost: Vec<Lost>,
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that could not be opened.
    pub unreachable: u64,
    /// The versions that answers were stamped with.
    pub versions: BTreeSet<u64>,
    /// The longest time from a review to its answer, in seconds, without those that were asked to come again.
    pub slowest: f64,
    /// The longest time to an answer that asked to come again, in seconds.
    pub slowest_again: f64,
}

impl Tally {
    /// An answer that came after this long asked to come again.
    fn shed(&mut self, after: Duration) {
        self.again += 1;
        self.slowest_again = self.slowest_again.max(after.as_secs_f64());
    }
}

/// A review without an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lost {
    /// Where it went.
    pub replica: SocketAddr,
    /// When it was given up, in seconds since 1970.
    pub at: f64,
    /// What happened.
    pub why: String,
}

/// The client's process, to the end of its standard input.
pub fn run() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the task")?;
    let task: Task = serde_json::from_str(&line).context("reading the task")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = runtime.block_on(work(task))?;
    tell(&tally)
}

fn tell(tally: &Tally) -> Result<()> {
    let mut out = std::io::stdout().lock();
    // On a line of its own, whatever stands there.
    write!(out, "\n{MARK}{}\n", serde_json::to_string(tally)?)?;
    Ok(out.flush()?)
}

async fn work(task: Task) -> Result<Tally> {
    let stop = Arc::new(tokio::sync::Notify::new());
    std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            stop.notify_one();
        }
    });
    let workers = task.workers;
    let client = Arc::new(Client::new(task)?);
    let mut working = JoinSet::new();
    for _ in 0..workers {
        working.spawn(Arc::clone(&client).worker());
    }
    let mut told = interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            () = stop.notified() => break,
            _ = told.tick() => tell(&client.tally())?,
            Some(ended) = working.join_next() => ended??,
        }
    }
    // What has begun is brought to its end.
    client.stopping.store(true, Ordering::Relaxed);
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(client.tally().clone())
}

/// An open connection and where it leads.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    replica: SocketAddr,
    /// When it was asked last.
    asked: Instant,
    /// Reviews that it has carried.
    reviews: u64,
}

struct Client {
    task: Task,
    tls: TlsConnector,
    begin: Instant,
    idle: Mutex<Vec<Connection>>,
    /// Reviews so far.
    turns: AtomicUsize,
    /// Attempts to connect so far.
    dials: AtomicUsize,
    /// Replicas that have closed a connection in order.
    leaving: Mutex<BTreeSet<SocketAddr>>,
    tally: Mutex<Tally>,
    stopping: AtomicBool,
}

/// What one sending came to.
enum Sent {
    Answered(Response<Bytes>),
    Lost(String),
    /// The connection was closed before: nothing was sent.
    Kept,
}

impl Client {
    fn new(task: Task) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(task.ca.as_bytes()) {
            roots.add(ca?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(podgraft::tls::provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &task.identity {
            None => config.with_no_client_auth(),
            Some((cert, key)) => config.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?,
        };
        Ok(Self {
            task,
            tls: Arc::new(config).into(),
            begin: Instant::now(),
            idle: Mutex::default(),
            turns: AtomicUsize::new(0),
            dials: AtomicUsize::new(0),
            leaving: Mutex::default(),
            tally: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    async fn worker(self: Arc<Self>) -> Result<()> {
        while !self.stopping.load(Ordering::Relaxed) {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            if let Some(rate) = self.task.rate {
                let due = self.begin + Duration::from_secs_f64(turn as f64 / rate);
                let early = due.saturating_duration_since(Instant::now());
                // A sleep of no time takes a millisecond: who is late could never make up for it.
                if !early.is_zero() {
                    sleep(early).await;
                }
            }
            let uid = format!("{}-{turn}", std::process::id());
            let ask = &self.task.reviews[turn % self.task.reviews.len()];
            let review = Bytes::from(ask.review.replace(UID, &uid));
            self.ask(&uid, ask, &review).await?;
        }
        Ok(())
    }

    /// One review, to its answer.
    async fn ask(&self, uid: &str, ask: &Ask, review: &Bytes) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let mut connection = self.connection().await?;
            let begin = Instant::now();
            let sent = timeout(LOST, send(&mut connection.sender, &ask.path, review.clone())).await;
            let answer = match sent.unwrap_or(Sent::Lost("no answer".to_owned())) {
                Sent::Kept => continue,
                Sent::Lost(why) => {
                    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
                    self.tally().lost.push(Lost { replica: connection.replica, at, why });
                    return Ok(());
                }
                Sent::Answered(answer) => answer,
            };
            self.keep(connection, &answer);
            let comes_again =
                matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if let Some(wait) = answer.headers().get(header::RETRY_AFTER).filter(|_| comes_again) {
                self.tally().shed(begin.elapsed());
                sleep(Duration::from_secs(wait.to_str()?.parse()?)).await;
                continue;
            }
            let checked = check(uid, &answer, &ask.wanted);
            let mut tally = self.tally();
            tally.slowest = tally.slowest.max(begin.elapsed().as_secs_f64());
            match checked {
                Ok(version) => {
                    tally.good += 1;
                    tally.versions.extend(version);
                }
                Err(wrong) => {
                    let text = String::from_utf8_lossy(answer.body());
                    let line = format!("{wrong:#}: {} {text:.500}", answer.status());
                    tally.wrong.push(line);
                    ensure!(tally.wrong.len() < 20, "enough: {:?}", tally.wrong);
                }
            }
            return Ok(());
        }
        self.tally().wrong.push(format!("asked to come again {ATTEMPTS} times"));
        Ok(())
    }

    /// The idle connection that was used last, or a new one.
    async fn connection(&self) -> Result<Connection> {
        loop {
            let idle = lock(&self.idle).pop();
            let Some(mut connection) = idle else { break };
            // Sooner than a server closes it: what is sent in that moment is lost.
            if connection.asked.elapsed() < IDLE_FOR && connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        for _ in 0..100 * self.task.replicas.len() {
            let turn = self.dials.fetch_add(1, Ordering::Relaxed);
            let replica = self.task.replicas[turn % self.task.replicas.len()];
            if self.task.heeds_close && lock(&self.leaving).contains(&replica) {
                continue;
            }
            if let Ok(sender) = self.connect(replica).await {
                self.tally().connections += 1;
                return Ok(Connection { sender, replica, asked: Instant::now(), reviews: 0 });
            }
            self.tally().unreachable += 1;
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("nobody can be connected to")
    }

    async fn connect(&self, replica: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(replica).await?;
        socket.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, socket).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, mut connection: Connection, answer: &Response<Bytes>) {
        let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        if closes {
            lock(&self.leaving).insert(connection.replica);
        }
        connection.asked = Instant::now();
        connection.reviews += 1;
        let worn = self.task.reviews_per_connection.is_some_and(|most| connection.reviews >= most);
        let mut idle = lock(&self.idle);
        if !closes && !worn && idle.len() < IDLE {
            idle.push(connection);
        }
    }
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, path: &str, review: Bytes) -> Sent {
    let request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(review));
    let Ok(request) = request else { return Sent::Kept };
    match sender.try_send_request(request).await {
        Ok(answer) => match whole(answer).await {
            Ok(answer) => Sent::Answered(answer),
            Err(error) => Sent::Lost(format!("the answer broke off: {error}")),
        },
        Err(mut error) => match error.take_message() {
            Some(_) => Sent::Kept,
            None => Sent::Lost(error.into_error().to_string()),
        },
    }
}

async fn whole(answer: Response<Incoming>) -> hyper::Result<Response<Bytes>> {
    let (head, body) = answer.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

/// The version that an answer is stamped with, if it is as it should be.
fn check(uid: &str, answer: &Response<Bytes>, wanted: &Wanted) -> Result<Option<u64>> {
    ensure!(answer.status() == StatusCode::OK, "no review");
    let review: Value = serde_json::from_slice(answer.body())?;
    let response = &review["response"];
    ensure!(response["uid"] == uid, "the answer to another review than {uid}");
    let stamps = match wanted {
        Wanted::Denial(why) => {
            let said = response["status"]["message"].as_str().unwrap_or_default();
            ensure!(response["allowed"] == false && said.contains(why), "it is not denied because of {why:?}");
            return Ok(None);
        }
        Wanted::Warning(why) => {
            let mut warnings = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let warned = warnings.any(|warning| warning.contains(why));
            ensure!(response["allowed"] == true && warned, "it is not let in with a warning of {why:?}");
            return Ok(None);
        }
        Wanted::Stamps(stamps) => *stamps,
    };
    ensure!(response["allowed"] == true, "it is denied");
    if stamps == 0 {
        ensure!(response["patch"].is_null(), "it is patched");
        return Ok(None);
    }
    let patch = base64::prelude::BASE64_STANDARD.decode(response["patch"].as_str().context("no patch")?)?;
    let patch = String::from_utf8(patch)?;
    let versions: Vec<&str> =
        patch.split(STAMP).skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    ensure!(versions.len() == stamps, "{} stamps instead of {stamps}", versions.len());
    ensure!(versions.iter().all(|version| *version == versions[0]), "a mixture: {versions:?}");
    Ok(Some(versions[0].parse()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
