//! `fix-permissions` and `seed-volume`.

use serde_json::{Value, json};

use crate::manifests::{IDLE, nginx, pod, with};
use crate::scene::Scene;

/// What somebody else, user 2000, leaves behind: closed directories, and a link that leads out.
const LEAVE_BEHIND: &str = "
    mkdir -p /var/lib/data/closed && cd /var/lib/data
    echo hello >closed/file && ln -s /etc/passwd link && chmod 700 . closed && chmod 600 closed/file";

#[test]
fn the_files_of_somebody_else_become_the_apps() {
    let Some(scene) = Scene::set("fix-permissions") else { return };
    // A volume that outlives a pod without a storage class; an empty directory is left of it.
    let path = format!("/var/tmp/{}", scene.namespace);
    let volumes = json!([{"name": "data", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}]);
    let mounts = json!({"volumeMounts": [{"name": "data", "mountPath": "/var/lib/data"}]});
    let with_volume = |pod: Value| with(pod, &mounts, volumes.clone());

    let mut somebody = with_volume(pod("somebody", &json!({}), LEAVE_BEHIND));
    somebody["spec"]["restartPolicy"] = "Never".into();
    somebody["spec"]["securityContext"] = json!({"runAsUser": 2000});
    // Only root may write into what the kubelet has made.
    let open = json!({"name": "open", "image": "busybox:1.36", "command": ["chown", "2000", "/var/lib/data"]});
    somebody["spec"]["initContainers"] = json!([open]);
    somebody["spec"]["initContainers"][0]["volumeMounts"] = mounts["volumeMounts"].clone();
    somebody["spec"]["initContainers"][0]["securityContext"] = json!({"runAsUser": 0});
    scene.apply(somebody);
    scene.wait("pod/somebody", "jsonpath={.status.phase}=Succeeded");
    let node = scene.get("pod/somebody", "{.spec.nodeName}");

    let read = |name: &str, annotations: &Value| {
        let mut pod = with_volume(pod(name, annotations, IDLE));
        pod["spec"]["nodeName"] = node.as_str().into();
        scene.apply(pod);
        scene.wait(&format!("pod/{name}"), "condition=Ready");
        scene.try_exec(name, "app", &["cat", "/var/lib/data/closed/file"])
    };
    let denied = read("before", &json!({})).expect_err("somebody else's file");
    assert!(denied.contains("Permission denied"), "{denied}");
    let fix = json!({"inject/fix-permissions": "/var/lib/data"});
    assert_eq!(read("after", &fix), Ok("hello\n".to_owned()));
    // A second start finds a closed directory that is right already.
    assert_eq!(read("again", &fix), Ok("hello\n".to_owned()));
    let list = scene.exec("after", "app", &["stat", "-c", "%u %a %n", "/var/lib/data", "/var/lib/data/closed/file"]);
    assert_eq!(list, "1000 700 /var/lib/data\n1000 600 /var/lib/data/closed/file\n");

    let open = json!({"inject/fix-permissions": "/var/lib/data", "inject/fix-permissions.mode": "u=rwX,g=rXs,o="});
    read("open", &open).expect("the app's file");
    let list = scene.exec("open", "app", &["stat", "-c", "%u %a", "/var/lib/data", "/var/lib/data/closed/file"]);
    assert_eq!(list, "1000 2750\n1000 2640\n");
    scene.exec("open", "app", &["rm", "-r", "/var/lib/data/closed", "/var/lib/data/link"]);
}

#[test]
fn a_volume_starts_with_what_the_image_has_there() {
    let Some(scene) = Scene::set("seed-volume") else { return };
    scene.apply(nginx(&json!({"inject/seed-volume": "/usr/share/nginx/html"})));
    scene.wait("pod/web", "condition=Ready");
    let page = scene.exec("web", "nginx", &["wget", "-q", "-O", "-", "http://127.0.0.1/"]);
    assert!(page.contains("Welcome to nginx!"), "{page}");
    let mounts = scene.exec("web", "nginx", &["cat", "/proc/mounts"]);
    assert!(mounts.contains(" /usr/share/nginx/html "), "it is a volume: {mounts}");
}

#[test]
fn a_directory_that_an_image_lacks_fails_the_start_with_its_name() {
    let Some(scene) = Scene::set("seed-nothing") else { return };
    let annotations = json!({"inject/seed-volume": "/data", "inject/seed-volume.source": "/no/such/directory"});
    scene.apply(super::once(pod("web", &annotations, IDLE)));
    let message = super::failure(&scene, "web", "seed-volume");
    assert_eq!(message, "the image has no directory /no/such/directory\n");
}
