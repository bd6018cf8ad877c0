//! Before a real nginx.

use super::{Waiting, authority, changes};
use crate::servers::Nginx;

#[test]
fn a_service_is_waited_for_until_it_answers_as_wanted() {
    let Some(nginx) = Nginx::new() else { return };
    let _server = nginx.start("", "location / { if (!-f $document_root/ready) { return 503; } return 204; }");
    let url = format!("http://{}/healthz?token=secret", nginx.address());
    let mut waiting = Waiting::start(&[&url]);
    waiting.until_it_says("not yet: HTTP status 503 Service Unavailable, not 200-399");
    nginx.write("ready", "");
    let output = waiting.ready();
    let target = format!("http://{}/healthz", nginx.address());
    let lines = [
        &*format!("{target}: not yet: HTTP status 503 Service Unavailable, not 200-399"),
        &format!("{target}: ready"),
        "all targets are ready",
    ];
    assert_eq!(changes(&output), lines);
    let log = nginx.access_log();
    assert!(log.contains("\"GET /healthz?token=secret HTTP/1.1\" 204"), "{log}");
    assert!(log.contains(concat!("podgraft/", env!("CARGO_PKG_VERSION"))), "{log}");
}

#[test]
fn the_status_that_is_wanted_may_be_another() {
    let Some(nginx) = Nginx::new() else { return };
    let directives = "location /login { return 401; } location /moved { return 302 http://127.0.0.1:1/; }";
    let _server = nginx.start("", directives);
    let url = |path: &str| format!("http://{}{path}", nginx.address());
    Waiting::start(&["--http-status", "200,401", &url("/login")]).ready();
    // Nobody goes where it is redirected to.
    Waiting::start(&[&url("/moved")]).ready();
    let mut waiting = Waiting::start(&["--http-status", "200-299", &url("/login"), &url("/moved")]);
    waiting.until_it_says("/login: not yet: HTTP status 401 Unauthorized, not 200-299");
    waiting.until_it_says("/moved: not yet: HTTP status 302 Found, not 200-299");
}

#[test]
fn a_certificate_has_to_be_believed() {
    let Some(nginx) = Nginx::new() else { return };
    let (made, other) = (authority(&["localhost"]), authority(&["localhost"]));
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger.example".to_owned()]).unwrap();
    nginx.write("tls.crt", &made.cert);
    nginx.write("tls.key", &made.key);
    let ca = nginx.write("ca.crt", &made.ca);
    let other = nginx.write("other.crt", &other.ca);
    let stranger = nginx.write("stranger.crt", stranger.cert.pem());
    let _server =
        nginx.start("ssl", "ssl_certificate tls.crt; ssl_certificate_key tls.key; location / { return 200; }");
    let (named, addressed) = (format!("https://localhost:{}", nginx.port()), format!("https://{}", nginx.address()));

    Waiting::start(&["--ca-file", &ca, &named]).ready();
    Waiting::start_by(super::podgraft().args(["wait", &named]).env("PODGRAFT_WAIT_CA_FILE", &ca)).ready();
    Waiting::start(&["--insecure", &addressed]).ready();
    let unknown = "its certificate is signed by no authority that is trusted here (--ca-file names them)";
    for (ca, url, reason) in [
        (&stranger, &named, unknown),
        (&other, &named, unknown),
        (&ca, &addressed, "its certificate is for another name"),
    ] {
        let mut waiting = Waiting::start(&["--ca-file", ca, url]);
        waiting.until_it_says(&format!("not yet: TLS: {reason}"));
    }
    let plain = named.replace("https", "http");
    let mut waiting = Waiting::start(&[&plain]);
    waiting.until_it_says("not yet: HTTP status 400 Bad Request");
}

#[test]
fn an_authority_is_no_server() {
    let Some(nginx) = Nginx::new() else { return };
    let mut authority = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = nginx.write("tls.crt", authority.self_signed(&key).unwrap().pem());
    nginx.write("tls.key", key.serialize_pem());
    let _server =
        nginx.start("ssl", "ssl_certificate tls.crt; ssl_certificate_key tls.key; location / { return 200; }");
    let url = format!("https://localhost:{}", nginx.port());
    let mut waiting = Waiting::start(&["--ca-file", &ca, &url]);
    waiting.until_it_says("not yet: TLS: its certificate is an authority's own");
    Waiting::start(&["--insecure", &url]).ready();
}

#[test]
fn tls_is_not_mistaken_for_something_else() {
    let Some(nginx) = Nginx::new() else { return };
    let _server = nginx.start("", "location / { return 200; }");
    let mut waiting = Waiting::start(&["--insecure", &format!("https://{}", nginx.address())]);
    waiting.until_it_says("not yet: TLS: it does not answer as TLS does");
}
