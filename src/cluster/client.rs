//! The connection to the API server: who we are, where it is, and how long it may take to answer.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::config::InClusterError;
use kube::{Client, Config};
use tower::layer::layer_fn;

use crate::tls;

use super::kubeconfig::{self, Unusable};
use super::pace::Paced;

/// Where the kubelet mounts the service account's token (Kubernetes documentation, "Accessing the Kubernetes API from a
/// Pod").
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How long a connection may take, TLS handshake included.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the API server may be silent on a connection. Whoever watches asks for bookmarks, and they come every minute
/// (Kubernetes API concepts, "Watch bookmarks"; `bookmarkFrequency` in its source), so a connection is dead that is silent for
/// longer. Where there are none, watches begin anew a little more often.
pub(super) const SILENCE: Duration = Duration::from_mins(2);

/// How to reach the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As the pod's service account.
    InCluster,
    /// As the current context of a kubeconfig file.
    Kubeconfig(PathBuf),
}

/// Why the API server can't be reached. Nothing was sent yet: it is the configuration that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no service account, or it is incomplete.
    #[error(
        "the service account can't be used: {0}; run in a pod with automountServiceAccountToken, or pass --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    /// The kubeconfig can't be read, or has no context that could be used.
    #[error("{}: the kubeconfig can't be used: {error}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Unusable,
    },
    /// Its certificates, keys or addresses are of no use.
    #[error("the API server's address or credentials can't be used: {0}")]
    Client(#[from] kube::Error),
}

impl Access {
    /// The service account of the pod that we run in, if we do and it has one.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let in_pod = env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(TOKEN).exists();
        in_pod.then_some(Self::InCluster)
    }
}

/// A client, not yet connected; it must be made within a Tokio runtime.
///
/// # Errors
///
/// The configuration can't be used.
pub async fn connect(access: &Access) -> Result<Client, ClientError> {
    let mut config = match access {
        Access::InCluster => Config::incluster()?,
        Access::Kubeconfig(path) => {
            kubeconfig::read(path).await.map_err(|error| ClientError::Kubeconfig { path: path.clone(), error })?
        }
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Else the time that a pooled connection was idle would count.
    config.reset_reader_on_write = true;
    // It would try again for minutes, and sleep as long as it is told to, while nobody hears of a failure.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("podgraft/", env!("CARGO_PKG_VERSION")))));
    // The client takes the process's provider. An error says that there is one: ours, of an earlier client.
    let _ = tls::provider().install_default();
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer_fn(Paced)).build())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use futures::StreamExt;
    use kube::api::WatchParams;
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::cluster::kind::Kind;

    /// A client of an API server that answers everything with this status, and says to come again in a minute.
    async fn answered(code: u16) -> Client {
        let code = StatusCode::from_u16(code).unwrap();
        let routes = Router::new().fallback(async move || (code, [(RETRY_AFTER, "60")]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes).into_future());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let text = format!(
            "clusters: [{{name: a, cluster: {{server: 'http://{address}'}}}}]\nusers: [{{name: a, user: {{token: t}}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\ncurrent-context: a\n"
        );
        std::fs::write(&path, text).unwrap();
        connect(&Access::Kubeconfig(path)).await.unwrap()
    }

    #[tokio::test]
    async fn who_asks_hears_of_every_failure_at_once() {
        for code in [429, 503, 504] {
            let client = answered(code).await;
            let answer = timeout(Duration::from_millis(500), client.apiserver_version()).await;
            let Ok(Err(kube::Error::Api(status))) = answer else { panic!("{code}: {answer:?}") };
            assert_eq!(status.code, code);
        }
    }

    #[tokio::test]
    async fn a_watch_that_ends_at_once_is_not_begun_anew_at_once() {
        let api = Kind::Namespace.all(&answered(200).await);
        let start = Instant::now();
        let mut watch = pin!(api.watch(&WatchParams::default(), "1").await.unwrap());
        assert!(watch.next().await.is_none());
        assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_of_no_use_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        for text in [None, Some("a: ["), Some("apiVersion: v1\nkind: Config\n")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = connect(&Access::Kubeconfig(path.clone())).await.err().expect("an error").to_string();
            assert!(error.starts_with(&format!("{}: the kubeconfig can't be used: ", path.display())), "{error}");
        }
    }
}
