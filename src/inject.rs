//! The one door: a pod and a snapshot in, an [`Outcome`] out. Pure; nothing here reads a file, a clock or a socket.

pub mod annotations;
pub mod outcome;
pub mod patch;
pub mod pod;

pub use outcome::Outcome;

use crate::snapshot::Snapshot;
use pod::PodRequest;

/// Decides what a pod gets.
#[must_use]
pub fn inject<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot) -> Outcome<'a> {
    let _ = (request, snapshot);
    todo!()
}
