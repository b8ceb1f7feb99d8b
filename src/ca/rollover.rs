//! A CA on its way to its successor (RFC 4210 section 4.4, RFC 9810 section 4.4): both, and what leads from the root of one to
//! that of the other.

use std::sync::Arc;

use super::authority::{AuthorityError, CertificateAuthority, verify_issued};
use estd_asn1::{Certificate, DecodeError, certs_only};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RolloverPhase {
    /// The new CA is made known; the old one signs.
    Announce,
    /// The new one signs; what the old one signed counts as before.
    CutOver,
}

impl RolloverPhase {
    /// Every phase, in order.
    pub const ALL: [Self; 2] = [Self::Announce, Self::CutOver];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::CutOver => "cut-over",
        }
    }
}

/// What two roots say of each other.
pub struct CrossCertificates {
    /// OldWithNew: the key of the old root, certified by the new one.
    pub old_with_new: Certificate,
    /// NewWithOld: the key of the new root, certified by the old one.
    pub new_with_old: Certificate,
}

/// Two CAs of which one takes the other's place, held against each other.
pub struct Rollover {
    old: Arc<CertificateAuthority>,
    new: Arc<CertificateAuthority>,
    /// `None` when both stand below one root: whoever trusts that trusts them both.
    cross: Option<CrossCertificates>,
    phase: RolloverPhase,
    ca_certs: Arc<[u8]>,
    ca_certs_of_one_root: Arc<[u8]>,
}

/// Why a CA cannot take another's place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloverError {
    /// It is the same key.
    #[error("the successor has the key of the ca whose place it takes; make a new one")]
    SameKey,
    /// Neither one root nor a way from one to the other.
    #[error("the successor has another root: expected old_with_new and new_with_old, by which devices follow")]
    NoWay,
    /// Cross certificates where there is nothing to cross.
    #[error("the successor has the same root: old_with_new and new_with_old have no place")]
    SameRoot,
    /// RFC 4210 section 4.4: it is one CA with two keys.
    #[error("the roots have different names, {old} and {new}; expected the same, to the octet")]
    RootNames {
        /// The old root's.
        old: String,
        /// The new root's.
        new: String,
    },
    /// Clients take the self-signed certificate that ends last for the newest (RFC 7030 section 4.1.3).
    #[error("the new root ends no later than the old one")]
    EndsFirst,
    /// A cross certificate is not one.
    #[error("{which}: expected {expected}")]
    Cross {
        /// OldWithNew or NewWithOld.
        which: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A cross certificate does not decode, is no CA's or was signed by somebody else.
    #[error("{which}: {source}")]
    CrossCertificate {
        /// OldWithNew or NewWithOld.
        which: &'static str,
        /// Why.
        source: AuthorityError,
    },
}

impl Rollover {
    /// Holds two CAs and what their roots say of each other together.
    ///
    /// # Errors
    /// When nobody could follow from one to the other; see [`RolloverError`].
    pub fn new(
        old: Arc<CertificateAuthority>,
        new: Arc<CertificateAuthority>,
        cross: Option<CrossCertificates>,
        phase: RolloverPhase,
    ) -> Result<Self, RolloverError> {
        if old.issuer_id() == new.issuer_id() {
            return Err(RolloverError::SameKey);
        }
        let one_root = old.root().der() == new.root().der();
        match &cross {
            Some(_) if one_root => return Err(RolloverError::SameRoot),
            Some(cross) => cross.check(old.root(), new.root())?,
            None if one_root => {}
            None => return Err(RolloverError::NoWay),
        }
        let ca_certs = ca_certs(&old, &new, cross.as_ref());
        let ca_certs_of_one_root =
            cross.as_ref().map_or_else(|| Arc::clone(&ca_certs), |cross| of_one_root(&old, &new, cross));
        Ok(Self { old, new, cross, phase, ca_certs, ca_certs_of_one_root })
    }

    /// How far it is.
    pub fn phase(&self) -> RolloverPhase {
        self.phase
    }

    /// The CA whose place is taken.
    pub fn old(&self) -> &Arc<CertificateAuthority> {
        &self.old
    }

    /// The CA that takes it.
    pub fn successor(&self) -> &Arc<CertificateAuthority> {
        &self.new
    }

    /// The one that signs now.
    pub fn signing(&self) -> &Arc<CertificateAuthority> {
        match self.phase {
            RolloverPhase::Announce => &self.old,
            RolloverPhase::CutOver => &self.new,
        }
    }

    /// Both, the one that signs first.
    pub fn authorities(&self) -> [&Arc<CertificateAuthority>; 2] {
        match self.phase {
            RolloverPhase::Announce => [&self.old, &self.new],
            RolloverPhase::CutOver => [&self.new, &self.old],
        }
    }

    /// What leads whoever trusts the other root to the root of the CA that signs now.
    pub fn bridge(&self) -> Option<&Certificate> {
        let cross = self.cross.as_ref()?;
        Some(match self.phase {
            RolloverPhase::Announce => &cross.old_with_new,
            RolloverPhase::CutOver => &cross.new_with_old,
        })
    }

    /// What `/cacerts` serves; DER. RFC 7030 section 4.1.3: "The EST server SHOULD include the three "Root CA Key Update"
    /// certificates OldWithOld, OldWithNew, and NewWithOld in the response chain."
    pub fn ca_certs(&self) -> Arc<[u8]> {
        Arc::clone(&self.ca_certs)
    }

    /// The same for clients that take no two roots of one name: without the old root and NewWithOld. What the old CA issued
    /// leads to the new root by OldWithNew.
    pub fn ca_certs_of_one_root(&self) -> Arc<[u8]> {
        Arc::clone(&self.ca_certs_of_one_root)
    }
}

/// A SET OF: the order carries no meaning.
fn ca_certs(old: &CertificateAuthority, new: &CertificateAuthority, cross: Option<&CrossCertificates>) -> Arc<[u8]> {
    let others = new.path().filter(|certificate| old.path().all(|known| known.der() != certificate.der()));
    let cross = cross.into_iter().flat_map(|cross| [&cross.old_with_new, &cross.new_with_old]);
    certs_only::encode(old.path().chain(others).chain(cross).map(Certificate::der)).into()
}

fn of_one_root(old: &CertificateAuthority, new: &CertificateAuthority, cross: &CrossCertificates) -> Arc<[u8]> {
    let below = old.path().filter(|certificate| certificate.der() != old.root().der());
    certs_only::encode(new.path().chain(below).chain([&cross.old_with_new]).map(Certificate::der)).into()
}

impl CrossCertificates {
    fn check(&self, old: &Certificate, new: &Certificate) -> Result<(), RolloverError> {
        // RFC 4210 §4.4: the CA has another key, not another name.
        if old.subject().der() != new.subject().der() {
            let (old, new) = (old.subject().to_string(), new.subject().to_string());
            return Err(RolloverError::RootNames { old, new });
        }
        // RFC 7030 §4.1.3: the newest root is the self-signed certificate that ends last.
        if new.validity().not_after <= old.validity().not_after {
            return Err(RolloverError::EndsFirst);
        }
        Cross { which: "OldWithNew", certificate: &self.old_with_new, subject: old, issuer: new }.check(old)?;
        Cross { which: "NewWithOld", certificate: &self.new_with_old, subject: new, issuer: old }.check(old)
    }
}

/// One of the two, with the root whose key it has and the one that signed it.
struct Cross<'a> {
    which: &'static str,
    certificate: &'a Certificate,
    subject: &'a Certificate,
    issuer: &'a Certificate,
}

impl Cross<'_> {
    fn check(&self, old: &Certificate) -> Result<(), RolloverError> {
        let Self { which, certificate, subject, issuer } = *self;
        let wrong = |expected| Err(RolloverError::Cross { which, expected });
        let malformed = |source: DecodeError| RolloverError::CrossCertificate {
            which,
            source: AuthorityError::Malformed { subject: certificate.subject().to_string(), source },
        };
        if certificate.subject().der() != subject.subject().der() {
            return wrong("the name of the root as its subject");
        }
        if certificate.public_key().der() != subject.public_key().der() {
            return wrong("the key of the other root");
        }
        // RFC 5280 §4.2.1.1 and .2: by these identifiers two keys of one name are told apart.
        if certificate.subject_key_identifier().map_err(malformed)?
            != subject.subject_key_identifier().map_err(malformed)?
        {
            return wrong("the subjectKeyIdentifier that the root has itself");
        }
        if certificate.authority_key_identifier().map_err(malformed)?
            != issuer.subject_key_identifier().map_err(malformed)?
        {
            return wrong("the subjectKeyIdentifier of its issuer as its authorityKeyIdentifier");
        }
        // RFC 4210 §4.4.1: both end with the old key at the latest.
        if certificate.validity().not_after > old.validity().not_after {
            return wrong("an end no later than that of the old root");
        }
        verify_issued(certificate, issuer).map_err(|source| RolloverError::CrossCertificate { which, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Signer as _, SoftwareSigner, ceremony};
    use crate::pki::public_key::KeyType;
    use crate::pki::serial::Serial;
    use chrono::{DateTime, Utc};
    use estd_asn1::{AttributeTypeAndValue, Name, Validity, oid};

    fn years(from: i32, to: i32) -> Validity {
        let new_year = |year: i32| format!("{year}-01-01T00:00:00Z").parse::<DateTime<Utc>>().unwrap();
        Validity { not_before: new_year(from), not_after: new_year(to) }
    }

    fn name(text: &str) -> Name {
        Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
    }

    fn serial(octet: u8) -> Serial {
        Serial::from_entropy([octet; 20])
    }

    fn root(common_name: &str, validity: Validity) -> Arc<CertificateAuthority> {
        let (signer, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let certificate = ceremony::self_signed_ca(&signer, &name(common_name), validity, None, &serial(1)).unwrap();
        Arc::new(CertificateAuthority::new(certificate, Vec::new(), Arc::new(signer)).unwrap())
    }

    fn below(root: &CertificateAuthority) -> Arc<CertificateAuthority> {
        let (signer, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let (validity, key) = (root.certificate().validity(), signer.public_key().clone());
        let issuing = ceremony::subordinate_ca(root, &name("Issuing"), &key, validity, Some(0), &serial(2)).unwrap();
        Arc::new(CertificateAuthority::new(issuing, vec![root.certificate().clone()], Arc::new(signer)).unwrap())
    }

    fn cross(old: &CertificateAuthority, new: &CertificateAuthority) -> CrossCertificates {
        let whole = old.certificate().validity();
        let overlap = Validity { not_before: new.certificate().validity().not_before, ..whole };
        CrossCertificates {
            old_with_new: ceremony::cross_certificate(new, old.certificate(), whole, &serial(3)).unwrap(),
            new_with_old: ceremony::cross_certificate(old, new.certificate(), overlap, &serial(4)).unwrap(),
        }
    }

    fn roots() -> [Arc<CertificateAuthority>; 2] {
        [root("Root", years(2020, 2030)), root("Root", years(2026, 2036))]
    }

    fn bag(rollover: &Rollover) -> Vec<Vec<u8>> {
        certs_only::decode(&rollover.ca_certs(), 16).unwrap()
    }

    #[test]
    fn both_cas_are_served_with_what_leads_from_one_to_the_other_and_the_phase_says_who_signs() {
        let [old_root, new_root] = roots();
        let (old, new) = (below(&old_root), below(&new_root));
        for (phase, signing) in [(RolloverPhase::Announce, &old), (RolloverPhase::CutOver, &new)] {
            let crossed = cross(&old_root, &new_root);
            let crosses = [crossed.old_with_new.der().to_vec(), crossed.new_with_old.der().to_vec()];
            let rollover = Rollover::new(Arc::clone(&old), Arc::clone(&new), Some(crossed), phase).unwrap();
            assert_eq!(rollover.signing().issuer_id(), signing.issuer_id());
            assert_eq!(rollover.authorities()[0].issuer_id(), signing.issuer_id());
            let bridge = rollover.bridge().unwrap();
            assert_eq!(bridge.public_key(), signing.root().public_key(), "it leads to the root of who signs");
            assert_ne!(bridge.der(), signing.root().der());
            let served = bag(&rollover);
            let authorities = [&old, &new, &old_root, &new_root].map(|ca| ca.certificate().der().to_vec());
            for expected in authorities.iter().chain(&crosses) {
                assert_eq!(served.iter().filter(|der| *der == expected).count(), 1);
            }
            assert_eq!(served.len(), 6);
        }
    }

    #[test]
    fn who_takes_one_root_of_a_name_is_given_what_leads_to_the_new_one() {
        let [old_root, new_root] = roots();
        let (old, new) = (below(&old_root), below(&new_root));
        let crossed = cross(&old_root, &new_root);
        let expected = [new.certificate(), new_root.certificate(), old.certificate(), &crossed.old_with_new];
        let mut expected = expected.map(|certificate| certificate.der().to_vec());
        expected.sort();
        let rollover =
            Rollover::new(Arc::clone(&old), Arc::clone(&new), Some(crossed), RolloverPhase::Announce).unwrap();
        let served = certs_only::decode(&rollover.ca_certs_of_one_root(), 16).unwrap();
        assert_eq!(served, expected);
        let served: Vec<_> = served.iter().map(|der| Certificate::decode(der).unwrap()).collect();
        let self_signed = served.iter().filter(|certificate| verify_issued(certificate, certificate).is_ok()).count();
        assert_eq!(self_signed, 1);
        for certificate in &served {
            assert!(
                served.iter().any(|issuer| verify_issued(certificate, issuer).is_ok()),
                "{}",
                certificate.subject()
            );
        }
        let same_root = Rollover::new(below(&old_root), below(&old_root), None, RolloverPhase::Announce).unwrap();
        assert_eq!(same_root.ca_certs_of_one_root(), same_root.ca_certs());
    }

    #[test]
    fn a_root_that_signs_itself_rolls_over_as_well() {
        let [old, new] = roots();
        let crossed = cross(&old, &new);
        let rollover = Rollover::new(old, new, Some(crossed), RolloverPhase::Announce).unwrap();
        assert_eq!(bag(&rollover).len(), 4);
    }

    #[test]
    fn below_one_root_nothing_needs_to_be_crossed() {
        let [root, other] = roots();
        let (old, new) = (below(&root), below(&root));
        let rollover = Rollover::new(Arc::clone(&old), Arc::clone(&new), None, RolloverPhase::CutOver).unwrap();
        assert_eq!((bag(&rollover).len(), rollover.bridge()), (3, None));
        let crossed = Rollover::new(old, new, Some(cross(&root, &other)), RolloverPhase::CutOver);
        assert_eq!(crossed.err(), Some(RolloverError::SameRoot));
    }

    #[test]
    fn cross_certificates_are_as_rfc_4210_has_them() {
        let [old, new] = roots();
        let CrossCertificates { old_with_new, new_with_old } = cross(&old, &new);
        let (old_root, new_root) = (old.certificate(), new.certificate());
        for certificate in [&old_with_new, &new_with_old] {
            assert_eq!(certificate.subject().der(), old_root.subject().der());
            assert_eq!(certificate.issuer().der(), old_root.subject().der());
            assert_eq!(certificate.basic_constraints(), old_root.basic_constraints());
            assert_eq!(certificate.key_usage(), old_root.key_usage());
        }
        assert_eq!(old_with_new.validity(), old_root.validity());
        let overlap = Validity { not_before: new_root.validity().not_before, not_after: old_root.validity().not_after };
        assert_eq!(new_with_old.validity(), overlap);
        let identifiers = |certificate: &Certificate| {
            (certificate.subject_key_identifier().unwrap(), certificate.authority_key_identifier().unwrap())
        };
        let (of_old, of_new) = (Some(old.key_identifier().to_vec()), Some(new.key_identifier().to_vec()));
        assert_eq!(identifiers(&old_with_new), (of_old.clone(), of_new.clone()));
        assert_eq!(identifiers(&new_with_old), (of_new, of_old));
    }

    #[test]
    fn who_could_not_be_followed_takes_nobodys_place() {
        let [old, new] = roots();
        let refused = |old: &Arc<CertificateAuthority>, new: &Arc<CertificateAuthority>, cross| {
            Rollover::new(Arc::clone(old), Arc::clone(new), cross, RolloverPhase::Announce).err().unwrap()
        };
        assert_eq!(refused(&old, &old, None), RolloverError::SameKey);
        assert_eq!(refused(&old, &new, None), RolloverError::NoWay);
        let renamed = root("Root 2", years(2026, 2036));
        let names = RolloverError::RootNames { old: "CN=Root".into(), new: "CN=Root 2".into() };
        assert_eq!(refused(&old, &renamed, Some(cross(&old, &new))), names);
        assert_eq!(refused(&new, &old, Some(cross(&old, &new))), RolloverError::EndsFirst);

        let exchanged = |cross: CrossCertificates| CrossCertificates {
            old_with_new: cross.new_with_old,
            new_with_old: cross.old_with_new,
        };
        let key = RolloverError::Cross { which: "OldWithNew", expected: "the key of the other root" };
        assert_eq!(refused(&old, &new, Some(exchanged(cross(&old, &new)))), key);
        let third = root("Root", years(2026, 2036));
        let by_another = CrossCertificates { new_with_old: cross(&third, &new).new_with_old, ..cross(&old, &new) };
        let identifier = "the subjectKeyIdentifier of its issuer as its authorityKeyIdentifier";
        let expected = RolloverError::Cross { which: "NewWithOld", expected: identifier };
        assert_eq!(refused(&old, &new, Some(by_another)), expected);
        let endless = ceremony::cross_certificate(&new, old.certificate(), years(2020, 2036), &serial(5)).unwrap();
        let endless = CrossCertificates { old_with_new: endless, ..cross(&old, &new) };
        let expected =
            RolloverError::Cross { which: "OldWithNew", expected: "an end no later than that of the old root" };
        assert_eq!(refused(&old, &new, Some(endless)), expected);
    }

    #[test]
    fn a_signature_by_another_key_of_the_same_name_and_identifier_is_seen_through() {
        let [old, new] = roots();
        let honest = cross(&old, &new);
        let mut forged = honest.old_with_new.der().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let old_with_new = Certificate::decode(&forged).unwrap();
        let cross = CrossCertificates { old_with_new, ..honest };
        let refused = Rollover::new(old, new, Some(cross), RolloverPhase::Announce);
        assert!(matches!(
            refused.err(),
            Some(RolloverError::CrossCertificate { which: "OldWithNew", source: AuthorityError::Signature { .. } })
        ));
    }
}
