//! What a Service does: one address, connections in turn to whoever serves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::scene::Webhook;

/// One address for several servers.
pub struct Balancer {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    pub async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let backends = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(balance(socket, Arc::clone(&backends)));
        Self { address, backends }
    }

    /// Connections go to these from now on.
    pub fn set(&self, backends: Vec<SocketAddr>) {
        *self.backends.lock().expect("a lock") = backends;
    }
}

impl Webhook for Balancer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    /// None: whom to trust is for those behind it to say.
    fn authority(&self) -> String {
        String::new()
    }

    async fn calls(&self) -> u64 {
        unreachable!("nobody waits for it to be called")
    }
}

async fn balance(socket: TcpListener, backends: Arc<Mutex<Vec<SocketAddr>>>) {
    for turn in 0.. {
        let (mut client, _) = socket.accept().await.expect("a connection");
        let backend = {
            let backends = backends.lock().expect("a lock");
            if backends.is_empty() {
                continue;
            }
            backends[turn % backends.len()]
        };
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(backend).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
