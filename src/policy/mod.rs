//! Who may enroll for what. Pure: the same request, peer and rules always give the same decision.

mod extensions;
mod initial;
mod key_delivery;
mod key_generation;
mod limits;
mod linking;
mod name_change;
mod proof;
mod ra_client;
mod registration;
mod renewal;
mod renewal_window;

use std::ops::Deref;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::est::{Operation, Rejection, RejectionCode, Rule, Trace};
use crate::pki::device_identity::{DeviceId, IdentitySource};
use crate::pki::profile::EnrollmentProfile;
use crate::pki::public_key::{KeyType, PublicKey};
use crate::pki::request::{CheckedRequest, VerifiedRequest};
use crate::pki::trust::{AnchorClass, AuthenticatedPeer};
use estd_asn1::{Certificate, GeneralName, Name};

pub use key_delivery::KeyDelivery;
pub use key_generation::{AuthorizedGeneration, KeyGenerationRules, authorize_generation};
pub use limits::{Quotas, RateLimit, TenantLimits, UsageLimits};
pub use linking::{Binding, IdentityLinking};
pub use name_change::NameChange;
pub use proof::{AuthenticationRule, Proof};
pub use ra_client::{RaClient, RaRules};
pub use registration::{ApprovalRules, RegistrationRule, RegistrationRules, RepeatedBirth};
pub use renewal_window::{Renewable, RenewalRules, Slot};

/// What a label demands of those who enroll at it.
#[derive(Debug, Clone)]
pub struct EnrollmentRules {
    /// Where the device id stands in a birth certificate.
    pub identity: IdentitySource,
    /// What is issued.
    pub profile: Arc<EnrollmentProfile>,
    /// How long after its end a certificate of this CA may still renew itself.
    pub renewal_grace: TimeDelta,
    /// Whether requests are linked to their TLS connection.
    pub identity_linking: IdentityLinking,
    /// What becomes of a request for other names.
    pub name_change: NameChange,
    /// Its RA clients.
    pub ra: RaRules,
}

/// Who asks, as far as it was proven.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// What was proven, and is enough for the label.
    pub proof: Proof<'a>,
    /// The device that the store knows the presented certificate to belong to, if it was issued here and is on record.
    pub recorded_device: Option<&'a str>,
    /// The device's certificate on record, for a requester without one who asks to renew.
    pub current: Option<&'a Certificate>,
    /// What requests are linked to.
    pub binding: Binding<'a>,
    /// Bits of security of the connection's cipher, when they are known.
    pub cipher_strength: Option<u16>,
}

/// Leave to issue: the outcome of [`authorize`], or of [`authorize_generation`] and a key, and the only way to a
/// certificate.
#[derive(Debug)]
pub struct AuthorizedEnrollment {
    grant: Grant,
    key: PublicKey,
}

/// What a device is certified as, whichever key it will be.
///
/// Its names are the ones that go into the certificate; they come from what the peer proved, never from the request.
#[derive(Debug)]
pub struct Grant {
    device: String,
    subject: Name,
    subject_alt_names: Vec<GeneralName>,
    profile: Arc<EnrollmentProfile>,
    kind: EnrollmentKind,
    by_approval: bool,
}

/// First certificate or a further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollmentKind {
    /// By birth certificate or another credential.
    Initial,
    /// Of the certificate this CA issued before (RFC 7030 section 4.2.2), whichever operation asked for it.
    Renewal,
}

impl AuthorizedEnrollment {
    /// The key whose possession the request proved, or that was made here.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// A grant with a key is a grant.
impl Deref for AuthorizedEnrollment {
    type Target = Grant;

    fn deref(&self) -> &Grant {
        &self.grant
    }
}

impl Grant {
    /// The device, as it was proven.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The subject to certify.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// The subjectAltName entries to certify.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        &self.subject_alt_names
    }

    /// Subject and subjectAltName in one line, for people to read.
    pub fn listed_names(&self) -> impl std::fmt::Display {
        initial::listed(&self.subject, &self.subject_alt_names)
    }

    /// The profile of today.
    pub fn profile(&self) -> &EnrollmentProfile {
        &self.profile
    }

    /// First certificate or a further one.
    pub fn kind(&self) -> EnrollmentKind {
        self.kind
    }

    /// Whether an operator must say so first, whoever else is let in.
    pub fn awaits_approval(&self) -> bool {
        self.by_approval
    }
}

/// Decides whether `requester` gets a certificate for the key of `request` under `rules`. How each rule came out is taken
/// down in `trace`.
///
/// # Errors
/// The refusal, with the clause it rests on.
pub fn authorize(
    operation: Operation,
    request: &VerifiedRequest,
    requester: &Requester<'_>,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<AuthorizedEnrollment, Rejection> {
    let grant = match operation {
        Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::FullCmc => {
            grant(operation, request, request.key().key_type(), requester, rules, trace)?
        }
        Operation::CaCerts | Operation::CsrAttrs | Operation::ServerKeyGen | Operation::RenewalInfo => {
            let reason = format!("{} certifies no key of a request", operation.segment());
            return Err(Rejection::new(RejectionCode::NotFound, "RFC 7030 3.2.2", reason));
        }
    };
    Ok(AuthorizedEnrollment { grant, key: request.key().clone() })
}

/// Decides about everything but the key itself, which will be of `key_type`.
fn grant(
    operation: Operation,
    request: &CheckedRequest,
    key_type: KeyType,
    requester: &Requester<'_>,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    let client = rules.ra_client(&requester.proof, requester.recorded_device);
    // RFC 7030 §3.7: "POP linking information that does not match the current TLS session because the authenticated EST
    // client RA has verified this information".
    if client.is_some_and(|client| client.judges_linking()) {
        trace.skipped(Rule::IdentityLinking, "left to the ra client", linking::found(request));
    } else {
        linking::check(rules.identity_linking, request, requester.binding, trace)?;
    }
    let allowed = extensions::refuse_privileges(request, key_type, &rules.profile);
    let expected = format_args!("nothing that profile {} withholds", rules.profile.name);
    trace.judged(Rule::RequestedExtensions, expected, extensions::found(request), allowed)?;
    let grant = match (client, requester.proof.peer()) {
        (Some(client), _) => ra_client::authorize(operation, request, &client, requester, rules, trace)?,
        (None, Some(peer)) => by_certificate(operation, request, peer, requester.recorded_device, rules, trace)?,
        (None, None) => by_credential(operation, request, requester, rules, trace)?,
    };
    requester.proof.judge_scope(grant.device(), trace)?;
    rules.refuse_unlisted_ra(grant.device(), trace)?;
    Ok(grant)
}

fn by_certificate(
    operation: Operation,
    request: &CheckedRequest,
    peer: &AuthenticatedPeer,
    recorded_device: Option<&str>,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    match (peer.class(), operation) {
        (AnchorClass::Implicit, Operation::SimpleEnroll | Operation::ServerKeyGen | Operation::FullCmc) => {
            initial::authorize(request, peer, rules, trace)
        }
        // RFC 7030 §4.2.2 renews "an existing certificate" of this CA. Azure IoT's client asks for its renewals by
        // simpleenroll: the certificate it holds decides, not the path it took. RFC 7030 §4.4.1 has serverkeygen treat a
        // request "as it would any enroll or re-enroll CSR".
        (
            AnchorClass::Explicit,
            Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen | Operation::FullCmc,
        ) => {
            let device = match recorded_device {
                Some(device) => Ok(device.to_owned()),
                None => unrecorded_device(peer).map(|device| device.as_str().to_owned()),
            };
            let device = identified("the device that the certificate was issued to", device, trace)?;
            renewal::authorize(request, peer.certificate(), device, rules, trace)
        }
        (AnchorClass::Implicit, Operation::SimpleReenroll) => {
            let reason =
                "simplereenroll expects the certificate this CA issued, a birth certificate came; use simpleenroll";
            let refused = Rejection::new(RejectionCode::NotRenewable, "RFC 7030 4.2.2", reason);
            let (expected, got) = ("a certificate of this ca to renew", "a birth certificate");
            Err(trace.refuse(Rule::CurrentCertificate, expected, got, refused))
        }
        (
            AnchorClass::Implicit | AnchorClass::Explicit,
            Operation::CaCerts | Operation::CsrAttrs | Operation::RenewalInfo,
        ) => Err(enrolls_nobody(operation)),
    }
}

fn by_credential(
    operation: Operation,
    request: &CheckedRequest,
    requester: &Requester<'_>,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    let device = requester.proof.device(request);
    let device = identified("the device that the credential speaks for", device, trace)?;
    match (operation, requester.current) {
        (Operation::SimpleEnroll | Operation::ServerKeyGen | Operation::FullCmc, _) => {
            initial::authorize_without_certificate(request, &device, rules, trace)
        }
        // RFC 7030 §4.2.2: "an existing certificate", which without client authentication is the one on record.
        (Operation::SimpleReenroll, Some(current)) => {
            renewal::authorize(request, current, device.as_str().to_owned(), rules, trace)
        }
        (Operation::SimpleReenroll, None) => Err(nothing_on_record(trace)),
        (Operation::CaCerts | Operation::CsrAttrs | Operation::RenewalInfo, _) => Err(enrolls_nobody(operation)),
    }
}

/// Takes down which device it is, as far as that is told.
fn identified<T: std::fmt::Display>(
    expected: &str,
    device: Result<T, Rejection>,
    trace: &mut Trace,
) -> Result<T, Rejection> {
    let got = device.as_ref().map_or_else(|_| "none".to_owned(), ToString::to_string);
    trace.judged(Rule::DeviceIdentity, expected, got, device)
}

/// The refusal of a renewal for a device that has no certificate here.
fn nothing_on_record(trace: &mut Trace) -> Rejection {
    let refused = Rejection::new(
        RejectionCode::NotRenewable,
        "RFC 7030 4.2.2",
        "simplereenroll expects a certificate that can be renewed, none is on record for this device; use simpleenroll",
    );
    trace.refuse(Rule::CurrentCertificate, "a certificate of the device on record", "none", refused)
}

fn enrolls_nobody(operation: Operation) -> Rejection {
    let reason = format!("{} enrolls nobody", operation.segment());
    Rejection::new(RejectionCode::NotFound, "RFC 7030 3.2.2", reason)
}

/// The names that a certificate for `peer` would carry, whatever its request said.
///
/// # Errors
/// When the presented certificate does not say who the device is.
pub fn expected_names(
    peer: &AuthenticatedPeer,
    rules: &EnrollmentRules,
) -> Result<(Name, Vec<GeneralName>), Rejection> {
    match peer.class() {
        AnchorClass::Implicit => initial::expected_names(peer, rules),
        AnchorClass::Explicit => renewal::current_names(peer.certificate()),
    }
}

/// The device id of a peer whose certificate is not on record.
fn unrecorded_device(peer: &AuthenticatedPeer) -> Result<DeviceId, Rejection> {
    IdentitySource::SubjectAndIssuer
        .device_id(peer.certificate())
        .map_err(|error| Rejection::new(RejectionCode::IdentityMissing, "IEEE 802.1AR 8", error.to_string()))
}
