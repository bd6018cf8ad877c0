//! `wait-for-db` and `wait-for-service` by busybox, against real listeners.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use podgraft::wait::Target;
use serde_json::{Value, json};

use super::busybox::{Busybox, skipped};
use super::{container, try_container};
use crate::process::{podgraft, run};

/// A port of this machine's that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The container of a waiter whose probe is busybox.
fn waiter(template: &str, address: &str, parameters: &[(&str, &str)]) -> Value {
    let keys: Vec<_> = parameters.iter().map(|(name, _)| format!("inject/{template}.{name}")).collect();
    let (main, probe) = (format!("inject/{template}"), format!("inject/{template}.probe"));
    let parameters = keys.iter().zip(parameters).map(|(key, (_, value))| (&**key, *value));
    let annotations: Vec<_> = [(&*main, address), (&*probe, "busybox")].into_iter().chain(parameters).collect();
    container(template, &annotations)
}

fn wait_for_db(port: u16, timeout: &str, interval: &str) -> Value {
    waiter("wait-for-db", &format!("127.0.0.1:{port}"), &[("timeout", timeout), ("interval", interval)])
}

fn wait_for_service(services: &str, parameters: &[(&str, &str)]) -> Value {
    waiter("wait-for-service", services, parameters)
}

#[test]
fn the_database_is_waited_for_until_it_listens() {
    let Some(busybox) = Busybox::find() else { return };
    let port = free_port();
    let mut waiting = busybox.start(&wait_for_db(port, "5m", "1s"));
    waiting.until_it_says(&format!("waiting for tcp://127.0.0.1:{port}: "));
    assert!(waiting.output().contains(" s of 300 s"), "{}", waiting.output());
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert!(waiting.end().success());
    assert!(
        waiting.output().ends_with(&format!("tcp://127.0.0.1:{port} accepts connections\n")),
        "{}",
        waiting.output()
    );
    assert_eq!(waiting.termination_message(), None);
}

#[test]
fn a_database_that_is_there_is_not_waited_for() {
    let Some(busybox) = Busybox::find() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut waiting = busybox.start(&wait_for_db(port, "5m", "1s"));
    assert!(waiting.end().success());
    assert_eq!(waiting.output(), format!("tcp://127.0.0.1:{port} accepts connections\n"));
}

#[test]
fn an_ipv6_address_is_reached() {
    let Some(busybox) = Busybox::find() else { return };
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        skipped("this machine has no IPv6");
        return;
    };
    let address = format!("[::1]:{}", listener.local_addr().unwrap().port());
    let mut waiting = busybox.start(&waiter("wait-for-db", &address, &[]));
    assert!(waiting.end().success(), "{}", waiting.output());
    let list = json!([address]).to_string();
    let mut waiting = busybox.start(&wait_for_service(&list, &[]));
    assert!(waiting.end().success(), "{}", waiting.output());
}

#[test]
fn waiting_has_an_end() {
    let Some(busybox) = Busybox::find() else { return };
    let port = free_port();
    let mut waiting = busybox.start(&wait_for_db(port, "1s", "1s"));
    assert_eq!(waiting.end().code(), Some(1));
    let message = format!("gave up: no connection to tcp://127.0.0.1:{port} within 1 s\n");
    assert!(waiting.output().ends_with(&message), "{}", waiting.output());
    assert_eq!(waiting.termination_message(), Some(message));
}

#[test]
fn sigterm_ends_the_wait_at_once() {
    let Some(busybox) = Busybox::find() else { return };
    // The pause is longer than this test is allowed to hang.
    let mut waiting = busybox.start(&wait_for_db(free_port(), "1h", "10m"));
    waiting.until_it_says("waiting for");
    waiting.terminate();
    assert_eq!(waiting.end().code(), Some(143));

    let service = format!("127.0.0.1:{}", free_port());
    let mut waiting = busybox.start(&wait_for_service(&service, &[("interval", "10m")]));
    waiting.until_it_says("waiting for");
    waiting.terminate();
    assert_eq!(waiting.end().code(), Some(143));
}

/// The parameters' patterns refuse such hosts. Should one ever get through, it is still only a host.
#[test]
fn hostile_hosts_are_only_hosts() {
    let Some(busybox) = Busybox::find() else { return };
    let hosts = [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "x && touch pwned",
        "x\ntouch pwned",
        "\"; touch pwned; \"",
        "'; touch pwned; '",
        "${IFS}touch${IFS}pwned",
        "* ? [a-z]",
    ];
    let started = hosts.map(|host| {
        let mut database = wait_for_db(1, "1s", "1s");
        let address = format!("{}:1", host.replace('$', "$$"));
        *database["command"].as_array_mut().unwrap().last_mut().unwrap() = json!(format!("tcp://{address}"));
        let mut service = wait_for_service("x", &[("timeout", "1s")]);
        service["args"] = json!([address]);
        (host, busybox.start(&database), busybox.start(&service))
    });
    for (host, mut database, mut service) in started {
        assert_eq!((database.end().code(), service.end().code()), (Some(1), Some(1)), "{host}");
        assert!(
            database.output().contains(&format!("no connection to tcp://{host}:1 within")),
            "{}",
            database.output()
        );
        assert!(service.output().contains(&format!("not ready within 1 s: {host}:1")), "{}", service.output());
        for work in [&database.work, &service.work] {
            assert_eq!(fs::read_dir(work).unwrap().count(), 0, "{host} is run");
        }
    }
}

#[test]
fn every_service_is_waited_for() {
    let Some(busybox) = Busybox::find() else { return };
    let early = TcpListener::bind("127.0.0.1:0").unwrap();
    let late = free_port();
    let services = format!("localhost, 127.0.0.1:{}, localhost:{late}", early.local_addr().unwrap().port());
    let mut waiting = busybox.start(&wait_for_service(&services, &[("interval", "1s")]));
    waiting.until_it_says("waiting for");
    // Whoever was there once may go; only what is missing is named.
    drop(early);
    let named = format!("waiting for localhost:{late}: ");
    assert!(waiting.output().lines().all(|line| line.starts_with(&named)), "{}", waiting.output());
    let _listener = TcpListener::bind(("127.0.0.1", late)).unwrap();
    assert!(waiting.end().success());
    assert!(waiting.output().ends_with("all services are ready\n"), "{}", waiting.output());
}

#[test]
fn a_name_without_address_is_missing() {
    let Some(busybox) = Busybox::find() else { return };
    let times = [("timeout", "1s"), ("interval", "1s")];
    let mut waiting = busybox.start(&wait_for_service("localhost, no-such-host.invalid", &times));
    assert_eq!(waiting.end().code(), Some(1));
    let message = "gave up: not ready within 1 s: no-such-host.invalid\n";
    assert!(waiting.output().ends_with(message), "{}", waiting.output());
    assert_eq!(waiting.termination_message().as_deref(), Some(message));
}

/// Answers each request on this port with the next of these status lines.
fn answer(listener: TcpListener, answers: &'static [&'static str]) {
    thread::spawn(move || {
        for status in answers {
            let (mut connection, _) = listener.accept().unwrap();
            BufReader::new(&connection).lines().find(|line| line.as_ref().unwrap().is_empty());
            write!(connection, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
}

#[test]
fn a_url_is_waited_for_until_its_status_is_expected() {
    let Some(busybox) = Busybox::find() else { return };
    for (answers, expected) in [
        (&["503 Service Unavailable", "200 OK"][..], "200-399"),
        (&["404 Not Found", "204 No Content"], "100-199,200-299"),
        (&["200 OK", "302 Found\r\nLocation: http://127.0.0.1:1/"], "302"),
        (&["200 OK", "401 Unauthorized"], "401,403"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ready?a=b&c", listener.local_addr().unwrap());
        answer(listener, answers);
        let mut waiting = busybox.start(&wait_for_service(&url, &[("status", expected), ("interval", "1s")]));
        assert!(waiting.end().success(), "{expected}: {}", waiting.output());
        let output = waiting.output();
        // How many seconds is the clock's: its whole ones may change between the start and the first answer.
        let said =
            output.strip_prefix(&format!("waiting for {url}: ")).and_then(|rest| rest.split_once(" s of 300 s\n"));
        let passed = said.and_then(|(passed, _)| passed.parse::<u32>().ok());
        assert!(passed.is_some_and(|passed| passed < 300), "{expected}: {output}");
        assert_eq!(output.lines().count(), 2, "{expected}: {output}");
    }
}

/// `podgraft wait` with the command line that a template gives it.
fn wait_by_podgraft(template: &str, annotations: &[(&str, &str)]) -> (Option<i32>, String) {
    let container = container(template, annotations);
    let words = ["command", "args"].map(|list| container[list].as_array().cloned().unwrap_or_default()).concat();
    let mut words = words.iter().map(|word| word.as_str().unwrap());
    assert_eq!(words.next(), Some("/podgraft"));
    let (code, output, errors) = run(podgraft().args(words));
    (code, output + &errors)
}

#[test]
fn podgraft_understands_what_templates_have_it_wait_for() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = database.local_addr().unwrap().to_string();
    let (code, output) = wait_by_podgraft("wait-for-db", &[("inject/wait-for-db", &address)]);
    assert_eq!(code, Some(0), "{output}");

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let services = format!("localhost, {address}, http://{}/ready?a=b", server.local_addr().unwrap());
    answer(server, &["401 Unauthorized"]);
    let annotations = [("inject/wait-for-service", &*services), ("inject/wait-for-service.status", "200,401-403")];
    let (code, output) = wait_by_podgraft("wait-for-service", &annotations);
    assert_eq!(code, Some(0), "{output}");

    for protocol in ["postgres", "mysql", "redis"] {
        let annotations = [
            ("inject/wait-for-db", "[::1]:1"),
            ("inject/wait-for-db.protocol", protocol),
            ("inject/wait-for-db.timeout", "1s"),
        ];
        let (code, output) = wait_by_podgraft("wait-for-db", &annotations);
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(&format!("{protocol}://[::1]:1")), "{output}");
    }
}

/// What would fail in the container is refused at admission. (Addresses that are none, 1.2.3 or [:::], are the exception:
/// no pattern tells them.)
#[test]
fn what_is_admitted_can_be_waited_for() {
    let label = "a".repeat(63);
    let hosts = ["a", "a.b.c", "a.", "a..b", ".a", "-a", "a_b", "10.0.0.1", "[::1]", "::1", &label];
    let ports = ["", ":", ":00", ":080", ":65535", ":65536", ":70000", ":100000", ":x"];
    let schemes = ["", "tcp://", "postgres://", "http://", "https://", "ftp://"];
    let tails = ["", "/ready?a=b:0", "?x", "#y"];
    let (mut admitted, mut refused) = (0, 0);
    for (((template, scheme), host), (port, tail)) in ["wait-for-db", "wait-for-service"]
        .into_iter()
        .flat_map(|template| schemes.map(|scheme| (template, scheme)))
        .flat_map(|it| hosts.map(|host| (it, host)))
        .flat_map(|it| ports.iter().flat_map(|port| tails.map(|tail| (*port, tail))).map(move |rest| (it, rest)))
    {
        let target = json!([format!("{scheme}{host}{port}{tail}")]);
        let value = if template == "wait-for-db" { target[0].as_str().unwrap().to_owned() } else { target.to_string() };
        let Some(container) = try_container(template, &[(&format!("inject/{template}"), &value)]) else {
            refused += 1;
            continue;
        };
        admitted += 1;
        let words = [&container["command"], &container["args"]].into_iter().filter_map(Value::as_array).flatten();
        let words = words.filter_map(Value::as_str).skip(2).filter(|word| !word.starts_with("--"));
        for word in words {
            let target = word.parse::<Target>();
            assert!(target.is_ok(), "{template}: {value} is admitted, but {target:?}");
        }
    }
    assert!(admitted > 150 && refused > 150, "{admitted} admitted, {refused} refused");
}
