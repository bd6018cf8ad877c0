//! The decisions of one replica.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::{Change, Leaf, Material, Old, Options, Seen, Sight, Step, Trust};

/// Now, by two clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The one that certificates are dated by. It may jump.
    pub wall: SystemTime,
    /// The one that waits are measured by: since some fixed time.
    pub steady: Duration,
}

/// Whether requests should be sent to this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The API server trusts our certificate.
    Trusted,
    /// We have none yet.
    NoCertificate,
    /// It has expired.
    Expired,
    /// It is of a time that has not come, or our clock is wrong.
    NotYetValid,
    /// A configuration does not trust it, or was not read yet.
    Untrusted,
}

impl Standing {
    /// Why requests should not come.
    #[must_use]
    pub fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Trusted => None,
            Self::NoCertificate => Some("there is no certificate yet"),
            Self::Expired => Some("the certificate has expired"),
            Self::NotYetValid => Some("the certificate is not valid yet; check the clock"),
            Self::Untrusted => Some("the API server does not trust the certificate yet"),
        }
    }
}

/// What is to be done now; all of it.
#[derive(Debug)]
pub struct Decision {
    /// The leaf to be served from now on, if it is another one than before.
    pub serve: Option<Arc<Leaf>>,
    /// Whether requests should come.
    pub standing: Standing,
    /// The configurations, by their place in [`Seen`], that are to be told whom to trust.
    pub apply: Vec<usize>,
    /// What they are to be told.
    pub trust: Trust,
    /// The generation that says so.
    pub generation: u64,
    /// The Secret's next version, to be written over what was read and nothing else.
    pub write: Option<Change>,
}

/// One replica: what it remembers.
#[derive(Debug)]
pub struct Machine {
    options: Options,
    /// Puts replicas apart in time: from 0 to 1.
    jitter: f64,
    /// The highest generation that was read.
    memory: Option<Arc<Material>>,
    serving: Option<Arc<Leaf>>,
    /// The authorities that all configurations trust, and since when they have been seen to.
    confirmed: Vec<(CertificateDer<'static>, Duration)>,
    /// The authority that signs, and since when it has been seen to.
    signs: Option<(CertificateDer<'static>, Duration)>,
    /// Since when there has been no Secret that can be used.
    bereft: Option<Duration>,
}

impl Machine {
    /// A replica that starts. `jitter`, from 0 to 1, should differ among replicas.
    #[must_use]
    pub fn new(options: Options, jitter: f64) -> Self {
        Self { options, jitter, memory: None, serving: None, confirmed: Vec::new(), signs: None, bereft: None }
    }

    /// What the replica was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes in what was read and says what to do. To be asked again whenever something else was read, and at least
    /// once in [`Options::pace`].
    pub fn decide(&mut self, at: Moment, seen: &Seen) -> Decision {
        self.remember(at, seen);
        self.confirm(at, seen);
        let serve = self.choose(at, seen);
        let (trust, generation) =
            self.memory.as_ref().map(|memory| (memory.trust(), memory.generation)).unwrap_or_default();
        Decision {
            serve,
            standing: self.standing(at, seen),
            apply: seen.untold(&trust, generation),
            trust,
            generation,
            write: self.write(at, seen),
        }
    }

    fn remember(&mut self, at: Moment, seen: &Seen) {
        match &seen.secret {
            Sight::Unread => {}
            Sight::Absent | Sight::Damaged(_) => {
                self.bereft.get_or_insert(at.steady);
            }
            Sight::Whole(read) => {
                self.bereft = None;
                if self.memory.as_ref().is_none_or(|memory| memory.generation < read.generation) {
                    self.memory = Some(Arc::clone(read));
                    if self.signs.as_ref().is_none_or(|(ca, _)| *ca != read.ca.cert) {
                        self.signs = Some((read.ca.cert.clone(), at.steady));
                    }
                }
            }
        }
    }

    /// Notes which authorities all configurations trust; one that they don't, begins anew.
    fn confirm(&mut self, at: Moment, seen: &Seen) {
        let Some(memory) = &self.memory else { return };
        self.confirmed.retain(|(ca, _)| seen.trusts(ca));
        for ca in memory.next.iter().chain([&memory.ca]).map(|authority| &authority.cert) {
            if seen.trusts(ca) && !self.confirmed.iter().any(|(known, _)| known == ca) {
                self.confirmed.push((ca.clone(), at.steady));
            }
        }
    }

    fn is_settled(&self, ca: &CertificateDer<'_>, at: Moment) -> bool {
        self.confirmed.iter().any(|(known, since)| known == ca && at.steady >= *since + self.options.settle)
    }

    /// The Secret's leaf, once it is safe to serve it. Where nothing works there is nothing to wait for. What does not work by
    /// our clock may do so by that of the API server, and goes only for what works as long.
    fn choose(&mut self, at: Moment, seen: &Seen) -> Option<Arc<Leaf>> {
        let leaf = &self.memory.as_ref()?.leaf;
        let trusted = self.serving.as_ref().filter(|serving| seen.trusts(&serving.ca));
        let works = trusted.filter(|serving| serving.is_valid(at.wall));
        let is_other = self.serving.as_ref() != Some(leaf);
        let is_safe = works.is_none_or(|serving| serving.ca == leaf.ca || self.is_settled(&leaf.ca, at));
        let is_valid = leaf.is_valid(at.wall) || trusted.is_some_and(|serving| leaf.is_valid_whenever(serving));
        if !(is_other && is_safe && is_valid && seen.trusts(&leaf.ca)) {
            return None;
        }
        self.serving = Some(Arc::clone(leaf));
        self.serving.clone()
    }

    fn standing(&self, at: Moment, seen: &Seen) -> Standing {
        match &self.serving {
            None => Standing::NoCertificate,
            Some(leaf) if leaf.has_expired(at.wall) => Standing::Expired,
            Some(leaf) if !leaf.is_valid(at.wall) => Standing::NotYetValid,
            Some(leaf) if !seen.trusts(&leaf.ca) => Standing::Untrusted,
            Some(_) => Standing::Trusted,
        }
    }

    fn write(&self, at: Moment, seen: &Seen) -> Option<Change> {
        let (step, keep) = match (&seen.secret, &self.memory) {
            (Sight::Unread, _) => return None,
            (Sight::Whole(read), Some(memory)) if read == memory => self.tend(at, seen, memory)?,
            // Without configurations nobody calls us: podgraft is being uninstalled, and should leave nothing behind.
            (Sight::Absent, Some(_)) if !seen.is_registered() => return None,
            // Gone, damaged, older than what is remembered, or of the same age and not the same.
            (_, Some(_)) => (Step::Restore, None),
            (_, None) => {
                // Who serves a leaf of the authorities in force remembers all, and is faster than this.
                let waited = self.bereft.map_or(Duration::ZERO, |since| at.steady.saturating_sub(since));
                if !seen.is_complete() || !(seen.in_force().is_empty() || waited >= self.options.patience()) {
                    return None;
                }
                (Step::Begin, self.in_force(at, seen, None))
            }
        };
        let remembered = self.memory.as_ref().map_or(0, |memory| memory.generation);
        let generation = seen.generation(remembered) + 1;
        let base = self.memory.clone().filter(|_| step != Step::Begin);
        Some(Change { step, generation, base, keep })
    }

    /// What a Secret that is whole needs; the most urgent thing.
    fn tend(&self, at: Moment, seen: &Seen, memory: &Material) -> Option<(Step, Option<Old>)> {
        let Options { names, ca_lifetime, leaf_lifetime, settle, .. } = &self.options;
        let Material { ca, leaf, next, old, .. } = memory;

        if let Some(serving) = self.serving.as_ref().filter(|serving| !serving.has_expired(at.wall))
            && !memory.trust().contains(&serving.ca)
        {
            return Some((Step::Keep, Some(Old { cas: Trust::of(&serving.ca), until: serving.bundle.not_after })));
        }
        // The Secret was replaced by an older one, and nobody is left who remembers the newer one.
        if seen.generation(memory.generation) > memory.generation {
            return Some((Step::Keep, self.in_force(at, seen, Some(memory))));
        }
        let next = next.as_ref().filter(|next| next.is_valid(at.wall));
        let is_valid = ca.is_valid(at.wall);
        if let Some(next) = next
            && self.is_settled(&next.cert, at)
        {
            return Some((Step::Promote, None));
        }
        // Its time is over or has not come, or our clock is wrong, and then others serve its leaf: so nothing is hurried.
        if !is_valid && next.is_none() {
            return Some((Step::Prepare, None));
        }
        // A leaf can't outlive its authority: then another one is of use only if it lives much longer.
        let longer = (at.wall + *leaf_lifetime).min(ca.not_after) > leaf.bundle.not_after + *leaf_lifetime / 3;
        let is_due = longer && self.is_due(leaf.bundle.not_after, *leaf_lifetime, at);
        if !leaf.is_for(names) || is_valid && (is_due || !leaf.is_valid(at.wall)) {
            return Some((Step::Renew, None));
        }
        if next.is_none() && self.is_due(ca.not_after, *ca_lifetime, at) {
            return Some((Step::Prepare, None));
        }
        // Clocks may differ, and who still serves such a leaf would keep its authority. Ours may even have jumped: then it is
        // the time since another authority has signed that tells that nobody does.
        let is_over = old.as_ref().is_some_and(|old| old.until + *settle <= at.wall);
        if is_over && self.signs.as_ref().is_some_and(|(_, since)| at.steady >= *since + *settle * 3) {
            return Some((Step::Retire, None));
        }
        None
    }

    /// Whether two thirds of a lifetime are over, and a little more that differs among replicas.
    fn is_due(&self, not_after: SystemTime, lifetime: Duration, at: Moment) -> bool {
        at.wall + lifetime.mul_f64((1.0 - self.jitter / 10.0) / 3.0) >= not_after
    }

    /// What configurations trust beyond `known`, for as long as leaves of it can be about.
    fn in_force(&self, at: Moment, seen: &Seen, known: Option<&Material>) -> Option<Old> {
        let cas = seen.in_force().without(&known.map(Material::trust).unwrap_or_default());
        let until = at.wall + self.options.leaf_lifetime;
        (!cas.is_empty()).then_some(Old { cas, until })
    }
}
