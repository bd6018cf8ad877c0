//! `backup`.

use serde_json::{Value, json};

use crate::manifests::{IDLE, config_map, pod, service, with};
use crate::scene::Scene;

/// A pod, `web`, that has something to lose in /data, and a volume at /backups.
fn app(annotations: &Value, script: &str) -> Value {
    let volumes = json!([{"name": "data", "emptyDir": {}}, {"name": "backups", "emptyDir": {}}]);
    let mounts = json!([{"name": "data", "mountPath": "/data"}, {"name": "backups", "mountPath": "/backups"}]);
    with(pod("web", annotations, script), &json!({"volumeMounts": mounts}), volumes)
}

#[test]
fn the_newest_copies_are_in_the_other_volume() {
    let Some(scene) = Scene::set("backup") else { return };
    let annotations = json!({
        "inject/backup": "/data",
        "inject/backup.destination": "/backups",
        "inject/backup.every": "1s",
        "inject/backup.keep": "2",
    });
    // On a disk, lost+found is closed to all but root.
    let script = format!("mkdir -m 0 /data/lost+found; mkdir /data/a; echo precious >/data/a/b; {IDLE}");
    scene.apply(app(&annotations, &script));
    scene.until("four copies", || {
        let log = scene.try_kubectl(&["logs", "web", "-c", "backup"]).ok()?;
        (log.matches("copied to /backups/web-").count() >= 4).then_some(())
    });
    let script = "cd /backups && set -- web-*.tar.gz && echo $# && tar -xzOf $1 ./a/b";
    let found = scene
        .until("copies of which none is being removed", || scene.try_exec("web", "app", &["sh", "-c", script]).ok());
    // A third is there until the oldest is removed.
    assert!(["2\nprecious\n", "3\nprecious\n"].contains(&&*found), "{found}");
}

#[test]
fn a_job_leaves_a_last_copy_at_a_url() {
    let Some(scene) = Scene::set("last-copy") else { return };
    let server = "server { listen 8080; root /tmp/up; client_max_body_size 0;
        location / { dav_methods PUT; auth_basic up; auth_basic_user_file /etc/nginx/conf.d/users; } }";
    scene.apply(config_map("dav", &json!({"dav.conf": server, "users": "robot:{PLAIN}a \"b\" $c\n"})));
    scene.apply(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "robot"},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"username": "robot", "password": "a \"b\" $c"},
    }));
    scene.apply(service("dav", 8080));
    scene.apply(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dav", "labels": {"app": "dav"}},
        "spec": {
            "containers": [{
                "name": "nginx",
                "image": "nginx:1.27",
                "command": ["sh", "-c", "mkdir -m 777 /tmp/up; exec nginx -g 'daemon off;'"],
                "volumeMounts": [{"name": "dav", "mountPath": "/etc/nginx/conf.d"}],
            }],
            "volumes": [{"name": "dav", "configMap": {"name": "dav"}}],
        },
    }));
    scene.wait("pod/dav", "condition=Ready");

    let annotations = json!({
        "inject/backup": "/data",
        "inject/backup.destination": "http://dav:8080",
        "inject/backup.name": "web",
        "inject/backup.credentials": "robot",
        "inject/backup.onExit": "true",
    });
    let mut pod = app(&annotations, "echo precious >/data/a");
    pod["spec"]["restartPolicy"] = "Never".into();
    scene.apply(pod);
    scene.wait("pod/web", "jsonpath={.status.phase}=Succeeded");
    let script = "cd /tmp/up && set -- web-*.tar.gz && echo $# && tar -xzOf $1 ./a";
    assert_eq!(scene.exec("dav", "nginx", &["sh", "-c", script]), "1\nprecious\n");
}
