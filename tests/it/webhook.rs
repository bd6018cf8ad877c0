//! The webhook in this process, on a free port, with real TLS; and clients for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use podgraft::metrics::Metrics;
use podgraft::server::{Options, Patience, Server, State};
use podgraft::snapshot::Snapshot;
use podgraft::tls::{self, Keeper};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// No test waits longer for anything: a guard against hanging, not a measure.
pub const LONG: Duration = Duration::from_secs(30);

/// A running server.
pub struct Webhook {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub state: Arc<State>,
    pub keeper: Keeper,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
    certs: TempDir,
}

/// What a test changes about a server.
pub struct Setup {
    pub options: Options,
    pub patience: Patience,
    pub max_in_flight: usize,
    pub snapshot: Option<Snapshot>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: Options::default(),
            patience: Patience::default(),
            max_in_flight: 512,
            snapshot: Some(Snapshot::default()),
        }
    }
}

impl Setup {
    pub async fn start(self) -> Webhook {
        let certs = tempfile::tempdir().unwrap();
        let keeper = Keeper::open(certs.path(), true, SystemTime::now()).unwrap();
        let state = Arc::new(State::new(Arc::new(Metrics::new().unwrap()), self.max_in_flight, self.patience));
        if let Some(snapshot) = self.snapshot {
            state.publish(snapshot);
        }
        let config = Arc::new(tls::Handshakes::new(keeper.resolver(), None).unwrap());
        let free = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(free, free, config, Arc::clone(&state), self.options).await.unwrap();
        let (address, admin) = (server.webhook_address().unwrap(), server.admin_address().unwrap());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Webhook { address, admin, state, keeper, stop, running, certs }
    }
}

pub async fn start() -> Webhook {
    Setup::default().start().await
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Self { status: head.status, headers: head.headers, body }
    }

    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// An open HTTP/1.1 connection.
pub type Http1 = http1::SendRequest<Full<Bytes>>;

impl Webhook {
    pub fn certs(&self) -> PathBuf {
        self.certs.path().to_owned()
    }

    /// A TLS connection that trusts the server's CA as it is now, and offers these protocols.
    pub async fn tls(&self, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        tls_to(self.address, &self.certs.path().join("ca.crt"), protocols).await
    }

    pub async fn http1(&self) -> Http1 {
        let stream = self.tls(&["http/1.1"]).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = self.tls(&["h2"]).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends a review on a connection of its own.
    pub async fn mutate(&self, body: impl Into<Bytes>) -> Answer {
        send(&mut self.http1().await, mutate(body)).await
    }

    /// Sends bytes as they are, and reads until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.tls(&["http/1.1"]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the server closes").unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Asks the admin port.
    pub async fn get(&self, path: &str) -> Answer {
        get(self.admin, path).await
    }

    /// The value of a metric, by its name and labels as Prometheus writes them.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(self.admin, name).await
    }
}

/// Asks an admin port.
pub async fn get(admin: SocketAddr, path: &str) -> Answer {
    let stream = TcpStream::connect(admin).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send(&mut sender, Request::get(path).header(header::HOST, "x").body(Full::default()).unwrap()).await
}

/// The value of a metric, by its name and labels as Prometheus writes them.
pub async fn metric(admin: SocketAddr, name: &str) -> f64 {
    let metrics = get(admin, "/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

/// Whom a client trusts that trusts this CA.
pub fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    roots
}

/// A TLS connection that trusts this CA, and offers these protocols.
pub async fn tls_to(address: SocketAddr, ca: &Path, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    tls_over(TcpStream::connect(address).await?, ca, protocols).await
}

pub async fn tls_over(stream: TcpStream, ca: &Path, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub fn mutate(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/mutate")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

pub async fn send(sender: &mut Http1, request: Request<Full<Bytes>>) -> Answer {
    let answer = async { Answer::read(sender.send_request(request).await.unwrap()).await };
    tokio::time::timeout(LONG, answer).await.expect("an answer")
}

/// A review of a pod that asks for this with this annotation's value.
pub fn review(uid: &str, key: &str, value: &str) -> String {
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "default",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"generateName": "web-", "annotations": {key: value}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
    })
    .to_string()
}

/// A review of this object, which may be anything, as a pod.
pub fn review_of(object: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"default","operation":"CREATE","object":{object}}}}}"#
    )
}
