//! The certificate's files change under load.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use podgraft::tls::directory::{self, Files};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::client::Task;
use crate::scene::{Authority, LONG, Scene, load, metric, runtime, served_at_once};
use crate::webhook::tls_to;

const FAILED: &str = r#"podgraft_certificate_loads_total{result="failed"}"#;
const SWAPPED: &str = r#"podgraft_certificate_loads_total{result="ok"}"#;

/// What a new connection is shown.
fn presented(scene: &Scene) -> CertificateDer<'static> {
    let trusted = scene.server.path("trusted.crt");
    let connect = async { tls_to(scene.server.address, &trusted, &["http/1.1"]).await.unwrap() };
    let stream = runtime().block_on(connect);
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn leaf(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&files.cert).unwrap()
}

#[test]
fn no_state_of_the_files_loses_a_request_or_a_certificate() {
    let scene = Scene::start(&[]);
    let certs = scene.server.path("certs");
    fs::write(scene.server.path("trusted.crt"), scene.authority.pem()).unwrap();
    // Handshakes all the time, with whatever certificate is in force.
    let load = load(&Task { reviews_per_connection: Some(20), ..scene.task(8) });
    let mut in_force = presented(&scene);
    let (mut bad, mut good) = (0, 0);
    let mut broken = |what: &str, fault: &dyn Fn(), in_force: &CertificateDer<'_>| {
        bad += 1;
        let before = metric(&scene.server, FAILED, |_| true);
        fault();
        metric(&scene.server, FAILED, |found| found > before);
        assert_eq!(presented(&scene), *in_force, "{what}: the last good one is served");
    };
    let mut mended = |files: &Files| {
        good += 1;
        let before = metric(&scene.server, SWAPPED, |_| true);
        directory::write(&certs, files).unwrap();
        metric(&scene.server, SWAPPED, |found| found > before);
        assert_eq!(presented(&scene), leaf(files));
        let connections = load.tally().connections;
        load.until(LONG, |tally| tally.connections > connections + 8).unwrap();
        leaf(files)
    };

    let next = scene.authority.good();
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    broken("half of the certificate", &|| fs::write(certs.join("tls.crt"), cut(&next.cert)).unwrap(), &in_force);
    broken("the key of the one before", &|| fs::write(certs.join("tls.crt"), &next.cert).unwrap(), &in_force);
    broken("half of the key", &|| fs::write(certs.join("tls.key"), cut(&next.key)).unwrap(), &in_force);
    in_force = mended(&next);

    broken("another key", &|| fs::write(certs.join("tls.key"), scene.authority.good().key).unwrap(), &in_force);
    in_force = mended(&scene.authority.good());

    let expired = scene.authority.leaf(SystemTime::now() - Duration::from_mins(1));
    broken("expired", &|| directory::write(&certs, &expired).unwrap(), &in_force);
    in_force = mended(&scene.authority.good());

    // Root reads whatever its mode is: a link that leads to itself nobody can.
    let unreadable = || {
        fs::remove_file(certs.join("tls.key")).unwrap();
        symlink("tls.key", certs.join("tls.key")).unwrap();
    };
    broken("unreadable", &unreadable, &in_force);
    in_force = mended(&scene.authority.good());

    broken("gone", &|| fs::rename(&certs, scene.server.path("away")).unwrap(), &in_force);
    in_force = mended(&scene.authority.good());

    // Replaced in one step.
    let other = scene.authority.good();
    directory::write(&scene.server.path("other"), &other).unwrap();
    fs::rename(&certs, scene.server.path("old")).unwrap();
    let before = metric(&scene.server, SWAPPED, |_| true);
    fs::rename(scene.server.path("other"), &certs).unwrap();
    metric(&scene.server, SWAPPED, |found| found > before);
    assert_eq!(presented(&scene), leaf(&other));
    assert_ne!(leaf(&other), in_force);

    let tally = served_at_once(load);
    println!(
        "certificates: {bad} bad states, {} swaps, {} good answers over {} connections",
        good + 1,
        tally.good,
        tally.connections
    );
}

const REFUSED: &str = r#"podgraft_tls_handshake_failures_total{reason="client_refused"}"#;

#[test]
fn with_client_ca_only_its_clients_are_served() {
    let (before, after) = (Authority::new(), Authority::new());
    let file = "clients.crt";
    let scene = Scene::prepared(|dir| fs::write(dir.join(file), before.pem()).unwrap(), &["--client-ca", file]);
    let known = |authority: &Authority| {
        let (cert, key) = authority.client();
        Task { identity: Some((cert, key)), ..scene.task(4) }
    };
    // How many reviews are answered until the first failure or the fiftieth.
    let served = |task: &Task| {
        let load = load(task);
        let tally = load.until(LONG, |tally| {
            tally.good >= 50 || tally.unreachable > 0 || !tally.lost.is_empty() || !tally.wrong.is_empty()
        });
        tally.unwrap().good
    };
    assert!(served(&known(&before)) >= 50);
    assert_eq!(served(&scene.task(1)), 0, "no certificate");
    assert_eq!(served(&known(&after)), 0, "a stranger's");
    metric(&scene.server, REFUSED, |found| found >= 2.0);

    // A bad file changes nothing.
    let living = load(&known(&before));
    fs::write(scene.server.path(file), "nonsense").unwrap();
    metric(&scene.server, FAILED, |found| found >= 1.0);
    assert!(served(&known(&before)) >= 50);

    fs::write(scene.server.path(file), after.pem()).unwrap();
    metric(&scene.server, SWAPPED, |found| found >= 1.0);
    assert!(served(&known(&after)) >= 50);
    assert_eq!(served(&known(&before)), 0, "no longer known");
    let good = living.tally().good;
    living.until(LONG, |tally| tally.good > good + 50).unwrap();
    assert!(living.tally().lost.is_empty(), "connections from before live");
}
