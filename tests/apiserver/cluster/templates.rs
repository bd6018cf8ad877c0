//! Templates as custom resources.

use serde_json::json;

use super::{change, condition, eventually, from, scene, serve, template, templates};

#[tokio::test]
async fn the_nearest_template_is_found() {
    let Some(scene) = scene("nearest").await else { return };
    let files = scene.directory.join("templates");
    std::fs::create_dir_all(&files).expect("a directory");
    let file = template("ClusterInjectionTemplate", "nearest", "file");
    std::fs::write(files.join("a.json"), file.to_string()).expect("a file");
    let podgraft = serve(&scene, &["--templates", files.to_str().expect("text")]).await;
    scene.register(&podgraft, &[]).await;
    assert_eq!(from(&scene, "nearest").await.as_deref(), Ok("file"));

    let everywhere = template("ClusterInjectionTemplate", "nearest", "cluster");
    scene.post(&templates(None), &everywhere).await.expect("a template");
    eventually("the cluster's", async || from(&scene, "nearest").await.as_deref() == Ok("cluster")).await;
    let here = templates(Some(&scene.namespace));
    scene.post(&here, &template("InjectionTemplate", "nearest", "namespace")).await.expect("a template");
    eventually("the namespace's", async || from(&scene, "nearest").await.as_deref() == Ok("namespace")).await;

    scene.delete(&format!("{here}/nearest")).await.expect("a deletion");
    eventually("the cluster's again", async || from(&scene, "nearest").await.as_deref() == Ok("cluster")).await;
    scene.delete(&format!("{}/nearest", templates(None))).await.expect("a deletion");
    eventually("the file's again", async || from(&scene, "nearest").await.as_deref() == Ok("file")).await;
}

#[tokio::test]
async fn a_bad_change_leaves_the_last_good_version() {
    let Some(scene) = scene("last-good").await else { return };
    let podgraft = serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    let path = format!("{}/kept", templates(Some(&scene.namespace)));
    scene.post(&templates(Some(&scene.namespace)), &template("InjectionTemplate", "kept", "first")).await.expect("it");
    eventually("ready", async || condition(&scene, &path, "Ready").await.0 == "True").await;
    assert_eq!(condition(&scene, &path, "Accepted").await.0, "True");
    assert_eq!(from(&scene, "kept").await.as_deref(), Ok("first"));

    let loads = podgraft.metric("podgraft_template_loads_total").await;
    change(&scene, &path, &json!({"target": {"env": [{"name": "FROM", "valeu": "second"}]}})).await;
    eventually("not ready", async || condition(&scene, &path, "Ready").await.0 == "False").await;
    let (accepted, why) = condition(&scene, &path, "Accepted").await;
    assert_eq!(accepted, "False");
    assert!(why.contains("valeu"), "{why}");
    assert_eq!(from(&scene, "kept").await.as_deref(), Ok("first"));
    assert!(podgraft.log().contains("its last good version stays in force"), "{}", podgraft.log());
    assert!(podgraft.metric("podgraft_template_loads_total").await > loads);

    change(&scene, &path, &json!({"target": {"env": [{"name": "FROM", "value": "third"}]}})).await;
    eventually("ready again", async || condition(&scene, &path, "Ready").await.0 == "True").await;
    eventually("the third", async || from(&scene, "kept").await.as_deref() == Ok("third")).await;
}

#[tokio::test]
async fn pods_that_ask_for_what_never_compiled_get_its_error() {
    let Some(scene) = scene("broken").await else { return };
    let mut broken = template("InjectionTemplate", "broken", "");
    broken["spec"]["target"]["env"][0]["value"] = "{{ params.nosuch }}".into();
    let path = templates(Some(&scene.namespace));
    scene.post(&path, &broken).await.expect("the schema can't know");
    let podgraft = serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    let why = from(&scene, "broken").await.expect_err("a denial");
    assert!(why.contains("nosuch") && why.contains("InjectionTemplate/broken/broken"), "{why}");
    let path = format!("{path}/broken");
    eventually("a status", async || condition(&scene, &path, "Accepted").await.0 == "False").await;

    // Our own status comes back to us, and is not answered.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let version = async || scene.get(&path).await.expect("it")["metadata"]["resourceVersion"].clone();
    let before = version().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(version().await, before);
}

/// Stored while no podgraft was asked: nesting that serde_json reads no tree of, and nearly all that an API server takes.
#[tokio::test]
async fn what_nobody_can_read_harms_only_those_who_ask_for_it() {
    let Some(scene) = scene("unreadable").await else { return };
    let here = templates(Some(&scene.namespace));
    let deep = (0..150).fold(json!(0), |inside, _| json!([inside]));
    let long = json!(vec![json!({"": 0}); 190_000]);
    for (name, when) in [("deep", &deep), ("long", &long)] {
        let mut object = template("InjectionTemplate", name, "");
        object["spec"]["when"] = when.clone();
        // Not by our own client, which reads no answer that nests so deep.
        let file = scene.directory.join(format!("{name}.json"));
        std::fs::write(&file, object.to_string()).expect("a file");
        let mut create = scene.api.kubectl();
        create.args(["create", "--namespace", &scene.namespace, "--filename"]).arg(&file);
        let created = create.output().expect("kubectl starts");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    }
    scene.post(&here, &template("InjectionTemplate", "before", "before")).await.expect("a template");
    let podgraft = serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    assert_eq!(from(&scene, "before").await.as_deref(), Ok("before"));
    for (name, why) in [("deep", "recursion limit"), ("long", "bytes of JSON; at most")] {
        let said = from(&scene, name).await.expect_err("a denial");
        assert!(said.contains(why), "{said}");
    }
    scene.post(&here, &template("InjectionTemplate", "later", "later")).await.expect("a template");
    eventually("what comes later", async || from(&scene, "later").await.as_deref() == Ok("later")).await;
    eventually("their status", async || {
        let conditions = [condition(&scene, &format!("{here}/long"), "Accepted").await];
        conditions.iter().all(|(status, why)| status == "False" && why.contains("bytes of JSON"))
    })
    .await;
    for name in ["deep", "long"] {
        scene.delete(&format!("{here}/{name}")).await.expect("a deletion");
    }
}
