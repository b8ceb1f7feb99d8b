//! Refusals: what a client did that cannot be served, told so that a device engineer can act on it.

use std::borrow::Cow;
use std::fmt;

macro_rules! rejection_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// The stable code of a refusal; part of the interface, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RejectionCode { $($(#[$doc])* $variant),+ }

        impl RejectionCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands in answers, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

rejection_codes! {
    /// The path names no operation or label of this server.
    NotFound = "not_found",
    /// The host is a tenant's own, and the TLS handshake asked for another, or the other way round.
    Misdirected = "misdirected",
    /// The method is not the operation's.
    MethodNotAllowed = "method_not_allowed",
    /// The media type is not the operation's.
    UnsupportedMediaType = "unsupported_media_type",
    /// The HTTP request breaks RFC 9112.
    BadRequest = "bad_request",
    /// The request head is larger than the limit.
    HeaderTooLarge = "header_too_large",
    /// The body is larger than the limit.
    BodyTooLarge = "body_too_large",
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout",
    /// The body is not base64 of one DER value.
    BadEncoding = "bad_encoding",
    /// The body is not a PKCS#10 certification request.
    BadRequestSyntax = "bad_csr",
    /// The self-signature of the request does not verify.
    PossessionInvalid = "pop_invalid",
    /// The signature algorithm of the request is not accepted.
    SignatureAlgorithm = "signature_algorithm",
    /// The key is weak, malformed or of a kind the profile does not allow.
    WeakKey = "weak_key",
    /// The key is not of a kind the profile allows.
    KeyNotAllowed = "key_not_allowed",
    /// The key belongs to another device or to a CA.
    KeyInUse = "key_in_use",
    /// A certificate over the key was revoked because somebody else has the key.
    KeyCompromised = "key_compromised",
    /// A requested extension or attribute is not allowed.
    ExtensionNotAllowed = "extension_not_allowed",
    /// A requested name is not well-formed.
    BadName = "bad_name",
    /// No certificate was presented.
    AuthMissing = "auth_missing",
    /// The presented certificate does not lead to an anchor of the label.
    Untrusted = "untrusted",
    /// The presented certificate is expired or not yet valid.
    NotInValidity = "not_in_validity",
    /// The presented certificate may not act as a client.
    CertificateUsage = "certificate_usage",
    /// The presented certificate is revoked.
    Revoked = "revoked",
    /// The presented certificate belongs to another label or tenant.
    CrossTenant = "cross_tenant",
    /// The birth certificate carries no device identity where the label looks for it.
    IdentityMissing = "identity_missing",
    /// The request names another device than the certificate proves.
    IdentityMismatch = "identity_mismatch",
    /// The subject differs from the one of the certificate being renewed.
    SubjectMismatch = "subject_mismatch",
    /// The subjectAltName differs from the one of the certificate being renewed.
    SubjectAltNameMismatch = "san_mismatch",
    /// The operation needs a certificate this CA issued.
    NotRenewable = "not_renewable",
    /// The certificate was renewed, and the one that renewed it is in use.
    Superseded = "superseded",
    /// The device is not on the list of this tenant.
    DeviceNotListed = "device_not_listed",
    /// The device was suspended by an operator.
    DeviceSuspended = "device_suspended",
    /// The device was revoked by an operator.
    DeviceRevoked = "device_revoked",
    /// The device id belongs to a birth certificate of another manufacturer.
    IdentityConflict = "identity_conflict",
    /// The birth certificate enrolled with another key, whose certificate is in use.
    CloneSuspected = "clone_suspected",
    /// An operator refused the request.
    NotApproved = "not_approved",
    /// The authorization webhook of the label denied the certificate.
    AuthorizationDenied = "authorization_denied",
    /// An RA client asked for a device that it does not speak for.
    RaScope = "ra_scope",
    /// changeSubjectName asks for names that are not given.
    NameChange = "name_change",
    /// The body is no Full PKI Request.
    BadCmc = "bad_cmc",
    /// A Full PKI Request that is signed by somebody else, or by nobody.
    CmcSignature = "cmc_signature",
    /// A control of a Full PKI Request that is not known or not taken, or requests that are not one.
    CmcControl = "cmc_control",
    /// A request without a proof that its sender holds the key.
    PossessionMissing = "pop_missing",
    /// challengePassword or an identity-linking attribute that cannot be checked.
    IdentityLinking = "identity_linking",
    /// A credential is wanted and none came.
    AuthRequired = "auth_required",
    /// The credential is wrong, or of a kind that is not accepted.
    AuthFailed = "auth_failed",
    /// The credential is right but for its nonce, which is too old.
    NonceStale = "nonce_stale",
    /// The one-time enrollment code was used before.
    CodeUsed = "code_used",
    /// Too many wrong credentials from there, or for that user.
    LockedOut = "auth_locked_out",
    /// Keys are not made for this kind of peer here.
    KeyGenerationDenied = "key_generation_denied",
    /// A private key is given out encrypted only, and the request names no key to encrypt to.
    EncryptionRequired = "encryption_required",
    /// The TLS cipher is weaker than the private key it would protect.
    CipherTooWeak = "cipher_too_weak",
    /// The key to encrypt a private key to is not known.
    DecryptKeyUnknown = "decrypt_key_unknown",
    /// The key to encrypt a private key to must not be used so.
    DecryptKeyUnfit = "decrypt_key_unfit",
    /// The request lists no algorithm to encrypt a private key with that is known here.
    NoCommonAlgorithm = "no_common_algorithm",
    /// The server is at a limit; come back later.
    TooManyRequests = "too_many_requests",
    /// More is asked of the server than it can answer in time; come back later.
    Overloaded = "overloaded",
    /// The label or its tenant asks for certificates more often than it may.
    RateLimited = "rate_limited",
    /// The tenant has as many devices or certificates as it may have.
    QuotaExceeded = "quota_exceeded",
}

/// A refusal: the client's doing, with the clause it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    code: RejectionCode,
    clause: &'static str,
    reason: Cow<'static, str>,
    retry_after: Option<u32>,
}

impl Rejection {
    /// `reason` is one sentence, lower case, no full stop, with what was expected and what came; it must carry no
    /// secret. Whatever a client sent must be escaped by the caller.
    pub fn new(code: RejectionCode, clause: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, clause, reason: reason.into(), retry_after: None }
    }

    /// The same refusal, which passes in so many seconds.
    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// After how many seconds it may have passed, where that is known.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// The stable code.
    pub fn code(&self) -> RejectionCode {
        self.code
    }

    /// The clause of the standard, for instance `RFC 7030 4.2.2`.
    pub fn clause(&self) -> &'static str {
        self.clause
    }

    /// The sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Rejection {
    /// `estd: subject_mismatch: … (RFC 7030 4.2.2)`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "estd: {}: {} ({})", self.code.as_str(), self.reason, self.clause)
    }
}

impl std::error::Error for Rejection {}
