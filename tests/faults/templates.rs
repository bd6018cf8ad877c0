//! The template directory changes under load.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config_map::ConfigMap;
use crate::scene::{LONG, Scene, metric, metric_within, served_at_once, template, templates, write};

#[test]
fn a_minute_of_reloads_loses_no_request_and_mixes_no_versions() {
    let mount = |dir: &Path| {
        fs::remove_dir_all(dir.join("templates")).unwrap();
        ConfigMap::mount(dir.join("templates"), &templates(0));
    };
    let scene = Scene::prepared(mount, &[]);
    let mut mounted = ConfigMap::mounted(scene.server.path("templates"));
    let load = scene.load(16);
    let (begin, mut version) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(100));
        version += 1;
        mounted.update(&templates(version));
    }
    load.until(LONG, |tally| tally.versions.contains(&version)).unwrap();
    let tally = served_at_once(load);
    let seen = tally.versions.len();
    println!("reloads: {version} versions in a minute, {seen} of them in {} good answers", tally.good);
    // Changes that never pause are taken up once a second.
    assert!(seen >= 20, "{seen} of {version} versions were seen");
}

const FAILED: &str = r#"podgraft_template_loads_total{result="failed"}"#;

#[test]
fn what_becomes_of_the_directory_loses_no_request() {
    let scene = Scene::start(&[]);
    let dir = scene.server.path("templates");
    let load = scene.load(4);
    load.until(LONG, |tally| tally.good > 50).unwrap();
    let failed = |times: f64| metric(&scene.server, FAILED, |found| found >= times);

    // A file half written: without its end, then empty, then whole again.
    let text = template("t0", 0);
    let file = dir.join("t0.yaml");
    fs::write(&file, &text[..text.len() - 10]).unwrap();
    failed(1.0);
    fs::write(&file, "").unwrap();
    failed(2.0);
    fs::write(&file, &text).unwrap();

    // Deleted, then replaced by another one.
    fs::rename(&dir, scene.server.path("away")).unwrap();
    failed(3.0);
    write(&scene.server.path("next"), &templates(1));
    fs::rename(scene.server.path("next"), &dir).unwrap();
    load.until(LONG, |tally| tally.versions.contains(&1)).unwrap();

    // Replaced in one step by one with 10,000 more.
    write(&scene.server.path("next"), &templates(2));
    let many: Vec<_> = (0..10_000).map(|index| (format!("n{index}.yaml"), template(&format!("n{index}"), 0))).collect();
    write(&scene.server.path("next"), &many);
    fs::rename(&dir, scene.server.path("before")).unwrap();
    fs::rename(scene.server.path("next"), &dir).unwrap();
    let begin = Instant::now();
    // A debug build compiles a few hundred a second.
    metric_within(&scene.server, 4 * LONG, "podgraft_templates", |found| found >= 10_000.0);
    println!("directory: 10,000 files are in force after {:.1} s", begin.elapsed().as_secs_f64());
    load.until(LONG, |tally| tally.versions.contains(&2)).unwrap();

    let tally = served_at_once(load);
    println!("directory: {} good answers, slowest {:.3} s", tally.good, tally.slowest);
    assert_eq!(tally.versions, [0, 1, 2].into());
}
