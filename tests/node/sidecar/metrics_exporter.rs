//! `metrics-exporter`.

use serde_json::json;

use crate::manifests::{config_map, nginx};
use crate::scene::Scene;

#[test]
fn nginx_is_scraped() {
    let Some(scene) = Scene::set("exporter") else { return };
    let status = "server { listen 8080; location /stub_status { stub_status; } }";
    scene.apply(config_map("status", &json!({"status.conf": status})));
    let mut pod = nginx(&json!({
        "inject/metrics-exporter": "nginx/nginx-prometheus-exporter:1.4.2",
        "inject/metrics-exporter.port": "9113",
        "inject/metrics-exporter.args": "--nginx.scrape-uri=http://127.0.0.1:8080/stub_status",
    }));
    pod["spec"]["volumes"] = json!([{"name": "status", "configMap": {"name": "status"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "status", "mountPath": "/etc/nginx/conf.d"}]);
    scene.apply(pod);
    scene.wait("pod/web", "condition=Ready");

    // As a scraper finds it.
    let annotations = scene.object("pod/web")["metadata"]["annotations"].take();
    assert_eq!(annotations["prometheus.io/scrape"], "true");
    let [port, path] = ["port", "path"].map(|key| annotations[format!("prometheus.io/{key}")].as_str().expect("text"));
    let url = format!("http://{}:{port}{path}", scene.get("pod/web", "{.status.podIP}"));
    scene.until("nginx is up", || {
        let metrics = scene.try_exec("web", "nginx", &["wget", "-q", "-O", "-", &url]).ok()?;
        metrics.lines().any(|line| line == "nginx_up 1").then_some(())
    });
}
