//! What the replicas share: certificate authorities and the leaf, as a Secret holds them under the names of type `kubernetes.io/tls`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;

use crate::tls::authority::{self, CLOCK_SKEW, Pair};
use crate::tls::{Bundle, bundle, provider};

use super::Trust;

/// The annotation that counts the writings: what a lower one says never replaces what a higher one says.
pub const GENERATION: &str = "podgraft.dev/generation";

/// The last generation that counts. Nobody gets near it by writing, or by what configurations say ([`super::seen::AHEAD`]).
const LAST: u64 = u64::MAX / 4 * 3;

/// The annotation that says when the last leaf of the old authorities expires (RFC 3339).
const OLD_UNTIL: &str = "podgraft.dev/old-ca-until";

const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const OLD: &str = "old-ca.crt";

/// What of a Secret counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The files, by name.
    pub data: BTreeMap<String, Vec<u8>>,
    /// All annotations when it is read, ours when it is to be written.
    pub annotations: BTreeMap<String, String>,
}

/// The keys stay out of logs.
impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("annotations", &self.annotations).finish_non_exhaustive()
    }
}

/// A Secret that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Damage {
    /// Its generation, as far as it can be told.
    pub generation: u64,
    /// What is wrong.
    pub problem: String,
}

/// Everything that the replicas share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// How often it was written.
    pub generation: u64,
    /// The authority that signed the leaf.
    pub ca: Authority,
    /// The certificate that is to be served.
    pub leaf: Arc<Leaf>,
    /// The authority that will sign the leaves once all clients trust it.
    pub next: Option<Authority>,
    /// Authorities whose leaves may still be served somewhere.
    pub old: Option<Old>,
}

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate.
    pub cert: CertificateDer<'static>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// When it expires.
    pub not_after: SystemTime,
    pair: Pair,
}

/// A server certificate.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The authority that signed it.
    pub ca: CertificateDer<'static>,
    /// Chain and key, checked, as it is served.
    pub bundle: Bundle,
    /// From when on it is valid, with its authority.
    not_before: SystemTime,
    pair: Pair,
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        self.pair == other.pair && self.ca == other.ca
    }
}

impl Eq for Leaf {}

/// Authorities that sign no more, and are trusted until their last leaf has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Their certificates.
    pub cas: Trust,
    /// When the last leaf of any of them expires.
    pub until: SystemTime,
}

impl Authority {
    /// Makes one that lives so long.
    ///
    /// # Errors
    ///
    /// The system gives no randomness.
    pub fn make(lifetime: Duration, now: SystemTime) -> Result<Self, rcgen::Error> {
        Self::between(now, now + lifetime, now)
    }

    /// Makes one to take the place of this one, and of another that was to do so. It is valid from as early as they are:
    /// of replicas whose clocks differ, nobody knows whose is right. Where by our clock it is not the time of this one, it is
    /// valid for as long as they are as well: who could use them can use it, and has no need to answer it by yet another.
    ///
    /// # Errors
    ///
    /// The system gives no randomness.
    pub fn successor(&self, other: Option<&Self>, lifetime: Duration, now: SystemTime) -> Result<Self, rcgen::Error> {
        let (mut from, mut until) = (now, now + lifetime);
        for before in other.into_iter().chain([self]) {
            from = from.min(before.not_before + CLOCK_SKEW);
            if !self.is_valid(now) {
                until = until.max(before.not_after);
            }
        }
        Self::between(from, until, now)
    }

    fn between(from: SystemTime, until: SystemTime, now: SystemTime) -> Result<Self, rcgen::Error> {
        // Each has a name of its own: clients look for an issuer by its name first.
        let name = format!("podgraft CA of {}", bundle::text(now));
        let pair = authority::make_ca(&name, until, from)?;
        Self::check(pair).map_err(|_| rcgen::Error::CouldNotParseCertificate)
    }

    fn check(pair: Pair) -> Result<Self, String> {
        let chain = bundle::certificates(pair.cert.as_bytes()).map_err(|flaw| flaw.to_string())?;
        let key = bundle::private_key(pair.key.as_bytes()).map_err(|flaw| flaw.to_string())?;
        let certified = bundle::certified(chain, key).map_err(|flaw| flaw.to_string())?;
        // There is a first certificate, or the key would not be its key.
        let cert = certified.cert.first().ok_or("no certificate")?.clone().into_owned();
        let (not_before, not_after) = bundle::validity(&cert).ok_or("no X.509 certificate")?;
        Ok(Self { cert, not_before, not_after, pair })
    }

    /// Whether it is valid by a clock that says this.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// Signs a leaf that lives so long, but no longer than the authority, and no shorter than the leaf `before`: the last
    /// leaf is always the one that expires last. It is valid from as early as the authority: of two replicas whose clocks
    /// differ, each can serve what the other has signed.
    ///
    /// # Errors
    ///
    /// A name is one that no certificate can hold.
    pub fn sign(
        &self,
        names: Vec<String>,
        lifetime: Duration,
        before: Option<&Leaf>,
        now: SystemTime,
    ) -> Result<Arc<Leaf>, rcgen::Error> {
        let before = before.map_or(now, |leaf| leaf.bundle.not_after);
        let not_after = (now + lifetime).max(before).min(self.not_after);
        let from = now.min(self.not_before + CLOCK_SKEW);
        let pair = authority::make_leaf(&self.cert, &self.pair.key, names, not_after, from)?;
        Leaf::check(pair, self).map(Arc::new).map_err(|_| rcgen::Error::CouldNotParseCertificate)
    }
}

impl Leaf {
    /// Everything but today's date is checked.
    fn check(pair: Pair, ca: &Authority) -> Result<Self, String> {
        let chain = bundle::certificates(pair.cert.as_bytes()).map_err(|flaw| flaw.to_string())?;
        let leaf = chain.first().ok_or("tls.crt holds no certificate")?;
        let (_, then) = bundle::validity(leaf).ok_or("tls.crt holds no X.509 certificate")?;
        signed_by(leaf, &ca.cert, then).map_err(|error| format!("tls.crt is not signed by ca.crt: {error}"))?;
        let bundle = Bundle::parse(pair.cert.as_bytes(), pair.key.as_bytes(), then)
            .map_err(|flaws| flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let not_before = bundle.not_before.max(ca.not_before);
        Ok(Self { ca: ca.cert.clone(), bundle, not_before, pair })
    }

    /// Whether it is valid by a clock that says this.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.not_before <= now && !self.has_expired(now)
    }

    /// Whether it is valid by every clock by which another one is.
    #[must_use]
    pub fn is_valid_whenever(&self, other: &Self) -> bool {
        self.not_before <= other.not_before && other.bundle.not_after <= self.bundle.not_after
    }

    /// Whether it was valid, and is not any more.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.bundle.not_after
    }

    /// Whether it is for all of these names.
    #[must_use]
    pub fn is_for(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.bundle.names.contains(name))
    }
}

/// What a client does with a leaf whose authority it trusts.
fn signed_by(leaf: &CertificateDer<'_>, ca: &CertificateDer<'_>, at: SystemTime) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned())?;
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&ParsedCertificate::try_from(leaf)?, &roots, &[], at, algorithms)
}

impl Old {
    /// These as well; all of them for as long as any.
    #[must_use]
    pub fn and(mut self, other: Option<Self>) -> Self {
        if let Some(other) = other {
            self.cas.extend(&other.cas);
            self.until = self.until.max(other.until);
        }
        self
    }
}

impl Material {
    /// The annotations that are ours, and go when they are not written again.
    pub const ANNOTATIONS: [&str; 2] = [GENERATION, OLD_UNTIL];

    /// What clients must trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let mut trust = self.old.as_ref().map(|old| old.cas.clone()).unwrap_or_default();
        trust.insert(&self.ca.cert);
        if let Some(next) = &self.next {
            trust.insert(&next.cert);
        }
        trust
    }

    /// Reads a Secret; none if there is nothing of ours in it yet.
    ///
    /// # Errors
    ///
    /// It was damaged.
    pub fn read(stored: &Stored) -> Result<Option<Self>, Damage> {
        let file = |name: &str| stored.data.get(name).filter(|bytes| !bytes.is_empty());
        if [CA, CA_KEY, CERT, KEY].into_iter().all(|name| file(name).is_none()) {
            return Ok(None);
        }
        let generation = generation(&stored.annotations).unwrap_or(0);
        let damage = |problem| Damage { generation, problem };
        let text = |name: &str| {
            let bytes = file(name).ok_or_else(|| damage(format!("{name} is missing")))?;
            String::from_utf8(bytes.clone()).map_err(|_| damage(format!("{name} is not text")))
        };
        let pair = |cert, key| Ok(Pair { cert: text(cert)?, key: text(key)? });
        let authority = |cert, key| {
            Authority::check(pair(cert, key)?).map_err(|problem| damage(format!("{cert} and {key}: {problem}")))
        };
        let ca = authority(CA, CA_KEY)?;
        let leaf = Leaf::check(pair(CERT, KEY)?, &ca).map_err(damage)?;
        let next = file(NEXT).map(|_| authority(NEXT, NEXT_KEY)).transpose()?;
        // Without a date the old authorities are of no use; that happens only to hands.
        let until = stored.annotations.get(OLD_UNTIL).and_then(|until| until.parse::<jiff::Timestamp>().ok());
        let old = file(OLD).zip(until).map(|(cas, until)| Old { cas: Trust::read(cas).0, until: until.into() });
        Ok(Some(Self { generation, ca, leaf: Arc::new(leaf), next, old }))
    }

    /// The Secret's content.
    #[must_use]
    pub fn store(&self) -> Stored {
        let pair = |pair: &Pair, cert: &str, key: &str| {
            [(cert.to_owned(), pair.cert.clone().into_bytes()), (key.to_owned(), pair.key.clone().into_bytes())]
        };
        let mut data: BTreeMap<_, _> = pair(&self.ca.pair, CA, CA_KEY).into();
        data.extend(pair(&self.leaf.pair, CERT, KEY));
        data.extend(self.next.iter().flat_map(|next| pair(&next.pair, NEXT, NEXT_KEY)));
        let mut annotations = BTreeMap::from([(GENERATION.to_owned(), self.generation.to_string())]);
        if let Some(old) = &self.old {
            data.insert(OLD.to_owned(), old.cas.pem().into_bytes());
            annotations.insert(OLD_UNTIL.to_owned(), bundle::text(old.until));
        }
        Stored { data, annotations }
    }
}

/// The generation that annotations tell. One that leaves no room for as many more as anybody could write is none: replicas would
/// not read what they wrote themselves.
#[must_use]
pub fn generation(annotations: &BTreeMap<String, String>) -> Option<u64> {
    annotations.get(GENERATION)?.parse().ok().filter(|generation| *generation <= LAST)
}
