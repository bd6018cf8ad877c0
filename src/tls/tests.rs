use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use super::bundle::{Bundle, Flaw};
use super::directory::Contents;
use super::{
    Clients, ClientsReload, DEVELOPMENT_LIFETIME, DEVELOPMENT_NAMES, Keeper, Reload, TlsError, authority, directory,
};

const DAY: Duration = Duration::from_hours(24);

fn development(now: SystemTime) -> directory::Files {
    authority::make(DEVELOPMENT_NAMES.map(str::to_owned).to_vec(), DEVELOPMENT_LIFETIME, now).unwrap()
}

/// A self-signed certificate and its key, as PEM.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, Vec<u8>) {
    let mut params = CertificateParams::new(vec!["example.com".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem().into(), key.serialize_pem().into())
}

fn flaws(cert: &[u8], key: &[u8]) -> Vec<Flaw> {
    Bundle::parse(cert, key, SystemTime::now()).unwrap_err()
}

#[test]
fn a_development_certificate_is_one_that_clients_accept() {
    let now = SystemTime::now();
    let files = development(now);
    let bundle = Bundle::parse(&files.cert, &files.key, now).unwrap();
    assert_eq!(bundle.names, ["localhost", "127.0.0.1", "::1"]);
    let left = bundle.not_after.duration_since(now).unwrap();
    assert!(left > 364 * DAY && left <= 825 * DAY);
    assert!(Bundle::parse(&files.cert, &files.key, now - Duration::from_mins(4)).is_ok(), "a clock may be behind");

    let (_, pem) = x509_parser::pem::parse_x509_pem(&files.ca).unwrap();
    let ca = pem.parse_x509().unwrap();
    assert!(ca.is_ca());
    let (_, pem) = x509_parser::pem::parse_x509_pem(&files.cert).unwrap();
    let leaf = pem.parse_x509().unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (cert, _) = self_signed(|params| {
        params.subject_alt_names.clear();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = (SystemTime::now() - DAY).into();
    });
    let (_, other_key) = self_signed(|_| {});
    let found = flaws(&cert, &other_key);
    assert!(
        matches!(found[..], [Flaw::Expired { .. }, Flaw::NoNames, Flaw::NotForServers, Flaw::Mismatch]),
        "{found:?}"
    );
    assert_eq!(
        flaws(b"", b"").iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tls.crt holds no certificate", "tls.key holds no private key"]
    );
}

#[test]
fn a_half_written_file_is_no_certificate() {
    let (cert, key) = self_signed(|_| {});
    assert!(matches!(flaws(&cert[..cert.len() / 2], &key)[..], [Flaw::Pem { .. } | Flaw::Nothing { .. }]));
    assert!(matches!(flaws(&cert, &key[..key.len() / 2])[..], [Flaw::Pem { .. } | Flaw::Nothing { .. }]));
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(flaws(nonsense, &key)[..], [Flaw::NotX509 { number: 1, .. }]));
    let (early, early_key) = self_signed(|params| params.not_before = (SystemTime::now() + DAY).into());
    assert!(matches!(flaws(&early, &early_key)[..], [Flaw::NotYetValid { .. }]));
}

#[test]
fn an_empty_directory_gets_a_development_certificate_only_where_that_is_allowed() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("certs");
    let now = SystemTime::now();
    let refused = Keeper::open(&dir, false, now).unwrap_err();
    assert!(matches!(refused, TlsError::Missing(_)));
    assert!(refused.to_string().contains("podgraft certs --dir"), "{refused}");
    assert!(!dir.exists());

    let keeper = Keeper::open(&dir, true, now).unwrap();
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls.key"), mode("tls.crt"), mode("ca.crt")), (0o600, 0o644, 0o644));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3, "nothing temporary is left");

    let again = Keeper::open(&dir, true, now).unwrap();
    assert_eq!(again.bundle().key.cert, keeper.bundle().key.cert, "it is made once");
}

#[test]
fn a_partial_set_is_an_error_that_names_its_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tls.crt"), "x").unwrap();
    fs::write(dir.path().join("tls.key"), "x").unwrap();
    let error = Keeper::open(dir.path(), true, SystemTime::now()).unwrap_err().to_string();
    assert!(error.contains("holds tls.crt and tls.key but not ca.crt"), "{error}");
}

#[test]
fn our_expired_certificate_is_renewed_with_its_names_and_nobody_elses_is() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let past = now - 400 * DAY;
    let names = vec!["podgraft.example".to_owned(), "10.0.0.1".to_owned()];
    directory::write(dir.path(), &authority::make(names.clone(), DEVELOPMENT_LIFETIME, past).unwrap()).unwrap();
    let expired = Keeper::open(dir.path(), false, now).unwrap_err().to_string();
    assert!(expired.contains("the certificate expired at 20"), "{expired}");
    let keeper = Keeper::open(dir.path(), true, now).unwrap();
    assert_eq!(keeper.bundle().names, names);
    assert!(keeper.bundle().not_after > now);

    let (cert, key) = self_signed(|params| params.not_after = (now - DAY).into());
    directory::write(dir.path(), &directory::Files { ca: cert.clone(), cert, key }).unwrap();
    let error = Keeper::open(dir.path(), true, now).unwrap_err();
    assert!(matches!(error, TlsError::Bad { ref flaws, .. } if matches!(flaws[..], [Flaw::Expired { .. }])), "{error}");
}

#[test]
fn a_bad_set_keeps_the_certificate_in_force_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut keeper = Keeper::open(dir.path(), true, now).unwrap();
    let first = keeper.bundle().key.cert.clone();
    assert!(matches!(keeper.reload(now), Reload::Unchanged));

    let next = development(now);
    fs::write(dir.path().join("tls.crt"), &next.cert).unwrap();
    let Reload::Kept(TlsError::Bad { flaws, .. }) = keeper.reload(now) else { panic!("half of a set was taken") };
    assert_eq!(flaws, [Flaw::Mismatch]);
    assert!(matches!(keeper.reload(now), Reload::StillKept));
    assert_eq!(keeper.bundle().key.cert, first);

    fs::write(dir.path().join("tls.key"), &next.key).unwrap();
    assert!(matches!(keeper.reload(now), Reload::Swapped));
    assert_ne!(keeper.bundle().key.cert, first);

    fs::remove_file(dir.path().join("tls.key")).unwrap();
    assert!(matches!(keeper.reload(now), Reload::Kept(TlsError::Directory(_))), "it is not made anew while we run");
}

#[test]
fn what_is_no_regular_file_or_huge_is_not_read_and_what_was_in_force_stays() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut keeper = Keeper::open(dir.path(), true, now).unwrap();
    let authorities = dir.path().join("clients.crt");
    fs::write(&authorities, development(now).ca).unwrap();
    let mut clients = Clients::open(&authorities).unwrap();
    let key = dir.path().join("tls.key");
    for path in [&key, &authorities] {
        fs::remove_file(path).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let mut reload = || match (keeper.reload(now), clients.reload()) {
        (Reload::Kept(files), ClientsReload::Kept(authorities)) => [files.to_string(), authorities.to_string()],
        other => panic!("{other:?}"),
    };
    assert_eq!(reload(), [&key, &authorities].map(|path| format!("{}: is no regular file", path.display())));
    for path in [&key, &authorities] {
        fs::remove_file(path).unwrap();
        File::create(path).unwrap().set_len(1 << 40).unwrap();
    }
    let told = "has 1099511627776 bytes; at most 1048576 are read";
    assert_eq!(reload(), [&key, &authorities].map(|path| format!("{}: {told}", path.display())));
}

#[test]
fn a_mounted_secret_is_read_in_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let names = ["ca.crt", "tls.crt", "tls.key"];
    let swap = |version: usize| {
        let new = format!("..{version}");
        fs::create_dir(at(&new)).unwrap();
        for name in names {
            fs::write(at(&new).join(name), version.to_string()).unwrap();
        }
        symlink(&new, at("..next")).unwrap();
        fs::rename(at("..next"), at("..data")).unwrap();
        let _ = fs::remove_dir_all(at(&format!("..{}", version.wrapping_sub(1))));
    };
    swap(0);
    for name in names {
        symlink(format!("..data/{name}"), at(name)).unwrap();
    }
    thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            (1..300).for_each(|version| {
                swap(version);
                thread::sleep(Duration::from_millis(1));
            });
        });
        while !swaps.is_finished() {
            let Contents::Complete(files) = directory::read(dir.path()).unwrap() else { panic!("they are there") };
            assert_eq!((&files.ca, &files.cert), (&files.key, &files.key));
        }
    });
}

#[test]
fn a_certificate_of_another_authority_is_served_and_doubted() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut keeper = Keeper::open(dir.path(), true, now).unwrap();
    assert_eq!(keeper.doubt(), None);
    let mut replaced = |ca: &[u8]| {
        fs::write(dir.path().join("ca.crt"), ca).unwrap();
        assert!(matches!(keeper.reload(now), Reload::Unchanged));
        keeper.doubt().map(str::to_owned)
    };
    let own = fs::read(dir.path().join("ca.crt")).unwrap();
    let (stranger, _) = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    // Of the same name, with another key; of another name; one of several; none.
    for bad in [development(now).ca, stranger.clone()] {
        let doubt = replaced(&bad).unwrap();
        assert!(doubt.starts_with("tls.crt is no certificate of the authorities in ca.crt: "), "{doubt}");
    }
    assert_eq!(replaced(&[stranger, own].concat()), None);
    assert_eq!(replaced(b"").as_deref(), Some("ca.crt holds no certificate"));

    let (cert, key) = self_signed(|_| {});
    directory::write(dir.path(), &directory::Files { ca: cert.clone(), cert, key }).unwrap();
    assert_eq!(Keeper::open(dir.path(), false, now).unwrap().doubt(), None, "its own authority");
}

#[test]
fn a_clock_that_jumps_over_the_expiry_and_back_costs_no_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let own = |not_before: SystemTime, not_after: SystemTime| {
        let (cert, key) = self_signed(|params| {
            (params.not_before, params.not_after) = (not_before.into(), not_after.into());
        });
        directory::write(dir.path(), &directory::Files { ca: cert.clone(), cert, key }).unwrap();
    };
    own(now - DAY, now + DAY);
    let mut keeper = Keeper::open(dir.path(), false, now).unwrap();
    let first = keeper.bundle().key.cert.clone();

    // Ahead: it has expired for us, which is told once, and is served on, as clients have clocks of their own.
    let ahead = now + 2 * DAY;
    assert!(matches!(keeper.reload(ahead), Reload::Kept(TlsError::Bad { .. })));
    assert!(matches!(keeper.reload(ahead), Reload::StillKept));
    assert_eq!(keeper.bundle().key.cert, first);
    // And back.
    assert!(matches!(keeper.reload(now), Reload::Unchanged));

    // The next one is not valid yet by a clock that is behind; it is once the clock is set, though no file changes.
    own(now, now + 3 * DAY);
    let behind = now - DAY / 2;
    assert!(matches!(keeper.reload(behind), Reload::Kept(TlsError::Bad { .. })));
    assert_eq!(keeper.bundle().key.cert, first);
    assert!(matches!(keeper.reload(now + DAY / 2), Reload::Swapped));
    assert_ne!(keeper.bundle().key.cert, first);
    assert!(keeper.bundle().not_after > ahead);
}

#[test]
fn a_development_certificate_is_made_anew_when_the_clock_passes_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut keeper = Keeper::open(dir.path(), true, now).unwrap();
    let later = now + DEVELOPMENT_LIFETIME + DAY;
    assert!(matches!(keeper.reload(later), Reload::Swapped));
    assert!(keeper.bundle().not_after > later);
    // Set back, the clock says that the new one is not valid yet: it stays, as it did no harm.
    assert!(matches!(keeper.reload(now), Reload::Kept(TlsError::Bad { .. })));
    assert!(keeper.bundle().not_after > later);
}

#[test]
fn a_key_that_everybody_may_read_is_exposed_and_one_of_a_mounted_secret_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("tls.key");
    let exposed = |mode: u32| {
        fs::write(&key, "x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        directory::exposed_key(dir.path())
    };
    assert_eq!([0o600, 0o640, 0o644, 0o602].map(exposed), [None, None, Some(0o644), Some(0o602)]);
    fs::rename(&key, dir.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data", &key).unwrap();
    assert_eq!(directory::exposed_key(dir.path()), None);
}
