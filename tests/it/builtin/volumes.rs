//! `fix-permissions` and `seed-volume` over real files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::busybox::{Busybox, skipped};
use super::{container, container_beside};

fn fixer(parameters: &[(&str, &str)]) -> Value {
    let app = json!({
        "name": "web",
        "image": "nginx:1.27",
        "securityContext": {"runAsUser": 1000, "runAsGroup": 2000},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/data"}],
    });
    container_beside(&app, "fix-permissions", &[&[("inject/fix-permissions", "/var/lib/data")], parameters].concat())
}

/// Owner, group and mode of a file, or of a link itself.
fn rights(file: &Path) -> (u32, u32, u32) {
    let metadata = fs::symlink_metadata(file).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

/// A tree with a directory that is closed, a link out of it, and a file.
fn plant(work: &Path) {
    for (name, mode) in [("closed", 0o700), ("open", 0o755)] {
        fs::create_dir(work.join(name)).unwrap();
        fs::set_permissions(work.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (name, mode) in [("closed/-n", 0o600), ("closed/a b", 0o640), ("open/run", 0o711)] {
        fs::write(work.join(name), name).unwrap();
        fs::set_permissions(work.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(work.join("../outside"), "not in the volume").unwrap();
    symlink("../outside", work.join("link")).unwrap();
}

#[test]
fn files_get_the_owner_that_the_target_runs_as() {
    let Some(busybox) = Busybox::find() else { return };
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        skipped("only root may give files away");
        return;
    }
    let mut unchanged = None;
    let mut running = busybox.start_with(&fixer(&[]), |work| {
        plant(work);
        lchown(work.join("open/run"), Some(1000), Some(2000)).unwrap();
        unchanged = Some(fs::metadata(work.join("open/run")).unwrap().ctime_nsec());
    });
    assert!(running.end().success(), "{}", running.output());
    for name in ["", "closed", "closed/-n", "closed/a b", "open", "open/run", "link"] {
        let (owner, group, _) = rights(&running.work.join(name));
        assert_eq!((owner, group), (1000, 2000), "{name}");
    }
    assert_eq!(rights(&running.work.join("closed/-n")).2, 0o600, "modes stay");
    assert_eq!(rights(&running.work.join("../outside")).0, 0, "links are not followed");
    let run = fs::metadata(running.work.join("open/run")).unwrap();
    assert_eq!(Some(run.ctime_nsec()), unchanged, "what is right already isn't touched");
}

#[test]
fn owner_group_and_mode_are_what_is_asked_for() {
    let Some(busybox) = Busybox::find() else { return };
    let me = fs::metadata("/proc/self").unwrap();
    let cases = [
        (vec![("inject/fix-permissions.mode", "u=rwX,g=rX,o=")], [0o750, 0o640, 0o750]),
        (vec![("inject/fix-permissions.mode", "0770")], [0o770, 0o770, 0o770]),
        (
            vec![("inject/fix-permissions.mode", "g+rX"), ("inject/fix-permissions.recursive", "false")],
            [0o700, 0o600, 0o711],
        ),
    ];
    for (parameters, [directory, file, program]) in cases {
        let mut running = busybox.start_with(&fixer(&parameters), plant);
        assert!(running.end().success(), "{}", running.output());
        let found = ["closed", "closed/-n", "open/run"].map(|name| rights(&running.work.join(name)));
        let wanted = [directory, file, program].map(|mode| (me.uid(), me.gid(), mode));
        assert_eq!(found, wanted, "{parameters:?}");
        assert!(!rights(&running.work.join("../outside")).2 & 0o010 != 0, "links are not followed");
    }
    if me.uid() == 0 {
        let parameters = [("inject/fix-permissions.group", "3000"), ("inject/fix-permissions.recursive", "false")];
        let mut running = busybox.start_with(&fixer(&parameters), plant);
        assert!(running.end().success(), "{}", running.output());
        assert_eq!([rights(&running.work).1, rights(&running.work.join("open")).1], [3000, 0]);
        assert_eq!(rights(&running.work).0, 0, "the owner stays");
    }
}

fn seeder(source: &Path, parameters: &[(&str, &str)]) -> Value {
    let annotations = [("inject/seed-volume", "/data"), ("inject/seed-volume.source", source.to_str().unwrap())];
    container("seed-volume", &[&annotations, parameters].concat())
}

/// A directory as an image may have it.
fn image() -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir_all(image.path().join("site/css")).unwrap();
    fs::write(image.path().join("site/index.html"), "page").unwrap();
    fs::write(image.path().join("site/.hidden"), "hidden").unwrap();
    fs::write(image.path().join("site/css/run"), "style").unwrap();
    fs::set_permissions(image.path().join("site/css/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("index.html", image.path().join("site/home")).unwrap();
    image
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn an_empty_volume_gets_what_the_image_has() {
    let Some(busybox) = Busybox::find() else { return };
    let image = image();
    let source = image.path().join("site");
    let lost = |work: &Path| fs::create_dir(work.join("lost+found")).unwrap();
    let mut running = busybox.start_with(&seeder(&source, &[]), lost);
    assert!(running.end().success(), "{}", running.output());
    assert_eq!(names(&running.work), [".hidden", "css", "home", "index.html", "lost+found"]);
    assert_eq!(fs::read_link(running.work.join("home")).unwrap(), Path::new("index.html"));
    assert_eq!(rights(&running.work.join("css/run")).2, 0o755);
}

#[test]
fn a_volume_that_holds_something_is_left_alone() {
    let Some(busybox) = Busybox::find() else { return };
    let image = image();
    let source = image.path().join("site");
    for there in ["index.html", ".hidden", "*"] {
        let mut running =
            busybox.start_with(&seeder(&source, &[]), |work| fs::write(work.join(there), "mine").unwrap());
        assert!(running.end().success(), "{}", running.output());
        assert_eq!(names(&running.work), [there], "{}", running.output());
    }
    let put = |work: &Path| {
        fs::write(work.join("index.html"), "mine").unwrap();
        fs::write(work.join("mine.html"), "mine").unwrap();
    };
    let mut running = busybox.start_with(&seeder(&source, &[("inject/seed-volume.overwrite", "true")]), put);
    assert!(running.end().success(), "{}", running.output());
    assert_eq!(names(&running.work), [".hidden", "css", "home", "index.html", "mine.html"]);
    assert_eq!(fs::read_to_string(running.work.join("index.html")).unwrap(), "page");
}

#[test]
fn a_copy_that_was_interrupted_is_done_again() {
    let Some(busybox) = Busybox::find() else { return };
    let image = image();
    let mut running = busybox.start_with(&seeder(&image.path().join("site"), &[]), |work| {
        fs::write(work.join(".seed-volume-unfinished"), "").unwrap();
        fs::write(work.join("index.html"), "pa").unwrap();
    });
    assert!(running.end().success(), "{}", running.output());
    assert_eq!(names(&running.work), [".hidden", "css", "home", "index.html"]);
    assert_eq!(fs::read_to_string(running.work.join("index.html")).unwrap(), "page");
}

#[test]
fn a_directory_that_the_image_lacks_is_named() {
    let Some(busybox) = Busybox::find() else { return };
    let mut running = busybox.start(&seeder(Path::new("/no/such/directory"), &[]));
    assert_eq!(running.end().code(), Some(1));
    assert_eq!(running.output(), "the image has no directory /no/such/directory\n");
}
