//! What `docs/security.md` says of ports, logs and permissions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use podgraft::tls::{DEVELOPMENT_LIFETIME, authority, directory};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::properties::sensitive;
use crate::webhook::{LONG, mutate, review_of, roots, send, start};

/// A ClientHello of TLS 1.1 (RFC 4346, section 7.4.1.2): version, random, no session, two cipher suites, no compression;
/// a group and a signature, so that nothing is wrong with it but its version.
fn client_hello_1_1() -> Vec<u8> {
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 29][..], &[0, 13, 0, 4, 0, 2, 4, 3], &[0, 11, 0, 2, 1, 0]].concat();
    let extensions = [&[0, extensions.len() as u8][..], &extensions].concat();
    let body = [&[3, 2][..], &[7; 32], &[0], &[0, 4, 0xc0, 0x13, 0, 0x2f], &[1, 0], &extensions].concat();
    let length = body.len() as u8;
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused_with_an_alert() {
    let webhook = start().await;
    let mut tcp = TcpStream::connect(webhook.address).await.unwrap();
    tcp.write_all(&client_hello_1_1()).await.unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    // An alert record, fatal, protocol_version (RFC 8446, section 6).
    assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]), "{answer:?}");
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_served() {
    let webhook = start().await;
    let roots = roots(&webhook.certs().join("ca.crt"));
    let versions: [&'static SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];
    for version in versions {
        let config = ClientConfig::builder_with_provider(podgraft::tls::provider().into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let tcp = TcpStream::connect(webhook.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
}

/// Forward secrecy and authenticated encryption, and nothing else.
#[test]
fn cipher_suites_are_todays() {
    let suites = podgraft::tls::provider().cipher_suites;
    let names: BTreeSet<_> = suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let wanted = ["AES_256_GCM_SHA384", "AES_128_GCM_SHA256", "CHACHA20_POLY1305_SHA256"].map(|suite| {
        let prefixes = ["TLS13_", "TLS_ECDHE_ECDSA_WITH_", "TLS_ECDHE_RSA_WITH_"];
        prefixes.map(|prefix| format!("{prefix}{suite}"))
    });
    assert_eq!(names, wanted.into_iter().flatten().collect());
}

/// Grafts and rejections with sensitive values of all kinds: neither the log nor the admin port tells them, nor anything
/// else of a pod.
#[tokio::test]
async fn neither_log_nor_admin_port_tells_what_is_in_pods() {
    let mut runner = TestRunner::deterministic();
    let names: Vec<_> = (0..40).map(|index| format!("keeps-{index}")).collect();
    let templates: Vec<_> =
        names.iter().map(|name| sensitive::text(name).new_tree(&mut runner).unwrap().current()).collect();
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("templates")).unwrap();
        for (name, text) in names.iter().zip(&templates) {
            fs::write(dir.join("templates").join(format!("{name}.json")), text).unwrap();
        }
    };
    let mut process = Process::start(prepare, &["--templates", "templates", "--log-level", "trace"]);
    let mut connection = process.connect().await;
    let (mut secrets, mut decisions) = (Vec::new(), BTreeSet::new());
    for name in &names {
        let (secret, value) = sensitive::secret().new_tree(&mut runner).unwrap().current();
        let mut pod = sensitive::pod(name, &value);
        pod["spec"]["containers"][0]["image"] = "imagemarker:1".into();
        pod["metadata"]["annotations"]["note"] = "notemarker".into();
        let answer = send(&mut connection, mutate(review_of(&pod.to_string()))).await.json();
        decisions.insert(answer["response"]["auditAnnotations"]["decision"].as_str().unwrap().to_owned());
        secrets.push(secret);
    }
    assert!(decisions.contains("rejected") && decisions.contains("injected"), "{decisions:?}");
    secrets.extend(["imagemarker", "notemarker"].map(str::to_owned));

    let mut told = Vec::new();
    for path in ["/metrics", "/healthz", "/readyz", "/", "/debug/pprof", "/templates"] {
        told.push(process.get(path).await.body);
    }
    let log = process.whole_log();
    assert!(log.contains("rejected") && log.contains("grafted"), "{log}");
    told.push(log);
    for secret in secrets {
        let tells = told.iter().find(|text| text.contains(&secret));
        assert!(tells.is_none(), "{secret}: {}", tells.unwrap());
    }
}

/// A key that was made here, one that is put in its place, and files that are no key: whatever happens to them, and however
/// much is logged, no line of theirs is.
#[tokio::test]
async fn the_log_tells_no_key() {
    // The log lies beside what is watched: with a line for each event, each line would be an event.
    let process = Process::start(|_| {}, &["--log-level", "trace"]);
    let certs = process.path("certs");
    let key = certs.join("tls.key");
    let mut written = vec![fs::read_to_string(&key).unwrap()];
    let loads =
        async |result: &str| process.metric(&format!("podgraft_certificate_loads_total{{result=\"{result}\"}}")).await;
    let until = async |result: &str, more_than: f64| {
        let counted = async {
            while loads(result).await <= more_than {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, counted).await.unwrap_or_else(|_| panic!("{result}: {}", process.log()));
    };

    let make = || authority::make(vec!["localhost".to_owned()], DEVELOPMENT_LIFETIME, SystemTime::now()).unwrap();
    let [next, another] = [make(), make()].map(|files| (String::from_utf8(files.key.clone()).unwrap(), files));
    let swaps = loads("ok").await;
    directory::write(&certs, &next.1).unwrap();
    until("ok", swaps).await;
    assert_eq!(process.ask("note", "x").await["allowed"], true);

    // Each is told in other words than the one before, as what is told again is not counted.
    let (first, rest) = another.0.trim_end().split_at(100);
    for bad in [
        another.0.clone(),
        another.0.replace('\n', " "),
        format!("{first}!{rest}\n"),
        another.0.replace("PRIVATE KEY", "NO KEY"),
        first.to_owned(),
        "PRIVATE KEY of nobody: a line that is no PEM".to_owned(),
    ] {
        let failures = loads("failed").await;
        fs::write(&key, &bad).unwrap();
        until("failed", failures).await;
        written.push(bad);
    }
    let swaps = loads("ok").await;
    directory::write(&certs, &another.1).unwrap();
    until("ok", swaps).await;
    assert_eq!(process.ask("note", "x").await["allowed"], true);

    let log = process.log();
    assert!(log.contains("another certificate is in force") && log.contains("TRACE"), "{log}");
    written.push(next.0);
    let lines = written.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with("-----"));
    for secret in lines.chain(["PRIVATE KEY"]) {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// The rows of the table of permissions: resources, names, verbs.
fn documented() -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let table = text.split("## What podgraft may do in the cluster").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| cluster") || line.starts_with("| own namespace"));
    let mut found = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (resources, name) = cells[1].split_once(" named ").unwrap_or((cells[1], ""));
        for resource in resources.split(", ") {
            let resource = format!("{} {} {}", cells[0], resource.trim_matches('`'), name.trim_matches('`'));
            found.insert((resource.trim().to_owned(), cells[2].to_owned()));
        }
    }
    found
}

#[test]
fn permissions_are_those_of_the_table() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.yaml")).unwrap();
    let documents = podgraft::manifest::read(&text).unwrap();
    let mut found = BTreeSet::new();
    for role in documents.iter().map(podgraft::manifest::Document::value) {
        let place = match role["kind"].as_str() {
            Some("ClusterRole") if role["metadata"]["name"] == "podgraft" => "cluster",
            Some("Role") if role["metadata"]["name"] == "podgraft" => "own namespace",
            _ => continue,
        };
        for rule in role["rules"].as_array().unwrap() {
            let list = |key: &str| -> Vec<String> {
                let items = rule[key].as_array().into_iter().flatten();
                items.map(|item| item.as_str().unwrap().to_owned()).collect()
            };
            assert!(list("resourceNames").len() < 2 && rule["nonResourceURLs"] == Value::Null);
            for resource in list("resources") {
                let resource = format!("{place} {resource} {}", list("resourceNames").join(""));
                found.insert((resource.trim().to_owned(), list("verbs").join(", ")));
            }
        }
    }
    assert_eq!(found, documented());
}
