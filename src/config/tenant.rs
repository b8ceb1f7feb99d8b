//! Tenants: documents inline or in files of their own, under the very same checks.

use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::authority::Declared;
use super::file::{self, Table};
use super::label::{self, LabelSettings};
use super::problem::{Place, Problem, ProblemKind};
use super::server::{self, server_name};
use super::{credentials, profile, read, usage_limits};
use crate::est::TenantHosts;
use estd_asn1::GeneralName;

/// One tenant's document and where it stands.
pub(super) struct Document {
    table: Table,
    place: Place,
    /// In a list of several: its position there.
    position: usize,
}

/// What tenants are checked in.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// What paths are relative to: the main file's folder, wherever a tenant's document stands, so that it can move unchanged.
    pub(super) folder: &'a Path,
    /// What relying parties reach the public listener by.
    pub(super) public_url: Option<&'a str>,
    /// Now, for warnings alone.
    pub(super) now: DateTime<Utc>,
}

/// All tenants together.
#[derive(Default)]
pub(super) struct Tenants {
    pub(super) authorities: Vec<Declared>,
    pub(super) labels: Vec<LabelSettings>,
    /// The names of the labels of tenants without host names of their own, sound or not.
    pub(super) label_names: Vec<String>,
    /// Those that have their own.
    pub(super) hosts: Vec<TenantHosts>,
}

/// The `[[tenant]]` tables of the main file.
pub(super) fn inline(tables: Vec<Table>, place: &Place) -> Vec<Document> {
    let document = |(position, table)| Document { table, place: place.clone(), position };
    tables.into_iter().enumerate().map(document).collect()
}

/// The `*.toml` files of `tenants_dir`, one tenant each.
pub(super) fn in_folder(folder: &Path, place: &Place, problems: &mut Vec<Problem>) -> Vec<Document> {
    let files = match read::files_with_ending(folder, &["toml"]) {
        Ok(files) => files,
        Err(error) => {
            problems.push(place.problem(ProblemKind::unreadable(folder, &error)));
            return Vec::new();
        }
    };
    let mut documents = Vec::new();
    for path in files {
        let place = Place::file(&path);
        if let Some(table) = super::document(&path, &place, problems) {
            documents.push(Document { table, place, position: 0 });
        }
    }
    documents
}

/// Every document, checked.
pub(super) fn check(
    documents: Vec<Document>,
    setting: Setting<'_>,
    main: &Place,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Tenants {
    if documents.is_empty() {
        problems.push(main.missing("tenant", "at least one [[tenant]], here or in tenants_dir"));
    }
    let mut tenants = Tenants::default();
    let mut names = HashSet::new();
    for document in documents {
        check_one(document, setting, &mut names, &mut tenants, problems, warnings);
    }
    tenants
}

fn check_one(
    document: Document,
    setting: Setting<'_>,
    names: &mut HashSet<String>,
    tenants: &mut Tenants,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let Setting { folder, now, .. } = setting;
    let Document { table, place, position } = document;
    let named = file::text(&table, "name").map(str::to_owned);
    let place = place.named("tenant", named.as_deref(), position);
    let shape: file::Tenant = file::decode(table, &place, problems);
    let name = name(shape.name, "tenant", &place, problems).unwrap_or_default();
    if !name.is_empty() && !names.insert(name.clone()) {
        problems.push(place.key("name").problem(ProblemKind::Duplicate { kind: "tenant", scope: "" }));
    }

    let credentials = match &shape.credentials {
        Some(path) => {
            credentials::load(&folder.join(path), folder, &place.key("credentials"), problems, warnings).map(Some)
        }
        None => Some(None),
    };
    let limits = usage_limits::of_tenant(shape.limits, &place, problems);
    let first = tenants.authorities.len();
    for (shape, place) in tables::<file::Authority>(shape.authority, "authority", &place, problems) {
        let authority = Declared::check(shape, &name, setting, &place, problems, warnings);
        if is_taken(&authority.name, tenants.authorities[first..].iter().map(|other| &other.name)) {
            let scope = " within a tenant";
            problems.push(place.key("name").problem(ProblemKind::Duplicate { kind: "authority", scope }));
        }
        tenants.authorities.push(authority);
    }
    let mut profiles = Vec::new();
    for (shape, place) in tables::<file::Profile>(shape.profile, "profile", &place, problems) {
        let profile = profile::check(shape, &place, problems);
        if is_taken(&profile.name, profiles.iter().map(|other: &profile::Profile| &other.name)) {
            let scope = " within a tenant";
            problems.push(place.key("name").problem(ProblemKind::Duplicate { kind: "profile", scope }));
        }
        profiles.push(profile);
    }
    let has_hosts = !shape.hosts.is_empty();
    let mut own_labels = Vec::new();
    for (shape, place) in tables::<file::Label>(shape.label, "label", &place, problems) {
        if let Some(name) = &shape.name {
            let (taken, scope) = if has_hosts {
                (&mut own_labels, " within a tenant with hosts of its own")
            } else {
                (&mut tenants.label_names, " over all tenants without hosts of their own")
            };
            if taken.contains(name) {
                problems.push(place.key("name").problem(ProblemKind::Duplicate { kind: "label", scope }));
            }
            taken.push(name.clone());
        }
        let known = label::Known {
            tenant: &name,
            authorities: &tenants.authorities[first..],
            profiles: &profiles,
            credentials: credentials.as_ref().map(Option::as_ref),
            limits,
            now,
        };
        tenants.labels.extend(label::check(shape, &known, folder, &place, problems, warnings));
    }
    let labels = if has_hosts { &own_labels } else { &tenants.label_names };
    let hosts = check_hosts((shape.hosts, shape.default_label), &name, labels, &tenants.hosts, &place, problems);
    tenants.hosts.extend(hosts);
}

/// The host names of a tenant, and what the path without a label stands for there.
fn check_hosts(
    shape: (Vec<String>, Option<String>),
    tenant: &str,
    labels: &[String],
    others: &[TenantHosts],
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<TenantHosts> {
    let (names, default_label) = shape;
    if names.is_empty() {
        if default_label.is_some() {
            let expected = "hosts beside it: without them the default label is the server's";
            problems.push(place.key("default_label").value(expected, "none"));
        }
        return None;
    }
    let mut hosts: Vec<String> = Vec::new();
    for name in names {
        let host = name.to_ascii_lowercase();
        match server_name(&host) {
            Ok(GeneralName::DnsName(_))
                if !others.iter().flat_map(|other| &other.hosts).chain(&hosts).any(|known| *known == host) =>
            {
                hosts.push(host);
            }
            Ok(GeneralName::DnsName(_)) => {
                let problem = ProblemKind::Duplicate { kind: "host", scope: " over all tenants" };
                problems.push(place.key("hosts").problem(problem));
            }
            Ok(_) | Err(_) => {
                problems.push(place.key("hosts").value("DNS names without wildcards", format!("{name:?}")));
            }
        }
    }
    let default_label = server::check_default_label(default_label.as_deref(), labels, place, problems)?;
    Some(TenantHosts { tenant: tenant.to_owned(), hosts, default_label })
}

/// Whether a name stands a second time; a name that is missing has been told already.
fn is_taken<'a>(name: &str, mut others: impl Iterator<Item = &'a String>) -> bool {
    !name.is_empty() && others.any(|other| other == name)
}

/// The tables of a list in their shape, each with its place.
pub(super) fn tables<T: file::Shape>(
    tables: Vec<Table>,
    kind: &'static str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Vec<(T, Place)> {
    let decode = |(position, table): (usize, Table)| {
        let place = place.named(kind, file::text(&table, "name"), position);
        (file::decode(table, &place, problems), place)
    };
    tables.into_iter().enumerate().map(decode).collect()
}

/// A name by which tables refer to each other: it stands in paths such as `acme/issuing`.
pub(super) fn name(
    name: Option<String>,
    kind: &'static str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let Some(name) = name else {
        problems.push(place.missing("name", "a name"));
        return None;
    };
    if !is_name(&name) {
        let expected = format!("a {kind} name of 1 to 64 letters, digits, '-', '_' and '.'");
        problems.push(place.key("name").value(expected, format!("{name:?}")));
    }
    Some(name)
}

/// Whether a text can name a tenant, an authority or a profile.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
