//! `generate-secret`: the random bytes of a real busybox. (The certificate is made by `podgraft certs`, see `certs.rs`.)

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::busybox::Busybox;
use super::container;
use crate::process::{podgraft, run};

/// The only file that is made with these parameters, and its mode.
fn made(busybox: &Busybox, name: &str, parameters: &[(&str, &str)]) -> (Vec<u8>, u32) {
    let annotations: Vec<_> = [("inject/generate-secret", "random")].iter().chain(parameters).copied().collect();
    let mut running = busybox.start(&container("generate-secret", &annotations));
    assert!(running.end().success());
    let files: Vec<_> = fs::read_dir(&running.work).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(file.file_name(), Path::new(name).file_name());
    (fs::read(file).unwrap(), fs::metadata(file).unwrap().permissions().mode() & 0o7777)
}

#[test]
fn random_bytes_have_the_length_the_form_and_the_mode_that_are_asked_for() {
    let Some(busybox) = Busybox::find() else { return };
    let (first, mode) = made(&busybox, "secret", &[]);
    assert_eq!((first.len(), mode), (64, 0o444), "nobody knows who reads it");
    assert!(first.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{first:?}");
    assert_ne!(made(&busybox, "secret", &[]).0, first);

    let bytes =
        |encoding, bytes| [("inject/generate-secret.encoding", encoding), ("inject/generate-secret.bytes", bytes)];
    let others = [("inject/generate-secret.file", "session.key"), ("inject/generate-secret.mode", "0400")];
    let (text, mode) = made(&busybox, "session.key", &[&bytes("base64", "100")[..], &others].concat());
    assert_eq!(mode, 0o400);
    assert_eq!(BASE64_STANDARD.decode(text).unwrap().len(), 100);
    let (raw, _) = made(&busybox, "secret", &bytes("raw", "65536"));
    assert_eq!(raw.len(), 65536);
    assert!(raw.contains(&b'\n') && raw.contains(&0), "nothing is lost on the way");
}

#[test]
fn podgraft_understands_which_certificate_a_template_has_it_make() {
    let names = "orders.shop.svc, *.shop.svc, 10.0.0.1, fd00::5";
    let annotations = [("inject/generate-secret", "certificate"), ("inject/generate-secret.names", names)];
    let container = container("generate-secret", &annotations);
    let directory = tempfile::tempdir().unwrap();
    let words = ["command", "args"].map(|list| container[list].as_array().unwrap().clone()).concat();
    let place = |word: &str| word.replace("/secret", directory.path().to_str().unwrap());
    let words: Vec<_> = words.iter().map(|word| place(word.as_str().unwrap())).collect();
    // Twice, as when the kubelet starts a pod's init containers again.
    for _ in 0..2 {
        let (code, output, errors) = run(podgraft().args(&words[1..]));
        assert_eq!(code, Some(0), "{errors}");
        assert!(output.contains("for orders.shop.svc, *.shop.svc, 10.0.0.1, fd00::5, until"), "{output}");
    }
    let key = fs::metadata(directory.path().join("tls.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o7777, 0o444, "nobody knows who reads it");
}
