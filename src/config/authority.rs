//! `[[tenant.authority]]`, checked: certificate, chain and key held against each other.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use estd_asn1::Certificate;

use super::problem::{Place, Problem, ProblemKind};
use super::tenant::Setting;
use super::{file, publication, read, rollover, tenant};
use crate::ca::{CertificateAuthority, Publication, Rollover, SoftwareSigner};

/// A certificate authority of a tenant.
pub struct Authority {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its name within the tenant.
    pub name: String,
    /// Who signs now.
    pub authority: Arc<CertificateAuthority>,
    /// The way to its successor, while it is on it.
    pub rollover: Option<Arc<Rollover>>,
}

impl Authority {
    /// `tenant/name`, as the configuration refers to it.
    pub fn path(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }

    /// Who signs now, and the other one while a successor takes its place.
    pub fn all(&self) -> impl Iterator<Item = &Arc<CertificateAuthority>> {
        all(&self.authority, self.rollover.as_ref())
    }
}

/// One that was declared, and perhaps is at fault, which then stands among the problems.
pub(super) struct Declared {
    pub(super) tenant: String,
    pub(super) name: String,
    pub(super) sound: Option<Sound>,
}

/// Who signs now, and the way to the successor.
#[derive(Clone)]
pub(super) struct Sound {
    pub(super) authority: Arc<CertificateAuthority>,
    pub(super) rollover: Option<Arc<Rollover>>,
}

impl Declared {
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }

    pub(super) fn into_sound(self) -> Option<Authority> {
        let Sound { authority, rollover } = self.sound?;
        Some(Authority { tenant: self.tenant, name: self.name, authority, rollover })
    }

    pub(super) fn check(
        shape: file::Authority,
        tenant: &str,
        setting: Setting<'_>,
        place: &Place,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Self {
        let name = tenant::name(shape.name.clone(), "authority", place, problems).unwrap_or_default();
        let publication = publication::check(&shape, format!("{tenant}/{name}"), setting.public_url, place, problems);
        let Setting { folder, now, .. } = setting;
        let successors = publication.clone();
        let files = Files { certificate: shape.certificate, key: shape.key, chain: shape.chain, publication };
        let authority = files.load(folder, place, problems).map(Arc::new);
        let rollover = shape.successor.map(|table| {
            let place = place.key("successor");
            rollover::check(table, authority.as_ref(), successors, folder, &place, problems).map(Arc::new)
        });
        let sound = match (authority, rollover) {
            (Some(authority), None) => Some(Sound { authority, rollover: None }),
            (_, Some(Some(rollover))) => {
                Some(Sound { authority: Arc::clone(rollover.signing()), rollover: Some(rollover) })
            }
            (None, None) | (_, Some(None)) => None,
        };
        for authority in sound.iter().flat_map(|sound| all(&sound.authority, sound.rollover.as_ref())) {
            let outside = authority.path().filter_map(|certificate| out_of_validity(certificate, now));
            warnings.extend(outside.map(|problem| place.problem(problem)));
        }
        Self { tenant: tenant.to_owned(), name, sound }
    }
}

/// Who signs now, and the other one while a successor takes its place.
fn all<'a>(
    signing: &'a Arc<CertificateAuthority>,
    rollover: Option<&'a Arc<Rollover>>,
) -> impl Iterator<Item = &'a Arc<CertificateAuthority>> {
    std::iter::once(signing).chain(rollover.map(|rollover| rollover.authorities()[1]))
}

/// Where a CA's certificate, its key and what leads to its root stand.
pub(super) struct Files {
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) chain: Vec<String>,
    pub(super) publication: Publication,
}

impl Files {
    /// `None` comes with a problem at least.
    pub(super) fn load(
        &self,
        folder: &Path,
        place: &Place,
        problems: &mut Vec<Problem>,
    ) -> Option<CertificateAuthority> {
        let certificate = match &self.certificate {
            Some(path) => one_certificate(&folder.join(path), &place.key("certificate"), problems),
            None => {
                problems.push(place.missing("certificate", "the PEM file of the CA certificate"));
                None
            }
        };
        let signer = match &self.key {
            Some(path) => {
                let place = place.key("key");
                match read::secret(&folder.join(path)) {
                    Ok(pem) => {
                        SoftwareSigner::from_pem(&pem).map_err(|error| problems.push(place.refused(&error))).ok()
                    }
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
        for path in &self.chain {
            match read::certificates(&folder.join(path)) {
                Ok(found) => chain.iter_mut().for_each(|chain| chain.extend(found.iter().cloned())),
                Err(problem) => {
                    problems.push(place.key("chain").problem(problem));
                    chain = None;
                }
            }
        }
        let (certificate, signer, chain) = (certificate?, signer?, chain?);
        let authority = CertificateAuthority::new(certificate, chain, Arc::new(signer))
            .map_err(|error| problems.push(place.refused(&error)))
            .ok()?
            .publishing(self.publication.clone());
        problems.extend(publication::no_crl_sign(&authority).map(|problem| place.key("certificate").problem(problem)));
        Some(authority)
    }
}

/// `None` comes with a problem at least.
pub(super) fn one_certificate(path: &Path, place: &Place, problems: &mut Vec<Problem>) -> Option<Certificate> {
    let found = read::certificates(path).and_then(|found| only_one(found, path));
    found.map_err(|problem| problems.push(place.problem(problem))).ok()
}

fn only_one(mut certificates: Vec<Certificate>, path: &Path) -> Result<Certificate, ProblemKind> {
    match certificates.pop() {
        Some(certificate) if certificates.is_empty() => Ok(certificate),
        Some(_) | None => Err(ProblemKind::Content {
            path: path.to_owned(),
            error: "expected one CA certificate; those above an authority belong into chain".to_owned(),
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
