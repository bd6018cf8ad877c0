//! The image that `deploy/image` assembles is the one that the Dockerfile describes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, str};

use serde_json::{Map, Value, json};

use crate::process::run;

const DOCKERFILE: &str = include_str!("../../Dockerfile");

/// What a container runs in: the image's config, and its files by path with their modes.
#[derive(Debug, Default, PartialEq)]
struct Image {
    config: Map<String, Value>,
    files: BTreeMap<String, u64>,
}

#[test]
fn the_script_assembles_what_the_dockerfile_says() {
    let folder = tempfile::tempdir().unwrap();
    let archive = assemble(folder.path(), "a.tar");
    let files = untar(&archive);
    let index: Value = serde_json::from_slice(files["index.json"].1).unwrap();
    let manifest: Value = serde_json::from_slice(blob(&files, &index["manifests"][0])).unwrap();
    let image: Value = serde_json::from_slice(blob(&files, &manifest["config"])).unwrap();
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    let root = untar(blob(&files, &manifest["layers"][0]));

    let assembled = Image {
        config: image["config"].as_object().unwrap().clone(),
        files: root.iter().map(|(path, (mode, _))| (path.clone(), *mode)).collect(),
    };
    assert_eq!(assembled, described());
    let name = format!("docker.io/library/podgraft:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], name);
    assert_eq!(assembled.config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(root["podgraft"].1, b"a binary");
    assert_eq!(root["etc/ssl/certs/ca-certificates.crt"].1, b"authorities");
    assert_eq!(root["LICENSE"].1, fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE")).unwrap());
    assert!(archive == assemble(folder.path(), "b.tar"), "the same input gave other bytes");
}

/// Runs `deploy/image` on small files.
fn assemble(folder: &Path, name: &str) -> Vec<u8> {
    let [binary, certificates, archive] = ["binary", "certificates", name].map(|name| folder.join(name));
    fs::write(&binary, "a binary").unwrap();
    fs::write(&certificates, "authorities").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/image");
    let (code, _, errors) = run(Command::new(script).args([&binary, &archive]).arg("--certificates").arg(certificates));
    assert_eq!(code, Some(0), "{errors}");
    fs::read(archive).unwrap()
}

/// The blob that a descriptor of the image layout names.
fn blob<'f>(files: &'f Files<'_>, descriptor: &Value) -> &'f [u8] {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let blob = files[&format!("blobs/sha256/{digest}")].1;
    assert_eq!(descriptor["size"], blob.len());
    blob
}

/// The files of an archive, path to mode and content.
type Files<'a> = BTreeMap<String, (u64, &'a [u8])>;

/// Reads a tar archive (POSIX.1-1988): headers of 512 bytes, contents filled up to as much.
fn untar(mut archive: &[u8]) -> Files<'_> {
    let mut files = BTreeMap::new();
    while archive[0] != 0 {
        let (header, rest) = archive.split_at(512);
        let text = |from: usize, length: usize| {
            str::from_utf8(&header[from..from + length]).unwrap().trim_end_matches(['\0', ' '])
        };
        let number = |from, length| u64::from_str_radix(text(from, length), 8).unwrap();
        let (path, size) = (text(0, 100), number(124, 12) as usize);
        let [user, group, time] = [number(108, 8), number(116, 8), number(136, 12)];
        assert_eq!([user, group, time], [0; 3], "owner, group and time of {path}");
        if header[156] == b'0' {
            files.insert(path.to_owned(), (number(100, 8), &rest[..size]));
        }
        archive = &rest[size.next_multiple_of(512)..];
    }
    files
}

/// What the Dockerfile's last stage makes.
fn described() -> Image {
    let (_, stage) = DOCKERFILE.split_once("\nFROM scratch\n").expect("a last stage from scratch");
    let mut image = Image::default();
    for line in stage.lines() {
        let (instruction, rest) = line.split_once(' ').expect("an instruction and its arguments on one line");
        let words = || serde_json::from_str(rest).unwrap();
        match instruction {
            "LABEL" => {
                let (name, value) = rest.split_once('=').expect("a name and a value");
                let value: Value = serde_json::from_str(value).expect("a value in quotes");
                image.config.entry("Labels").or_insert_with(|| json!({}))[name] = value;
            }
            "COPY" => {
                let mode = rest.strip_prefix("--chmod=").and_then(|rest| rest.split(' ').next()).expect("a mode first");
                let path = rest.rsplit(" /").next().expect("a path from the root");
                image.files.insert(path.to_owned(), u64::from_str_radix(mode, 8).unwrap());
            }
            "USER" => drop(image.config.insert("User".to_owned(), json!(rest))),
            "ENTRYPOINT" => drop(image.config.insert("Entrypoint".to_owned(), words())),
            "CMD" => drop(image.config.insert("Cmd".to_owned(), words())),
            other => panic!("{other} is new here: teach it to deploy/image and to this test"),
        }
    }
    image
}
