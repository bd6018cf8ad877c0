//! The program itself, serving.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::scene::{Scene, Webhook};

/// How long a start may take on a slow machine.
const START: Duration = Duration::from_secs(30);

/// A running `podgraft serve`.
pub struct Podgraft {
    process: Process,
    tls: PathBuf,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Podgraft {
    /// Starts it with the built-in templates, a development certificate and these options, and waits until it serves.
    pub async fn serve(scene: &Scene, options: &[&str]) -> Self {
        Self::replica(scene, "podgraft", options).await
    }

    /// One of several, with a log of its own.
    pub async fn replica(scene: &Scene, name: &str, options: &[&str]) -> Self {
        // Not beside the log: the certificate's directory and its parent are looked at whenever something is written there.
        let tls = scene.directory.join("served/tls");
        let directory = tls.to_str().expect("text");
        let own = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--tls-dir", directory];
        let built = env!("CARGO_BIN_EXE_podgraft").to_owned();
        let program = env::var("PODGRAFT_TEST_PROGRAM").unwrap_or(built);
        let log = scene.directory.join(format!("{name}.log"));
        let mut process = Process::spawn(Path::new(&program), own.iter().chain(options), log).expect("podgraft starts");
        let until = Instant::now() + START;
        loop {
            let output = process.output();
            if let (Some(address), Some(admin)) = (after(&output, "https://"), after(&output, "http://")) {
                return Self { process, tls, address, admin };
            }
            if let Some(status) = process.ended() {
                panic!("podgraft: {status}\n{output}");
            }
            assert!(Instant::now() < until, "podgraft prints no addresses:\n{output}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it is ready, and tells how long that took.
    pub async fn ready(&self) -> Duration {
        let start = Instant::now();
        while !self.is_ready().await {
            assert!(start.elapsed() < START, "podgraft is not ready in time:\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    }

    /// Whether it says that requests may come.
    pub async fn is_ready(&self) -> bool {
        self.admin("/readyz").await.starts_with("HTTP/1.0 200")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    async fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.expect("the admin port");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The value of a metric, its series summed up; 0 for one that is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").await;
        let series =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Webhook for Podgraft {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authority(&self) -> String {
        fs::read_to_string(self.tls.join("ca.crt")).expect("the development certificate's authority")
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
    async fn calls(&self) -> u64 {
        self.metric("podgraft_admission_requests_total").await as u64
    }
}

/// The first address of 127.0.0.1 that follows `scheme` in a text.
fn after(text: &str, scheme: &str) -> Option<SocketAddr> {
    text.match_indices(scheme).find_map(|(at, _)| {
        let rest = &text[at + scheme.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))?;
        rest[..end].parse().ok()
    })
}
