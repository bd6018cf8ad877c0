//! What `serve` prints when it is up: where it listens, what it serves, and a command that tries it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use crate::cli::table;
use crate::server::Server;
use crate::snapshot::Snapshot;
use crate::template::{Scope, Template};

use super::certificate::Source;

/// The text; where the certificate is one of files, its last line is the command.
pub(super) fn text(
    server: &Server,
    certificate: &Source,
    asks_clients: bool,
    snapshot: &Snapshot,
) -> anyhow::Result<String> {
    let webhook = server.webhook_address().context("asking for the bound address")?;
    let admin = server.admin_address().context("asking for the bound address")?;
    let (trust, hint) = match certificate {
        Source::Files(keeper, _) => {
            let (ca, bundle) = (keeper.ca_file(), keeper.bundle());
            let mut command = command(webhook, &bundle.names, &ca, &snapshot.policy.annotation_prefix);
            if asks_clients {
                command.push_str(" --cert CLIENT.crt --key CLIENT.key");
            }
            let trust = format!("CA file:  {} (valid until {})", ca.display(), bundle.valid_until());
            (trust, format!("\nTry it:\n{command}\n"))
        }
        Source::SelfManaged(own) => (format!("CA:       self-managed, in secret {}", own.secret()), String::new()),
    };
    let rows: Vec<_> = snapshot.templates.iter().map(|template| row(template)).collect();
    Ok(format!(
        "podgraft {} is listening\n\
         webhook:  https://{webhook}/mutate\n\
         admin:    http://{admin} (/metrics, /healthz, /readyz)\n\
         {trust}\n\n\
         {}\
         {hint}",
        env!("CARGO_PKG_VERSION"),
        table::render(["TEMPLATE", "DESCRIPTION"], &rows),
    ))
}

fn row(template: &Template) -> [String; 2] {
    let name = match &template.scope {
        Scope::Cluster => template.name.clone(),
        Scope::Namespace(namespace) => format!("{namespace}/{}", template.name),
    };
    [name, template.summary().to_owned()]
}

/// A `curl` line for a POSIX shell that sends a pod asking for a template, and is answered with its patch.
fn command(address: SocketAddr, names: &[String], ca: &Path, prefix: &str) -> String {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "default",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "web", "annotations": {(format!("{prefix}/log-shipper")): "true"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
    });
    let ca = quoted(&ca.display().to_string());
    let review = quoted(&review.to_string());
    let destination = destination(address, names);
    format!("curl --cacert {ca} -H 'Content-Type: application/json' -d {review} {destination}")
}

/// Where a client on this machine finds the webhook, under a name that its certificate has.
fn destination(address: SocketAddr, names: &[String]) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let (reached, port) = (SocketAddr::new(ip, address.port()), address.port());
    let host = |name: &&String| name.parse::<IpAddr>().is_err() && !name.starts_with('*');
    match names.iter().find(host) {
        Some(name) if !names.contains(&ip.to_string()) => {
            let ip = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            format!("--resolve {name}:{port}:{ip} https://{name}:{port}/mutate")
        }
        _ => format!("https://{reached}/mutate"),
    }
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(quoted("certs/ca.crt"), "certs/ca.crt");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
        assert_eq!(quoted("$(date)"), "'$(date)'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn the_name_that_a_client_uses_is_one_of_the_certificate() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let own = names(&["localhost", "127.0.0.1", "::1"]);
        assert_eq!(destination("127.0.0.1:8443".parse().unwrap(), &own), "https://127.0.0.1:8443/mutate");
        assert_eq!(destination("0.0.0.0:1".parse().unwrap(), &own), "https://127.0.0.1:1/mutate");
        assert_eq!(destination("[::]:1".parse().unwrap(), &own), "https://[::1]:1/mutate");
        let other = names(&["*.example.com", "hook.example.com"]);
        assert_eq!(
            destination("[::]:1".parse().unwrap(), &other),
            "--resolve hook.example.com:1:[::1] https://hook.example.com:1/mutate"
        );
    }
}
