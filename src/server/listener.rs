//! Sockets into connections into requests, until told to stop; then every connection to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use rustls::{AlertDescription, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::metrics::{HandshakeFailure, Lasting, Metrics};

use super::patience::{Pace, Patience, Timed};

/// How long to wait when the process or the system is out of file descriptors: connections that end give some back.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// Bytes of a request's head, and of a body that is read in one go. A connection keeps a buffer of what it once needed;
/// hyper's own default is 400 KiB.
const BUFFER: usize = 32 * 1024;

/// HTTP/2: requests at a time on one connection, and bytes of their bodies that may be on the way.
const STREAMS: u32 = 128;
const WINDOW: u32 = 256 * 1024;

/// One bound socket and what it serves.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    /// None: plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) router: Router,
    pub(super) patience: Patience,
    pub(super) max_connections: usize,
    /// Counts connections and failed handshakes; none for the admin port.
    pub(super) metrics: Option<Arc<Metrics>>,
}

/// What a connection needs to know of its listener.
struct Shared {
    tls: Option<TlsAcceptor>,
    router: Router,
    patience: Patience,
    metrics: Option<Arc<Metrics>>,
    stop: CancellationToken,
}

impl Listener {
    /// Accepts and serves until `stop`; then lets every connection finish its request. `abort` cuts them off.
    pub(super) async fn serve(self, stop: CancellationToken, abort: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let connections = TaskTracker::new();
        let shared = Arc::new(Shared {
            tls: self.tls.map(TlsAcceptor::from),
            router: self.router,
            patience: self.patience,
            metrics: self.metrics,
            stop: stop.clone(),
        });
        let start = |(socket, peer), slot| {
            let connection = connection(Arc::clone(&shared), socket, peer, slot);
            connections.spawn(abort.clone().run_until_cancelled_owned(connection));
        };
        let accepting = async {
            // At the cap, connections wait in the kernel's queue. The semaphore is never closed.
            while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
                start(accept(&self.tcp).await, slot);
            }
        };
        stop.run_until_cancelled(accepting).await;
        // Clients that the kernel has let in believe that they will be served.
        while let Ok(slot) = Arc::clone(&slots).try_acquire_owned()
            && let Some(Ok(accepted)) = accepted_already(&self.tcp).await
        {
            start(accepted, slot);
        }
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }
}

/// The next connection; errors are waited out.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            // The client was gone before we came to it (accept(2)).
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// A connection that is there without waiting.
async fn accepted_already(tcp: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    std::future::poll_fn(|cx| match tcp.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Serves one connection to its end.
async fn connection(shared: Arc<Shared>, socket: TcpStream, peer: SocketAddr, _slot: OwnedSemaphorePermit) {
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
            let handshake = timeout(shared.patience.handshake, Box::pin(tls.accept(socket))).await;
            let failure = match handshake.map(|accepted| accepted.map(Box::new)) {
                Ok(Ok(stream)) => {
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    Ok(serve(&shared, stream, http2).await)
                }
                Ok(Err(error)) => Err((failure(&error), error.to_string())),
                Err(_) => Err((HandshakeFailure::Timeout, "it took too long".to_owned())),
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
    let stream = TokioIo::new(Timed::new(stream, shared.patience, Arc::clone(&pace), http2));
    let service = service_fn({
        let (router, pace) = (shared.router.clone(), Arc::clone(&pace));
        move |request: Request<Incoming>| {
            let (answer, busy) = (router.clone().call(request), pace.begin());
            async move {
                let answer = answer.await;
                drop(busy);
                answer
            }
        }
    });
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(STREAMS).initial_stream_window_size(WINDOW);
        builder.initial_connection_window_size(WINDOW).max_send_buf_size(BUFFER).max_header_list_size(BUFFER as u32);
        finish(builder.serve_connection(stream, service), &pace, &shared.stop).await
    } else {
        let mut builder = http1::Builder::new();
        // The stream keeps the time: see `patience`.
        builder.header_read_timeout(None).max_buf_size(BUFFER);
        finish(builder.serve_connection(stream, service), &pace, &shared.stop).await
    }
}

fn finish<C: GracefulConnection<Error = hyper::Error>>(
    connection: C,
    pace: &Pace,
    stop: &CancellationToken,
) -> impl Future<Output = hyper::Result<()>> {
    let mut connection = Box::pin(connection);
    async move {
        tokio::select! {
            done = connection.as_mut() => done,
            () = stop.cancelled() => {
                pace.stop();
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}

fn handshake_failed(shared: &Shared, peer: SocketAddr, failure: HandshakeFailure, error: &str) {
    if let Some(metrics) = &shared.metrics {
        metrics.handshake_failures.inc(failure);
    }
    match failure {
        // The client looked at our certificate and would not have it: worth an operator's attention.
        HandshakeFailure::UnknownCa | HandshakeFailure::BadCertificate | HandshakeFailure::Expired => {
            tracing::warn!(%peer, error, "a client refuses our certificate: is the caBundle of the webhook's registration stale?");
        }
        _ => tracing::debug!(%peer, error, "TLS handshake failed"),
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
