//! Which labels a request can reach: those of the tenant whose host name it came to, or those of all tenants without one.

use std::collections::HashMap;
use std::sync::Arc;

use super::label::LabelContext;
use crate::est::{Label, TenantHosts};

/// Why labels do not make a registration authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// Two labels of one name that the same requests can reach.
    #[error("label {0} is defined twice")]
    Duplicate(Label),
    /// The default label is none of them.
    #[error("the default label {0} is not defined")]
    NoDefault(Label),
    /// Tenants without a host name of their own, and no default label for them.
    #[error("there is no default label for the tenants without host names of their own")]
    NoSharedDefault,
    /// A host name of two tenants.
    #[error("the host {0} belongs to two tenants")]
    DuplicateHost(String),
}

/// All labels by where they are reached.
pub(super) struct Namespaces {
    shared: Namespace,
    by_host: HashMap<String, Arc<Namespace>>,
}

/// Labels that the same requests can reach.
#[derive(Default)]
struct Namespace {
    labels: HashMap<Label, Arc<LabelContext>>,
    default_label: Option<Arc<LabelContext>>,
}

impl Namespaces {
    pub(super) fn new(
        labels: Vec<LabelContext>,
        default_label: Option<&Label>,
        hosts: &[TenantHosts],
    ) -> Result<Self, LabelsError> {
        let mut shared = Namespace::default();
        let mut own: Vec<Namespace> = hosts.iter().map(|_| Namespace::default()).collect();
        for context in labels {
            let of_its_own = hosts.iter().position(|hosts| hosts.tenant == context.tenant);
            let namespace = of_its_own.map_or(&mut shared, |position| &mut own[position]);
            let name = context.label.clone();
            if namespace.labels.insert(name.clone(), Arc::new(context)).is_some() {
                return Err(LabelsError::Duplicate(name));
            }
        }
        match default_label {
            Some(default_label) => shared.set_default(default_label)?,
            None if shared.labels.is_empty() => {}
            None => return Err(LabelsError::NoSharedDefault),
        }
        let mut by_host = HashMap::new();
        for (tenant, mut namespace) in hosts.iter().zip(own) {
            namespace.set_default(&tenant.default_label)?;
            let namespace = Arc::new(namespace);
            for host in &tenant.hosts {
                if by_host.insert(host.clone(), Arc::clone(&namespace)).is_some() {
                    return Err(LabelsError::DuplicateHost(host.clone()));
                }
            }
        }
        Ok(Self { shared, by_host })
    }

    /// Whether a host name, in lower case, is a tenant's own.
    pub(super) fn owns(&self, host: &str) -> bool {
        self.by_host.contains_key(host)
    }

    /// The label that a path names at a host. An unknown label is nobody's, never the default's (RFC 7030 section 3.2.2).
    pub(super) fn find(&self, host: Option<&str>, label: Option<&Label>) -> Option<&Arc<LabelContext>> {
        let namespace = host.and_then(|host| self.by_host.get(host)).map_or(&self.shared, AsRef::as_ref);
        match label {
            Some(label) => namespace.labels.get(label),
            None => namespace.default_label.as_ref(),
        }
    }

    /// Every label, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<LabelContext>> {
        let mut own: Vec<&Arc<Namespace>> = Vec::new();
        for namespace in self.by_host.values() {
            if !own.iter().any(|seen| Arc::ptr_eq(seen, namespace)) {
                own.push(namespace);
            }
        }
        self.shared.labels.values().chain(own.into_iter().flat_map(|namespace| namespace.labels.values()))
    }
}

impl Namespace {
    fn set_default(&mut self, label: &Label) -> Result<(), LabelsError> {
        let found = self.labels.get(label).ok_or_else(|| LabelsError::NoDefault(label.clone()))?;
        self.default_label = Some(Arc::clone(found));
        Ok(())
    }
}
