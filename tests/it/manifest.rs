//! The corpus' pods as people wrote them, with their patches written into the text.

use std::fs;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::manifest;

use crate::golden::{self, case::Case};

#[test]
fn every_pod_of_the_corpus_keeps_its_comments_and_reads_as_patched() {
    golden::for_each_case(rewrite);
}

fn rewrite(case: &Case) {
    let text = fs::read_to_string(case.folder.join("pod.yaml")).unwrap();
    for document in manifest::read(&text).unwrap() {
        let pod = document.pods().remove(0).pod(document.value());
        let request = PodRequest::create(&pod, &case.namespace).unwrap();
        let Outcome::Inject(plan) = inject(&request, &case.snapshot) else { return };
        let mut patched = document.value().clone();
        let patch: json_patch::Patch = serde_json::from_str(&plan.patch()).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();

        let rewritten = document.rewrite(&patched);
        assert!(!rewritten.comments_lost, "{}", rewritten.text);
        assert_eq!(manifest::read(&rewritten.text).unwrap()[0].value(), &patched, "{}", rewritten.text);
        let mut lines = rewritten.text.lines();
        for comment in text.lines().filter(|line| line.trim_start().starts_with('#')) {
            assert!(lines.any(|line| line == comment), "{comment} of\n{}", rewritten.text);
        }
    }
}
