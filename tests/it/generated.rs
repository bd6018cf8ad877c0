//! Files that are written from what is the truth elsewhere.

use std::path::Path;
use std::{env, fs};

/// Whether files are to be written anew: `PODGRAFT_UPDATE=1`. Then nothing is compared, which is no test for CI.
pub fn updates() -> bool {
    let updates = env::var_os("PODGRAFT_UPDATE").is_some();
    assert!(
        !updates || env::var("CI").as_deref() != Ok("true"),
        "with CI=true nothing is written: unset PODGRAFT_UPDATE"
    );
    updates
}

/// Compares a file with what it should hold; with `PODGRAFT_UPDATE=1`, writes it anew.
pub fn up_to_date(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if updates() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "{file} is stale: PODGRAFT_UPDATE=1 cargo test --test it up_to_date");
}
