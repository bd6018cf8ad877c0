use tokio::io::join;

use super::*;

/// What a target is said to be by a server that sends these bytes and hangs up.
pub(super) fn answer(url: &str, bytes: &[u8]) -> Result<(), NotYet> {
    conversation(url, bytes).0
}

/// The same, and what the server was sent.
pub(super) fn conversation(url: &str, bytes: &[u8]) -> (Result<(), NotYet>, Vec<u8>) {
    let mut stream = join(bytes, Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = runtime.block_on(ask(&url.parse().unwrap(), &StatusSet::default(), &mut stream));
    (done, stream.into_inner().1)
}

#[test]
fn times_are_told_as_people_do() {
    for (millis, wanted) in [
        (0, "0.0s"),
        (999, "0.9s"),
        (12_345, "12.3s"),
        (59_999, "59.9s"),
        (60_000, "1m"),
        (90_000, "1m30s"),
        (3_600_000, "1h0m0s"),
        (3_725_999, "1h2m5s"),
    ] {
        assert_eq!(Rounded(Duration::from_millis(millis)).to_string(), wanted);
    }
}
