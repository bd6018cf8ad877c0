//! A client that costs less than the server it asks: requests are bytes made once, and of an answer no more is read than
//! where it ends.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A connection for each request at a time, as API servers have them.
    Http1,
    /// One connection for all.
    Http2,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Where this stands in a body, each request over HTTP/1.1 has a number of its own.
pub const OWN: &str = "-0000000";

/// Where to send what.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub tls: TlsConnector,
    pub body: Bytes,
}

/// TLS that trusts this directory's CA. Without `resumption` every connection is a full handshake.
pub fn tls(certificates: &Path, protocol: Protocol, resumption: bool) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.join("ca.crt"))?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(podgraft::tls::provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    if !resumption {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config).into())
}

/// What can ask one thing at a time.
pub enum Connection {
    Http1 {
        stream: Box<TlsStream<TcpStream>>,
        request: Vec<u8>,
        /// Where it has [`OWN`].
        own: Vec<usize>,
        answer: Vec<u8>,
    },
    Http2 {
        sender: SendRequest<Full<Bytes>>,
        body: Bytes,
        answer: Bytes,
    },
}

impl Connection {
    /// So many that can ask at a time.
    pub async fn open(target: &Target, count: usize) -> Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        match target.protocol {
            Protocol::Http1 => {
                for _ in 0..count {
                    connections.push(Self::http1(target).await?);
                }
            }
            Protocol::Http2 => {
                let stream = connect(target).await?;
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 24);
                let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                connections.extend((0..count).map(|_| Self::Http2 {
                    sender: sender.clone(),
                    body: target.body.clone(),
                    answer: Bytes::new(),
                }));
            }
        }
        Ok(connections)
    }

    /// One of its own, as [`Protocol::Http1`] says.
    pub async fn http1(target: &Target) -> Result<Self> {
        let head = format!(
            "POST /mutate?timeout=5s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver-admission\r\n\
             Content-Length: {}\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n",
            target.body.len()
        );
        let request = [head.as_bytes(), &target.body].concat();
        let own = request.windows(OWN.len()).enumerate().filter(|(_, found)| *found == OWN.as_bytes());
        let own = own.map(|(place, _)| place).collect();
        let stream = Box::new(connect(target).await?);
        Ok(Self::Http1 { stream, request, own, answer: Vec::with_capacity(64 * 1024) })
    }

    /// Asks, and wants this answer; where each request is another one, an answer as long.
    pub async fn expect(&mut self, expected: &[u8]) -> Result<()> {
        let varies = matches!(self, Self::Http1 { own, .. } if !own.is_empty());
        let answer = self.ask().await?;
        ensure!(answer == expected || (varies && answer.len() == expected.len()), "another answer");
        Ok(())
    }

    /// Asks, and waits for the whole answer, which has to be good.
    pub async fn ask(&mut self) -> Result<&[u8]> {
        match self {
            Self::Http1 { stream, request, own, answer } => {
                if !own.is_empty() {
                    let number = format!("-{:07}", NUMBER.fetch_add(1, Ordering::Relaxed));
                    for place in own {
                        request[*place..*place + OWN.len()].copy_from_slice(number.as_bytes());
                    }
                }
                stream.write_all(request).await?;
                stream.flush().await?;
                answer.clear();
                let begin = loop {
                    ensure!(stream.read_buf(answer).await? > 0, "the server hung up");
                    if let Some((begin, length)) = head(answer)? {
                        while answer.len() < begin + length {
                            ensure!(stream.read_buf(answer).await? > 0, "the server hung up");
                        }
                        break begin;
                    }
                };
                Ok(&answer[begin..])
            }
            Self::Http2 { sender, body, answer } => {
                sender.ready().await?;
                let request = Request::post("https://localhost/mutate?timeout=5s")
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(body.clone()))?;
                let response = sender.send_request(request).await?;
                let status = response.status();
                *answer = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(answer));
                Ok(answer)
            }
        }
    }
}

async fn connect(target: &Target) -> Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(target.address).await?;
    socket.set_nodelay(true)?;
    Ok(target.tls.connect(ServerName::try_from("localhost")?, socket).await?)
}

/// The next request's number.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Where the body begins and how long it is, once the head is there.
fn head(answer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = str::from_utf8(&answer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    for line in head.lines() {
        if let Some((name, length)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(Some((end + 4, length.parse()?)));
        }
    }
    bail!("an answer without its length: {head}")
}

/// What requests came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// How long each took, sorted.
    pub took: Vec<Duration>,
    pub wall: Duration,
}

/// Asks on all connections again and again, until the time is over or each has asked `most` times.
pub async fn saturate(
    connections: &mut Vec<Connection>,
    expected: &Bytes,
    time: Duration,
    most: usize,
) -> Result<Turn> {
    let awake = tokio::spawn(stay_awake());
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for mut connection in connections.drain(..) {
        let expected = expected.clone();
        clients.spawn(async move {
            let (mut took, mut last) = (Vec::new(), Instant::now());
            while last - begin < time && took.len() < most {
                connection.expect(&expected).await?;
                let now = Instant::now();
                took.push(now - last);
                last = now;
            }
            Ok((took, connection))
        });
    }
    let turn = finish(clients, connections, begin).await;
    awake.abort();
    turn
}

/// Keeps the client's processor busy. A server on the same machine pays for waking up a client that sleeps, in a virtual
/// machine as much as for half a request, and the faster server seldom finds it asleep: it would seem faster still. An
/// API server that waits on another machine costs a webhook nothing.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// Asks so often a second, each connection in its turn, whether or not answers came. What is late because an answer
/// before it was late counts from when it should have been sent.
pub async fn at_rate(connections: &mut Vec<Connection>, expected: &Bytes, time: Duration, rate: u32) -> Result<Turn> {
    let begin = Instant::now();
    let (step, count) = (Duration::from_secs(1) / rate, connections.len());
    let mut clients = JoinSet::new();
    for (index, mut connection) in connections.drain(..).enumerate() {
        let expected = expected.clone();
        clients.spawn(async move {
            let mut took = Vec::new();
            let mut due = begin + step * u32::try_from(index)?;
            while due - begin < time {
                let late = Instant::now() > due;
                tokio::time::sleep_until(due.into()).await;
                // The timer's own lateness is none of the server's.
                let sent = if late { due } else { Instant::now() };
                connection.expect(&expected).await?;
                took.push(sent.elapsed());
                due += step * u32::try_from(count)?;
            }
            Ok((took, connection))
        });
    }
    finish(clients, connections, begin).await
}

async fn finish(
    mut clients: JoinSet<Result<(Vec<Duration>, Connection)>>,
    connections: &mut Vec<Connection>,
    begin: Instant,
) -> Result<Turn> {
    let mut turn = Turn::default();
    while let Some(client) = clients.join_next().await {
        let (took, connection) = client.context("a client")??;
        turn.took.extend(took);
        connections.push(connection);
    }
    turn.wall = begin.elapsed();
    turn.took.sort_unstable();
    Ok(turn)
}
