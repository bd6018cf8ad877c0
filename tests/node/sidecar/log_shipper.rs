//! `log-shipper`.

use serde_json::json;

use crate::manifests::{IDLE, nginx, pod, with};
use crate::scene::Scene;

#[test]
fn access_lines_of_nginx_are_read_by_kubectl_logs_also_after_rotation() {
    let Some(scene) = Scene::set("access-log") else { return };
    scene.apply(nginx(&json!({"inject/log-shipper": "/var/log/nginx"})));
    scene.wait("pod/web", "condition=Ready");
    let run = |script: &str| scene.exec("web", "nginx", &["sh", "-c", script]);
    run("wget -q -O /dev/null http://127.0.0.1/?first");
    scene.until_logged("web", "log-shipper", "GET /?first ");
    run("cd /var/log/nginx && mv access.log access.log.1 && kill -USR1 $(cat /var/run/nginx.pid)");
    // nginx opens the new file a moment later; each request is in one of the two.
    run("wget -q -O /dev/null http://127.0.0.1/?second");
    scene.until_logged("web", "log-shipper", "GET /?second ");
    run("until [ -e /var/log/nginx/access.log ]; do sleep 1; done; wget -q -O /dev/null http://127.0.0.1/?third");
    let log = scene.until_logged("web", "log-shipper", "GET /?third ");
    for request in ["first", "second", "third"] {
        assert_eq!(log.matches(&format!("GET /?{request} ")).count(), 1, "{log}");
    }
}

#[test]
fn two_directories_are_read_and_what_can_not_be_read_is_said() {
    let Some(scene) = Scene::set("directories") else { return };
    let annotations = json!({"inject/log-shipper": "/var/log/app, /srv/audit"});
    let script = "echo ordinary >>/var/log/app/a.log; echo audited >>/srv/audit/a.log;
        touch /srv/audit/secret.log; chmod 0 /srv/audit/secret.log;";
    scene.apply(pod("web", &annotations, &format!("{script} {IDLE}")));
    for line in ["ordinary", "audited", "can't read /srv/audit/secret.log as user 1000"] {
        scene.until_logged("web", "log-shipper", line);
    }
}

#[test]
fn a_directory_that_is_closed_to_the_shipper_is_said() {
    let Some(scene) = Scene::set("closed-directory") else { return };
    let script = format!("chmod 700 /var/log/app; echo unseen >/var/log/app/a.log; {IDLE}");
    let root = json!({"securityContext": {"runAsNonRoot": false, "runAsUser": 0}});
    scene.apply(with(pod("web", &json!({"inject/log-shipper": "true"}), &script), &root, json!([])));
    scene.until_logged("web", "log-shipper", "can't read /var/log/app as user 65532");
}
