//! One attempt: the name's addresses, a connection to each, the question.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::not_yet::words;
use super::target::{Host, Protocol};
use super::{NotYet, StatusSet, Target, http, mysql, postgres, redis};

/// How long, and for how many bytes, a server that is ready may take to hang up.
const GOODBYE: Duration = Duration::from_millis(500);
const LAST_WORDS: u64 = 64 * 1024;

/// A target, and all that is needed to ask it.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) target: Target,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) status: StatusSet,
}

/// Asks a server over a connection whether it is ready, in the target's protocol. It reads no more than the answer, waits
/// for nothing but the connection, and may be dropped at any time.
///
/// # Errors
///
/// Why it is not ready.
pub async fn ask<S>(target: &Target, status: &StatusSet, stream: &mut S) -> Result<(), NotYet>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match target.protocol() {
        Protocol::Tcp | Protocol::Dns => Ok(()),
        Protocol::Postgres => postgres::probe(stream).await,
        Protocol::Mysql => mysql::probe(stream).await,
        Protocol::Redis => redis::probe(stream).await,
        Protocol::Http => http::probe(target, status, stream).await,
    }
}

impl Probe {
    /// Looks the name up and asks one address after the other, until one is ready. Each has an equal share of the time
    /// that is left, so that one that swallows packets leaves some to the others.
    pub(super) async fn attempt(&self, end: Instant) -> Result<(), NotYet> {
        let addresses = timeout_at(end, self.addresses()).await.map_err(|_| NotYet::LookupTimeout)??;
        if self.target.protocol() == Protocol::Dns {
            return Ok(());
        }
        let mut reasons = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / (addresses.len() - index) as u32;
            match self.ask_at(*address, Instant::now() + share).await {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        // In whatever order a name server gave the addresses.
        reasons.sort();
        reasons.dedup();
        Err(if reasons.len() == 1 { reasons.remove(0) } else { NotYet::Several(reasons) })
    }

    /// The target's addresses, at least one.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, NotYet> {
        let port = self.target.port();
        let name = match self.target.host() {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            Host::Name(name) => name.clone(),
        };
        // The system's resolver blocks its thread. Dropped, the set forgets a look-up, and one that has not begun never
        // will.
        let mut lookup = JoinSet::new();
        lookup.spawn_blocking(move || (name, port).to_socket_addrs().map(Vec::from_iter));
        let found = match lookup.join_next().await {
            Some(Ok(found)) => found,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(Vec::new()),
        };
        match found {
            Ok(addresses) if addresses.is_empty() => Err(NotYet::Unknown("it has no address".to_owned())),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(NotYet::Unknown(words(&error))),
        }
    }

    /// Connects to an address and asks.
    async fn ask_at(&self, address: SocketAddr, end: Instant) -> Result<(), NotYet> {
        let mut tcp = timeout_at(end, TcpStream::connect(address)).await.map_err(|_| NotYet::ConnectTimeout)??;
        let answer = async {
            match &self.tls {
                None => self.ask_over(&mut tcp).await,
                Some((config, name)) => {
                    let connector = TlsConnector::from(Arc::clone(config));
                    let mut stream = Box::new(connector.connect(name.clone(), tcp).await?);
                    self.ask_over(&mut stream).await
                }
            }
        };
        timeout_at(end, answer).await.map_err(|_| NotYet::Silent)?
    }

    async fn ask_over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> Result<(), NotYet> {
        ask(&self.target, &self.status, stream).await?;
        if matches!(self.target.protocol(), Protocol::Postgres | Protocol::Mysql | Protocol::Redis) {
            hang_up(stream).await;
        }
        Ok(())
    }
}

/// Says goodbye and hears the server out: to close a connection with something unread resets it, and servers log or count
/// that. It is ready, whatever becomes of this.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let goodbye = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LAST_WORDS), &mut tokio::io::sink()).await
    };
    let _ = timeout(GOODBYE, goodbye).await;
}
