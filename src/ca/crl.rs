//! Certificate revocation lists, signed by their CA (RFC 5280 section 5).

use chrono::{DateTime, Utc};
use estd_asn1::crl::{self, TbsCertList};
use estd_asn1::{Extension, KeyUsage, Oid, extension, oid};

use super::authority::CertificateAuthority;
use super::issuance::IssuanceFault;
use crate::pki::signature;

/// What a list says.
#[derive(Debug, Clone, Copy)]
pub struct CrlContents<'a> {
    /// cRLNumber, never used before for a list of the same certificates.
    pub number: u64,
    /// thisUpdate
    pub this_update: DateTime<Utc>,
    /// nextUpdate
    pub next_update: DateTime<Utc>,
    /// The revocations, encoded one after the other.
    pub entries: &'a [u8],
    /// In a delta CRL, the number of the list it builds on.
    pub base: Option<u64>,
    /// Where the list of a part of the certificates is found, as they name it; `None` when it is the list of all.
    pub part_at: Option<&'a str>,
    /// Where its delta CRL is found.
    pub delta_at: Option<&'a str>,
}

impl CertificateAuthority {
    /// Whether its certificate lets it sign lists (RFC 5280 section 4.2.1.3).
    pub fn may_sign_crls(&self) -> bool {
        self.certificate().key_usage().ok().flatten().is_none_or(|usage| usage.contains(KeyUsage::CRL_SIGN))
    }

    /// Signs a list; gives the CertificateList in DER.
    ///
    /// # Errors
    /// When the signer fails or its signature does not verify.
    pub fn sign_crl(&self, contents: &CrlContents<'_>) -> Result<Vec<u8>, IssuanceFault> {
        let algorithm = self.signer().algorithm();
        let tbs = TbsCertList {
            signature: algorithm.identifier(),
            issuer: self.certificate().subject(),
            this_update: contents.this_update,
            next_update: contents.next_update,
            entries: contents.entries,
            extensions: &self.crl_extensions(contents),
        }
        .encode();
        let signature = self.signer().sign(&tbs)?;
        if self.signer().is_external() {
            signature::verify(self.key(), algorithm, &tbs, &signature).map_err(IssuanceFault::BadSignature)?;
        }
        Ok(crl::encode_certificate_list(&tbs, algorithm.identifier(), &signature))
    }

    fn crl_extensions(&self, contents: &CrlContents<'_>) -> Vec<Extension> {
        let of = |oid: Oid, critical, value| Extension { oid, critical, value };
        // RFC 5280 §5.2.1 and §5.2.3: authorityKeyIdentifier and cRLNumber MUST be there, not critical.
        let identifier = extension::encode_authority_key_identifier(self.key_identifier());
        let mut extensions = vec![
            of(oid::AUTHORITY_KEY_IDENTIFIER, false, identifier),
            of(oid::CRL_NUMBER, false, crl::encode_crl_number(contents.number)),
        ];
        // RFC 5280 §5.2.4: deltaCRLIndicator is critical.
        extensions.extend(contents.base.map(|base| of(oid::DELTA_CRL_INDICATOR, true, crl::encode_crl_number(base))));
        // RFC 5280 §5.2.5: issuingDistributionPoint is critical.
        extensions.extend(
            contents
                .part_at
                .map(|uri| of(oid::ISSUING_DISTRIBUTION_POINT, true, crl::encode_issuing_distribution_point(uri))),
        );
        // RFC 5280 §5.2.6: freshestCRL is not critical and "MUST NOT appear in delta CRLs".
        extensions.extend(
            contents
                .delta_at
                .filter(|_| contents.base.is_none())
                .map(|uri| of(oid::FRESHEST_CRL, false, extension::encode_crl_distribution_points(&[uri.to_owned()]))),
        );
        extensions
    }
}
