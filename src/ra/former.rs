//! The certificates of a CA that was run elsewhere before: taken over, so that lists and OCSP go on telling of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::RegistrationAuthority;
use super::registry::changed;
use crate::access::{ManageServer, ServerGrant};
use crate::ca::CertificateAuthority;
use crate::pki::digest::hex;
use crate::pki::openssl_index::{IndexedCertificate, Place};
use crate::pki::revocation::RevocationReason;
use crate::store::former::FormerCertificate;
use crate::store::{
    CertificateId, CertificateStatus, ClaimGuard, Fact, Receipt, Revocation, StandingChange, StoreFault,
};
use estd_asn1::Certificate;

/// Most certificates taken over at once.
pub const MAX_TAKEN_OVER_AT_ONCE: usize = 100_000;

/// Why nothing was taken over.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TakeoverError {
    /// No such CA.
    #[error("there is no authority {0}")]
    NoAuthority(String),
    /// Too many at once.
    #[error("at most {MAX_TAKEN_OVER_AT_ONCE} certificates are taken over at once, {0} came")]
    TooMany(usize),
    /// It was issued here, and what is so of it is known here.
    #[error("{place}: this certificate was issued here; revoke it with `estd cert revoke`")]
    IssuedHere {
        /// Where it stands.
        place: Place,
    },
    /// Nobody can have revoked it then.
    #[error("{place}: it is revoked from a time on that has not come")]
    RevokedInFuture {
        /// Where it stands.
        place: Place,
    },
    /// It is none, of another CA, or there twice.
    #[error("certificate {number}: {why}")]
    NotOfAuthority {
        /// Which, from 1.
        number: usize,
        /// Why not.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takeover {
    /// Certificates that are revoked from now on.
    pub revoked: usize,
    /// Certificates that are good.
    pub good: usize,
    /// Certificates that ended, of which nothing need be told.
    pub expired: usize,
    /// Certificates of which the same is known already.
    pub known: usize,
}

/// What is about to be taken over. No standing changes while it is there.
pub struct PreparedTakeover<'a> {
    ra: &'a RegistrationAuthority,
    authority: &'a str,
    takeover: Takeover,
    changes: Vec<StandingChange>,
    facts: Vec<Fact>,
    _standing: ClaimGuard<'a>,
}

impl RegistrationAuthority {
    /// Looks at what a former installation of an authority, `tenant/name`, knew of its certificates: those that are revoked
    /// will stand in lists and no longer renew, the others will be good to OCSP. Taken over again later, what was revoked
    /// since is added.
    ///
    /// # Errors
    /// With the first certificate that does not do.
    pub fn prepare_takeover<'a>(
        &'a self,
        authority: &'a str,
        certificates: &[IndexedCertificate],
    ) -> Result<PreparedTakeover<'a>, TakeoverError> {
        if certificates.len() > MAX_TAKEN_OVER_AT_ONCE {
            return Err(TakeoverError::TooMany(certificates.len()));
        }
        let issuer = self.issuer_of(authority)?.issuer_id();
        let standing = self.ports.store.hold(&StandingChange::key());
        let mut prepared = PreparedTakeover {
            ra: self,
            authority,
            takeover: Takeover::default(),
            changes: Vec::new(),
            facts: Vec::new(),
            _standing: standing,
        };
        certificates.iter().try_for_each(|certificate| prepared.add(issuer, certificate))?;
        Ok(prepared)
    }

    /// What certificates (DER) of a former installation of an authority, `tenant/name`, tell: that they are good. Each must be
    /// one that the authority signed.
    ///
    /// # Errors
    /// With the first certificate that does not do.
    pub fn former_certificates(
        &self,
        authority: &str,
        certificates: &[Vec<u8>],
    ) -> Result<Vec<IndexedCertificate>, TakeoverError> {
        let issuer = self.issuer_of(authority)?;
        let mut seen = HashMap::new();
        let read = (1..).zip(certificates).map(|(number, der)| {
            let refused = |why| TakeoverError::NotOfAuthority { number, why };
            let certificate = Certificate::decode(der).map_err(|error| refused(error.to_string()))?;
            let serial = certificate.serial().to_vec();
            let shown = hex(&serial);
            if !issuer.has_issued(&certificate) {
                return Err(refused(format!("{authority} did not issue it (serial number {shown})")));
            }
            if let Some(before) = seen.insert(serial.clone(), number) {
                return Err(refused(format!("its serial number {shown} is that of certificate {before}, too")));
            }
            let place = Place::Certificate { number, serial: shown };
            Ok(IndexedCertificate { place, serial, not_after: certificate.validity().not_after, revoked: None })
        });
        read.collect()
    }

    /// The CA that signs under this name, `tenant/name`.
    fn issuer_of(&self, name: &str) -> Result<&Arc<CertificateAuthority>, TakeoverError> {
        let mut all = self.labels().map(|label| &label.authority);
        let found = all.find(|ca| ca.publication().is_some_and(|publication| publication.name == name));
        found.ok_or_else(|| TakeoverError::NoAuthority(name.to_owned()))
    }
}

impl PreparedTakeover<'_> {
    /// How much it is.
    pub const fn takeover(&self) -> Takeover {
        self.takeover
    }

    /// Takes it over, all of it or nothing.
    ///
    /// # Errors
    /// When it is too much for one record, or the store takes none.
    pub fn record(self, grant: &ServerGrant<ManageServer>) -> Result<Receipt, StoreFault> {
        let Self { ra, authority, takeover: Takeover { revoked, good, .. }, changes, mut facts, _standing } = self;
        let what = format!("certificates that {authority} issued before: {revoked} revoked, {good} good");
        let tenant = authority.split('/').next().unwrap_or_default();
        let event = changed(tenant, None, "takeover", what, ra.ports.clock.now(), grant.actor());
        facts.extend(grant.answer());
        match changes.is_empty() {
            true => ra.ports.store.record_facts(facts, event),
            false => ra.ports.store.change_standing(changes, facts, event),
        }
    }

    fn add(&mut self, issuer: [u8; 32], certificate: &IndexedCertificate) -> Result<(), TakeoverError> {
        let IndexedCertificate { place, serial, not_after, revoked } = certificate;
        let (store, now) = (self.ra.ports.store.as_ref(), self.ra.ports.clock.now());
        let id = CertificateId { issuer, serial: serial.clone() };
        if store.certificate(&id)?.is_some() {
            return Err(TakeoverError::IssuedHere { place: place.clone() });
        }
        let stands = match store.status(&id)? {
            CertificateStatus::Revoked(revocation) => RevocationReason::from_code(revocation.reason),
            CertificateStatus::Good { .. } | CertificateStatus::Unknown => None,
        };
        match revoked {
            Some((at, _)) if *at > now => return Err(TakeoverError::RevokedInFuture { place: place.clone() }),
            Some((_, reason)) if stands.is_some_and(|stands| stands.revised(*reason).is_none()) => {
                self.takeover.known += 1;
            }
            // Also one that ended: within a label's grace it might renew.
            Some((at, reason)) => {
                self.takeover.revoked += 1;
                let revocation = Some(Revocation { at: *at, reason: reason.code() });
                self.changes.push(StandingChange { id, revocation, not_after: Some(not_after.timestamp()) });
            }
            None if *not_after <= now => self.takeover.expired += 1,
            None if stands.is_some() || FormerCertificate::find(store, &id)?.is_some() => self.takeover.known += 1,
            None => {
                self.takeover.good += 1;
                self.facts.push(FormerCertificate { not_after: *not_after }.to_fact(&id));
            }
        }
        Ok(())
    }
}
