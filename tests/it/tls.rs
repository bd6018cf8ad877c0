//! TLS: certificates that change under live connections, handshakes that go wrong or take forever.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use podgraft::server::Patience;
use podgraft::tls::{Clients, DEVELOPMENT_LIFETIME, Handshakes, Keeper, Reload, authority, directory, provider};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::webhook::{LONG, Setup, Webhook, mutate, review, roots, send, start, tls_to};

fn another(now: SystemTime) -> directory::Files {
    authority::make(vec!["localhost".to_owned()], DEVELOPMENT_LIFETIME, now).unwrap()
}

/// The certificate that a new connection gets.
async fn presented(webhook: &Webhook) -> CertificateDer<'static> {
    let stream = webhook.tls(&["http/1.1"]).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Waits until so many failed handshakes are counted.
async fn counted(webhook: &Webhook, reason: &str, times: u32) {
    let metric = format!("podgraft_tls_handshake_failures_total{{reason=\"{reason}\"}}");
    let counted = async {
        while webhook.metric(&metric).await < f64::from(times) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, counted).await.unwrap_or_else(|_| panic!("no {reason} was counted"));
}

#[tokio::test]
async fn a_certificate_is_swapped_under_a_live_connection() {
    let mut webhook = start().await;
    let before = presented(&webhook).await;
    let mut live = webhook.http1().await;
    assert_eq!(send(&mut live, mutate(review("u", "note", "x"))).await.status, StatusCode::OK);

    directory::write(&webhook.certs(), &another(SystemTime::now())).unwrap();
    assert!(matches!(webhook.keeper.reload(SystemTime::now()), Reload::Swapped));
    assert_ne!(presented(&webhook).await, before, "a new connection gets the new one");
    assert_eq!(send(&mut live, mutate(review("u", "note", "x"))).await.status, StatusCode::OK, "the old one lives");
}

#[tokio::test]
async fn a_bad_certificate_keeps_the_last_good_one() {
    let mut webhook = start().await;
    let before = presented(&webhook).await;
    fs::write(webhook.certs().join("tls.crt"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert!(matches!(webhook.keeper.reload(SystemTime::now()), Reload::Kept(_)));
    assert_eq!(presented(&webhook).await, before);
}

/// A client's clock that shows one time.
#[derive(Debug)]
struct Shows(SystemTime);

impl TimeProvider for Shows {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.duration_since(SystemTime::UNIX_EPOCH).ok()?))
    }
}

/// What connects a client by whose clock it is `now`.
fn connector(webhook: &Webhook, now: SystemTime) -> TlsConnector {
    let config = ClientConfig::builder_with_details(Arc::new(provider()), Arc::new(Shows(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&webhook.certs().join("ca.crt")))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// The certificate expires for us and for clients whose clocks are as far ahead: those are refused by themselves, all
/// others are answered, on the connection that was there and on new ones, and once the clock is set back everybody is.
#[tokio::test]
async fn clocks_that_jump_over_the_expiry_and_back_lose_no_request() {
    const DAY: Duration = Duration::from_hours(24);
    let mut webhook = start().await;
    let now = SystemTime::now();
    // Somebody's own: it is not made anew when it expires.
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY).into());
    let key = rcgen::KeyPair::generate().unwrap();
    let cert: Vec<u8> = params.self_signed(&key).unwrap().pem().into();
    let files = directory::Files { ca: cert.clone(), cert, key: key.serialize_pem().into() };
    directory::write(&webhook.certs(), &files).unwrap();
    assert!(matches!(webhook.keeper.reload(now), Reload::Swapped));

    let served = presented(&webhook).await;
    let mut live = webhook.http1().await;
    let ahead = now + 2 * DAY;
    for (clock, ready) in [(now, 200), (ahead, 503), (now, 200), (ahead, 503), (now, 200)] {
        // What the server does whenever it looks at the files and the clock.
        let _ = webhook.keeper.reload(clock);
        // Its own clock can't be set here: to one that is ahead, the certificate ends as much earlier.
        webhook.state.certified(webhook.keeper.bundle().not_after - clock.duration_since(now).unwrap());
        assert_eq!(webhook.get("/readyz").await.status, ready);
        assert_eq!(send(&mut live, mutate(review("u", "note", "x"))).await.status, StatusCode::OK);
        assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
        assert_eq!(presented(&webhook).await, served);
        let tcp = TcpStream::connect(webhook.address).await.unwrap();
        let shaken = connector(&webhook, clock).connect("localhost".try_into().unwrap(), tcp).await;
        assert_eq!(shaken.is_ok(), ready == 200, "{shaken:?}");
    }
    let skipped = r#"podgraft_admission_requests_total{operation="create",outcome="skipped"}"#;
    assert!((webhook.metric(skipped).await - 10.0).abs() < 0.5, "every request is counted");
    counted(&webhook, "certificate_expired", 2).await;
}

#[tokio::test]
async fn sessions_resume() {
    let webhook = start().await;
    let connector = connector(&webhook, SystemTime::now());
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let tcp = TcpStream::connect(webhook.address).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds[1], HandshakeKind::Resumed);
}

/// What would be resumed is that a client was let in, whose certificate may have expired since.
#[tokio::test]
async fn with_authorities_of_clients_no_session_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::open(dir.path(), true, SystemTime::now()).unwrap();
    let client = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
    let authorities = dir.path().join("clients.crt");
    fs::write(&authorities, client.cert.pem()).unwrap();
    let clients = Clients::open(&authorities).unwrap();
    let roots = roots(&dir.path().join("ca.crt"));
    for (clients, kind) in [(None, HandshakeKind::Resumed), (Some(&clients), HandshakeKind::Full)] {
        let handshakes = Handshakes::new(keeper.resolver(), clients).unwrap();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let key = client.signing_key.serialize_der().try_into().unwrap();
            let config = ClientConfig::builder_with_provider(Arc::new(provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_client_auth_cert(vec![client.cert.der().clone()], key)
                .unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let mut last = None;
            for _ in 0..2 {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let served = async {
                    let mut stream = TlsAcceptor::from(handshakes.config()).accept(far).await.unwrap();
                    stream.write_all(b"served").await.unwrap();
                    stream.shutdown().await.unwrap();
                };
                let asked = async {
                    let mut stream = connector.connect("localhost".try_into().unwrap(), near).await.unwrap();
                    stream.read_exact(&mut [0; 6]).await.unwrap();
                    stream.get_ref().1.handshake_kind()
                };
                last = tokio::join!(served, asked).1;
            }
            assert_eq!(last, Some(kind), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_is_counted() {
    let webhook = start().await;
    let other = tempfile::tempdir().unwrap();
    let ca = other.path().join("ca.crt");
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger.example".to_owned()]).unwrap();
    fs::write(&ca, stranger.cert.pem()).unwrap();
    tls_to(webhook.address, &ca, &["h2"]).await.expect_err("it must not trust us");
    counted(&webhook, "unknown_ca", 1).await;

    // The CA of an earlier development certificate: of the same name, with another key.
    fs::write(&ca, another(SystemTime::now()).ca).unwrap();
    tls_to(webhook.address, &ca, &["h2"]).await.expect_err("it must not trust us");
    counted(&webhook, "bad_certificate", 1).await;
}

#[tokio::test]
async fn plain_http_and_probes_of_the_port_are_counted() {
    let webhook = start().await;
    let mut plain = TcpStream::connect(webhook.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let _ = plain.read_to_end(&mut Vec::new()).await;
    counted(&webhook, "not_tls", 1).await;
    drop(TcpStream::connect(webhook.address).await.unwrap());
    counted(&webhook, "closed", 1).await;
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off_and_blocks_nobody() {
    let patience = Patience { handshake: Duration::from_millis(500), ..Patience::default() };
    let webhook = Setup { patience, ..Setup::default() }.start().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(webhook.address).await.unwrap());
    }
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
    for mut connection in silent {
        let closed = tokio::time::timeout(LONG, connection.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "it was cut off");
    }
    counted(&webhook, "timeout", 1).await;
}
