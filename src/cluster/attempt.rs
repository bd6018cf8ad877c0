//! Calls of the API server that nobody waits for: in bounded time, and of failures that go on, one is told. The client tries
//! nothing again by itself, so whoever would lose something does.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long an API server is left alone that is busy, or hands over to another one, before it is asked once more: it says a
/// second itself, by `Retry-After`.
const BREATH: Duration = Duration::from_secs(1);

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// The HTTP status that the API server gave; 0 if it gave none.
    pub(super) code: u16,
    /// For people.
    pub(super) problem: String,
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self { code: status.code, problem: status.message },
            error => Self { code: 0, problem: error.to_string() },
        }
    }
}

/// Calls, for no longer than this.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure { code: 0, problem: late(limit) }),
    }
}

/// Calls once more where the API server did not answer, or not for good. What it was asked may have been done already.
pub(super) async fn insist<T, C>(call: impl Fn() -> C) -> Result<T, kube::Error>
where
    C: Future<Output = Result<T, kube::Error>>,
{
    match call().await {
        Err(kube::Error::Api(status)) if status.code != 429 && status.code < 500 => Err(kube::Error::Api(status)),
        Err(_) => {
            sleep(BREATH).await;
            call().await
        }
        answer => answer,
    }
}

/// That there was no answer within this time.
pub(super) fn late(limit: Duration) -> String {
    format!("the API server did not answer within {} s", limit.as_secs())
}

/// What was told last. Messages name the object: one alone is told of what is wrong with all.
#[derive(Debug, Default)]
pub(super) struct Told(Option<u16>);

impl Told {
    /// Whether a failure is to be told: the one before was of another kind, or there was none.
    pub(super) fn is_news(&mut self, failure: &Failure) -> bool {
        self.0.replace(failure.code) != Some(failure.code)
    }

    /// A call has come to its end.
    pub(super) fn works(&mut self) {
        self.0 = None;
    }
}
