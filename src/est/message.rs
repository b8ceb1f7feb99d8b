//! EST requests and responses as values; bodies are DER, base64 belongs to HTTP.

use zeroize::Zeroizing;

use super::authorization::PresentedCredential;
use super::operation::EstTarget;
use super::renewal_info::RenewalInfo;

/// A request, decoded from its transfer encoding.
#[derive(Debug, Clone)]
pub struct EstRequest {
    /// Operation and label.
    pub target: EstTarget,
    /// DER of the body; empty for operations without one.
    pub body: Vec<u8>,
    /// What its Authorization field says, where that is looked at.
    pub credential: Option<PresentedCredential>,
}

/// An answer to a request that succeeded. It may hold a private key, so it is neither copied nor shown.
pub struct EstResponse {
    /// What the body is.
    pub body: ResponseBody,
}

/// The bodies of successful answers.
pub enum ResponseBody {
    /// The CA certificates, certs-only DER (RFC 7030 section 4.1.3).
    CaCerts(std::sync::Arc<[u8]>),
    /// The issued certificate alone, certs-only DER (RFC 7030 section 4.2.3).
    Issued(Vec<u8>),
    /// Nothing yet: the client asks again (RFC 7030 section 4.2.3).
    Deferred {
        /// After so many seconds.
        retry_after: u32,
    },
    /// CsrAttrs, DER, and whether they are one device's (RFC 7030 section 4.5.2). `None`: nothing is asked of a request.
    CsrAttrs {
        /// DER.
        attrs: Option<Vec<u8>>,
        /// They name the device that asked.
        tailored: bool,
    },
    /// A private key that was made for the client, and its certificate alone as above (RFC 7030 section 4.4.2).
    KeyGenerated {
        /// The key.
        key: DeliveredKey,
        /// The certificate, certs-only DER.
        certificate: Vec<u8>,
    },
    /// A Full PKI Response (RFC 7030 section 4.3.2).
    FullPki {
        /// DER.
        response: Vec<u8>,
        /// The request waits: the client asks again after so many seconds.
        retry_after: Option<u32>,
    },
    /// When to renew a certificate.
    RenewalInfo(RenewalInfo),
}

/// A private key on its way to its owner.
pub enum DeliveredKey {
    /// PrivateKeyInfo (RFC 5958), DER; wiped when dropped.
    Plain(Zeroizing<Vec<u8>>),
    /// The same, signed and encrypted: CMS EnvelopedData, DER.
    Encrypted(Vec<u8>),
}
