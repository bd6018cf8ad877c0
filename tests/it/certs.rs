//! `podgraft certs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::process::{podgraft, run};

#[test]
fn certs_are_made_for_any_names_and_never_overwritten_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("made/here");
    let make =
        |options: &[&str]| run(podgraft().arg("certs").arg("--dir").arg(&certs).args(options).current_dir(dir.path()));
    let (code, output, errors) = make(&["--host", "podgraft.podgraft.svc", "--host", "10.0.0.1", "--days", "30"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    assert!(lines[0].contains("made/here/ca.crt") && lines[2].contains("made/here/tls.key"), "{output}");
    assert!(lines[1].contains("for podgraft.podgraft.svc, 10.0.0.1, until 20"), "{output}");

    let before = fs::read(certs.join("tls.crt")).unwrap();
    let (code, output, errors) = make(&[]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(errors.contains("holds ca.crt, tls.crt, tls.key already; --force replaces"), "{errors}");
    assert_eq!(fs::read(certs.join("tls.crt")).unwrap(), before);

    let (code, output, _) = make(&["--force"]);
    assert_eq!(code, Some(0));
    assert!(output.contains("for localhost, 127.0.0.1, ::1, until"), "{output}");
    assert_ne!(fs::read(certs.join("tls.crt")).unwrap(), before);
}

#[test]
fn the_key_has_the_mode_that_is_asked_for() {
    for (options, wanted) in [(&[][..], 0o600), (&["--key-mode", "0440"], 0o440), (&["--key-mode=0444"], 0o444)] {
        let dir = tempfile::tempdir().unwrap();
        let (code, ..) = run(podgraft().args(["certs", "--dir", "."]).args(options).current_dir(dir.path()));
        assert_eq!(code, Some(0));
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("tls.key"), mode("tls.crt")), (wanted, 0o644));
    }
}

#[test]
fn what_no_client_accepts_is_wrong_usage() {
    for (options, said) in [
        (["--host", "no spaces"], "write a DNS name"),
        (["--host", ""], "write a DNS name"),
        (["--days", "826"], "1..=825"),
        (["--days", "0"], "1..=825"),
        (["--key-mode", "0700"], "without rights to execute"),
        (["--key-mode", "rw"], "without rights to execute"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (code, _, errors) = run(podgraft().arg("certs").args(options).current_dir(dir.path()));
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
}
