//! `proxy`.

use serde_json::json;

use crate::manifests::{pod, with};
use crate::scene::Scene;

#[test]
fn requests_reach_the_app_with_what_a_proxy_says_of_them() {
    let Some(scene) = Scene::set("proxy") else { return };
    // A server that answers with what it is asked.
    let script = r#"
        mkdir -p /tmp/www/cgi-bin && cd /tmp/www
        printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"; env; cat' >cgi-bin/env
        chmod +x cgi-bin/env && exec httpd -f -p 3000"#;
    let annotations = json!({"inject/proxy": "true"});
    scene.apply(with(pod("web", &annotations, script), &json!({"ports": [{"containerPort": 3000}]}), json!([])));
    scene.wait("pod/web", "condition=Ready");
    let address = scene.get("pod/web", "{.status.podIP}");
    let url = format!("http://{address}:8000/cgi-bin/env?a=1");
    let command = ["wget", "-q", "-O", "-", "--header", "X-Forwarded-Proto: https", "--post-data", "the body", &url];
    let answer = scene.exec("web", "app", &command);
    for line in [
        "QUERY_STRING=a=1",
        &format!("HTTP_HOST={address}:8000"),
        &format!("HTTP_X_FORWARDED_FOR={address}"),
        &format!("HTTP_X_FORWARDED_HOST={address}:8000"),
        "HTTP_X_FORWARDED_PROTO=https",
        "the body",
    ] {
        assert!(answer.lines().any(|found| found == line), "no {line} in {answer}");
    }
    scene.until_logged("web", "proxy", "POST /cgi-bin/env?a=1");
}
