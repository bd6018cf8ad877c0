//! One attempt: the name's addresses, a connection to each, the question.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::not_yet::words;
use super::target::{Host, Protocol};
use super::{NotYet, StatusSet, Target, http, lookup, mysql, postgres, redis};

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
    /// Looks the name up, and asks at its addresses.
    pub(super) async fn attempt(&self, end: Instant) -> Result<(), NotYet> {
        let addresses = timeout_at(end, self.addresses()).await.map_err(|_| NotYet::LookupTimeout)??;
        if self.target.protocol() == Protocol::Dns { Ok(()) } else { self.ask_at_any(&addresses, end).await }
    }

    /// Asks at one address after the other, until one is ready. Each has an equal share of the time that is left, so that
    /// one that swallows packets leaves some to the others. Not side by side: of MySQL's handshakes none is broken off.
    async fn ask_at_any(&self, addresses: &[SocketAddr], end: Instant) -> Result<(), NotYet> {
        let mut reasons = Vec::new();
        for (address, remaining) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let now = Instant::now();
            let share = end.saturating_duration_since(now) / remaining;
            match self.ask_at(*address, now + share).await {
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
            Host::Name(name) => name,
        };
        lookup::addresses(name, port).await.map_err(|error| NotYet::Unknown(words(&error)))
    }

    /// Connects to an address and asks.
    async fn ask_at(&self, address: SocketAddr, end: Instant) -> Result<(), NotYet> {
        let tcp = timeout_at(end, TcpStream::connect(address)).await.map_err(|_| NotYet::ConnectTimeout)??;
        let Some((config, name)) = &self.tls else { return self.ask_over(tcp, end).await };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp);
        let stream = timeout_at(end, handshake).await.map_err(|_| NotYet::Silent)??;
        self.ask_over(Box::new(stream), end).await
    }

    async fn ask_over<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, end: Instant) -> Result<(), NotYet> {
        timeout_at(end, ask(&self.target, &self.status, &mut stream)).await.map_err(|_| NotYet::Silent)??;
        if matches!(self.target.protocol(), Protocol::Postgres | Protocol::Mysql | Protocol::Redis) {
            // It is ready, whatever becomes of this.
            let _ = timeout_at(end.min(Instant::now() + GOODBYE), hang_up(stream)).await;
        }
        Ok(())
    }
}

/// Says goodbye and hears the server out: to close a connection with something unread resets it, and servers log or count
/// that.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LAST_WORDS), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn probe() -> Probe {
        Probe { target: "redis://cache".parse().unwrap(), tls: None, status: StatusSet::default() }
    }

    #[tokio::test]
    async fn every_address_has_its_share_of_an_attempt() {
        let ((_silent, silent), (refusing, refuses), (cache, ready)) = (listen().await, listen().await, listen().await);
        drop(refusing);
        tokio::spawn(async move {
            let (mut client, _) = cache.accept().await.unwrap();
            client.write_all(b"+PONG\r\n").await.unwrap();
            client.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let end = Instant::now() + Duration::from_secs(3);
        assert_eq!(probe().ask_at_any(&[silent, refuses, ready], end).await, Ok(()));
        assert!(Instant::now() < end, "the silent one has left some time");
    }

    #[tokio::test]
    async fn reasons_are_the_same_in_whatever_order_the_addresses_are() {
        let ((_silent, silent), (refusing, refuses)) = (listen().await, listen().await);
        drop(refusing);
        for addresses in [[silent, refuses, refuses], [refuses, silent, refuses]] {
            let end = Instant::now() + Duration::from_millis(300);
            let reason = probe().ask_at_any(&addresses, end).await.unwrap_err();
            assert_eq!(reason.to_string(), "connection refused; it accepts connections, but does not answer in time");
        }
    }
}
