//! Where a CA tells the world what became of its certificates: the paths of its lists, its responder, its certificate.

use chrono::TimeDelta;

use crate::pki::certificate::Locations;
use crate::pki::digest::hex;
use crate::pki::shard::{SerialPlace, Shard};

/// Digits of a key's digest that tell it from the others of a tenant.
const KEY_NAME_DIGITS: usize = 16;

/// How and where a CA publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// `http://host` in front of every path, as relying parties reach it; `None` when they are not told.
    pub base: Option<String>,
    /// The name of the CA: `tenant/authority`. It leads to whichever key signs now.
    pub name: String,
    /// What stands in the paths that certificates name, for as long as there is the key: `tenant/` and digits of the key's
    /// digest. A CA that takes another's place takes its name, and has paths of its own.
    pub key_name: String,
    /// What is published, and how often.
    pub rules: StatusRules,
}

/// What is published, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRules {
    /// From thisUpdate to nextUpdate of a list.
    pub crl_lifetime: TimeDelta,
    /// A list is followed by the next one so long before its nextUpdate.
    pub crl_overlap: TimeDelta,
    /// From thisUpdate to nextUpdate of a delta CRL; `None` when there are none.
    pub delta_lifetime: Option<TimeDelta>,
    /// Into how many lists the revocations of new certificates are split.
    pub crl_shards: u16,
    /// From thisUpdate to nextUpdate of an OCSP answer.
    pub ocsp_lifetime: TimeDelta,
    /// How long a responder's certificate is valid.
    pub responder_lifetime: TimeDelta,
    /// Certificates that one OCSP request may ask for; malformedRequest above.
    pub ocsp_max_certificates: usize,
    /// OCSP answers that are held ready at the most; each takes about a kilobyte.
    pub ocsp_held_answers: usize,
}

impl Default for StatusRules {
    fn default() -> Self {
        Self {
            crl_lifetime: TimeDelta::days(7),
            crl_overlap: TimeDelta::days(6),
            delta_lifetime: None,
            crl_shards: 1,
            ocsp_lifetime: TimeDelta::hours(1),
            responder_lifetime: TimeDelta::days(7),
            ocsp_max_certificates: 16,
            ocsp_held_answers: 20_000,
        }
    }
}

/// Something that a CA publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The list of a part of its certificates.
    Crl(Shard),
    /// What changed in that list.
    Delta(Shard),
    /// Its own certificate.
    Certificate,
    /// Its OCSP responder.
    Ocsp,
}

impl Publication {
    /// How and where a CA of this name publishes, whatever its key.
    pub fn new(base: Option<String>, name: String, rules: StatusRules) -> Self {
        Self { base, key_name: name.clone(), name, rules }
    }

    /// The same, for the key of this digest.
    #[must_use]
    pub fn of_key(self, issuer: &[u8; 32]) -> Self {
        let tenant = self.name.split('/').next().unwrap_or_default();
        Self { key_name: format!("{tenant}/{}", &hex(issuer)[..KEY_NAME_DIGITS]), ..self }
    }

    /// The URL of a resource.
    pub fn url(&self, resource: Resource) -> Option<String> {
        self.base.as_ref().map(|base| format!("{base}{}", resource.path(&self.key_name)))
    }

    /// What the certificate of this serial number names.
    pub fn locations(&self, serial: &[u8]) -> Locations {
        let shard = Shard::holding(SerialPlace::of(serial), self.rules.crl_shards);
        let at = |resource| self.url(resource).into_iter().collect();
        Locations { crls: at(Resource::Crl(shard)), ocsp: at(Resource::Ocsp), ca_issuers: at(Resource::Certificate) }
    }
}

impl Resource {
    /// Its path, for the CA of this name.
    pub fn path(self, name: &str) -> String {
        let part = |shard: Shard| format!("/crl/{name}/{}/{}", shard.of(), shard.number());
        match self {
            Self::Crl(shard) if shard.is_complete() => format!("/crl/{name}.crl"),
            Self::Crl(shard) => format!("{}.crl", part(shard)),
            Self::Delta(shard) if shard.is_complete() => format!("/crl/{name}/delta.crl"),
            Self::Delta(shard) => format!("{}-delta.crl", part(shard)),
            Self::Certificate => format!("/ca/{name}.cer"),
            Self::Ocsp => format!("/ocsp/{name}"),
        }
    }

    /// The CA's name and the resource that a path names; of the responder's, what follows is a request.
    pub fn parse(path: &str) -> Option<(String, Self)> {
        let segments: Vec<&str> = path.strip_prefix('/')?.splitn(6, '/').collect();
        match segments.as_slice() {
            ["ca", tenant, file] => Some((name(tenant, file.strip_suffix(".cer")?), Self::Certificate)),
            ["ocsp", tenant, authority, ..] => Some((name(tenant, authority), Self::Ocsp)),
            ["crl", tenant, file] => Some((name(tenant, file.strip_suffix(".crl")?), Self::Crl(Shard::COMPLETE))),
            ["crl", tenant, authority, "delta.crl"] => Some((name(tenant, authority), Self::Delta(Shard::COMPLETE))),
            ["crl", tenant, authority, of, file] => {
                let file = file.strip_suffix(".crl")?;
                let delta = file.strip_suffix("-delta");
                let shard = Shard::new(decimal(of)?, decimal(delta.unwrap_or(file))?)?;
                let resource = if delta.is_some() { Self::Delta(shard) } else { Self::Crl(shard) };
                (!shard.is_complete()).then(|| (name(tenant, authority), resource))
            }
            _ => None,
        }
    }
}

fn name(tenant: &str, authority: &str) -> String {
    format!("{tenant}/{authority}")
}

/// A number in its one spelling: two paths for one list would be two entries of a cache.
fn decimal(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_read_as_it_was_written_and_no_other_way() {
        let shard = Shard::new(4, 3).unwrap();
        let name = "acme/issuing.crl";
        for resource in [
            Resource::Crl(Shard::COMPLETE),
            Resource::Delta(Shard::COMPLETE),
            Resource::Crl(shard),
            Resource::Delta(shard),
            Resource::Certificate,
            Resource::Ocsp,
        ] {
            assert_eq!(Resource::parse(&resource.path(name)), Some((name.to_owned(), resource)));
        }
        assert_eq!(Resource::Crl(shard).path("acme/issuing"), "/crl/acme/issuing/4/3.crl");
        assert_eq!(Resource::parse("/ocsp/acme/issuing/a/b/c==").unwrap().1, Resource::Ocsp);
        for other in [
            "",
            "/",
            "/crl/acme/issuing",
            "/crl/acme/issuing/4/4.crl",
            "/crl/acme/issuing/4/03.crl",
            "/crl/acme/issuing/+4/3.crl",
            "/crl/acme/issuing/1/0.crl",
            "/crl/acme/issuing/4/3.crl/x",
            "/crl/acme/issuing/4/3/delta.crl",
            "/ca/acme/issuing.crl",
            "/ocsp/acme",
        ] {
            assert_eq!(Resource::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_certificate_names_the_list_of_its_part() {
        let rules = StatusRules { crl_shards: 16, ..StatusRules::default() };
        let mut publication =
            Publication::new(Some("http://pki.example".into()), "a/b".into(), rules).of_key(&[0xab; 32]);
        let locations = publication.locations(&[1]);
        assert_eq!(locations.crls, ["http://pki.example/crl/a/abababababababab/16/4.crl"]);
        assert_eq!(locations.ocsp, ["http://pki.example/ocsp/a/abababababababab"]);
        assert_eq!(locations.ca_issuers, ["http://pki.example/ca/a/abababababababab.cer"]);
        publication.base = None;
        assert_eq!(publication.locations(&[1]), Locations::default());
    }
}
