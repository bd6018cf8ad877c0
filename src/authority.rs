//! podgraft as its own certificate authority: what any number of replicas do, without a leader, so that the API server
//! always trusts the certificate that each of them serves.
//!
//! The replicas share [`Material`] in a Secret, and tell the API server whom to trust in the `caBundle` of their webhook
//! configurations. [`Machine`] decides for one replica what to do next, from the time and from what was last read;
//! it does nothing itself. What it keeps to:
//!
//! - The Secret is written only over what was read (resourceVersion), and counts its writings. The configurations carry
//!   the same count. What has a lower one never replaces what has a higher one, unless that is one to which nobody can have
//!   counted.
//! - A new authority comes in two steps: it is put beside the one in force, and signs the leaf only when every
//!   configuration has been read back with it for the settling time. So the Secret's leaf is always one that is trusted.
//! - A replica serves a leaf only when every configuration, as it has read them itself, trusts it.
//! - An authority stays trusted until its last leaf has expired, and no replica lets the authority of the leaf that it
//!   serves be forgotten.
//! - Clocks differ and jump, and nobody knows whose is right. A leaf is valid from as early as its authority, an authority
//!   from as early as the one before it; and where a replica finds that by its clock it is not the time of the authority in
//!   force, the next one is for both. A leaf that is not valid by a replica's clock it does not begin to serve.
//! - What a replica has once read it remembers: it restores a Secret that was deleted or damaged. Only where nobody
//!   remembers, all is made anew, and what clients trusted until then stays trusted beside it.
//! - Missing configurations are not made, and without any of them a Secret that was deleted isn't either.

mod change;
mod machine;
mod material;
mod seen;
mod trust;

#[cfg(test)]
mod tests;

pub use change::{Change, Step};
pub use machine::{Decision, Machine, Moment, Standing};
pub use material::{Authority, Damage, GENERATION, Leaf, Material, Old, Stored, generation};
pub use seen::{Registration, Seen, Sight};
pub use trust::Trust;

use std::time::Duration;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The DNS names and IP addresses that the API server knows us by.
    pub names: Vec<String>,
    /// How long an authority lives; another comes at two thirds.
    pub ca_lifetime: Duration,
    /// How long a leaf lives; another comes at two thirds.
    pub leaf_lifetime: Duration,
    /// How long API servers may take to act upon a configuration that one of them has answered with.
    pub settle: Duration,
}

impl Options {
    /// How long a replica that remembers nothing waits for others to restore a Secret that is gone.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(5).min(self.settle)
    }

    /// How long a replica may go without a look at the clock.
    #[must_use]
    pub fn pace(&self) -> Duration {
        (self.settle / 4).clamp(Duration::from_millis(50), Duration::from_secs(15))
    }

    /// What is wrong with the lifetimes: a rotation has to come to its end before the next one begins.
    ///
    /// # Errors
    ///
    /// A sentence that names the option.
    pub fn check(&self) -> Result<(), String> {
        let Self { ca_lifetime, leaf_lifetime, settle, .. } = self;
        if *leaf_lifetime < *settle * 3 {
            Err(format!(
                "a certificate that lives {leaf_lifetime:?} ends before another one is settled; \
                         write at least three times the settling time of {settle:?}"
            ))
        } else if *ca_lifetime < *leaf_lifetime * 3 {
            Err(format!(
                "an authority that lives {ca_lifetime:?} ends before its leaves do; \
                         write at least three times their lifetime of {leaf_lifetime:?}"
            ))
        } else {
            Ok(())
        }
    }
}
