//! A kubeconfig file (Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files").
//!
//! What stands in it is kube's to understand. Only the text is read by the reader of manifests: kube's own, which makes a
//! reader of YAML for each of its types, is a fortieth of the whole program.

use std::fs;
use std::io;
use std::path::{MAIN_SEPARATOR, Path};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::Value;

use crate::manifest::{self, SyntaxError};

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is neither YAML nor JSON.
    #[error(transparent)]
    Syntax(SyntaxError),
    /// It is no kubeconfig. Without the value that was found: it may be a password.
    #[error("{path}: {problem}")]
    Shape {
        /// Where in a document.
        path: String,
        /// What is expected there.
        problem: String,
    },
    /// Its documents contradict each other, or its context is incomplete.
    #[error(transparent)]
    Content(#[from] KubeconfigError),
}

/// The API server, and who we are for it, as a file's current context says. Its documents count like files of
/// `KUBECONFIG`: what stands in an earlier one wins.
pub(super) async fn read(path: &Path) -> Result<Config, Unusable> {
    let text = fs::read_to_string(path)?;
    let documents = manifest::read(&text).map_err(|mut errors| Unusable::Syntax(errors.swap_remove(0)))?;
    let mut whole = Kubeconfig::default();
    for document in documents.iter().map(manifest::Document::value).filter(|value| !value.is_null()) {
        let mut part = understood(document)?;
        if let Some(directory) = path.parent() {
            seen_from(directory, &mut part);
        }
        whole = whole.merge(part)?;
    }
    Ok(Config::from_custom_kubeconfig(whole, &KubeConfigOptions::default()).await?)
}

fn understood(document: &Value) -> Result<Kubeconfig, Unusable> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let (path, problem) = (error.path().to_string(), error.inner().to_string());
        let problem = problem.rsplit_once(", expected ").map_or(problem.clone(), |(_, it)| format!("expected {it}"));
        Unusable::Shape { path, problem }
    })
}

/// Files are named as seen from the file that names them; a command without a slash is looked for in `PATH`.
fn seen_from(directory: &Path, kubeconfig: &mut Kubeconfig) {
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|it| it.cluster.as_mut());
    let authorities = clusters.map(|cluster| &mut cluster.certificate_authority);
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut());
    let files = users.flat_map(|user| {
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        let command = command.filter(|it| it.as_ref().is_some_and(|command| command.contains(MAIN_SEPARATOR)));
        [Some(&mut user.client_certificate), Some(&mut user.client_key), Some(&mut user.token_file), command]
    });
    for file in authorities.chain(files.flatten()).flatten() {
        // An absolute path stays as it is.
        if let Some(joined) = directory.join(&*file).to_str() {
            joined.clone_into(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::config::{AuthInfo, ExecConfig};

    use super::*;

    #[tokio::test]
    async fn the_current_context_is_followed_and_what_stands_first_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(
            &path,
            "
apiVersion: v1
kind: Config
current-context: b
clusters: [{name: near, cluster: {server: \"https://127.0.0.1:1\"}}]
contexts: [{name: b, context: {cluster: near, user: me, namespace: mine}}]
users: [{name: me, user: {tokenFile: token}}]
---
current-context: a
clusters: [{name: near, cluster: {server: \"https://127.0.0.1:2\"}}]
",
        )
        .unwrap();
        let config = read(&path).await.unwrap();
        assert_eq!(config.cluster_url, "https://127.0.0.1:1/");
        assert_eq!(config.default_namespace, "mine");
        assert_eq!(config.auth_info.token_file.as_deref(), dir.path().join("token").to_str());
    }

    #[test]
    fn files_are_named_as_seen_from_the_kubeconfig() {
        let command = |command: &str| {
            let exec = Some(ExecConfig { command: Some(command.to_owned()), ..ExecConfig::default() });
            let auth_info = Some(AuthInfo { exec, client_key: Some("/k".to_owned()), ..AuthInfo::default() });
            let mut kubeconfig = Kubeconfig::default();
            kubeconfig.auth_infos.push(kube::config::NamedAuthInfo { auth_info, ..Default::default() });
            seen_from(Path::new("/dir"), &mut kubeconfig);
            let user = kubeconfig.auth_infos.remove(0).auth_info.unwrap();
            assert_eq!(user.client_key.as_deref(), Some("/k"));
            user.exec.unwrap().command.unwrap()
        };
        assert_eq!(command("aws"), "aws");
        assert_eq!(command("bin/aws"), "/dir/bin/aws");
    }

    #[tokio::test]
    async fn a_token_is_found_in_what_a_command_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        for (token, expiry, expected) in [
            ("{.credential.access_token}", "{.credential.token_expiry}", None),
            ("{.credential.token}", "{.credential.token_expiry}", Some("not found")),
            ("{.credential.access_token}", "{.credential.access_token}", Some("expiration")),
            ("{.credential[0]}", "{.credential.token_expiry}", Some("\"$.credential[0]\" is no path of names")),
        ] {
            let text = format!(
                r#"
current-context: a
contexts: [{{name: a, context: {{cluster: near, user: me}}}}]
clusters: [{{name: near, cluster: {{server: "http://127.0.0.1:1"}}}}]
users:
- name: me
  user:
    auth-provider:
      name: gcp
      config:
        cmd-path: echo
        cmd-args: '{{"credential":{{"access_token":"t","token_expiry":"2999-01-01T00:00:00Z"}}}}'
        token-key: '{token}'
        expiry-key: '{expiry}'
"#
            );
            std::fs::write(&path, text).unwrap();
            let client = kube::Client::try_from(read(&path).await.unwrap());
            let problem = client.err().map(|error| error.to_string());
            match expected {
                Some(expected) => assert!(problem.unwrap().contains(expected), "{token}, {expiry}"),
                None => assert_eq!(problem, None),
            }
        }
    }

    #[tokio::test]
    async fn what_is_of_no_use_says_where_but_tells_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        for (text, expected) in [
            ("a: [", "1:4: "),
            ("apiVersion: v1\nkind: Config\n", "failed to determine current context"),
            ("kind: Config\n---\nkind: Other\n", "mismatching kind"),
            ("users: [{name: me, user: {token: 4711}}]", "users[0].user.token: expected a string"),
            ("users: 4711", "users: expected a sequence"),
        ] {
            std::fs::write(&path, text).unwrap();
            let problem = read(&path).await.unwrap_err().to_string();
            assert!(problem.contains(expected) && !problem.contains("4711"), "{text}: {problem}");
        }
    }
}
