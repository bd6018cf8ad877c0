//! `backup` of real directories.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::busybox::{Busybox, Running, skipped};
use super::container_beside;
use super::server::Server;

fn container(destination: &str, parameters: &[(&str, &str)]) -> Value {
    let mounts = json!([{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/backups"}]);
    let app = json!({"name": "web", "image": "web:1", "volumeMounts": mounts});
    let annotations =
        [("inject/backup", "/data"), ("inject/backup.destination", destination), ("inject/backup.name", "web")];
    container_beside(&app, "backup", &[&annotations, parameters].concat())
}

/// Starts it where something is worth a copy.
fn start(busybox: &Busybox, container: &Value) -> Running {
    busybox.start_with(container, |source| {
        fs::create_dir(source.join("a")).unwrap();
        fs::write(source.join("a/b.txt"), "precious").unwrap();
    })
}

/// The archives and what else there is.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A file in an archive.
fn unpacked(archive: &Path, name: &str) -> String {
    let output = Command::new("busybox").args(["tar", "-xzOf"]).arg(archive).arg(name).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_newest_copies_stay() {
    let Some(busybox) = Busybox::find() else { return };
    let mut running =
        start(&busybox, &container("/backups", &[("inject/backup.every", "1s"), ("inject/backup.keep", "2")]));
    let backups = running.mounted("/destination").to_owned();
    // Of another pod whose name begins alike, and of nobody.
    let others = ["web-2-20200101T000000Z.tar.gz", "web-notes.tar.gz"];
    for name in others {
        fs::write(backups.join(name), "").unwrap();
    }
    fs::write(backups.join(".web-20200101T000000Z.tar.gz.part"), "of one that was killed").unwrap();
    running.until(|it| it.output().matches("copied to /backups/web-").count() >= 4);
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
    let said = running.output();
    let said: Vec<_> = said.lines().map(|line| line.strip_prefix("copied to /backups/").unwrap()).collect();
    let archives: Vec<_> = names(&backups).into_iter().filter(|name| !others.contains(&&**name)).collect();
    // SIGTERM may find one at work.
    let complete: Vec<_> = archives.iter().filter(|name| name.starts_with("web-")).collect();
    assert!(complete.len() <= 3 && said.contains(&&**complete[0]), "{archives:?} {said:?}");
    assert_eq!(names(&backups).len() - archives.len(), 2, "{archives:?}");
    assert_eq!(unpacked(&backups.join(complete[0]), "./a/b.txt"), "precious");
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_is_tried_again() {
    let Some(busybox) = Busybox::find() else { return };
    let mut running = start(&busybox, &container("/backups", &[("inject/backup.every", "1s")]));
    let source = running.mounted("/source").to_owned();
    // A directory that can't be copied, for root neither.
    fs::rename(&source, source.with_extension("away")).unwrap();
    running.until_it_says("not copied to /backups; trying again in 1 s\n");
    fs::rename(source.with_extension("away"), &source).unwrap();
    running.until_it_says("\ncopied to /backups/web-");
}

/// Nobody but root can read it, so that the copy would fail.
#[test]
fn what_a_disk_keeps_for_root_is_left_out() {
    let Some(busybox) = Busybox::find() else { return };
    let help = Command::new("busybox").args(["tar", "--help"]).output().unwrap();
    if !String::from_utf8_lossy(&help.stderr).contains("exclude") {
        skipped("this machine's busybox has a tar without --exclude, unlike that of busybox's image");
        return;
    }
    let container = container("/backups", &[("inject/backup.onExit", "true")]);
    let mut running = start(&busybox, &container);
    fs::create_dir(running.mounted("/source").join("lost+found")).unwrap();
    fs::write(running.mounted("/source").join("lost+found/#12"), "repaired").unwrap();
    running.until_it_sleeps();
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
    let archive = running.mounted("/destination").join(&names(running.mounted("/destination"))[0]);
    let list = Command::new("busybox").args(["tar", "-tzf"]).arg(archive).output().unwrap();
    assert_eq!(String::from_utf8(list.stdout).unwrap(), "./\n./a/\n./a/b.txt\n");
}

#[test]
fn the_end_brings_a_last_copy_if_that_is_asked_for() {
    let Some(busybox) = Busybox::find() else { return };
    let mut running = start(&busybox, &container("/backups", &[]));
    running.until_it_sleeps();
    running.terminate();
    assert_eq!((running.end().code(), running.output()), (Some(0), String::new()));

    let mut running = start(&busybox, &container("/backups", &[("inject/backup.onExit", "true")]));
    running.until_it_sleeps();
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
    let archives = names(running.mounted("/destination"));
    assert_eq!(running.output(), format!("copied to /backups/{}\n", archives.join(" ")));
    assert_eq!(unpacked(&running.mounted("/destination").join(&archives[0]), "./a/b.txt"), "precious");
}

#[test]
fn a_url_gets_the_archive_and_the_credentials() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let server = Server::answering(|_| "201 Created\r\nContent-Length: 0\r\n\r\n".into());
    let parameters = [("inject/backup.every", "1s"), ("inject/backup.credentials", "robot")];
    let mut container = container(&server.url("/up/{a,b}"), &parameters);
    // What the kubelet reads from the Secret.
    let password = "a \"b\" $c\\d: and so long that base64 breaks its lines, which no header may have in it";
    for (name, value) in [("USERNAME", "robot"), ("PASSWORD", password)] {
        let variables = container["env"].as_array_mut().unwrap();
        let variable = variables.iter_mut().find(|variable| variable["name"] == name).unwrap();
        *variable = json!({"name": name, "value": value.replace('$', "$$")});
    }
    let mut running = start(&busybox, &container);
    running.until_it_says("copied to ");
    let request = server.requests().remove(0);
    let name = request.path().strip_prefix("/up/{a,b}/").unwrap().to_owned();
    assert!(request.head.starts_with("PUT ") && running.output().contains(&name), "{request:?} {}", running.output());
    let credentials = request.header("Authorization").unwrap().strip_prefix("Basic ").unwrap();
    assert_eq!(BASE64_STANDARD.decode(credentials).unwrap(), format!("robot:{password}").into_bytes());
    let received = running.work.join(name);
    fs::write(&received, request.body).unwrap();
    assert_eq!(unpacked(&received, "./a/b.txt"), "precious");
    assert_eq!(names(running.mounted("/destination")), [""; 0]);
}

#[test]
fn a_url_that_refuses_is_asked_again() {
    let Some(busybox) = Busybox::find_with_curl() else { return };
    let mut answers = ["507 Insufficient Storage\r\nContent-Length: 0\r\n\r\n"].into_iter();
    let server =
        Server::answering(move |_| answers.next().unwrap_or("201 Created\r\nContent-Length: 0\r\n\r\n").into());
    let mut running = start(&busybox, &container(&server.url(""), &[("inject/backup.every", "1s")]));
    running.until_it_says("\ncopied to ");
    let not = format!("not copied to {}; trying again in 1 s\n", server.url(""));
    assert!(running.output().starts_with(&not), "{}", running.output());
}
