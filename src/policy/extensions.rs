//! Requested extensions: privileges are refused, intent is kept, the rest is the profile's business.

use std::fmt::Display;

use crate::est::trace::lazily;
use crate::est::{Rejection, RejectionCode};
use crate::pki::profile::EnrollmentProfile;
use crate::pki::public_key::KeyType;
use crate::pki::request::CheckedRequest;
use estd_asn1::{KeyUsage, Oid, oid};

/// Extensions a requester may name although the CA writes its own or none: a client that renews often copies every
/// extension of its old certificate into the request.
const KNOWN: [Oid; 9] = [
    oid::SUBJECT_ALT_NAME,
    oid::KEY_USAGE,
    oid::EXT_KEY_USAGE,
    oid::BASIC_CONSTRAINTS,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::AUTHORITY_INFO_ACCESS,
    oid::CERTIFICATE_POLICIES,
];

/// Extensions that only make sense in a CA certificate.
const CA_ONLY: [Oid; 4] =
    [oid::NAME_CONSTRAINTS, oid::POLICY_CONSTRAINTS, oid::POLICY_MAPPINGS, oid::INHIBIT_ANY_POLICY];

/// Refuses what no device gets, and what the profile would turn into its opposite.
pub(super) fn refuse_privileges(
    request: &CheckedRequest,
    key_type: KeyType,
    profile: &EnrollmentProfile,
) -> Result<(), Rejection> {
    refuse_ca_privileges(request, profile)?;
    refuse_key_usage(request, key_type, profile)?;
    refuse_ext_key_usage(request, profile)?;
    refuse_unknown_critical(request, profile)
}

/// What the request asks for.
pub(super) fn found(request: &CheckedRequest) -> impl Display {
    lazily(|| {
        let mut found = Vec::new();
        if request.basic_constraints().is_some_and(|constraints| constraints.ca) {
            found.push("CA:TRUE".to_owned());
        }
        found.extend(request.key_usage().map(|usage| format!("keyUsage {usage}")));
        found.extend(request.ext_key_usage().iter().map(|usage| format!("extendedKeyUsage {usage}")));
        let told = [oid::BASIC_CONSTRAINTS, oid::KEY_USAGE, oid::EXT_KEY_USAGE, oid::SUBJECT_ALT_NAME];
        let others = request.extensions().iter().filter(|extension| !told.contains(&extension.oid));
        found.extend(
            others.map(|extension| format!("{}{}", extension.oid, if extension.critical { ", critical" } else { "" })),
        );
        if found.is_empty() { "nothing".to_owned() } else { found.join("; ") }
    })
}

fn refuse_ca_privileges(request: &CheckedRequest, profile: &EnrollmentProfile) -> Result<(), Rejection> {
    let constraints = request.basic_constraints().filter(|constraints| constraints.ca);
    match (constraints, profile.ca_path_len) {
        (Some(_), None) => {
            return Err(refusal("RFC 5280 4.2.1.9", "basicConstraints asks for CA:TRUE, a device gets CA:FALSE"));
        }
        (Some(asked), Some(granted)) if asked.path_len.is_some_and(|asked| asked > granted) => {
            let reason = format!("basicConstraints asks for a longer path than the {granted} of this profile");
            return Err(refusal("RFC 5280 4.2.1.9", reason));
        }
        (Some(_) | None, _) => {}
    }
    if let Some(extension) = request.extensions().iter().find(|extension| CA_ONLY.contains(&extension.oid)) {
        let reason = format!("the requested extension {} belongs in CA certificates only", extension.oid);
        return Err(refusal("RFC 5280 4.2.1", reason));
    }
    let ca_usage = KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN);
    if profile.ca_path_len.is_none() && request.key_usage().is_some_and(|usage| usage.intersects(ca_usage)) {
        return Err(refusal("RFC 5280 4.2.1.3", "keyUsage asks for keyCertSign or cRLSign, which only a CA gets"));
    }
    Ok(())
}

/// RFC 5272 §3.1: a CA may change what was asked for but must not invert it.
fn refuse_key_usage(request: &CheckedRequest, key_type: KeyType, profile: &EnrollmentProfile) -> Result<(), Rejection> {
    let granted = profile.key_usage_for(key_type);
    match request.key_usage() {
        Some(asked) if !asked.is_empty() && !asked.intersects(granted) => {
            Err(refusal("RFC 5272 3.1", format!("keyUsage asks for {asked}, this profile gives {granted}")))
        }
        Some(_) | None => Ok(()),
    }
}

fn refuse_ext_key_usage(request: &CheckedRequest, profile: &EnrollmentProfile) -> Result<(), Rejection> {
    let asked = request.ext_key_usage();
    if let Some(usage) = asked.iter().find(|usage| profile.refuses_ext_key_usage(usage)) {
        return Err(refusal("RFC 5280 4.2.1.12", format!("extendedKeyUsage asks for {usage}, which nobody gets here")));
    }
    if !asked.is_empty() && !asked.iter().any(|usage| profile.ext_key_usage.contains(usage)) {
        return Err(refusal("RFC 5272 3.1", "extendedKeyUsage asks for none of the usages this profile gives"));
    }
    Ok(())
}

/// A critical extension that would be dropped is an error; any other one is the requester's wish and may be ignored.
fn refuse_unknown_critical(request: &CheckedRequest, profile: &EnrollmentProfile) -> Result<(), Rejection> {
    let given = |oid: &Oid| KNOWN.contains(oid) || profile.extensions.iter().any(|extension| extension.oid == *oid);
    match request.extensions().iter().find(|extension| extension.critical && !given(&extension.oid)) {
        Some(extension) => {
            let reason = format!("the request demands extension {} as critical, this profile has none", extension.oid);
            Err(refusal("RFC 5272 3.1", reason))
        }
        None => Ok(()),
    }
}

fn refusal(clause: &'static str, reason: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(RejectionCode::ExtensionNotAllowed, clause, reason)
}
