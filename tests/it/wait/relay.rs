//! Connections that come from another address of this machine: servers treat 127.0.0.1 specially.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;

/// Passes connections on to a server, by which they come from an address of its own. Ends when dropped.
pub struct Relay {
    pub address: String,
    _runtime: Runtime,
}

impl Relay {
    pub fn from(source: [u8; 4], server: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server: SocketAddr = server.parse().unwrap();
        runtime.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
                tokio::spawn(async move {
                    if let Ok(mut upstream) = socket.connect(server).await {
                        let _ = copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        });
        Self { address, _runtime: runtime }
    }
}
