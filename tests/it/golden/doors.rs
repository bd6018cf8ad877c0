//! The ways into the engine: called directly, and by the bytes of an AdmissionReview.

use base64::Engine as _;
use podgraft::admission;
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use serde_json::{Value, json};

use super::case::Case;

/// What came of a pod, in the words of the `want` files.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    pub warnings: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A JSON Patch document.
    Inject(String),
    /// The reason's label.
    Skip(&'static str),
    /// Label and sentence of each reason.
    Reject(Vec<(&'static str, String)>),
}

impl Answer {
    fn new(outcome: &Outcome<'_>) -> Self {
        let (verdict, warnings) = match outcome {
            Outcome::Inject(plan) => (Verdict::Inject(plan.patch()), &plan.warnings),
            Outcome::Skip(reason, warnings) => (Verdict::Skip(reason.label()), warnings),
            Outcome::Reject(reasons, warnings) => {
                let reasons = reasons.iter().map(|reason| (reason.label(), reason.to_string())).collect();
                (Verdict::Reject(reasons), warnings)
            }
        };
        Self { verdict, warnings: warnings.iter().map(ToString::to_string).collect() }
    }
}

/// The engine itself.
pub fn engine(case: &Case, pod: &str) -> Answer {
    let request = PodRequest::create(pod, &case.namespace).unwrap_or_else(|error| panic!("{error}"));
    Answer::new(&inject(&request, &case.snapshot))
}

/// The review that an API server would send.
pub fn review(case: &Case, uid: &str) -> Vec<u8> {
    let object: Value = serde_json::from_str(&case.pod).unwrap();
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": case.namespace,
            "operation": "CREATE",
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    review.to_string().into_bytes()
}

/// The bytes of a review through decoding, engine and encoding.
pub fn admission(case: &Case, uid: &str) -> Vec<u8> {
    let body = review(case, uid);
    let review = admission::decode(&body).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(review.uid, uid);
    admission::encode(&review.uid, &inject(&review.request, &case.snapshot))
}

/// JSON without the spaces between its parts, of which an answer has its own.
fn without_blanks(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let is_part = |c: &char| {
        inside ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        inside || *c != ' '
    };
    json.chars().filter(is_part).collect()
}

/// Asserts that the review's bytes say the same as the engine's answer.
pub fn assert_says(body: &[u8], uid: &str, answer: &Answer) {
    let review: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = &review["response"];
    assert_eq!(response["uid"], uid);

    match &answer.verdict {
        Verdict::Inject(patch) => {
            assert_eq!(response["allowed"], true);
            assert_eq!(response["patchType"], "JSONPatch");
            let encoded = response["patch"].as_str().expect("the patch is base64 text");
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
            assert_eq!(without_blanks(&String::from_utf8(decoded).unwrap()), without_blanks(patch));
        }
        Verdict::Skip(_) => {
            assert_eq!(response["allowed"], true);
            assert_eq!((response.get("patch"), response.get("patchType")), (None, None));
        }
        Verdict::Reject(reasons) => {
            assert_eq!(response["allowed"], false);
            assert_eq!(response["status"]["code"], 403);
            assert_eq!(response["status"]["reason"], "Forbidden");
            let message = response["status"]["message"].as_str().expect("a rejection has a message");
            for (_, sentence) in reasons {
                assert!(message.contains(sentence), "{sentence} is not in {message}");
            }
        }
    }

    let warnings = response.get("warnings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    assert_eq!(warnings.len(), answer.warnings.len());
    for (sent, whole) in warnings.iter().zip(&answer.warnings) {
        let sent = sent.as_str().unwrap();
        assert!(sent.chars().count() <= 256 && !sent.chars().any(char::is_control), "{sent:?}");
        assert!(sent == whole || whole.chars().count() > 256, "{sent:?} is not {whole:?}");
    }
}
