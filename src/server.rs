//! The webhook over HTTPS, and the admin port beside it.
//!
//! [`router`] and [`admin`] are what is served, [`Server::bind`] takes the sockets, [`Server::run`] serves until a
//! future says stop, and then ends every connection in order. Requests meet the rest of the program in one place: the
//! set that [`State::publish`] puts in force.
//!
//! # What nobody can do to it
//!
//! Everything that a client can take is limited, and what it takes without using it can be taken back:
//!
//! - **Connections** and **requests in flight** have places (`places`). Who keeps us waiting for longer than a second or some
//!   (for a handshake, a head, a body, the taking of an answer, or idly) keeps its place until a newcomer finds none; then
//!   who has waited longest goes, connections that never asked for a review first, whatever else they ask or say. So neither
//!   thousands of connections nor slow bodies keep pods out. A request that finds no place, because all are at work, is
//!   asked to come again.
//! - **Memory of bodies** has a budget (`body`): a part that each request in flight has for itself, enough for a usual pod,
//!   and one that large bodies share as they arrive. Nobody waits for it: what does not fit is asked to come again.
//! - **Time** has limits at each stage of a connection (`patience`).
//! - **HTTP/2** streams, heads, cancellations and answers that are not taken have limits of their own (`listener`).
//! - **File descriptors**, when they run out, are got back from those who linger, in the same way as places.

mod admin;
mod admit;
mod answer;
mod body;
mod listener;
mod memory;
mod mutate;
mod patience;
mod places;
mod record;
mod seldom;
mod state;
mod validate;
mod webhook;

pub use admin::admin;
pub use memory::keep_freed;
pub use patience::Patience;
pub use state::State;
pub use webhook::router;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::routing::{MethodRouter, any_service};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::tls::Handshakes;

use listener::Listener;

/// How many clients may be connected to the admin port. A Prometheus or two, the kubelet, a person.
const ADMIN_CONNECTIONS: usize = 32;

/// Connections that the kernel lets in before we come to them, as far as it is set up for as many (`net.core.somaxconn`). One
/// more waits for a second before it tries again.
const WAITING: u32 = 1024;

/// What a server may do, and how it stops.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Connections to the webhook at a time. One more takes the place of the one that has waited longest for its client, or
    /// waits until one ends.
    pub max_connections: usize,
    /// How long to go on serving after the signal, until load balancers know.
    pub shutdown_delay: Duration,
    /// How long requests may then take to finish.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 1000, shutdown_delay: Duration::ZERO, drain_timeout: Duration::from_secs(25) }
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: {error}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why not.
    pub error: io::Error,
}

/// The bound sockets, and what is served on them.
#[derive(Debug)]
pub struct Server {
    webhook: TcpListener,
    admin: TcpListener,
    tls: Arc<Handshakes>,
    routes: MethodRouter,
    state: Arc<State>,
    options: Options,
}

impl Server {
    /// Binds both addresses. With port 0 the system chooses a port; `[::]` takes IPv4 as well, or alone where there is no
    /// IPv6.
    ///
    /// # Errors
    ///
    /// An address is taken, or is none of this machine.
    #[expect(clippy::unused_async, reason = "sockets need a runtime, which whoever waits for this has")]
    pub async fn bind(
        webhook: SocketAddr,
        admin: SocketAddr,
        tls: Arc<Handshakes>,
        state: Arc<State>,
        options: Options,
    ) -> Result<Self, BindError> {
        let (webhook, admin) = (bind(webhook)?, bind(admin)?);
        Ok(Self { webhook, admin, tls, routes: router(Arc::clone(&state)), state, options })
    }

    /// Serves these routes instead of [`router`]'s, for benches that ask what a request costs beside its answer.
    #[must_use]
    pub fn with_routes(self, routes: MethodRouter) -> Self {
        Self { routes, ..self }
    }

    /// The webhook's address, with the port that it got.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn webhook_address(&self) -> io::Result<SocketAddr> {
        self.webhook.local_addr()
    }

    /// The admin port's address, with the port that it got.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop`: then goes unready, serves on for the shutdown delay and asks clients to go elsewhere,
    /// stops accepting, and lets every request finish within the drain timeout.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { webhook, admin, tls, routes, state, options } = self;
        let webhook = Listener {
            tcp: webhook,
            tls: Some(tls),
            router: routes,
            is_review: webhook::is_review,
            patience: state.patience,
            max_connections: options.max_connections,
            metrics: Some(Arc::clone(&state.metrics)),
        };
        let admin = Listener {
            tcp: admin,
            tls: None,
            router: any_service(admin::admin(Arc::clone(&state))),
            // Whoever has been here for a second makes room for a probe.
            is_review: |_| false,
            patience: state.patience,
            max_connections: ADMIN_CONNECTIONS,
            metrics: None,
        };
        let (closing, abort, closed) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        // Whatever becomes of this future, nothing that it started outlives it.
        let _end = (closing.clone().drop_guard(), abort.clone().drop_guard(), closed.clone().drop_guard());
        let webhook = tokio::spawn(webhook.serve(closing.clone(), abort.clone()));
        // The admin port stays to the end, so that the drain can be watched; then nothing there is worth a wait.
        let admin = tokio::spawn(admin.serve(closed.clone(), closed.clone()));

        stop.await;
        state.leave();
        sleep(options.shutdown_delay).await;
        closing.cancel();
        let mut webhook = webhook;
        if timeout(options.drain_timeout, &mut webhook).await.is_err() {
            let connections = state.metrics.connections.get();
            tracing::warn!(connections, "requests did not finish within the drain timeout");
            abort.cancel();
            let _ = webhook.await;
        }
        closed.cancel();
        let _ = admin.await;
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let bound = match listen(address) {
        // A kernel without IPv6 (EAFNOSUPPORT, which has no kind): one manifest serves all clusters.
        Err(error) if everywhere && !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    };
    bound.map_err(|error| BindError { address, error })
}

/// Listens with room for a burst: tokio's own has it for 128.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What a process before us has left in TIME_WAIT takes nobody's place.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_ipv4_as_well() {
        let listener = bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let taken = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).unwrap_err();
        assert_eq!(taken.error.kind(), ErrorKind::AddrInUse);
    }
}
