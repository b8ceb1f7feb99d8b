//! The validation authority: tells the world what became of the certificates of each CA, by lists and by OCSP.

mod answers;
mod issuer;
mod ledger;
mod ocsp;
mod published;
mod responder;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ca::{CertificateAuthority, IssuanceFault};
use crate::clock::{Clock, Entropy};
use crate::store::{CertificateStore, StoreFault};

pub use crate::ca::Resource;
pub use estd_asn1::ocsp_response::OcspResponseStatus;
pub use issuer::{Issuer, Tended};
pub use ledger::Ledger;
pub use ocsp::{OcspAnswer, ResponderFault};
pub use published::{ListContents, Published};

/// The outside world, as this part of the core sees it.
#[derive(Clone)]
pub struct Ports {
    /// What is remembered.
    pub store: Arc<dyn CertificateStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where serial numbers come from.
    pub entropy: Arc<dyn Entropy>,
}

/// Why nothing new was published; what was published before stands.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StatusFault {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The CA did not sign.
    #[error(transparent)]
    Issuance(#[from] IssuanceFault),
}

/// One configuration's worth of CAs that publish, over the ports they share. A reload builds a new one.
pub struct ValidationAuthority {
    /// By the name that stands for the key.
    issuers: BTreeMap<String, Arc<Issuer>>,
    /// Of each name of a CA, the name that stands for the key that signs.
    names: BTreeMap<String, String>,
    ports: Ports,
}

impl ValidationAuthority {
    /// The CAs that publish; of those that share a name the first one has it. Those
    /// of `before` that publish as before stay as they are; the others begin anew, from what is on record.
    pub fn new(
        authorities: impl IntoIterator<Item = Arc<CertificateAuthority>>,
        ports: Ports,
        before: Option<&Self>,
    ) -> Self {
        let (mut issuers, mut names) = (BTreeMap::new(), BTreeMap::new());
        for authority in authorities {
            let Some(publication) = authority.publication().cloned() else { continue };
            // The very same one, lists and all: two that shared what they know would take changes from each other.
            let before = before.and_then(|before| before.issuers.get(&publication.key_name));
            let same = before.filter(|before| before.is_of(&authority, &publication));
            names.entry(publication.name.clone()).or_insert_with(|| publication.key_name.clone());
            let key_name = publication.key_name.clone();
            let issuer = same.map_or_else(|| Arc::new(Issuer::new(Arc::clone(&authority), publication)), Arc::clone);
            issuers.insert(key_name, issuer);
        }
        Self { issuers, names, ports }
    }

    /// Every CA that publishes.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.values()
    }

    /// What a path names.
    pub fn find(&self, path: &str) -> Option<(&Arc<Issuer>, Resource)> {
        let (name, resource) = Resource::parse(path)?;
        let issuer = self.issuers.get(&name).or_else(|| self.issuers.get(self.names.get(&name)?))?;
        Some((issuer, resource))
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }

    /// The ports, for the next configuration.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }
}
