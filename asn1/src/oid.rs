//! Object identifiers: the type and the registered values estd knows.

/// An OBJECT IDENTIFIER, comparable and hashable, shown in dotted form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(std::borrow::Cow<'static, [u32]>);
impl Oid {
    /// const constructor for registered values
    pub const fn new_static(_arcs: &'static [u32]) -> Self {
        todo!()
    }
    /// Parses dotted decimal ("1.2.840.113549.1.9.14"); at least two arcs, X.660 limits on the first two.
    pub fn parse(_dotted: &str) -> Option<Self> {
        todo!()
    }
    /// The arcs.
    pub fn arcs(&self) -> &[u32] {
        todo!()
    }
}
// consts: one per OID needed, RFC name in SCREAMING_SNAKE, e.g. CHALLENGE_PASSWORD, EXTENSION_REQUEST, MS_EXTENSION_REQUEST,
// SUBJECT_ALT_NAME, KEY_USAGE, EXT_KEY_USAGE, BASIC_CONSTRAINTS, SUBJECT_KEY_IDENTIFIER, AUTHORITY_KEY_IDENTIFIER,
// CRL_DISTRIBUTION_POINTS, AUTHORITY_INFO_ACCESS, CERTIFICATE_POLICIES, NAME_CONSTRAINTS, HARDWARE_MODULE_NAME,
// KP_CLIENT_AUTH, KP_SERVER_AUTH, KP_OCSP_SIGNING, KP_CMC_RA, KP_CMC_CA, KP_CMC_ARCHIVE, ANY_EXTENDED_KEY_USAGE, AT_COMMON_NAME.. (all usual DN attributes),
// RSA_ENCRYPTION, SHA256_WITH_RSA.. ECDSA_WITH_SHA256.., RSASSA_PSS, ED25519, EC_PUBLIC_KEY, SECP256R1, SECP384R1, SECP521R1, MD5_WITH_RSA, SHA1_WITH_RSA, ECDSA_WITH_SHA1
