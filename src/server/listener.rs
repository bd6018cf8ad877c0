//! Sockets into connections into requests, until told to stop; then every connection to its end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::MethodRouter;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::coop::unconstrained;

use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::metrics::{HandshakeFailure, Lasting, Metrics};
use crate::tls::Handshakes;

use super::patience::{Pace, Patience, Timed};
use super::places::{GRACE, Guest, Place, Places};
use super::seldom::Seldom;

/// How long to wait when the process or the system is out of file descriptors: connections that end give some back, and
/// one that lingers is told to.
const EXHAUSTED: Duration = Duration::from_millis(10);

/// Bytes of a request's head, and of a body that is read in one go: those of a TLS record. A connection keeps a buffer as
/// large as it once needed; hyper's own default is 400 KiB.
const BUFFER: usize = 16 * 1024;

/// HTTP/2: requests at a time on one connection, and bytes of their bodies that may be on the way.
const STREAMS: u32 = 128;
const WINDOW: u32 = 256 * 1024;

/// HTTP/2: requests that a client may cancel before we have come to them, and mistakes of its own for which we cancel
/// them; one more, and the connection is closed. Both cost us something and the client nothing, and are not counted among
/// the requests at a time (CVE-2023-44487, "rapid reset"; CVE-2025-8671, "made you reset"). An honest client cancels when
/// it has waited too long, and here it waits for a millisecond.
const CANCELLED: usize = 20;
const MISTAKES: usize = STREAMS as usize;

/// One bound socket and what it serves.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    /// None: plain HTTP.
    pub(super) tls: Option<Arc<Handshakes>>,
    pub(super) router: MethodRouter,
    /// Whether a request of this path is what we are here for: see `patience`.
    pub(super) is_review: fn(&str) -> bool,
    pub(super) patience: Patience,
    pub(super) max_connections: usize,
    /// Counts connections and failed handshakes; none for the admin port.
    pub(super) metrics: Option<Arc<Metrics>>,
}

/// What a connection needs to know of its listener.
struct Shared {
    tls: Option<Arc<Handshakes>>,
    router: MethodRouter,
    is_review: fn(&str) -> bool,
    patience: Patience,
    metrics: Option<Arc<Metrics>>,
    stop: CancellationToken,
    places: Arc<Places>,
    streams: Streams,
    /// Handshakes that need an operator's attention: anybody can make them fail, so they don't fill the log.
    refusals: Seldom,
}

impl Listener {
    /// Accepts and serves until `stop`; then lets every connection finish its request. `abort` cuts them off.
    pub(super) async fn serve(self, stop: CancellationToken, abort: CancellationToken) {
        let places = Places::new(self.max_connections, GRACE);
        let connections = TaskTracker::new();
        let shared = Arc::new(Shared {
            tls: self.tls,
            router: self.router,
            is_review: self.is_review,
            patience: self.patience,
            metrics: self.metrics,
            stop: stop.clone(),
            places: Arc::clone(&places),
            streams: Streams::new(self.max_connections, self.patience),
            refusals: Seldom::default(),
        });
        let start = |(socket, peer), place| {
            let connection = connection(Arc::clone(&shared), socket, peer, place);
            connections.spawn(abort.clone().run_until_cancelled_owned(connection));
        };
        // The connection that waits for a place: meanwhile, others wait in the kernel's queue.
        let mut waits = None;
        let accepting = async {
            let told = Seldom::default();
            loop {
                waits = Some(accept(&self.tcp, &places, &told).await);
                let place = places.soon().await;
                if let Some(accepted) = waits.take() {
                    start(accepted, place);
                }
            }
        };
        stop.run_until_cancelled(accepting).await;
        // Clients that have been let in, by us or by the kernel, believe that they will be served. Within this time, who
        // idles has gone and has left its place.
        let rest = async {
            loop {
                let accepted = match waits.take() {
                    Some(accepted) => Ok(accepted),
                    None => match accepted_already(&self.tcp).await {
                        Some(accepted) => accepted,
                        None => break,
                    },
                };
                match accepted {
                    Ok(accepted) => start(accepted, places.soon().await),
                    Err(error) if is_clients(&error) => {}
                    Err(_) => {
                        places.need();
                        sleep(EXHAUSTED).await;
                    }
                }
            }
        };
        let _ = timeout(2 * self.patience.when_stopping, abort.run_until_cancelled(rest)).await;
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }
}

/// The next connection; errors are waited out.
async fn accept(tcp: &TcpListener, places: &Places, told: &Seldom) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                if let Some(untold) = told.passes() {
                    tracing::warn!(%error, untold, "no connection can be accepted; one that lingers is closed");
                }
                places.need();
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// The client was gone before we came to it (accept(2)).
fn is_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// A connection that is there without waiting.
async fn accepted_already(tcp: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    let accepted = std::future::poll_fn(|cx| match tcp.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    });
    // tokio has who takes much at once wait as if nothing were there.
    unconstrained(accepted).await
}

/// Serves one connection to its end.
async fn connection(shared: Arc<Shared>, socket: TcpStream, peer: SocketAddr, _place: Place) {
    let _counted = shared.metrics.as_deref().map(|metrics| Lasting::count(&metrics.connections));
    // Answers are small and written whole: waiting for more to send only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection lost");
        return;
    }
    let done = match &shared.tls {
        None => serve(&shared, socket, false).await,
        Some(tls) => {
            // A future has room for every place that a value is moved through: large ones are boxed early.
            let tls = TlsAcceptor::from(tls.config());
            let handshake = timeout(shared.patience.handshake, Box::pin(tls.accept(socket)));
            let handshake = tokio::select! {
                biased;
                handshake = handshake => handshake.ok(),
                () = shared.places.outstayed(Guest::Stranger) => None,
            };
            let failure = match handshake.map(|accepted| accepted.map(Box::new)) {
                Some(Ok(stream)) => {
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    Ok(serve(&shared, stream, http2).await)
                }
                Some(Err(error)) => Err((failure(&error), error.to_string())),
                None => Err((HandshakeFailure::Timeout, "it took too long".to_owned())),
            };
            match failure {
                Ok(done) => done,
                Err((failure, error)) => {
                    handshake_failed(&shared, peer, failure, &error);
                    return;
                }
            }
        }
    };
    if let Err(error) = done {
        // Clients hang up whenever they like: nothing for an operator to do.
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// Serves requests on a stream. After `stop`, the one that is there is finished, and no other begun.
async fn serve<S>(shared: &Shared, stream: S, http2: bool) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = Arc::new(Pace::default());
    let places = Arc::clone(&shared.places);
    let stream = TokioIo::new(Timed::new(stream, shared.patience, places, Arc::clone(&pace), http2));
    let service = service_fn({
        let (router, pace, is_review) = (shared.router.clone(), Arc::clone(&pace), shared.is_review);
        move |request: Request<Incoming>| {
            let busy = if is_review(request.uri().path()) {
                Some(pace.begin_review())
            } else {
                pace.begin_other();
                None
            };
            let answer = router.clone().call(request);
            async move {
                let answer: Result<Response, Infallible> = answer.await;
                if let (Some(busy), Ok(answer)) = (&busy, &answer)
                    && (!answer.status().is_client_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS)
                {
                    busy.was_review();
                }
                drop(busy);
                answer
            }
        }
    });
    if http2 {
        let mut builder = http2::Builder::new(shared.streams.clone());
        builder.max_concurrent_streams(STREAMS).initial_stream_window_size(WINDOW);
        builder.initial_connection_window_size(WINDOW).max_send_buf_size(BUFFER);
        // Which bounds CONTINUATION frames as well (CVE-2024-27316): h2 takes no more than such a list may need.
        builder.max_header_list_size(BUFFER as u32);
        builder.max_pending_accept_reset_streams(CANCELLED).max_local_error_reset_streams(MISTAKES);
        let mut connection = Box::pin(builder.serve_connection(stream, service));
        tokio::select! {
            done = connection.as_mut() => done,
            () = shared.stop.cancelled() => {
                pace.stop();
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    } else {
        let mut builder = http1::Builder::new();
        // The stream keeps the time: see `patience`. Who has asked and says no more is answered.
        builder.header_read_timeout(None).max_buf_size(BUFFER).half_close(true);
        let mut connection = Box::pin(builder.serve_connection(stream, service));
        tokio::select! {
            done = connection.as_mut() => done,
            () = shared.stop.cancelled() => {
                // hyper's own graceful shutdown closes a connection between two requests at once, also when the next one
                // is there already. We wait for it a little longer, and answer it with the word that this was the last.
                pace.stop();
                connection.await
            }
        }
    }
}

/// Runs HTTP/2 requests, each to the end of its answer.
///
/// A client takes answers as it likes: one that lets them wait, by flow control, holds on to each of them. So they have
/// their time, and all connections together have so many requests open as they could have over HTTP/1.1; what is more
/// is cancelled.
#[derive(Clone)]
struct Streams {
    open: Arc<Semaphore>,
    limit: Duration,
}

impl Streams {
    fn new(most: usize, patience: Patience) -> Self {
        // Deciding takes milliseconds.
        let limit = patience.body + patience.write;
        Self { open: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), limit }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        if let Ok(open) = Arc::clone(&self.open).try_acquire_owned() {
            let request = timeout(self.limit, request);
            tokio::spawn(async move {
                let _ = request.await;
                drop(open);
            });
        }
    }
}

fn handshake_failed(shared: &Shared, peer: SocketAddr, failure: HandshakeFailure, error: &str) {
    if let Some(metrics) = &shared.metrics {
        metrics.handshake_failures.inc(failure);
    }
    let attention = match failure {
        // The client looked at our certificate and would not have it.
        HandshakeFailure::UnknownCa | HandshakeFailure::BadCertificate | HandshakeFailure::Expired => {
            "a client refuses our certificate: is the caBundle of the webhook's registration stale?"
        }
        // We would not have the client's.
        HandshakeFailure::ClientRefused => {
            "a client has no certificate of --client-ca: if it is the API server, its admission configuration lacks one"
        }
        _ => {
            tracing::debug!(%peer, error, "TLS handshake failed");
            return;
        }
    };
    if let Some(untold) = shared.refusals.passes() {
        tracing::warn!(%peer, error, untold, "{attention}");
    }
}

/// The metric's word for a failed handshake.
fn failure(error: &io::Error) -> HandshakeFailure {
    use rustls::Error;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(AlertDescription::UnknownCA)) => HandshakeFailure::UnknownCa,
        // The second is what some say when a CA of the right name did not sign the certificate.
        Some(Error::AlertReceived(AlertDescription::BadCertificate | AlertDescription::DecryptError)) => {
            HandshakeFailure::BadCertificate
        }
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => HandshakeFailure::Expired,
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => HandshakeFailure::ClientRefused,
        Some(Error::InvalidMessage(_)) => HandshakeFailure::NotTls,
        Some(Error::PeerIncompatible(_)) => HandshakeFailure::Incompatible,
        Some(_) => HandshakeFailure::Other,
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                HandshakeFailure::Closed
            }
            _ => HandshakeFailure::Other,
        },
    }
}
