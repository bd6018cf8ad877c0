//! Whether the webhook configurations send what we look for: their CEL names the annotation prefix, and so do we.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// Configurations are read this often: they hardly ever change, and a watch of them would be a connection each.
const PACE: Duration = Duration::from_secs(30);

/// An entry of a configuration that asks for other prefixes, and not for ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// `mutatingwebhookconfigurations/zz-podgraft`.
    pub configuration: String,
    /// The entry's name.
    pub entry: String,
    /// What its conditions look for.
    pub prefixes: Vec<String>,
}

/// Compares for as long as the process lives, and tells what does not agree whenever that has changed. A configuration
/// that is not there agrees. Of one that can't be read, what was found before still holds.
pub async fn compare(client: Client, mutating: &str, validating: &str, prefix: &str, tell: impl Fn(&[Mismatch])) {
    let configurations = [
        (ApiResource::erase::<MutatingWebhookConfiguration>(&()), mutating),
        (ApiResource::erase::<ValidatingWebhookConfiguration>(&()), validating),
    ];
    let (mut known, mut refused) = ([Vec::new(), Vec::new()], false);
    loop {
        let before = known.concat();
        for ((kind, name), known) in configurations.iter().zip(&mut known) {
            look(&client, kind, name, prefix, known, &mut refused).await;
        }
        let found = known.concat();
        if found != before {
            tell(&found);
        }
        sleep(PACE).await;
    }
}

/// Reads one configuration, if it can be read.
async fn look(
    client: &Client,
    kind: &ApiResource,
    name: &str,
    prefix: &str,
    known: &mut Vec<Mismatch>,
    refused: &mut bool,
) {
    let api = Api::<DynamicObject>::all_with(client.clone(), kind);
    match timeout(PACE, api.get_opt(name)).await {
        Ok(Ok(Some(object))) => *known = mismatches(&format!("{}/{name}", kind.plural), &object.data, prefix),
        Ok(Ok(None)) => known.clear(),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 && !*refused => {
            tracing::warn!("the registration is not compared with --annotation-prefix: {}", status.message);
            *refused = true;
        }
        // Whoever watches something there says that it does not answer.
        Ok(Err(_)) | Err(_) => {}
    }
}

fn mismatches(configuration: &str, data: &Value, prefix: &str) -> Vec<Mismatch> {
    let entries = data["webhooks"].as_array().into_iter().flatten();
    let differ = entries.filter_map(|entry| {
        let prefixes = prefixes(entry);
        let differs = !prefixes.is_empty() && prefixes.iter().all(|found| found != prefix);
        let entry = entry["name"].as_str().unwrap_or_default().to_owned();
        differs.then(|| Mismatch { configuration: configuration.to_owned(), entry, prefixes })
    });
    differ.collect()
}

/// The prefixes that an entry's conditions look for in annotations: `startsWith('inject/')`. An entry without any sends
/// everything, or is somebody's own invention.
fn prefixes(entry: &Value) -> Vec<String> {
    let conditions = entry["matchConditions"].as_array().into_iter().flatten();
    let expressions = conditions.filter_map(|condition| condition["expression"].as_str());
    let about_annotations = expressions.filter(|expression| expression.contains("annotations"));
    let literals =
        about_annotations.flat_map(|expression| expression.split("startsWith(").skip(1)).filter_map(|rest| {
            let rest = rest.trim_start();
            let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
            rest[1..].split(quote).next()?.strip_suffix('/').map(str::to_owned)
        });
    let mut found: Vec<_> = literals.collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    fn found(expressions: &[&str]) -> Vec<Mismatch> {
        let conditions: Vec<_> = expressions.iter().map(|expression| json!({"expression": expression})).collect();
        mismatches(
            "kind/name",
            &json!({"webhooks": [{"name": "a"}, {"name": "b", "matchConditions": conditions}]}),
            "inject",
        )
    }

    #[test]
    fn an_entry_that_looks_for_something_else_is_found() {
        let other = "object.metadata.annotations.exists(k, k.startsWith('graft/') || k.contains('.graft/'))";
        let mismatch = |prefix: &str| Mismatch {
            configuration: "kind/name".to_owned(),
            entry: "b".to_owned(),
            prefixes: vec![prefix.to_owned()],
        };
        assert_eq!(found(&[other]), [mismatch("graft")]);
        assert_eq!(found(&[other, other, &other.replace('\'', "\"")]), [mismatch("graft")]);
    }

    #[test]
    fn whoever_looks_for_ours_or_for_nothing_agrees() {
        let ours =
            "has(object.metadata.annotations) && object.metadata.annotations.exists(k, k.startsWith( 'inject/' ))";
        let other = "!object.metadata.annotations.exists(k, k.startsWith('graft/'))";
        let labels = "object.metadata.labels.exists(k, k.startsWith('team/'))";
        let odd = "object.metadata.annotations.exists(k, k.startsWith(variables.prefix) || k.startsWith('";
        for expressions in [&[][..], &[ours], &[ours, other], &[labels], &[odd], &["true"]] {
            assert_eq!(found(expressions), [], "{expressions:?}");
        }
    }

    #[tokio::test]
    async fn what_was_found_holds_until_something_else_is() {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let other = json!({"metadata": {"name": "a"}, "webhooks": [
            {"name": "b", "matchConditions": [{"expression": "annotations.exists(k, k.startsWith('other/'))"}]},
        ]});
        let (mut known, mut refused) = (Vec::new(), false);
        for (code, object, found) in [
            (500, json!(null), 0),
            (200, other.clone(), 1),
            (500, json!(null), 1),
            (403, json!(null), 1),
            (403, json!(null), 1),
            (404, json!(null), 0),
            (200, other, 1),
            (200, json!({"metadata": {"name": "a"}}), 0),
        ] {
            let client = fake::client(move |_| (code, object.clone()));
            look(&client, &kind, "a", "inject", &mut known, &mut refused).await;
            assert_eq!(known.len(), found, "{code}");
        }
    }
}
