//! `config-reloader` over a directory as the kubelet keeps one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::busybox::{Busybox, Running};
use super::container_beside;
use super::server::Server;

const TAKEN: &str = "200 OK\r\nContent-Length: 0\r\n\r\n";
const REFUSED: &str = "500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// Starts a reloader of a configuration whose first version is this text.
fn start(busybox: &Busybox, url: &str, method: &str, text: &str) -> Running {
    let app = json!({"name": "web", "image": "web:1", "volumeMounts": [{"name": "data", "mountPath": "/etc/app"}]});
    let annotations = [
        ("inject/config-reloader", "/etc/app"),
        ("inject/config-reloader.url", url),
        ("inject/config-reloader.method", method),
        ("inject/config-reloader.interval", "1s"),
    ];
    let container = container_beside(&app, "config-reloader", &annotations);
    let mut running = busybox.start_with(&container, |config| {
        publish(config, 1, text);
        symlink("..data/app.yaml", config.join("app.yaml")).unwrap();
    });
    running.until_it_says("watching /etc/app\n");
    running
}

/// Switches to a version, as the kubelet's atomic writer does.
fn publish(config: &Path, version: u32, text: &str) {
    let directory = format!("..2026_11_20_{version}");
    fs::create_dir(config.join(&directory)).unwrap();
    fs::write(config.join(&directory).join("app.yaml"), text).unwrap();
    symlink(&directory, config.join("..data_tmp")).unwrap();
    fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    if version > 1 {
        fs::remove_dir_all(config.join(format!("..2026_11_20_{}", version - 1))).unwrap();
    }
}

#[test]
fn each_new_version_is_reloaded_once() {
    let Some(busybox) = Busybox::find() else { return };
    let server = Server::start(&[("/-/reload", &[TAKEN])]);
    let url = server.url("/-/reload");
    let mut running = start(&busybox, &url, "POST", "a: 1");
    publish(&running.work, 2, "a: 2");
    running.until(|it| it.output().matches("\nreloaded\n").count() == 1);
    // Another version of the same content.
    publish(&running.work, 3, "a: 2");
    publish(&running.work, 4, "a: 3");
    running.until(|it| it.output().matches("\nreloaded\n").count() == 2);
    let change = format!("/etc/app has changed: POST {url}\nreloaded\n");
    assert_eq!(running.output(), format!("watching /etc/app\n{change}{change}"));
    let requests: Vec<_> = server.requests().into_iter().map(|request| request.head).collect();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|head| head.starts_with("POST /-/reload HTTP/1.1\n")), "{requests:?}");
}

#[test]
fn a_reload_that_fails_is_tried_again() {
    let Some(busybox) = Busybox::find() else { return };
    let server = Server::start(&[("/reload?all", &[REFUSED, REFUSED, TAKEN])]);
    let mut running = start(&busybox, &server.url("/reload?all"), "GET", "a: 1");
    publish(&running.work, 2, "a: 2");
    running.until_it_says("\nreloaded\n");
    assert_eq!(running.output().matches("not reloaded; trying again in 1 s\n").count(), 2, "{}", running.output());
    let requests: Vec<_> = server.requests().into_iter().map(|request| request.head).collect();
    assert!(requests.iter().all(|head| head.starts_with("GET /reload?all HTTP/1.1\n")), "{requests:?}");
}

#[test]
fn sigterm_ends_it() {
    let Some(busybox) = Busybox::find() else { return };
    let mut running = start(&busybox, "http://localhost:1/", "POST", "a: 1");
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
}
