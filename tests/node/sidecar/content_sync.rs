//! `content-sync`.

use serde_json::json;

use crate::manifests::{nginx, pod, service};
use crate::scene::Scene;

#[test]
fn a_page_writer_and_a_web_server_share_a_volume() {
    let Some(scene) = Scene::set("writer") else { return };
    let command = ["sh", "-c", "n=0; while :; do echo \"page $((n = n + 1))\" >index.html; sleep 1; done"];
    scene.apply(nginx(
        &json!({"inject/content-sync": "true", "inject/content-sync.command": json!(command).to_string()}),
    ));
    scene.wait("pod/web", "condition=Ready");
    let page = || scene.try_exec("web", "nginx", &["wget", "-q", "-O", "-", "http://127.0.0.1/"]).ok();
    let first = scene.until("a page", || page().filter(|page| page.starts_with("page ")));
    scene.until("another page", || page().filter(|page| page.starts_with("page ") && *page != first));
}

#[test]
fn an_archive_is_served_from_the_start_and_replaced_in_whole() {
    let Some(scene) = Scene::set("archive") else { return };
    // It counts the archives, which differ in the files that they hold.
    let site = r#"
        n=1; mkdir -p /tmp/www
        while :; do
            rm -rf /tmp/site && mkdir -p /tmp/site/news && cd /tmp/site
            echo "version $n" | tee index.html >news/$n.html
            tar -czf /tmp/site.tar.gz . && mv /tmp/site.tar.gz /tmp/www/site.tar.gz
            [ "$n" != 1 ] || httpd -p 8080 -h /tmp/www
            until [ -e /tmp/next ]; do sleep 1; done
            rm /tmp/next; n=$((n + 1))
        done"#;
    scene.apply(service("site", 8080));
    let annotations = json!({
        "inject/content-sync": "http://site:8080/site.tar.gz",
        "inject/content-sync.every": "1s",
    });
    scene.apply(nginx(&annotations));
    scene.until_logged("web", "content-sync", "not synchronized; trying again in 1 s");
    scene.until_status("web", "Init:0/1");

    scene.apply(pod("site", &json!({}), site));
    scene.wait("pod/web", "condition=Ready");
    let page =
        |path: &str| scene.try_exec("web", "nginx", &["wget", "-q", "-O", "-", &format!("http://127.0.0.1/{path}")]);
    assert_eq!(page(""), Ok("version 1\n".to_owned()));
    assert_eq!(page("news/1.html"), Ok("version 1\n".to_owned()));
    scene.exec("site", "app", &["touch", "/tmp/next"]);
    scene.until("the next version", || page("").ok().filter(|page| page == "version 2\n"));
    assert_eq!(page("news/2.html"), Ok("version 2\n".to_owned()));
    page("news/1.html").expect_err("it is no longer there");
}
