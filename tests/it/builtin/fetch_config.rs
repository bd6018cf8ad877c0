//! `fetch-config` against a real HTTP server.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::busybox::{Busybox, Running};
use super::container;
use super::server::Server;

/// `sha256sum` of "page\n".
const PAGE_SHA256: &str = "362a07bbb5c74b982bed644b9f7e298837d7a3a232c964d039bb7e49ebea825f";

/// `sha256sum` of the longer text.
const OTHER_SHA256: &str = "6c6b4cf2194f35263f6b57b0b80115a28cc9b5083c46cc3139b9ef00fd9d441d";

const PAGE: &str = "200 OK\r\nContent-Length: 5\r\n\r\npage\n";
const OTHER: &str = "200 OK\r\nConnection: close\r\n\r\nother, and longer\n";
const UNAVAILABLE: &str = "503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const CUT: &str = "200 OK\r\nContent-Length: 5000\r\n\r\npage\n";

fn fetcher(urls: &[String], parameters: &[(&str, &str)]) -> Value {
    let list = json!(urls).to_string();
    container("fetch-config", &[&[("inject/fetch-config", &*list)], parameters].concat())
}

/// The files in a directory, by name.
fn files(running: &Running) -> Vec<(String, String)> {
    let read =
        |path: &Path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap());
    let mut files: Vec<_> = fs::read_dir(&running.work).unwrap().map(|entry| read(&entry.unwrap().path())).collect();
    files.sort();
    files
}

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[test]
fn files_are_named_by_the_last_part_of_the_path() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::start(&[
        ("/a/page.html", &[PAGE]),
        ("/-n", &[OTHER]),
        ("/x?token=hunter2&a=[1-3]{b,c}/d", &["302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"]),
        ("/elsewhere", &[PAGE]),
    ]);
    let urls = ["/a/page.html", "/-n", "/x?token=hunter2&a=[1-3]{b,c}/d"].map(|path| server.url(path));
    let mut running = busybox.start(&fetcher(&urls, &[]));
    assert!(running.end().success(), "{}", running.output());
    let other = "other, and longer\n";
    assert_eq!(files(&running), [file("-n", other), file("page.html", "page\n"), file("x", "page\n")]);
    assert!(!running.output().contains("hunter2"), "{}", running.output());
}

#[test]
fn what_fails_is_tried_again() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::start(&[("/page", &[UNAVAILABLE, CUT, PAGE])]);
    let mut running = busybox.start(&fetcher(&[server.url("/page")], &[("inject/fetch-config.retries", "2")]));
    assert!(running.end().success(), "{}", running.output());
    assert_eq!(files(&running), [file("page", "page\n")]);
    let output = running.output();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    assert!(lines[0].contains("/page: curl: (22)") && lines[0].contains("503"), "{output}");
    assert!(lines[1].contains("/page: curl: (18)"), "{output}");
}

#[test]
fn a_file_that_is_never_right_is_never_there() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::start(&[("/page", &[PAGE]), ("/cut", &[CUT]), ("/long", &[OTHER])]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = "0".repeat(64);
    for (url, parameter, said) in [
        (server.url("/missing"), ("retries", "0"), "404"),
        (server.url("/cut"), ("retries", "0"), "curl: (18)"),
        (format!("http://{nobody}/page"), ("retries", "0"), "curl: (7)"),
        (server.url("/page"), ("sha256", &*wrong), "not 0000"),
        (server.url("/page"), ("maxSize", "4"), "curl: (63)"),
        (server.url("/long"), ("maxSize", "4"), "more than 4 bytes"),
    ] {
        let key = format!("inject/fetch-config.{}", parameter.0);
        let parameters = [(&*key, parameter.1), ("inject/fetch-config.retries", "0")];
        let parameters = if parameter.0 == "retries" { &parameters[1..] } else { &parameters };
        let mut running =
            busybox.start(&fetcher(&[server.url("/page"), url.clone()][usize::from(said != "404")..], parameters));
        assert_eq!(running.end().code(), Some(1), "{url}");
        let output = running.output();
        assert!(output.contains(&format!("{url}: ")) && output.contains(said), "{output}");
        assert!(output.ends_with(&format!("gave up: no {url} after 1 attempts\n")), "{output}");
        // What came before it stays; it is whole.
        let wanted: &[_] = if said == "404" { &[file("page", "page\n")] } else { &[] };
        assert_eq!(files(&running), wanted, "{url}");
    }
}

#[test]
fn checksums_are_told_apart_by_their_order() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::start(&[("/page", &[PAGE]), ("/other", &[OTHER])]);
    let urls = ["/page", "/other"].map(|path| server.url(path));
    let sums = format!("{},{OTHER_SHA256}", PAGE_SHA256.to_uppercase());
    let mut running = busybox.start(&fetcher(&urls, &[("inject/fetch-config.sha256", &sums)]));
    assert!(running.end().success(), "{}", running.output());
    assert_eq!(files(&running).len(), 2);
}

#[test]
fn the_secret_is_sent_and_not_shown() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::start(&[("/page", &[PAGE])]);
    let mut container = fetcher(&[server.url("/page")], &[("inject/fetch-config.secret", "config")]);
    let variables = container["env"].as_array_mut().unwrap();
    let variable = variables.iter_mut().find(|variable| variable["name"] == "AUTHORIZATION").unwrap();
    assert_eq!(variable["valueFrom"]["secretKeyRef"], json!({"name": "config", "key": "authorization"}));
    *variable = json!({"name": "AUTHORIZATION", "value": "Bearer hunter2"});
    let mut running = busybox.start(&container);
    assert!(running.end().success(), "{}", running.output());
    let requests = server.requests();
    assert_eq!(requests[0].header("Authorization"), Some("Bearer hunter2"), "{requests:?}");
    assert!(!running.output().contains("hunter2"));
}

#[test]
fn sigterm_ends_the_download_at_once() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    // It accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/page", listener.local_addr().unwrap());
    let running_and_connection = {
        let running = busybox.start(&fetcher(&[url], &[("inject/fetch-config.timeout", "1h")]));
        let connection = listener.accept().unwrap();
        (running, connection)
    };
    let (mut running, _connection) = running_and_connection;
    running.terminate();
    assert_eq!(running.end().code(), Some(143));
}
