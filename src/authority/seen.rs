//! What a replica has read.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::{Damage, Material, Trust};

/// How far what a configuration says may be ahead of the Secret. Anybody's hand may have written it, and replicas count on
/// from there: so what nobody could have counted meanwhile is nothing that was counted.
pub(super) const AHEAD: u64 = 4_294_967_296;

/// The Secret, as it was last read.
#[derive(Debug, Clone, Default)]
pub enum Sight {
    /// Not read yet.
    #[default]
    Unread,
    /// There is none, or nothing in it.
    Absent,
    /// It can't be used.
    Damaged(Damage),
    /// It is whole.
    Whole(Arc<Material>),
}

/// A webhook configuration, as it was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Registration {
    /// Not read yet.
    #[default]
    Unread,
    /// There is none, and we don't make one.
    Missing,
    /// It is there.
    Present {
        /// What it was last told to trust, as a generation of [`Material`].
        generation: Option<u64>,
        /// The `caBundle` of each entry, and whether it holds nothing but certificates.
        entries: Vec<(Trust, bool)>,
    },
}

/// All that was last read.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The Secret.
    pub secret: Sight,
    /// The webhook configurations.
    pub registrations: Vec<Registration>,
}

impl Seen {
    /// Whether every configuration that there is trusts an authority. One that is missing calls nobody.
    #[must_use]
    pub fn trusts(&self, ca: &CertificateDer<'_>) -> bool {
        self.registrations.iter().all(|registration| match registration {
            Registration::Unread => false,
            Registration::Missing => true,
            Registration::Present { entries, .. } => entries.iter().all(|(trust, _)| trust.contains(ca)),
        })
    }

    /// Whether everything was read at least once.
    pub(super) fn is_complete(&self) -> bool {
        !matches!(self.secret, Sight::Unread) && !self.registrations.contains(&Registration::Unread)
    }

    /// Whether there is any configuration.
    pub(super) fn is_registered(&self) -> bool {
        self.registrations.iter().any(|registration| matches!(registration, Registration::Present { .. }))
    }

    /// Whom any configuration trusts.
    pub(super) fn in_force(&self) -> Trust {
        let mut all = Trust::default();
        for registration in &self.registrations {
            if let Registration::Present { entries, .. } = registration {
                for (trust, _) in entries {
                    all.extend(trust);
                }
            }
        }
        all
    }

    /// The highest generation that was read anywhere, or is remembered.
    pub(super) fn generation(&self, remembered: u64) -> u64 {
        let secret = match &self.secret {
            Sight::Whole(read) => read.generation,
            Sight::Damaged(damage) => damage.generation,
            Sight::Unread | Sight::Absent => 0,
        };
        let counted = secret.max(remembered);
        let told = self.registrations.iter().filter_map(|registration| match registration {
            Registration::Present { generation, .. } => *generation,
            _ => None,
        });
        told.filter(|told| is_counted(*told, counted)).fold(counted, u64::max)
    }

    /// The configurations that say something else, and not by a higher generation.
    pub(super) fn untold(&self, wanted: &Trust, by: u64) -> Vec<usize> {
        let is_untold = |registration: &Registration| match registration {
            Registration::Present { generation, entries } => {
                let is_higher = generation.is_some_and(|told| told > by && is_counted(told, by));
                !is_higher && entries.iter().any(|(trust, clean)| trust != wanted || !clean)
            }
            _ => false,
        };
        if wanted.is_empty() {
            return Vec::new();
        }
        (0..self.registrations.len()).filter(|index| is_untold(&self.registrations[*index])).collect()
    }
}

fn is_counted(told: u64, counted: u64) -> bool {
    told.saturating_sub(counted) <= AHEAD
}
