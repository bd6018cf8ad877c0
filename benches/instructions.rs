//! What a review costs in instructions and allocations, which repeat where times don't: `cargo bench --bench instructions`
//! (needs valgrind). Each case runs twice, in processes of their own, so many reviews and ten times as many: the difference
//! is the reviews' alone. Two builds are compared by running each, a filter such as `medium` picks cases.
//!
//! Replicas of a workload say the same to a template, and all but the first find it rendered; `first` is what each of them
//! costs.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::panic, reason = "a bench that can't run says why")]

use std::hint::black_box;
use std::process::Command;

use podgraft::admission;
use podgraft::inject::{Renderings, inject_with};
use podgraft::snapshot::Snapshot;

#[path = "review/cases.rs"]
mod cases;
mod review;
#[path = "review/sizes.rs"]
mod sizes;

use cases::{cases, snapshot};

/// Reviews of the shorter run.
const FEW: u64 = 20;

/// Nothing is known of the reviews before.
const FIRST: &str = "first";

/// The reviews before said the same.
const AGAIN: &str = "again";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [run, case, reviews, first] if run == "run" => answer(number(case) as usize, number(reviews), first == FIRST),
        // Test runs that take in every target leave the option out.
        all if !all.iter().any(|argument| argument == "--bench") => println!("cargo bench --bench instructions"),
        all => table(all.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str)),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Answers a review so many times.
fn answer(case: usize, reviews: u64, first: bool) {
    let (snapshot, body): (Snapshot, _) = (snapshot(), cases().swap_remove(case).body);
    let mut renderings = Renderings::default();
    for _ in 0..reviews {
        if first {
            renderings = Renderings::default();
        }
        let review = admission::decode(black_box(&body)).unwrap_or_else(|error| panic!("{error}"));
        black_box(admission::encode(&review.uid, &inject_with(&review.request, &snapshot, &renderings)));
    }
}

fn table(filter: &str) {
    println!(
        "{:8}{:22}{:>8}{:>14}{:>11}{:>13}{:>11}",
        "pod", "asks for", "bytes", "instructions", "first", "allocations", "bytes"
    );
    for (index, case) in cases().iter().enumerate() {
        if !format!("{} {}", case.size, case.what).contains(filter) {
            continue;
        }
        let instructions =
            |time| difference(index, time, &["--tool=callgrind", "--callgrind-out-file=/dev/null"], "Collected :", 0);
        let heap = |field| {
            difference(index, AGAIN, &["--tool=memcheck", "--undef-value-errors=no"], "total heap usage:", field)
        };
        let (allocations, bytes) = (heap(0), heap(4));
        let (size, what, length) = (case.size, case.what, case.body.len());
        let (again, first) = (instructions(AGAIN), instructions(FIRST));
        println!("{size:8}{what:22}{length:>8}{again:>14}{first:>11}{allocations:>13}{bytes:>11}");
    }
}

/// What a review adds to a number that valgrind writes behind a label: its word `field`.
fn difference(case: usize, time: &str, tool: &[&str], label: &str, field: usize) -> u64 {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let [few, many] = [FEW, 10 * FEW].map(|reviews| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(tool).arg(&program).args(["run", &case.to_string(), &reviews.to_string(), time]);
        let output = valgrind.output().unwrap_or_else(|error| panic!("valgrind: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        let found = said.lines().find_map(|line| line.split_once(label)?.1.split_whitespace().nth(field));
        number(&found.unwrap_or_else(|| panic!("no {label:?}: {said}")).replace(',', ""))
    });
    (many - few) / (9 * FEW)
}
