//! How often whoever watches asks the API server.

use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::http::{Request, Response};
use futures::future::{BoxFuture, ready};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use kube::client::Body;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use tokio::time::{Instant, sleep_until};
use tower::Service;

/// The longest pause after an error: so late a watch goes on when the API server is back.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Watches of one kind begin this far apart.
const SHORTEST: Duration = Duration::from_secs(1);

/// Pauses after errors: kube's, which double from about a second and are up to twice as long at random, but no longer than that.
#[derive(Default)]
pub(super) struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// A client's connection on which each watch lasts for [`SHORTEST`] at least: its end is told no earlier.
///
/// kube's watcher begins a watch anew at once when one ends, and tells nobody; an API server that ends them all at once, or
/// whoever stands before it, would be asked as fast as it can answer. What a watch says is told when it is said.
#[derive(Debug, Clone)]
pub(super) struct Paced<S>(pub(super) S);

impl<S, B> Service<Request<Body>> for Paced<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        let end = Instant::now() + SHORTEST;
        let answer = self.0.call(request);
        async move {
            let (head, body) = answer.await?.into_parts();
            let body = body.map_err(Into::into);
            // After an error that is told, watchers pause.
            let lasts = watches && head.status.is_success();
            let body = if lasts { lasting(body, end) } else { body.boxed_unsync() };
            Ok(Response::from_parts(head, body))
        }
        .boxed()
    }
}

/// The same body, that does not end before this time, nor breaks off: watchers take both alike.
fn lasting(
    body: impl HttpBody<Data = Bytes, Error = BoxError> + Send + 'static,
    end: Instant,
) -> UnsyncBoxBody<Bytes, BoxError> {
    let frames = BodyStream::new(body).or_else(move |error| async move {
        sleep_until(end).await;
        Err(error)
    });
    let rest = stream::once(sleep_until(end)).filter_map(|()| ready(None));
    StreamBody::new(frames.chain(rest)).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body;
    use kube::Client;
    use kube::runtime::watcher::{self, watcher};
    use serde_json::json;
    use tokio::time::timeout;
    use tower::service_fn;

    use super::*;
    use crate::cluster::kind::Kind;

    /// How often an API server is asked to watch within one and a half seconds whose watches are this, and what it says of
    /// names meanwhile, and after how long.
    async fn watched(watch: fn() -> body::Body) -> (usize, Vec<(String, Duration)>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Body>| {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let body = if watches {
                counted.fetch_add(1, Ordering::Relaxed);
                watch()
            } else {
                json!({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "listed"}}]})
                    .to_string()
                    .into()
            };
            ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let client = Client::new(Paced(service), "default");
        let mut events = watcher(Kind::Namespace.all(&client), watcher::Config::default()).boxed();
        let (mut heard, start) = (Vec::new(), Instant::now());
        let listens = async {
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) = event {
                    heard.push((object.metadata.name.unwrap_or_default(), start.elapsed()));
                }
            }
        };
        let _ = timeout(SHORTEST * 3 / 2, listens).await;
        (asked.load(Ordering::Relaxed), heard)
    }

    #[tokio::test]
    async fn watches_that_end_at_once_begin_a_second_apart_and_what_they_say_is_told_at_once() {
        let says = || {
            let object = json!({"metadata": {"name": "watched", "resourceVersion": "2"}});
            body::Body::from(format!("{}\n", json!({"type": "ADDED", "object": object})))
        };
        let breaks = || {
            let broken = io::Error::from(io::ErrorKind::UnexpectedEof);
            body::Body::from_stream(stream::once(ready(Err::<Bytes, _>(broken))))
        };
        let (empty, broken, spoke) = tokio::join!(watched(body::Body::empty), watched(breaks), watched(says));
        for (times, heard) in [empty, broken] {
            assert!(times == 2 && heard.len() == 1, "{times} {heard:?}");
        }
        let (times, heard) = spoke;
        let names: Vec<_> = heard.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((times, names), (2, vec!["listed", "watched", "watched"]));
        assert!(heard[1].1 < SHORTEST / 2, "{heard:?}");
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_begin_anew() {
        let mut pauses = Pauses::default();
        assert!(pauses.next().is_some_and(|pause| pause < Duration::from_secs(2)));
        let later: Vec<_> = pauses.by_ref().skip(9).take(90).collect();
        assert!(later.iter().all(|pause| *pause == LONGEST_PAUSE), "{later:?}");
        pauses.reset();
        assert!(pauses.next().is_some_and(|pause| pause < Duration::from_secs(2)));
    }
}
