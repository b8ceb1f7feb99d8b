//! RA clients (RFC 7030 section 3.7, RFC 6402 section 2.10): who speaks for other devices, and for which.

use super::proof::named_device;
use super::{EnrollmentRules, Grant, Proof, Requester, initial, renewal};
use crate::credential::DeviceScope;
use crate::est::{Operation, Rejection, RejectionCode, Rule, Trace};
use crate::pki::device_identity::DeviceId;
use crate::pki::request::CheckedRequest;
use crate::pki::trust::{AnchorClass, AuthenticatedPeer};
use estd_asn1::oid;

/// The RA clients of a label.
///
/// Where the profile is one of RAs, they are who gets its certificates; elsewhere, they are who speaks for devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RaRules {
    /// Their ids as devices of the tenant. Empty: there are none.
    pub clients: Vec<DeviceId>,
    /// The devices they speak for; `None`: for none.
    pub devices: Option<DeviceScope>,
    /// Whether they may hand in requests that are linked to another TLS connection than theirs: the device's to them.
    pub foreign_linking: bool,
}

/// An RA, at a label where it speaks for devices. Only [`EnrollmentRules::ra_client`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct RaClient<'a> {
    id: &'a str,
    rules: &'a RaRules,
}

impl EnrollmentRules {
    /// The RA that a requester is, if it is one here. `recorded_device` is what the store knows its certificate to belong to.
    pub fn ra_client<'a>(&'a self, proof: &Proof<'_>, recorded_device: Option<&'a str>) -> Option<RaClient<'a>> {
        let (peer, id) = (proof.peer()?, recorded_device?);
        self.is_ra_client(peer, recorded_device).then_some(RaClient { id, rules: &self.ra })
    }

    /// Whether the holder of a certificate is an RA here.
    ///
    /// RFC 7030 §3.7: "If the client's certificate was issued by the EST CA, and it includes the id-kp-cmcRA \[RFC6402\]
    /// extended key usage extension, then the client is a Registration Authority (RA)". Both, on record here, and listed by
    /// the operator. RFC 6402 §2.12: a CA "MUST verify that the RA is fully identified and authorized".
    pub fn is_ra_client(&self, peer: &AuthenticatedPeer, recorded_device: Option<&str>) -> bool {
        let has_usage =
            || matches!(peer.certificate().ext_key_usage(), Ok(Some(usages)) if usages.contains(&oid::KP_CMC_RA));
        let is_listed = || recorded_device.is_some_and(|id| self.ra.lists(id));
        !self.profile.ra && peer.class() == AnchorClass::Explicit && is_listed() && has_usage()
    }

    /// The certificate of an RA is for the RAs that are listed, and nobody else.
    pub(super) fn refuse_unlisted_ra(&self, device: &str, trace: &mut Trace) -> Result<(), Rejection> {
        if !self.profile.ra {
            return Ok(());
        }
        let listed = self.ra.lists(device).then_some(()).ok_or_else(|| {
            let reason = format!("this label certifies the ra clients that its operator listed, {device} is none");
            Rejection::new(RejectionCode::DeviceNotListed, "RFC 6402 2.12", reason)
        });
        trace.judged(Rule::RaListing, "an ra client that the label lists", device, listed)
    }
}

impl RaRules {
    /// Whether an id is one of the clients'. Ids that differ in case alone name one device.
    fn lists(&self, id: &str) -> bool {
        let id = id.to_lowercase();
        self.clients.iter().any(|client| client.as_str().to_lowercase() == id)
    }
}

impl<'a> RaClient<'a> {
    /// Its own id.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The device that a request is for: the one its subject names.
    ///
    /// # Errors
    /// When it names none, or one that this RA does not speak for.
    pub fn device(&self, request: &CheckedRequest) -> Result<DeviceId, Rejection> {
        let device = named_device(request)?;
        self.speaks_for(device.as_str())?;
        Ok(device)
    }

    /// Refuses a device that this RA does not speak for: one outside of its scope, or an RA.
    ///
    /// # Errors
    /// See above.
    pub fn speaks_for(&self, device: &str) -> Result<(), Rejection> {
        let refused = |reason: String| Err(Rejection::new(RejectionCode::RaScope, "RFC 6402 2.12", reason));
        if self.rules.lists(device) {
            return refused(format!("{device} is an ra client itself, and speaks for itself"));
        }
        if !self.rules.devices.as_ref().is_some_and(|scope| scope.contains(device)) {
            return refused(format!("the ra client {} does not speak for the device {device} at this label", self.id));
        }
        Ok(())
    }

    /// Whether what links a request to a TLS connection is this RA's to judge.
    pub(super) fn judges_linking(&self) -> bool {
        self.rules.foreign_linking
    }
}

/// What an RA asks for a device.
pub(super) fn authorize(
    operation: Operation,
    request: &CheckedRequest,
    client: &RaClient<'_>,
    requester: &Requester<'_>,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    let device = super::identified("a device that the ra client speaks for", client.device(request), trace)?;
    match (operation, requester.current) {
        (Operation::SimpleEnroll | Operation::FullCmc, _) => {
            initial::authorize_without_certificate(request, &device, rules, trace)
        }
        // RFC 7030 §4.2.2: "the certificate being renewed/rekeyed" is the device's, on record.
        (Operation::SimpleReenroll, Some(current)) => {
            renewal::authorize(request, current, device.as_str().to_owned(), rules, trace)
        }
        (Operation::SimpleReenroll, None) => Err(super::nothing_on_record(trace)),
        // RFC 6402 §2.12: an RA vouches for whom it speaks; that it may have their private keys does not follow.
        (Operation::ServerKeyGen, _) => {
            let reason = "keys are made for those who will hold them, an ra client asked for a device's";
            let refused = Rejection::new(RejectionCode::KeyGenerationDenied, "RFC 7030 4.4", reason);
            Err(trace.refuse(Rule::KeyGeneration, "the device itself", "an ra client", refused))
        }
        (Operation::CaCerts | Operation::CsrAttrs | Operation::RenewalInfo, _) => Err(super::enrolls_nobody(operation)),
    }
}
