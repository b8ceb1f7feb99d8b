//! Object identifiers: the type and the registered values estd knows.

use std::borrow::Cow;
use std::fmt;

use rasn::types::ObjectIdentifier;

use crate::{DecodeError, der};

/// Largest second arc under the root arcs 0 and 1 (X.660).
const MAX_SECOND_ARC: u32 = 39;

/// What the root arc 2 adds to the second arc on the wire (X.690 section 8.19.4).
const ROOT_TWO_OFFSET: u32 = 80;

/// An OBJECT IDENTIFIER, comparable and hashable, shown in dotted form.
///
/// Arcs are 32 bits wide; an identifier with a wider arc does not decode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Cow<'static, [u32]>);

impl Oid {
    /// A registered value; the caller vouches that the arcs are valid (see [`Oid::parse`]).
    pub const fn new_static(arcs: &'static [u32]) -> Self {
        Self(Cow::Borrowed(arcs))
    }

    /// Parses dotted decimal (`1.2.840.113549.1.9.14`): at least two arcs, no leading zeros, X.660 limits on the first two.
    pub fn parse(dotted: &str) -> Option<Self> {
        let arcs = dotted.split('.').map(parse_arc).collect::<Option<Vec<u32>>>()?;
        let valid = match *arcs.first()? {
            0 | 1 => *arcs.get(1)? <= MAX_SECOND_ARC,
            2 => *arcs.get(1)? <= u32::MAX - ROOT_TWO_OFFSET,
            _ => false,
        };
        valid.then_some(Self(Cow::Owned(arcs)))
    }

    /// The arcs.
    pub fn arcs(&self) -> &[u32] {
        &self.0
    }

    /// Decodes the TLV of an OBJECT IDENTIFIER.
    ///
    /// # Errors
    /// When the bytes are not the DER of one object identifier with arcs of at most 32 bits.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        der::decode::<ObjectIdentifier>("OBJECT IDENTIFIER", der).map(|oid| Self::from_wire(&oid))
    }

    /// The TLV.
    pub fn encode(&self) -> Vec<u8> {
        der::encode(&self.to_wire())
    }

    pub(crate) fn from_wire(oid: &ObjectIdentifier) -> Self {
        let arcs: &[u32] = oid.as_ref();
        Self(Cow::Owned(arcs.to_vec()))
    }

    pub(crate) fn to_wire(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unchecked(self.0.clone())
    }
}

/// One arc in decimal, as X.680 writes numbers: digits only, no leading zero.
fn parse_arc(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arc) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "." };
            write!(formatter, "{separator}{arc}")?;
        }
        Ok(())
    }
}

macro_rules! registered {
    ($($(#[$doc:meta])+ $name:ident = $($arc:literal)+;)+) => {
        $($(#[$doc])+ pub const $name: Oid = Oid::new_static(&[$($arc),+]);)+
    };
}

registered! {
    /// challengePassword (RFC 2985 section 5.4.1)
    CHALLENGE_PASSWORD = 1 2 840 113549 1 9 7;
    /// extensionRequest (RFC 2985 section 5.4.2)
    EXTENSION_REQUEST = 1 2 840 113549 1 9 14;
    /// Microsoft's alias of extensionRequest (`szOID_CERT_EXTENSIONS`)
    MS_EXTENSION_REQUEST = 1 3 6 1 4 1 311 2 1 14;
    /// smimeCapabilities (RFC 8551 section 2.5.2)
    SMIME_CAPABILITIES = 1 2 840 113549 1 9 15;
    /// contentType (RFC 5652 section 11.1)
    CONTENT_TYPE = 1 2 840 113549 1 9 3;
    /// messageDigest (RFC 5652 section 11.2)
    MESSAGE_DIGEST = 1 2 840 113549 1 9 4;
    /// signingTime (RFC 5652 section 11.3)
    SIGNING_TIME = 1 2 840 113549 1 9 5;
    /// unstructuredName (RFC 2985 section 5.4.3)
    UNSTRUCTURED_NAME = 1 2 840 113549 1 9 2;
    /// id-aa-decryptKeyID (RFC 4108 section 2.2.5, RFC 7030 section 4.4.1.1)
    DECRYPT_KEY_IDENTIFIER = 1 2 840 113549 1 9 16 2 37;
    /// id-aa-asymmDecryptKeyID (RFC 7030 section 4.4.1.2)
    ASYMM_DECRYPT_KEY_IDENTIFIER = 1 2 840 113549 1 9 16 2 54;
    /// id-aa-otpChallenge (RFC 7894 section 3.1)
    OTP_CHALLENGE = 1 2 840 113549 1 9 16 2 56;
    /// id-aa-revocationChallenge (RFC 7894 section 3.2)
    REVOCATION_CHALLENGE = 1 2 840 113549 1 9 16 2 57;
    /// id-aa-estIdentityLinking (RFC 7894 section 3.3)
    EST_IDENTITY_LINKING = 1 2 840 113549 1 9 16 2 58;
    /// id-aa-certificationRequestInfoTemplate (RFC 9908 section 3.4)
    CERTIFICATION_REQUEST_INFO_TEMPLATE = 1 2 840 113549 1 9 16 2 61;
    /// id-aa-extensionReqTemplate (RFC 9908 section 3.4)
    EXTENSION_REQ_TEMPLATE = 1 2 840 113549 1 9 16 2 62;
    /// id-cmc-changeSubjectName (RFC 6402 section 2.8)
    CHANGE_SUBJECT_NAME = 1 3 6 1 5 5 7 7 36;

    /// id-ce-subjectDirectoryAttributes
    SUBJECT_DIRECTORY_ATTRIBUTES = 2 5 29 9;
    /// id-ce-subjectKeyIdentifier
    SUBJECT_KEY_IDENTIFIER = 2 5 29 14;
    /// id-ce-keyUsage
    KEY_USAGE = 2 5 29 15;
    /// id-ce-subjectAltName
    SUBJECT_ALT_NAME = 2 5 29 17;
    /// id-ce-issuerAltName
    ISSUER_ALT_NAME = 2 5 29 18;
    /// id-ce-basicConstraints
    BASIC_CONSTRAINTS = 2 5 29 19;
    /// id-ce-nameConstraints
    NAME_CONSTRAINTS = 2 5 29 30;
    /// id-ce-cRLDistributionPoints
    CRL_DISTRIBUTION_POINTS = 2 5 29 31;
    /// id-ce-certificatePolicies
    CERTIFICATE_POLICIES = 2 5 29 32;
    /// id-ce-policyMappings
    POLICY_MAPPINGS = 2 5 29 33;
    /// id-ce-authorityKeyIdentifier
    AUTHORITY_KEY_IDENTIFIER = 2 5 29 35;
    /// id-ce-policyConstraints
    POLICY_CONSTRAINTS = 2 5 29 36;
    /// id-ce-extKeyUsage
    EXT_KEY_USAGE = 2 5 29 37;
    /// id-ce-cRLNumber
    CRL_NUMBER = 2 5 29 20;
    /// id-ce-cRLReasons
    CRL_REASONS = 2 5 29 21;
    /// id-ce-deltaCRLIndicator
    DELTA_CRL_INDICATOR = 2 5 29 27;
    /// id-ce-issuingDistributionPoint
    ISSUING_DISTRIBUTION_POINT = 2 5 29 28;
    /// id-ce-freshestCRL
    FRESHEST_CRL = 2 5 29 46;
    /// id-ce-inhibitAnyPolicy
    INHIBIT_ANY_POLICY = 2 5 29 54;
    /// id-pe-authorityInfoAccess
    AUTHORITY_INFO_ACCESS = 1 3 6 1 5 5 7 1 1;
    /// id-pe-subjectInfoAccess
    SUBJECT_INFO_ACCESS = 1 3 6 1 5 5 7 1 11;
    /// id-pe-tlsfeature (RFC 7633)
    TLS_FEATURE = 1 3 6 1 5 5 7 1 24;
    /// id-ad-ocsp
    AD_OCSP = 1 3 6 1 5 5 7 48 1;
    /// id-pkix-ocsp-basic (RFC 6960 section 4.2.1)
    OCSP_BASIC = 1 3 6 1 5 5 7 48 1 1;
    /// id-pkix-ocsp-nonce (RFC 9654 section 2.1)
    OCSP_NONCE = 1 3 6 1 5 5 7 48 1 2;
    /// id-pkix-ocsp-response (RFC 6960 section 4.4.3)
    OCSP_RESPONSE = 1 3 6 1 5 5 7 48 1 4;
    /// id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1)
    OCSP_NO_CHECK = 1 3 6 1 5 5 7 48 1 5;
    /// id-ad-caIssuers
    AD_CA_ISSUERS = 1 3 6 1 5 5 7 48 2;

    /// anyExtendedKeyUsage (RFC 5280 section 4.2.1.12)
    ANY_EXTENDED_KEY_USAGE = 2 5 29 37 0;
    /// id-kp-serverAuth
    KP_SERVER_AUTH = 1 3 6 1 5 5 7 3 1;
    /// id-kp-clientAuth
    KP_CLIENT_AUTH = 1 3 6 1 5 5 7 3 2;
    /// id-kp-codeSigning
    KP_CODE_SIGNING = 1 3 6 1 5 5 7 3 3;
    /// id-kp-emailProtection
    KP_EMAIL_PROTECTION = 1 3 6 1 5 5 7 3 4;
    /// id-kp-timeStamping
    KP_TIME_STAMPING = 1 3 6 1 5 5 7 3 8;
    /// id-kp-OCSPSigning
    KP_OCSP_SIGNING = 1 3 6 1 5 5 7 3 9;
    /// id-kp-cmcCA (RFC 6402 section 2.10)
    KP_CMC_CA = 1 3 6 1 5 5 7 3 27;
    /// id-kp-cmcRA (RFC 6402 section 2.10)
    KP_CMC_RA = 1 3 6 1 5 5 7 3 28;
    /// id-kp-cmcArchive (RFC 6402 section 2.10)
    KP_CMC_ARCHIVE = 1 3 6 1 5 5 7 3 29;

    /// id-on-hardwareModuleName (RFC 4108 section 5)
    HARDWARE_MODULE_NAME = 1 3 6 1 5 5 7 8 4;
    /// id-on-permanentIdentifier (RFC 4043)
    PERMANENT_IDENTIFIER = 1 3 6 1 5 5 7 8 3;
    /// Microsoft's user principal name
    MS_USER_PRINCIPAL_NAME = 1 3 6 1 4 1 311 20 2 3;

    /// id-at-commonName, `CN`
    AT_COMMON_NAME = 2 5 4 3;
    /// id-at-surname, `SN`
    AT_SURNAME = 2 5 4 4;
    /// id-at-serialNumber: the serial number of a device (X.520)
    AT_SERIAL_NUMBER = 2 5 4 5;
    /// id-at-countryName, `C`
    AT_COUNTRY_NAME = 2 5 4 6;
    /// id-at-localityName, `L`
    AT_LOCALITY_NAME = 2 5 4 7;
    /// id-at-stateOrProvinceName, `ST`
    AT_STATE_OR_PROVINCE_NAME = 2 5 4 8;
    /// id-at-streetAddress, `STREET`
    AT_STREET_ADDRESS = 2 5 4 9;
    /// id-at-organizationName, `O`
    AT_ORGANIZATION_NAME = 2 5 4 10;
    /// id-at-organizationalUnitName, `OU`
    AT_ORGANIZATIONAL_UNIT_NAME = 2 5 4 11;
    /// id-at-title
    AT_TITLE = 2 5 4 12;
    /// id-at-postalCode
    AT_POSTAL_CODE = 2 5 4 17;
    /// id-at-name
    AT_NAME = 2 5 4 41;
    /// id-at-givenName
    AT_GIVEN_NAME = 2 5 4 42;
    /// id-at-initials
    AT_INITIALS = 2 5 4 43;
    /// id-at-generationQualifier
    AT_GENERATION_QUALIFIER = 2 5 4 44;
    /// id-at-x500UniqueIdentifier
    AT_UNIQUE_IDENTIFIER = 2 5 4 45;
    /// id-at-dnQualifier
    AT_DN_QUALIFIER = 2 5 4 46;
    /// id-at-pseudonym
    AT_PSEUDONYM = 2 5 4 65;
    /// id-at-organizationIdentifier (X.520)
    AT_ORGANIZATION_IDENTIFIER = 2 5 4 97;
    /// uid (RFC 4519 section 2.39)
    AT_USER_ID = 0 9 2342 19200300 100 1 1;
    /// id-domainComponent, `DC`
    AT_DOMAIN_COMPONENT = 0 9 2342 19200300 100 1 25;
    /// id-emailAddress (PKCS #9)
    AT_EMAIL_ADDRESS = 1 2 840 113549 1 9 1;

    /// rsaEncryption
    RSA_ENCRYPTION = 1 2 840 113549 1 1 1;
    /// id-RSASSA-PSS: a key and a signature algorithm
    RSASSA_PSS = 1 2 840 113549 1 1 10;
    /// id-ecPublicKey
    EC_PUBLIC_KEY = 1 2 840 10045 2 1;
    /// id-Ed25519: a key and a signature algorithm (RFC 8410)
    ED25519 = 1 3 101 112;
    /// secp256r1, P-256
    SECP256R1 = 1 2 840 10045 3 1 7;
    /// secp384r1, P-384
    SECP384R1 = 1 3 132 0 34;
    /// secp521r1, P-521
    SECP521R1 = 1 3 132 0 35;

    /// md5WithRSAEncryption
    MD5_WITH_RSA = 1 2 840 113549 1 1 4;
    /// sha1WithRSAEncryption
    SHA1_WITH_RSA = 1 2 840 113549 1 1 5;
    /// sha256WithRSAEncryption
    SHA256_WITH_RSA = 1 2 840 113549 1 1 11;
    /// sha384WithRSAEncryption
    SHA384_WITH_RSA = 1 2 840 113549 1 1 12;
    /// sha512WithRSAEncryption
    SHA512_WITH_RSA = 1 2 840 113549 1 1 13;
    /// sha224WithRSAEncryption
    SHA224_WITH_RSA = 1 2 840 113549 1 1 14;
    /// id-mgf1
    MGF1 = 1 2 840 113549 1 1 8;
    /// ecdsa-with-SHA1
    ECDSA_WITH_SHA1 = 1 2 840 10045 4 1;
    /// ecdsa-with-SHA224
    ECDSA_WITH_SHA224 = 1 2 840 10045 4 3 1;
    /// ecdsa-with-SHA256
    ECDSA_WITH_SHA256 = 1 2 840 10045 4 3 2;
    /// ecdsa-with-SHA384
    ECDSA_WITH_SHA384 = 1 2 840 10045 4 3 3;
    /// ecdsa-with-SHA512
    ECDSA_WITH_SHA512 = 1 2 840 10045 4 3 4;
    /// id-md5
    MD5 = 1 2 840 113549 2 5;
    /// id-sha1
    SHA1 = 1 3 14 3 2 26;
    /// id-sha256
    SHA256 = 2 16 840 1 101 3 4 2 1;
    /// id-sha384
    SHA384 = 2 16 840 1 101 3 4 2 2;
    /// id-sha512
    SHA512 = 2 16 840 1 101 3 4 2 3;

    /// id-data (RFC 5652 section 4)
    DATA = 1 2 840 113549 1 7 1;
    /// id-signedData (RFC 5652 section 5.1)
    SIGNED_DATA = 1 2 840 113549 1 7 2;
    /// id-envelopedData (RFC 5652 section 6.1)
    ENVELOPED_DATA = 1 2 840 113549 1 7 3;
    /// id-ct-KP-aKeyPackage (RFC 5958 section 2)
    ASYMMETRIC_KEY_PACKAGE = 2 16 840 1 101 2 1 2 78 5;

    /// id-RSAES-OAEP (RFC 3560)
    RSAES_OAEP = 1 2 840 113549 1 1 7;
    /// dhSinglePass-stdDH-sha256kdf-scheme (RFC 5753 section 7.1.4)
    DH_SINGLE_PASS_STD_DH_SHA256_KDF = 1 3 132 1 11 1;
    /// id-aes128-wrap (RFC 3565)
    AES128_WRAP = 2 16 840 1 101 3 4 1 5;
    /// id-aes192-wrap (RFC 3565)
    AES192_WRAP = 2 16 840 1 101 3 4 1 25;
    /// id-aes256-wrap (RFC 3565)
    AES256_WRAP = 2 16 840 1 101 3 4 1 45;
    /// id-aes128-CBC (RFC 3565)
    AES128_CBC = 2 16 840 1 101 3 4 1 2;
    /// id-aes192-CBC (RFC 3565)
    AES192_CBC = 2 16 840 1 101 3 4 1 22;
    /// id-aes256-CBC (RFC 3565)
    AES256_CBC = 2 16 840 1 101 3 4 1 42;
    /// id-aes128-GCM (RFC 5084)
    AES128_GCM = 2 16 840 1 101 3 4 1 6;
    /// id-aes192-GCM (RFC 5084)
    AES192_GCM = 2 16 840 1 101 3 4 1 26;
    /// id-aes256-GCM (RFC 5084)
    AES256_GCM = 2 16 840 1 101 3 4 1 46;
    /// des-ede3-cbc (RFC 3370 section 5.1)
    DES_EDE3_CBC = 1 2 840 113549 3 7;
    /// rc2-cbc (RFC 3370 section 5.2)
    RC2_CBC = 1 2 840 113549 3 2;
    /// id-cct-PKIData (RFC 5272 section 3.2.1)
    PKI_DATA = 1 3 6 1 5 5 7 12 2;
    /// id-cct-PKIResponse (RFC 5272 section 4.2.1)
    PKI_RESPONSE = 1 3 6 1 5 5 7 12 3;

    /// id-cmc-identification (RFC 6402)
    CMC_IDENTIFICATION = 1 3 6 1 5 5 7 7 2;
    /// id-cmc-identityProof (RFC 6402)
    CMC_IDENTITY_PROOF = 1 3 6 1 5 5 7 7 3;
    /// id-cmc-dataReturn (RFC 6402)
    CMC_DATA_RETURN = 1 3 6 1 5 5 7 7 4;
    /// id-cmc-transactionId (RFC 6402)
    CMC_TRANSACTION_ID = 1 3 6 1 5 5 7 7 5;
    /// id-cmc-senderNonce (RFC 6402)
    CMC_SENDER_NONCE = 1 3 6 1 5 5 7 7 6;
    /// id-cmc-recipientNonce (RFC 6402)
    CMC_RECIPIENT_NONCE = 1 3 6 1 5 5 7 7 7;
    /// id-cmc-addExtensions (RFC 6402)
    CMC_ADD_EXTENSIONS = 1 3 6 1 5 5 7 7 8;
    /// id-cmc-lraPOPWitness (RFC 6402)
    CMC_LRA_POP_WITNESS = 1 3 6 1 5 5 7 7 11;
    /// id-cmc-revokeRequest (RFC 6402)
    CMC_REVOKE_REQUEST = 1 3 6 1 5 5 7 7 17;
    /// id-cmc-regInfo (RFC 6402)
    CMC_REG_INFO = 1 3 6 1 5 5 7 7 18;
    /// id-cmc-queryPending (RFC 6402)
    CMC_QUERY_PENDING = 1 3 6 1 5 5 7 7 21;
    /// id-cmc-popLinkRandom (RFC 6402)
    CMC_POP_LINK_RANDOM = 1 3 6 1 5 5 7 7 22;
    /// id-cmc-confirmCertAcceptance (RFC 6402)
    CMC_CONFIRM_CERT_ACCEPTANCE = 1 3 6 1 5 5 7 7 24;
    /// id-cmc-statusInfoV2 (RFC 6402)
    CMC_STATUS_INFO_V2 = 1 3 6 1 5 5 7 7 25;
    /// id-cmc-trustedAnchors (RFC 6402)
    CMC_TRUSTED_ANCHORS = 1 3 6 1 5 5 7 7 26;
    /// id-cmc-batchRequests (RFC 6402)
    CMC_BATCH_REQUESTS = 1 3 6 1 5 5 7 7 28;
    /// id-cmc-batchResponses (RFC 6402)
    CMC_BATCH_RESPONSES = 1 3 6 1 5 5 7 7 29;
    /// id-cmc-modCertTemplate (RFC 6402)
    CMC_MOD_CERT_TEMPLATE = 1 3 6 1 5 5 7 7 31;
    /// id-cmc-controlProcessed (RFC 6402)
    CMC_CONTROL_PROCESSED = 1 3 6 1 5 5 7 7 32;
    /// id-cmc-popLinkWitnessV2 (RFC 6402)
    CMC_POP_LINK_WITNESS_V2 = 1 3 6 1 5 5 7 7 33;
    /// id-cmc-identityProofV2 (RFC 6402)
    CMC_IDENTITY_PROOF_V2 = 1 3 6 1 5 5 7 7 34;
    /// id-cmc-raIdentityWitness (RFC 6402)
    CMC_RA_IDENTITY_WITNESS = 1 3 6 1 5 5 7 7 35;
    /// id-cmc-changeSubjectName (RFC 6402)
    CMC_CHANGE_SUBJECT_NAME = 1 3 6 1 5 5 7 7 36;

    /// hmacWithSHA256 (RFC 8018 appendix B.1.2)
    HMAC_WITH_SHA256 = 1 2 840 113549 2 9;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_form_round_trips() {
        for dotted in ["0.0", "1.39", "2.5.4.3", "1.2.840.113549.1.9.14", "2.4294967215", "2.999.1"] {
            let oid = Oid::parse(dotted).unwrap();
            assert_eq!(oid.to_string(), dotted);
            assert_eq!(Oid::decode(&oid.encode()), Ok(oid));
        }
    }

    #[test]
    fn what_x660_forbids_does_not_parse() {
        for dotted in ["", "1", "3.1", "1.40", "2.4294967216", "1.2.", "1..2", "1.02", "1.+2", "1.2.4294967296", "a.b"]
        {
            assert_eq!(Oid::parse(dotted), None, "{dotted}");
        }
    }

    #[test]
    fn non_minimal_arcs_are_refused() {
        assert_eq!(Oid::decode(&[0x06, 0x03, 0x55, 0x80, 0x01]), Err(DecodeError::ObjectIdentifier { offset: 0 }));
    }
}
