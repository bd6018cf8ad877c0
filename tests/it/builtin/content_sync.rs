//! `content-sync` from a real HTTP server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::busybox::{Busybox, Running};
use super::container;
use super::server::Server;

/// A server of one thing, which a test may change, with its version as ETag.
struct Site {
    server: Server,
    content: Arc<Mutex<(u32, Vec<u8>)>>,
}

impl Site {
    fn start(content: Vec<u8>) -> Self {
        let content = Arc::new(Mutex::new((1, content)));
        let current = Arc::clone(&content);
        let server = Server::answering(move |request| {
            let (version, content) = &*current.lock().unwrap();
            let etag = format!("\"{version}\"");
            if request.header("If-None-Match") == Some(&etag) {
                return "304 Not Modified\r\n\r\n".into();
            }
            let head = format!("200 OK\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n", content.len());
            [head.as_bytes(), content].concat()
        });
        Self { server, content }
    }

    fn change(&self, content: Vec<u8>) {
        let mut current = self.content.lock().unwrap();
        *current = (current.0 + 1, content);
    }
}

fn start(busybox: &Busybox, url: &str) -> Running {
    let annotations = [("inject/content-sync", url), ("inject/content-sync.every", "1s")];
    busybox.start(&container("content-sync", &annotations))
}

/// A .tar.gz of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    }
    let mut tar = Command::new("busybox");
    tar.args(["tar", "-cz", "."]).current_dir(&directory);
    tar.output().unwrap().stdout
}

fn read(running: &Running, name: &str) -> Option<String> {
    fs::read_to_string(running.work.join(name)).ok()
}

/// What is in a directory, without what begins with two dots.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("..")).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_when_it_changes() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let site = Site::start(b"one".into());
    let mut running = start(&busybox, &site.server.url("/a/page.html?token=a&x=[1-2]"));
    running.until(|it| read(it, "page.html").as_deref() == Some("one"));
    running.until(|_| site.server.requests().len() > 2);
    let first = fs::read_link(running.work.join("..data")).unwrap();
    site.change(b"two".into());
    running.until(|it| read(it, "page.html").as_deref() == Some("two"));
    running.until(|it| it.output().matches("synchronized: ").count() == 2);
    assert_eq!(names(&running.work), ["page.html"]);
    // Whoever has the version before open still finds it.
    assert_eq!(fs::read_to_string(running.work.join(first).join("page.html")).unwrap(), "one");
    // A query may hold what nobody should read.
    let said = format!("synchronized: {}\n", site.server.url("/a/page.html"));
    assert_eq!(running.output(), said.repeat(2));
}

#[test]
fn an_archive_is_switched_in_whole() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let site = Site::start(archive(&[("index.html", "one"), ("news/old.html", "old"), (".well-known/x", "hidden")]));
    let mut running = start(&busybox, &site.server.url("/site.tgz"));
    running.until_it_says("synchronized: ");
    assert_eq!(names(&running.work), [".well-known", "index.html", "news"]);
    assert_eq!(read(&running, ".well-known/x").as_deref(), Some("hidden"));
    // For a server that runs as another user.
    assert_eq!(fs::metadata(running.work.join("index.html")).unwrap().permissions().mode() & 0o777, 0o644);

    site.change(archive(&[("index.html", "two"), ("news/new.html", "new"), ("a b/* c.html", "blanks"), ("-rf", "")]));
    running.until(|it| read(it, "index.html").as_deref() == Some("two"));
    running.until(|it| names(&it.work) == ["-rf", "a b", "index.html", "news"]);
    assert_eq!(names(&running.work.join("news")), ["new.html"]);
    assert_eq!(read(&running, "a b/* c.html").as_deref(), Some("blanks"));
}

#[test]
fn what_is_broken_leaves_the_version_that_is_there() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let good = archive(&[("index.html", "one")]);
    let site = Site::start(good.clone());
    let mut running = start(&busybox, &site.server.url("/site.tar.gz"));
    running.until_it_says("synchronized: ");
    site.change(good[..good.len() / 2].to_vec());
    running.until_it_says("not synchronized; trying again in 1 s\n");
    assert_eq!(read(&running, "index.html").as_deref(), Some("one"));
    site.change(archive(&[("index.html", "two")]));
    running.until(|it| read(it, "index.html").as_deref() == Some("two"));
}

#[test]
fn files_of_others_are_not_replaced() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let site = Site::start(b"ours".into());
    let annotations = [("inject/content-sync", &*site.server.url("/page.html")), ("inject/content-sync.every", "1s")];
    let container = container("content-sync", &annotations);
    let mut running = busybox.start_with(&container, |work| fs::write(work.join("page.html"), "theirs").unwrap());
    running.until_it_says("not synchronized");
    assert_eq!(read(&running, "page.html").as_deref(), Some("theirs"));
}

#[test]
fn sigterm_ends_it() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let site = Site::start(b"one".into());
    let mut running = start(&busybox, &site.server.url("/page.html"));
    running.until_it_says("synchronized: ");
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
}
