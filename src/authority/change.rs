//! A new version of what is shared: decided by the machine, made here.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Authority, Material, Old, Options, Trust};

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Makes an authority and a leaf, of nothing.
    Begin,
    /// Writes again what this replica remembers.
    Restore,
    /// Keeps authorities trusted that the Secret does not know.
    Keep,
    /// Signs another leaf.
    Renew,
    /// Makes the next authority, to be trusted from now on.
    Prepare,
    /// Lets the next authority sign from now on.
    Promote,
    /// Forgets the authorities whose leaves have all expired.
    Retire,
}

impl Step {
    /// In words, for the log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Begin => "a new authority and its first certificate were made",
            Self::Restore => "the Secret was gone, damaged or older than what this replica knows, and is restored",
            Self::Keep => "authorities that are still in use are kept",
            Self::Renew => "the certificate was renewed",
            Self::Prepare => "the next authority was made; it signs when all are known to trust it",
            Self::Promote => "the next authority signs from now on",
            Self::Retire => "authorities of which no certificate is left are no longer trusted",
        }
    }
}

/// A new version of what is shared.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it does.
    pub step: Step,
    /// Its generation.
    pub generation: u64,
    /// What it builds on; none for a beginning.
    pub(super) base: Option<Arc<Material>>,
    /// Authorities that stay trusted beside those of the base.
    pub(super) keep: Option<Old>,
}

impl Change {
    /// Makes the certificates that it takes.
    ///
    /// # Errors
    ///
    /// A name is one that no certificate can hold.
    pub fn make(&self, options: &Options, now: SystemTime) -> Result<Material, rcgen::Error> {
        let Self { step, generation, base, keep } = self;
        let names = || options.names.clone();
        let Some(base) = base.as_deref() else {
            let ca = Authority::make(options.ca_lifetime, now)?;
            let leaf = ca.sign(names(), options.leaf_lifetime, None, now)?;
            return Ok(Material { generation: *generation, ca, leaf, next: None, old: keep.clone() });
        };
        let mut new = Material { generation: *generation, ..base.clone() };
        match (step, new.next.take()) {
            (Step::Promote, Some(next)) => {
                let before = Old { cas: Trust::of(&new.ca.cert), until: base.leaf.bundle.not_after };
                new.old = Some(before.and(new.old));
                new.leaf = next.sign(names(), options.leaf_lifetime, Some(&base.leaf), now)?;
                new.ca = next;
            }
            (Step::Prepare, other) => new.next = Some(base.ca.successor(other.as_ref(), options.ca_lifetime, now)?),
            (_, next) => new.next = next,
        }
        match step {
            Step::Renew => {
                // The names that a leaf has stay where a replica misses its own: two that want different ones agree.
                let mut all = names();
                if !base.leaf.is_for(&all) {
                    all.extend(base.leaf.bundle.names.iter().filter(|name| !options.names.contains(name)).cloned());
                }
                new.leaf = new.ca.sign(all, options.leaf_lifetime, Some(&base.leaf), now)?;
            }
            Step::Retire => new.old = None,
            _ => {}
        }
        if let Some(keep) = keep.clone() {
            new.old = Some(keep.and(new.old));
        }
        Ok(new)
    }
}
