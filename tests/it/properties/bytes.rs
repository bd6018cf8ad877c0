//! Reviews of which some bytes are something else: damaged enough to be odd, whole enough to be looked at.

use std::panic::catch_unwind;

use podgraft::admission;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::make::{self, Made};
use crate::fuzz_targets;
use crate::webhook::review_of;

/// What happens to some bytes.
#[derive(Debug)]
enum Damage {
    /// A letter becomes another one, mostly.
    Flip(Index, u8),
    Cut(Index, usize),
    /// They stand elsewhere, too.
    Splice(Index, usize, Index),
    Repeat(Index, usize, usize),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let (at, length) = (any::<Index>(), 1..20_usize);
    let one = prop_oneof![
        (at.clone(), 1..8_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (at.clone(), length.clone()).prop_map(|(at, length)| Damage::Cut(at, length)),
        (at.clone(), length.clone(), at.clone()).prop_map(|(at, length, to)| Damage::Splice(at, length, to)),
        (at, length, 2..50_usize).prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
    ];
    vec(one, 1..4)
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        // Half of the time it is a member or item of JSON, or some of them.
        let piece = |bytes: &[u8], at: &Index, length: usize| {
            let comma =
                |from: usize| bytes[from..].iter().position(|byte| *byte == b',').map_or(bytes.len(), |at| from + at);
            let from = at.index(bytes.len());
            let to = (from + length).min(bytes.len());
            if length.is_multiple_of(2) { comma(from)..comma(to) } else { from..to }
        };
        match self {
            Self::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Self::Cut(at, length) => drop(bytes.drain(piece(bytes, at, *length))),
            Self::Splice(at, length, to) => {
                let (piece, to) = (bytes[piece(bytes, at, *length)].to_vec(), to.index(bytes.len()));
                bytes.splice(to..to, piece);
            }
            Self::Repeat(at, length, times) => {
                let piece = piece(bytes, at, *length);
                let repeated = bytes[piece.clone()].repeat(*times);
                bytes.splice(piece, repeated);
            }
        }
    }
}

/// Reviews of one pod, each damaged in its own way, and the set that they meet.
fn reviews() -> impl Strategy<Value = (Vec<Vec<u8>>, Made)> {
    (make::pod(), vec(damage(), 10)).prop_map(|(made, damages)| {
        let damaged = |damages: Vec<Damage>| {
            let mut bytes = review_of(&made.pod).into_bytes();
            for damage in &damages {
                damage.apply(&mut bytes);
            }
            bytes
        };
        (damages.into_iter().map(damaged).collect(), made)
    })
}

proptest! {
    #![proptest_config(super::config())]

    /// Promise 6: any bytes get an answer.
    #[test]
    fn any_bytes_are_answered(body in vec(any::<u8>(), 0..200)) {
        fuzz_targets::review(&body);
    }

    /// Promise 6: so do those that were a review once; and what is grafted onto it keeps the other promises.
    #[test]
    fn a_damaged_review_is_answered((bodies, made) in reviews()) {
        for body in bodies {
            let kept = catch_unwind(|| fuzz_targets::review(&body));
            prop_assert!(kept.is_ok() && super::answers(&body, &made.snapshot), "{}", String::from_utf8_lossy(&body));
        }
    }
}

/// The property says nothing of bytes that are not looked at.
#[test]
fn enough_is_read() {
    let mut runner = TestRunner::deterministic();
    let made = (0..30).flat_map(|_| reviews().new_tree(&mut runner).unwrap().current().0);
    let read = made.filter(|body| admission::decode(body).is_ok()).count();
    assert!(read >= 56, "{read} of 300 are read");
}
