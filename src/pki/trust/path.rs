//! The search for a path from a presented certificate to an anchor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use estd_asn1::{Certificate, KeyUsage, oid};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, VerifiedPath};

use super::anchors::AnchorSet;
use super::peer::Peer;
use super::{AnchorClass, AuthenticatedPeer, MAX_PEER_ALT_NAMES, PathMember, TrustAnchors, TrustError};
use crate::est::PresentedChain;
use crate::pki::digest::sha256;
use crate::pki::public_key::{KeyPolicy, PublicKey};
use crate::pki::signature::SignatureAlgorithm;

/// Bounds on what a peer may present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathLimits {
    /// Certificates above the peer's own. A path has at most six of them, whatever comes.
    pub max_chain: usize,
}

impl Default for PathLimits {
    fn default() -> Self {
        Self { max_chain: 6 }
    }
}

impl TrustAnchors {
    /// Finds the path of a presented chain to an anchor, explicit anchors first.
    ///
    /// The path is one that was valid at `now`, or at the end of the peer's certificate nearest to it: whether the peer
    /// is still in time is for [`AuthenticatedPeer::check_time`], on every enrollment, so that the outcome can be kept
    /// for as long as a connection lasts. The work is bounded: by `limits`, and by webpki's budget of signatures.
    ///
    /// # Errors
    /// When no path is found, or the peer's certificate is not fit for a device; see [`TrustError`].
    pub fn authenticate(
        &self,
        chain: &PresentedChain,
        limits: &PathLimits,
        now: DateTime<Utc>,
    ) -> Result<AuthenticatedPeer, TrustError> {
        let sent = chain.intermediates().len();
        if sent > limits.max_chain {
            return Err(TrustError::ChainTooLong { limit: limits.max_chain, sent });
        }
        let leaf = decode_leaf(chain.leaf())?;
        let candidates = Candidates::new(leaf, chain.intermediates());
        let mut outcome = Err(candidates.unknown_issuer());
        // RFC 7030 §3.3.2: the explicit database decides where both could.
        for class in [AnchorClass::Explicit, AnchorClass::Implicit] {
            if candidates.name_one_of(self.of(class)) {
                outcome = candidates.authenticate(class, self.of(class), now);
            }
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// What was presented, decoded.
struct Candidates {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    /// What came and may not issue certificates.
    left_out: Vec<Certificate>,
}

impl Candidates {
    /// Takes in what may stand above the leaf. What does not decode is passed over, as if it had not come.
    fn new(leaf: Certificate, others: &[Vec<u8>]) -> Self {
        let decoded = others.iter().filter_map(|der| Certificate::decode(der).ok());
        let (intermediates, left_out) = decoded.partition(may_issue);
        Self { leaf, intermediates, left_out }
    }

    /// Whether any certificate names an anchor as its issuer. If none does, there is nothing to search.
    fn name_one_of(&self, set: &AnchorSet) -> bool {
        let issuers = || std::iter::once(&self.leaf).chain(&self.intermediates).map(Certificate::issuer);
        set.certificates.iter().any(|anchor| issuers().any(|issuer| issuer == anchor.subject()))
    }

    fn authenticate(
        &self,
        class: AnchorClass,
        set: &AnchorSet,
        now: DateTime<Utc>,
    ) -> Result<AuthenticatedPeer, TrustError> {
        let (intermediates, anchor) = self.find_path(set, now)?;
        // A label's own CA vouches for what it issued itself, not for what a CA below it did.
        if class == AnchorClass::Explicit && !intermediates.is_empty() {
            return Err(TrustError::Below);
        }
        let issuer = intermediates.first().unwrap_or(&anchor);
        let sound = |certificate: &Certificate, member| {
            PublicKey::check(certificate.public_key(), &KeyPolicy::any_sound())
                .map_err(|source| TrustError::WeakKey { member, source })
        };
        sound(&self.leaf, PathMember::Leaf)?;
        for intermediate in &intermediates {
            sound(intermediate, PathMember::Intermediate)?;
        }
        let subject_alt_names = self.leaf.subject_alt_names(MAX_PEER_ALT_NAMES).map_err(malformed_leaf)?;
        Ok(AuthenticatedPeer::new(Peer {
            class,
            certificate: self.leaf.clone(),
            fingerprint: sha256(&[self.leaf.der()]),
            subject_alt_names,
            issuer_spki_sha256: sha256(&[issuer.public_key().der()]),
            intermediates,
            anchor,
        }))
    }

    /// The CA certificates between the leaf and the anchor, leaf's side first, and the anchor.
    fn find_path(&self, set: &AnchorSet, now: DateTime<Utc>) -> Result<(Vec<Certificate>, Certificate), TrustError> {
        let leaf_der = CertificateDer::from(self.leaf.der());
        let leaf = EndEntityCert::try_from(&leaf_der).map_err(|error| self.explain(error))?;
        let intermediates: Vec<_> = self.intermediates.iter().map(|other| CertificateDer::from(other.der())).collect();
        let within_anchor_length = |path: &VerifiedPath<'_>| anchor_path_length(path, set, now);
        let path = leaf
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &set.anchors,
                &intermediates,
                self.path_time(now),
                ClientAuthIfPresent,
                None,
                Some(&within_anchor_length),
            )
            .map_err(|error| self.explain(error))?;
        let on_path = |der: &[u8]| self.intermediates.iter().find(|other| other.der() == der).cloned();
        let intermediates = path.intermediate_certificates().filter_map(|found| on_path(&found.der())).collect();
        let anchor = anchor_certificate(path.anchor(), set, now).ok_or_else(|| self.unknown_issuer())?;
        Ok((intermediates, anchor.clone()))
    }

    /// The time within the leaf's validity that is nearest to now.
    fn path_time(&self, now: DateTime<Utc>) -> UnixTime {
        let validity = self.leaf.validity();
        let time = now.max(validity.not_before).min(validity.not_after);
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default()))
    }

    fn unknown_issuer(&self) -> TrustError {
        let mut issued = std::iter::once(&self.leaf).chain(&self.intermediates);
        if issued.any(|child| self.left_out.iter().any(|other| other.subject() == child.issuer())) {
            TrustError::NotCa
        } else {
            TrustError::UnknownIssuer { issuer: self.leaf.issuer().to_string() }
        }
    }

    /// What webpki's verdict means for a device engineer.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; whatever is new is a refusal")]
    fn explain(&self, error: webpki::Error) -> TrustError {
        use webpki::Error;
        match error {
            Error::UnknownIssuer => self.unknown_issuer(),
            Error::CaUsedAsEndEntity => TrustError::CaAsLeaf,
            Error::EndEntityUsedAsCa => TrustError::NotCa,
            // The leaf is looked at within its own validity and its usages were judged before: these are above it.
            Error::CertExpired { not_after, .. } => {
                TrustError::Expired { member: PathMember::Intermediate, not_after: date(not_after) }
            }
            Error::CertNotValidYet { not_before, .. } => {
                TrustError::NotYetValid { member: PathMember::Intermediate, not_before: date(not_before) }
            }
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                TrustError::ExtKeyUsage { member: PathMember::Intermediate }
            }
            Error::InvalidSignatureForPublicKey => TrustError::BadSignature,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => self.unsupported_signature(),
            Error::PathLenConstraintViolated => TrustError::PathLength,
            Error::NameConstraintViolation => TrustError::NameConstraints,
            Error::UnsupportedCriticalExtension => TrustError::CriticalExtension,
            Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded
            | Error::MaximumNameConstraintComparisonsExceeded => TrustError::TooComplex,
            _ => TrustError::Unsupported,
        }
    }

    /// Which certificate is signed as none should be.
    fn unsupported_signature(&self) -> TrustError {
        let leaf = std::iter::once((&self.leaf, PathMember::Leaf));
        let above = self.intermediates.iter().map(|other| (other, PathMember::Intermediate));
        let weak = |(certificate, member): (&Certificate, PathMember)| {
            let verdict = SignatureAlgorithm::from_identifier(certificate.signature_algorithm());
            verdict.err().map(|source| TrustError::WeakSignature { member, source })
        };
        leaf.chain(above).find_map(weak).unwrap_or(TrustError::BadSignature)
    }
}

/// Decodes the peer's own certificate and judges what it may be used for, which webpki does in part only.
fn decode_leaf(der: &[u8]) -> Result<Certificate, TrustError> {
    let leaf = Certificate::decode(der).map_err(malformed_leaf)?;
    if leaf.basic_constraints().map_err(malformed_leaf)?.is_some_and(|constraints| constraints.ca) {
        return Err(TrustError::CaAsLeaf);
    }
    if let Some(usage) = leaf.key_usage().map_err(malformed_leaf)? {
        if usage.intersects(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN)) {
            return Err(TrustError::KeyCertSignLeaf);
        }
        // RFC 8446 §4.4.2.2 and §4.4.2.3: where keyUsage is present, digitalSignature is in it.
        if !usage.contains(KeyUsage::DIGITAL_SIGNATURE) {
            return Err(TrustError::KeyUsage);
        }
    }
    // RFC 7030 §3.3.2, RFC 5280 §4.2.1.12: a birth certificate without extendedKeyUsage serves for all; one that has it
    // must say clientAuth itself, "any" is not enough.
    if leaf.ext_key_usage().map_err(malformed_leaf)?.is_some_and(|usages| !usages.contains(&oid::KP_CLIENT_AUTH)) {
        return Err(TrustError::ExtKeyUsage { member: PathMember::Leaf });
    }
    Ok(leaf)
}

fn malformed_leaf(source: estd_asn1::DecodeError) -> TrustError {
    TrustError::Malformed { member: PathMember::Leaf, source }
}

/// RFC 5280 §6.1.4 (k) and (n); webpki does not look at keyUsage.
fn may_issue(certificate: &Certificate) -> bool {
    let is_ca = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.ca);
    let may_sign =
        certificate.key_usage().map(|usage| usage.is_none_or(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN)));
    is_ca && may_sign.unwrap_or(false)
}

/// Asks the certificates on the path, if they have an extendedKeyUsage at all, for clientAuth or "any". (The leaf was
/// asked for clientAuth before.)
struct ClientAuthIfPresent;

/// Content octets of id-kp-clientAuth and anyExtendedKeyUsage.
const CLIENT_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]);
const ANY_USAGE: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0x00]);

impl ExtendedKeyUsageValidator for ClientAuthIfPresent {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut absent = true;
        for usage in usages {
            let usage = usage?;
            if usage == CLIENT_AUTH || usage == ANY_USAGE {
                return Ok(());
            }
            absent = false;
        }
        if absent { Ok(()) } else { Err(webpki::Error::EmptyEkuExtension) }
    }
}

/// webpki does not look at the pathLenConstraint of an anchor; a path that breaks it is passed over.
fn anchor_path_length(path: &VerifiedPath<'_>, set: &AnchorSet, now: DateTime<Utc>) -> Result<(), webpki::Error> {
    let anchor = anchor_certificate(path.anchor(), set, now);
    let limit = anchor.and_then(|anchor| anchor.basic_constraints().ok().flatten()?.path_len);
    // RFC 5280 §4.2.1.9: self-issued certificates are not counted.
    let length = path.intermediate_certificates().filter(|found| found.issuer() != found.subject()).count();
    if limit.is_none_or(|limit| length as u64 <= u64::from(limit)) {
        Ok(())
    } else {
        Err(webpki::Error::PathLenConstraintViolated)
    }
}

/// The certificate an anchor was made of. A CA certificate that was renewed over the same key makes the same anchor
/// twice: the one that is valid now is meant.
fn anchor_certificate<'set>(
    anchor: &TrustAnchor<'_>,
    set: &'set AnchorSet,
    now: DateTime<Utc>,
) -> Option<&'set Certificate> {
    let is_same = |known: &TrustAnchor<'_>| {
        known.subject == anchor.subject && known.subject_public_key_info == anchor.subject_public_key_info
    };
    let matching = || set.anchors.iter().zip(&set.certificates).filter(|(known, _)| is_same(known));
    let is_current = |certificate: &Certificate| {
        let validity = certificate.validity();
        (validity.not_before..=validity.not_after).contains(&now)
    };
    let current = matching().find(|(_, certificate)| is_current(certificate));
    current.or_else(|| matching().next()).map(|(_, certificate)| certificate)
}

fn date(time: UnixTime) -> DateTime<Utc> {
    let seconds = i64::try_from(time.as_secs()).ok();
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
