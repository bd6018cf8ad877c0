//! `--tls self-managed`: replicas that run as the account that an installation gives them, behind one address.

mod balancer;
mod installation;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::control_plane::PLAIN;
use crate::scene::{Scene, named, pod};
use installation::Installation;

/// How long anything may take on a slow machine.
const LONG: Duration = Duration::from_mins(3);

/// Lifetimes of seconds; a rotation of the authority every 24.
const SHORT: [&str; 3] = ["--tls-lifetime=12s", "--tls-ca-lifetime=36s", "--tls-settle=2s"];

/// Lifetimes that end after the test.
const STEADY: [&str; 1] = ["--tls-settle=2s"];

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates pods for as long as `during` takes, two at a time, and shakes hands; nothing of it may fail. Gives their number.
async fn under_load<T>(installation: &Installation<'_>, during: impl Future<Output = T>) -> (T, usize) {
    let over = AtomicBool::new(false);
    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    let create = async || {
        let mut created = 0;
        while !over.load(Ordering::Relaxed) {
            match installation.scene.try_out(&asking).await {
                Ok(pod) => drop(named(&pod["spec"]["initContainers"], "log-shipper")),
                Err(status) => panic!("{}\n{}", status.message, installation.logs()),
            }
            created += 1;
        }
        created
    };
    let shake = async || {
        while !over.load(Ordering::Relaxed) {
            installation.shake_hands().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let during = async {
        let value = during.await;
        over.store(true, Ordering::Relaxed);
        value
    };
    let (value, first, second, ()) = tokio::join!(during, create(), create(), shake());
    (value, first + second)
}

#[tokio::test]
async fn rotations_under_constant_creation_fail_no_request() {
    let Some(scene) = Scene::set(&PLAIN, "rotation").await else { return };
    // All at once: one makes the Secret, and the others take what it made.
    let installation = Installation::start(&scene, 3, &[&SHORT[..], &["--log-level=trace"]].concat()).await;

    let mut keys = BTreeSet::new();
    let rotations = async {
        let (mut authorities, mut leaves) = (BTreeSet::new(), BTreeSet::new());
        until("two rotations", async || {
            let secret = installation.secret().await.expect("a Secret");
            let data = |key| secret["data"].get(key).and_then(Value::as_str);
            keys.extend(["ca.key", "next-ca.key", "tls.key"].into_iter().filter_map(data).map(str::to_owned));
            authorities.insert(secret["data"]["ca.crt"].to_string());
            leaves.insert(secret["data"]["tls.crt"].to_string());
            authorities.len() >= 3
        })
        .await;
        leaves.len()
    };
    let (leaves, created) = under_load(&installation, rotations).await;
    assert!(leaves >= 5, "{leaves} leaves");
    let logs = installation.logs();
    assert!(!logs.contains("ERROR") && logs.contains("TRACE"), "{logs}");
    for key in keys {
        let text = BASE64_STANDARD.decode(&key).expect("Base64");
        let text = String::from_utf8(text).expect("text");
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let told = lines.chain([&*key, "PRIVATE KEY"]).any(|secret| logs.contains(secret));
        assert!(!told, "a key is in the log");
    }
    assert!(created >= 100, "{created} pods");
    until("old authorities go", async || {
        let secret = installation.secret().await.expect("a Secret");
        secret["data"].get("old-ca.crt").is_none()
    })
    .await;
}

#[tokio::test]
async fn a_replica_is_ready_only_when_the_api_server_trusts_it() {
    let Some(scene) = Scene::set(&PLAIN, "trusted").await else { return };
    let mut installation = Installation::prepare(&scene, &["get", "list", "watch"]).await;
    installation.add(&STEADY).await;
    until("a Secret", async || installation.secret().await.is_some()).await;
    until("a complaint", async || installation.logs().contains("can't be told whom to trust")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!installation.replicas[0].is_ready().await, "{}", installation.logs());
    installation.permit().await;
    installation.ready().await;
    scene.try_out(&pod("app", &json!({"inject/log-shipper": "true"}))).await.expect("a pod");
}

#[tokio::test]
async fn what_people_break_is_healed() {
    let Some(scene) = Scene::set(&PLAIN, "healing").await else { return };
    let installation = Installation::start(&scene, 2, &STEADY).await;
    let bundles = installation.bundles().await;
    assert!(!bundles[0].is_empty() && bundles.iter().all(|bundle| bundle == &bundles[0]), "{bundles:?}");

    let secret = installation.secret().await.expect("a Secret");
    let deletion = async {
        installation.delete_secret().await;
        until("a Secret", async || installation.secret().await.is_some()).await;
        let restored = installation.secret().await.expect("a Secret");
        assert_eq!(restored["data"], secret["data"], "the same authority and leaf");
        assert_ne!(generation(&restored), generation(&secret));
        // What is there longer than connections are kept for.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    under_load(&installation, deletion).await;

    let damage = async {
        installation.patch_secret(&json!({"data": {"tls.key": "bm9uc2Vuc2U=", "ca.crt": null}})).await;
        until("a whole Secret", async || {
            installation.secret().await.is_some_and(|found| found["data"] == secret["data"])
        })
        .await;
    };
    under_load(&installation, damage).await;

    for which in 0..2 {
        installation.clear(which).await;
        until("a bundle", async || installation.bundles().await == bundles).await;
    }
    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    until("an injected pod", async || scene.try_out(&asking).await.is_ok()).await;
}

#[tokio::test]
async fn a_configuration_that_is_deleted_stays_so_and_a_new_one_is_told() {
    let Some(scene) = Scene::set(&PLAIN, "deletion").await else { return };
    let installation = Installation::start(&scene, 1, &STEADY).await;
    // In an uninstallation the Secret follows at once.
    installation.delete_configurations().await;
    installation.delete_secret().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(installation.bundles().await.is_empty(), "they are made again");
    assert!(installation.secret().await.is_none(), "it is made again");
    assert!(installation.replicas[0].is_ready().await);
    assert_eq!(installation.logs().matches("does not call us by it").count(), 2, "{}", installation.logs());

    installation.register().await;
    until("a Secret", async || installation.secret().await.is_some()).await;
    until("bundles", async || {
        let bundles = installation.bundles().await;
        bundles.len() > 2 && bundles.iter().all(|bundle| !bundle.is_empty())
    })
    .await;
    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    until("an injected pod", async || scene.try_out(&asking).await.is_ok()).await;
}

#[tokio::test]
async fn a_replica_that_comes_later_takes_what_is_there() {
    let Some(scene) = Scene::set(&PLAIN, "later").await else { return };
    let mut installation = Installation::start(&scene, 1, &STEADY).await;
    let before = installation.secret().await.expect("a Secret");
    installation.add(&STEADY).await;
    installation.replicas[0].kill();
    installation.replicas.remove(0);
    installation.ready().await;
    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    scene.try_out(&asking).await.expect("a pod");
    let after = installation.secret().await.expect("a Secret");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "nothing was written");
    // Nobody is left, and the Secret is lost.
    installation.replicas.clear();
    installation.delete_secret().await;
    installation.add(&STEADY).await;
    installation.ready().await;
    scene.try_out(&asking).await.expect("a pod");
    let anew = installation.secret().await.expect("a Secret");
    assert!(anew["data"].get("old-ca.crt").is_some(), "what was trusted stays trusted");
}

#[tokio::test]
async fn all_is_new_where_secret_and_bundles_are_cleared_while_no_replica_runs() {
    let Some(scene) = Scene::set(&PLAIN, "leaked").await else { return };
    let mut installation = Installation::start(&scene, 2, &STEADY).await;
    let data = |secret: &Value, key: &str| {
        let text = secret["data"].get(key)?.as_str()?;
        Some(String::from_utf8(BASE64_STANDARD.decode(text).expect("Base64")).expect("text"))
    };
    let leaked = installation.secret().await.expect("a Secret");
    // What docs/certificates.md says, in its order.
    installation.replicas.clear();
    let cleared = json!({"data": null, "metadata": {"annotations": {"podgraft.dev/generation": null}}});
    installation.patch_secret(&cleared).await;
    for which in 0..2 {
        installation.clear(which).await;
    }
    for _ in 0..2 {
        installation.add(&STEADY).await;
    }
    installation.ready().await;
    let secret = installation.secret().await.expect("a Secret");
    let [before, after] = [&leaked, &secret].map(|secret| data(secret, "ca.crt").expect("an authority"));
    assert_ne!(before, after);
    assert_eq!(data(&secret, "old-ca.crt"), None, "what leaked is trusted");
    for bundle in installation.bundles().await {
        assert_eq!(bundle.trim(), after.trim());
    }
    scene.try_out(&pod("app", &json!({"inject/log-shipper": "true"}))).await.expect("a pod");
}

fn generation(secret: &Value) -> &Value {
    &secret["metadata"]["annotations"]["podgraft.dev/generation"]
}
