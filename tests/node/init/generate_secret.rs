//! `generate-secret`.

use serde_json::json;

use crate::manifests::{IDLE, nginx, pod};
use crate::scene::Scene;

#[test]
fn a_web_server_speaks_tls_with_the_certificate_that_was_made() {
    let Some(scene) = Scene::set("certificate") else { return };
    let annotations =
        json!({"inject/generate-secret": "certificate", "inject/generate-secret.containers": "nginx,client"});
    let mut pod = nginx(&annotations);
    pod["metadata"]["labels"] = json!({"app": "shop"});
    let configuration = "server { listen 443 ssl; root /usr/share/nginx/html;
        ssl_certificate /etc/generated/tls.crt; ssl_certificate_key /etc/generated/tls.key; }";
    let containers = pod["spec"]["containers"].as_array_mut().expect("a list");
    let serve = "echo \"$0\" >/etc/nginx/conf.d/tls.conf; exec nginx -g 'daemon off;'";
    containers[0]["command"] = json!(["sh", "-c", serve, configuration]);
    let sleep = json!(["sh", "-c", IDLE]);
    containers.push(json!({"name": "client", "image": "curlimages/curl:8.20.0", "command": sleep}));
    scene.apply(pod);
    scene.wait("pod/web", "condition=Ready");

    let get = |host: &str| {
        let (url, here) = (format!("https://{host}/"), format!("{host}:443:127.0.0.1"));
        let curl = ["curl", "-sS", "--cacert", "/etc/generated/ca.crt", "--resolve", &here, &url];
        scene.try_exec("web", "client", &curl)
    };
    let name = format!("shop.{}.svc", scene.namespace);
    let page = scene.until("the server's page", || get(&name).ok());
    assert!(page.contains("Welcome to nginx!"), "{page}");
    let stranger = get("example.com").expect_err("a certificate for others");
    assert!(stranger.contains("example.com"), "{stranger}");
}

#[test]
fn random_bytes_lie_in_memory_for_the_apps_user_alone() {
    let Some(scene) = Scene::set("random") else { return };
    let make = |name| pod(name, &json!({"inject/generate-secret": "random"}), IDLE);
    scene.apply(make("one"));
    scene.apply(make("two"));
    let [one, two] = ["one", "two"].map(|name| {
        scene.wait(&format!("pod/{name}"), "condition=Ready");
        scene.exec(name, "app", &["cat", "/etc/generated/secret"])
    });
    assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_ne!(one, two);
    assert_eq!(scene.exec("one", "app", &["stat", "-c", "%u %a", "/etc/generated/secret"]), "1000 440\n");
    let mounts = scene.exec("one", "app", &["cat", "/proc/mounts"]);
    let mount = mounts.lines().find(|mount| mount.contains(" /etc/generated ")).expect("a mount");
    assert!(mount.starts_with("tmpfs "), "{mount}");
}
