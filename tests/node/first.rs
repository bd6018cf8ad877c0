//! The shortest scenario, as a pattern for others.

use crate::scene::Scene;

#[test]
fn a_log_line_of_the_app_is_read_by_kubectl_logs() {
    let Some(scene) = Scene::set("log-line") else { return };
    scene.apply(
        r#"
        apiVersion: v1
        kind: Pod
        metadata:
          name: web
          annotations: {inject/log-shipper: "true"}
        spec:
          containers:
            - name: web
              image: busybox:1.36
              command: [sh, -c, "echo hello >> /var/log/app/web.log; exec sleep 3600"]
        "#,
    );
    scene.wait("pod/web", "condition=Ready");
    scene.until_logged("web", "log-shipper", "hello");
}
