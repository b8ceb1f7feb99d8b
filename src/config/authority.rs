//! `[[tenant.authority]]`, checked: certificate, chain and key held against each other.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use estd_asn1::Certificate;

use super::problem::{Place, Problem, ProblemKind};
use super::{file, read, tenant};
use crate::ca::{CertificateAuthority, SoftwareSigner};

/// A certificate authority of a tenant.
pub struct Authority {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its name within the tenant.
    pub name: String,
    /// Who signs.
    pub authority: Arc<CertificateAuthority>,
}

impl Authority {
    /// `tenant/name`, as the configuration refers to it.
    pub fn path(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }
}

/// One that was declared, and perhaps is at fault, which then stands among the problems.
pub(super) struct Declared {
    pub(super) tenant: String,
    pub(super) name: String,
    pub(super) sound: Option<Arc<CertificateAuthority>>,
}

impl Declared {
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }

    pub(super) fn into_sound(self) -> Option<Authority> {
        Some(Authority { tenant: self.tenant, name: self.name, authority: self.sound? })
    }

    pub(super) fn check(
        shape: file::Authority,
        tenant: &str,
        folder: &Path,
        place: &Place,
        now: DateTime<Utc>,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Self {
        let name = tenant::name(shape.name.clone(), "authority", place, problems).unwrap_or_default();
        let sound = load(&shape, folder, place, problems).map(Arc::new);
        if let Some(authority) = &sound {
            let chain = std::iter::once(authority.certificate()).chain(authority.chain());
            warnings
                .extend(chain.filter_map(|certificate| out_of_validity(certificate, now)).map(|w| place.problem(w)));
        }
        Self { tenant: tenant.to_owned(), name, sound }
    }
}

fn load(
    shape: &file::Authority,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<CertificateAuthority> {
    let certificate = match &shape.certificate {
        Some(path) => {
            let place = place.key("certificate");
            read::certificates(&folder.join(path))
                .and_then(|found| only_one(found, &folder.join(path)))
                .map_err(|problem| problems.push(place.problem(problem)))
                .ok()
        }
        None => {
            problems.push(place.missing("certificate", "the PEM file of the CA certificate"));
            None
        }
    };
    let signer = match &shape.key {
        Some(path) => {
            let place = place.key("key");
            match read::secret(&folder.join(path)) {
                Ok(pem) => SoftwareSigner::from_pem(&pem).map_err(|error| problems.push(place.refused(&error))).ok(),
                Err(problem) => {
                    problems.push(place.problem(problem));
                    None
                }
            }
        }
        None => {
            problems.push(place.missing("key", "the PEM file of the CA key"));
            None
        }
    };
    let mut chain = Some(Vec::new());
    for path in &shape.chain {
        match read::certificates(&folder.join(path)) {
            Ok(found) => chain.iter_mut().for_each(|chain| chain.extend(found.iter().cloned())),
            Err(problem) => {
                problems.push(place.key("chain").problem(problem));
                chain = None;
            }
        }
    }
    let (certificate, signer, chain) = (certificate?, signer?, chain?);
    CertificateAuthority::new(certificate, chain, Arc::new(signer))
        .map_err(|error| problems.push(place.refused(&error)))
        .ok()
}

fn only_one(mut certificates: Vec<Certificate>, path: &Path) -> Result<Certificate, ProblemKind> {
    match certificates.pop() {
        Some(certificate) if certificates.is_empty() => Ok(certificate),
        Some(_) | None => Err(ProblemKind::Content {
            path: path.to_owned(),
            error: "expected the CA certificate alone; those above it belong into chain".to_owned(),
        }),
    }
}

/// Worth a warning: a certificate that is not valid now.
pub(super) fn out_of_validity(certificate: &Certificate, now: DateTime<Utc>) -> Option<ProblemKind> {
    let validity = certificate.validity();
    let day = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    (now < validity.not_before || validity.not_after < now).then(|| ProblemKind::OutOfValidity {
        subject: certificate.subject().to_string(),
        from: day(validity.not_before),
        until: day(validity.not_after),
    })
}
