use std::cell::Cell;
use std::fs;
use std::path::Path;

use super::report::{Event, Problem, Report};
use super::shelf::{Parsed, Shelf};
use super::{files, namespaces};

/// A parser whose items are the file's lines, which refuses a file that says `bad`, and has a mistake of ours.
fn lines(path: &Path, text: &str) -> Result<Parsed<String>, Problem> {
    assert!(!text.contains("mistake"), "of ours");
    if text.contains("bad") {
        return Err(Problem::Namespaces { path: path.to_owned(), problem: text.trim().to_owned() });
    }
    Ok(Parsed { items: text.lines().map(str::to_owned).collect(), notes: Vec::new() })
}

/// Reads `directory` and gives what is in force, how often the parser ran, and the report.
fn read(shelf: &mut Shelf<String>, sources: &[&Path]) -> (Vec<String>, usize, Report) {
    let parsed = Cell::new(0);
    let sources: Vec<_> = sources.iter().map(|path| path.to_path_buf()).collect();
    let parse = |path: &Path, text: &str| {
        parsed.set(parsed.get() + 1);
        lines(path, text)
    };
    let files = shelf.read(&sources, parse, namespaces::failed_inside);
    let report = Report { files, warnings: Vec::new() };
    let in_force = shelf.standing().flat_map(|standing| standing.good.to_vec()).collect();
    (in_force, parsed.get(), report)
}

#[test]
fn only_files_whose_bytes_changed_are_parsed_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "a1").unwrap();
    fs::write(dir.path().join("b.yml"), "b1").unwrap();
    let mut shelf = Shelf::default();
    assert_eq!(read(&mut shelf, &[dir.path()]).0, ["a1", "b1"]);

    let (in_force, parsed, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((in_force, parsed, report.changed()), (vec!["a1".to_owned(), "b1".to_owned()], 0, false));

    fs::write(dir.path().join("b.yml"), "b2").unwrap();
    let (in_force, parsed, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((in_force, parsed), (vec!["a1".to_owned(), "b2".to_owned()], 1));
    let changed: Vec<_> = report.files.iter().filter(|file| file.changed).map(|file| &file.path).collect();
    assert_eq!(changed, [&dir.path().join("b.yml")]);
}

#[test]
fn a_file_that_went_bad_keeps_its_last_good_version() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, "a1").unwrap();
    let mut shelf = Shelf::default();
    read(&mut shelf, &[dir.path()]);

    fs::write(&file, "bad").unwrap();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!(in_force, ["a1"]);
    assert!(matches!(report.files[..], [super::FileReport { event: Event::Kept(_), changed: true, in_force: 1, .. }]));

    let (_, parsed, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((parsed, report.changed(), report.problems().count()), (0, false, 1), "told once, bad all the same");

    fs::write(&file, "a1").unwrap();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((in_force, report.changed(), report.problems().count()), (vec!["a1".to_owned()], true, 0));
}

#[test]
fn a_mistake_of_ours_in_one_file_is_told_as_one_of_it_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a.yaml", "a1");
    write("b.yaml", "mistake");
    write("c.yaml", "c1");
    let mut shelf = Shelf::default();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!(in_force, ["a1", "c1"]);
    let told: Vec<_> = report.problems().map(ToString::to_string).collect();
    let wanted = "b.yaml: podgraft failed inside when it read this; its log says more";
    assert!(matches!(&told[..], [told] if told.ends_with(wanted)), "{told:?}");

    // Of one that was good, the last good version stays; and nothing is tried again before it changes.
    write("a.yaml", "mistake");
    write("c.yaml", "c2");
    assert_eq!(read(&mut shelf, &[dir.path()]).0, ["a1", "c2"]);
    let (_, parsed, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((parsed, report.changed(), report.problems().count()), (0, false, 2));
}

#[test]
fn a_file_that_is_empty_all_at_once_is_one_that_is_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, "").unwrap();
    let mut shelf = Shelf::default();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((in_force.len(), report.problems().count()), (0, 0), "one that never held anything is just empty");

    fs::write(&file, "a1").unwrap();
    read(&mut shelf, &[dir.path()]);
    fs::write(&file, "").unwrap();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!(in_force, ["a1"]);
    let problem = report.problems().next().unwrap().to_string();
    assert!(problem.ends_with("a.yaml: is empty now; remove it if nothing of it is to be in force"), "{problem}");
    fs::remove_file(&file).unwrap();
    assert!(read(&mut shelf, &[dir.path()]).0.is_empty());
}

#[test]
fn a_mounted_config_map_is_read_in_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let files = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let swap = |version: usize| {
        let new = format!("..{version}");
        fs::create_dir(at(&new)).unwrap();
        for file in files {
            fs::write(at(&new).join(file), version.to_string()).unwrap();
        }
        std::os::unix::fs::symlink(&new, at("..next")).unwrap();
        fs::rename(at("..next"), at("..data")).unwrap();
        let _ = fs::remove_dir_all(at(&format!("..{}", version.wrapping_sub(1))));
    };
    swap(0);
    for file in files {
        std::os::unix::fs::symlink(format!("..data/{file}"), at(&format!("{file}.yaml"))).unwrap();
    }
    let mut shelf = Shelf::default();
    std::thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            (1..500).for_each(|version| {
                swap(version);
                std::thread::sleep(std::time::Duration::from_millis(1));
            });
        });
        while !swaps.is_finished() {
            let (in_force, ..) = read(&mut shelf, &[dir.path()]);
            assert!(
                in_force.len() == files.len() && in_force.iter().all(|version| *version == in_force[0]),
                "{in_force:?}"
            );
        }
    });
}

#[test]
fn a_file_that_never_was_good_gives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "bad").unwrap();
    fs::write(dir.path().join("b.yaml"), "b1").unwrap();
    let (in_force, _, report) = read(&mut Shelf::default(), &[dir.path()]);
    assert_eq!(in_force, ["b1"]);
    assert!(matches!(report.files[0].event, Event::Failed(_)));
}

#[test]
fn a_file_that_is_gone_takes_what_it_declared_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, "a1").unwrap();
    let mut shelf = Shelf::default();
    read(&mut shelf, &[dir.path()]);
    fs::remove_file(&file).unwrap();
    let (in_force, _, report) = read(&mut shelf, &[dir.path()]);
    assert!(in_force.is_empty());
    assert!(matches!(report.files[..], [super::FileReport { event: Event::Removed, .. }]));
    assert!(!read(&mut shelf, &[dir.path()]).2.changed());
}

#[test]
fn the_files_of_a_directory_that_is_away_stay_in_force() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("templates");
    let mut shelf = Shelf::default();
    let (in_force, _, report) = read(&mut shelf, &[&dir]);
    assert!(in_force.is_empty());
    assert!(matches!(report.files[..], [super::FileReport { event: Event::Failed(_), .. }]));

    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), "a1").unwrap();
    let (in_force, _, report) = read(&mut shelf, &[&dir]);
    assert_eq!((in_force, report.files.len()), (vec!["a1".to_owned()], 1));

    fs::rename(&dir, parent.path().join("away")).unwrap();
    let (in_force, _, report) = read(&mut shelf, &[&dir]);
    assert_eq!(in_force, ["a1"]);
    assert!(matches!(report.files[..], [super::FileReport { event: Event::Kept(_), in_force: 1, .. }]));
    assert!(!read(&mut shelf, &[&dir]).2.changed());

    fs::create_dir(&dir).unwrap();
    assert!(read(&mut shelf, &[&dir]).0.is_empty());
}

#[test]
fn later_directories_come_later() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(first.path().join("z.yaml"), "first").unwrap();
    fs::write(second.path().join("a.yaml"), "second").unwrap();
    assert_eq!(read(&mut Shelf::default(), &[first.path(), second.path()]).0, ["first", "second"]);
    assert_eq!(read(&mut Shelf::default(), &[second.path(), first.path()]).0, ["second", "first"]);
}

#[test]
fn a_listing_follows_links_and_passes_over_what_is_no_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("..2026_11_20")).unwrap();
    fs::write(at("..2026_11_20/b.yaml"), "b").unwrap();
    std::os::unix::fs::symlink("..2026_11_20", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/b.yaml", at("b.yaml")).unwrap();
    for name in ["a.json", "c.yml", "readme.txt", ".swap.yaml", "yaml"] {
        fs::write(at(name), "x").unwrap();
    }
    fs::create_dir(at("d.yaml")).unwrap();
    assert_eq!(files::list(dir.path()).unwrap(), [at("a.json"), at("b.yaml"), at("c.yml")]);
    assert_eq!(files::read(&at("b.yaml")).unwrap(), "b");
}

#[test]
fn a_file_that_can_not_be_read_or_is_no_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, b"ok\xff").unwrap();
    assert!(matches!(files::read(&file), Err(Problem::NotText { offset: 2, .. })));
    let device = files::read(Path::new("/dev/null")).unwrap_err().to_string();
    assert_eq!(device, "/dev/null: is no regular file");
    let missing = files::read(&dir.path().join("missing.yaml")).unwrap_err().to_string();
    assert!(missing.contains("missing.yaml: can't be read: No such file"), "{missing}");
}

fn parse_namespaces(text: &str) -> Result<Vec<crate::snapshot::Namespace>, String> {
    namespaces::parse(Path::new("ns.yaml"), text, "inject")
        .map(|parsed| parsed.items)
        .map_err(|problem| problem.to_string())
}

#[test]
fn namespaces_come_from_documents_and_lists() {
    let documents = "
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {podgraft.dev/inject: enabled}
  annotations: {inject/log-shipper: \"true\", note: \"yes\"}
---
# nothing
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: bank, annotations: {inject/log-shipper: \"true\"}}}
---
apiVersion: v1
kind: NamespaceList
items:
- metadata: {name: mill}
";
    let found = parse_namespaces(documents).unwrap();
    assert_eq!(found.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["shop", "bank", "mill"]);
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(found[0].defaults, [text("inject/log-shipper", "true"), text("note", "yes")]);
    assert!(found[1].defaults.is_empty(), "it is not labelled");
}

#[test]
fn a_file_of_something_else_is_no_file_of_namespaces() {
    let error = parse_namespaces("kind: Pod\nmetadata: {name: a}\n").unwrap_err();
    assert_eq!(error, "ns.yaml: none of its 1 objects is a Namespace (apiVersion: v1, kind: Namespace)");
    let error = parse_namespaces("kind: Namespace\nmetadata: {labels: {}}\n").unwrap_err();
    assert_eq!(error, "ns.yaml: a Namespace has no metadata.name");
    let error =
        parse_namespaces("kind: Namespace\nmetadata: {name: a, annotations: {inject/a: yes, b: yes}}\n").unwrap_err();
    assert_eq!(
        error,
        "ns.yaml: Namespace/a: annotation inject/a is true and no text, which Kubernetes refuses; put it in quotes"
    );
    assert!(parse_namespaces("a: [").unwrap_err().starts_with("ns.yaml: "));
    assert!(parse_namespaces("").unwrap().is_empty());
}

#[test]
fn of_a_directory_with_too_many_files_nothing_new_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "a1").unwrap();
    let mut shelf = Shelf::default();
    read(&mut shelf, &[dir.path()]);

    let many = (0..files::MAX_FILES).map(|index| dir.path().join(format!("{index}.yaml")));
    many.for_each(|path| drop(fs::File::create(path).unwrap()));
    let (in_force, parsed, report) = read(&mut shelf, &[dir.path()]);
    assert_eq!((in_force, parsed), (vec!["a1".to_owned()], 0));
    let told = format!("{}: has 20001 manifests; at most 20000 are read", dir.path().display());
    assert_eq!(report.problems().map(ToString::to_string).collect::<Vec<_>>(), [told]);
}
