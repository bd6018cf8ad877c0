//! When the API server can't be used, or not yet.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::account;
use crate::podgraft::Podgraft;
use crate::scene::{named, pod};

use super::{bare_scene, change, condition, eventually, from, install, kubeconfig, scene, serve, template, templates};

#[tokio::test]
async fn definitions_that_come_later_are_picked_up() {
    let Some(scene) = bare_scene("later").await else { return };
    let podgraft = serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    let created = scene.try_out(&pod("app", &json!({"inject/log-shipper": "true"}))).await.expect("a pod");
    named(&created["spec"]["initContainers"], "log-shipper");
    let said = podgraft.log().matches("not installed in this cluster").count();
    assert_eq!(said, 2, "{}", podgraft.log());

    install(&scene).await;
    scene.post(&templates(None), &template("ClusterInjectionTemplate", "later", "cluster")).await.expect("a template");
    eventually("the template", async || from(&scene, "later").await.as_deref() == Ok("cluster")).await;

    // With its definition, every template of a kind is gone.
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for plural in ["clusterinjectiontemplates", "injectiontemplates"] {
        scene.delete(&format!("{definitions}/{plural}.podgraft.dev")).await.expect("a deletion");
    }
    eventually("it is gone", async || from(&scene, "later").await.is_err()).await;
    eventually("it is said", async || podgraft.log().matches("not installed in this cluster").count() == 4).await;
}

#[tokio::test]
async fn nothing_is_served_before_the_api_server_says_what_there_is() {
    let Some(scene) = scene("unreachable").await else { return };
    let proxy = Proxy::start(&scene.api.kubeconfig).await;
    proxy.open.send_replace(false);
    let kubeconfig = kubeconfig(&scene, "nowhere", |text| with_server(text, proxy.address)).display().to_string();
    let here = templates(Some(&scene.namespace));
    // A pod that asks must not get the built-in one of this name.
    scene.post(&here, &template("InjectionTemplate", "log-shipper", "own")).await.expect("a template");
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig]).await;
    scene.register(&podgraft, &[]).await;
    eventually("it is said", async || podgraft.log().contains("does not say what these are")).await;
    assert!(!podgraft.is_ready().await);
    // The API server comes again until its patience is over.
    let said = from(&scene, "log-shipper").await.expect_err("no answer");
    assert!(said.contains("failed calling webhook"), "{said}");
    let counted = r#"podgraft_admission_requests_total{operation="unknown",outcome="not_ready"}"#;
    assert!(podgraft.metric(counted).await > 0.5);
    assert!(podgraft.log().contains("asked to come again"), "{}", podgraft.log());

    proxy.open.send_replace(true);
    eventually("it is ready", async || podgraft.is_ready().await).await;
    assert_eq!(from(&scene, "log-shipper").await.as_deref(), Ok("own"));
}

#[tokio::test]
async fn what_changed_while_the_api_server_was_gone_is_seen_when_it_is_back() {
    let Some(scene) = scene("outage").await else { return };
    let proxy = Proxy::start(&scene.api.kubeconfig).await;
    let kubeconfig = kubeconfig(&scene, "proxied", |text| with_server(text, proxy.address)).display().to_string();
    let here = templates(Some(&scene.namespace));
    for name in ["changed", "deleted"] {
        scene.post(&here, &template("InjectionTemplate", name, "before")).await.expect("a template");
    }
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig]).await;
    podgraft.ready().await;
    scene.register(&podgraft, &[]).await;
    assert_eq!(from(&scene, "changed").await.as_deref(), Ok("before"));

    proxy.open.send_replace(false);
    let spec = json!({"target": {"env": [{"name": "FROM", "value": "after"}]}});
    change(&scene, &format!("{here}/changed"), &spec).await;
    scene.delete(&format!("{here}/deleted")).await.expect("a deletion");
    eventually("the trouble is told", async || podgraft.log().contains("can't be watched")).await;
    assert_eq!(from(&scene, "changed").await.as_deref(), Ok("before"));
    assert_eq!(from(&scene, "deleted").await.as_deref(), Ok("before"));

    proxy.open.send_replace(true);
    eventually("the change", async || from(&scene, "changed").await.as_deref() == Ok("after")).await;
    eventually("the deletion", async || from(&scene, "deleted").await.is_err()).await;
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_and_seen_when_it_is_granted() {
    let Some(scene) = scene("permissions").await else { return };
    let kubeconfig = account::make(&scene).await;
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig]).await;
    podgraft.ready().await;
    for resource in ["clusterinjectiontemplates", "injectiontemplates", "namespaces"] {
        let missing = format!(r#"cannot list resource "{resource}""#);
        eventually(&missing, async || podgraft.log().matches(&missing).count() == 1).await;
    }

    account::grant(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    let here = templates(Some(&scene.namespace));
    scene.post(&here, &template("InjectionTemplate", "granted", "namespace")).await.expect("a template");
    eventually("the template", async || from(&scene, "granted").await.as_deref() == Ok("namespace")).await;
    let path = format!("{here}/granted");
    eventually("its status", async || condition(&scene, &path, "Ready").await.0 == "True").await;
}

/// A kubeconfig's text with another address.
fn with_server(text: &str, address: SocketAddr) -> String {
    text.replace(&server(text), &address.to_string())
}

/// The address in a kubeconfig's text.
fn server(text: &str) -> String {
    let config: Value = serde_saphyr::from_str(text).expect("YAML");
    let url = config["clusters"][0]["cluster"]["server"].as_str().expect("an address").to_owned();
    url.strip_prefix("https://").expect("https").to_owned()
}

/// Stands between podgraft and an API server. Closed, it ends every connection.
struct Proxy {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Proxy {
    async fn start(kubeconfig: &std::path::Path) -> Self {
        let to: Arc<str> = server(&std::fs::read_to_string(kubeconfig).expect("a kubeconfig")).into();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (open, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let (to, mut state) = (Arc::clone(&to), state.clone());
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(&*to).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open }
    }
}
