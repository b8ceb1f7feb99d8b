//! Names held against the constraints of the CAs above them (RFC 5280 section 4.2.1.10), before anything is signed.

use estd_asn1::name_constraints::NameConstraints;
use estd_asn1::{Certificate, DecodeError, GeneralName, Name, oid};

/// The constraints of each CA of a path.
#[derive(Debug, Clone, Default)]
pub struct PathConstraints(Vec<NameConstraints>);

/// A name that the path forbids. A certificate with it would validate nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is none of the names that this ca may certify: its nameConstraints forbid it")]
pub struct ForbiddenName {
    /// The name, as it is shown.
    pub name: String,
}

impl PathConstraints {
    /// The constraints of a path.
    ///
    /// # Errors
    /// When an extension does not decode.
    pub fn of<'a>(path: impl Iterator<Item = &'a Certificate>) -> Result<Self, DecodeError> {
        let extensions = path.filter_map(|certificate| certificate.extension(&oid::NAME_CONSTRAINTS));
        extensions.map(|extension| NameConstraints::decode(&extension.value)).collect::<Result<_, _>>().map(Self)
    }

    /// Judges the names of a certificate to be.
    ///
    /// # Errors
    /// The first name that one of the CAs forbids.
    pub fn check(&self, subject: &Name, alt_names: &[GeneralName]) -> Result<(), ForbiddenName> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut names = alt_names.to_vec();
        if !subject.is_empty() {
            names.push(GeneralName::DirectoryName(subject.clone()));
        }
        // RFC 5280 §4.2.1.10: without an rfc822Name the addresses in the subject are judged.
        if !alt_names.iter().any(|name| matches!(name, GeneralName::Rfc822Name(_))) {
            let addresses = subject.rdns().iter().flatten().filter(|attribute| attribute.oid == oid::AT_EMAIL_ADDRESS);
            names.extend(addresses.filter_map(|address| address.text()).map(GeneralName::Rfc822Name));
        }
        let forbidden = names.iter().find(|name| self.0.iter().any(|constraints| forbids(constraints, name)));
        forbidden.map_or(Ok(()), |name| Err(ForbiddenName { name: name.to_string() }))
    }
}

/// How a name stands to a subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Of another kind: the subtree says nothing of it.
    OtherKind,
    Within,
    Outside,
    /// Of a kind that cannot be compared: nobody can say that it is allowed.
    Unknown,
}

fn forbids(constraints: &NameConstraints, name: &GeneralName) -> bool {
    let of_its_kind = |bases: &[GeneralName]| -> Vec<Relation> {
        let relations = bases.iter().map(|base| relation(name, base));
        relations.filter(|relation| *relation != Relation::OtherKind).collect()
    };
    let (excluded, permitted) = (of_its_kind(&constraints.excluded), of_its_kind(&constraints.permitted));
    excluded.iter().any(|relation| *relation != Relation::Outside)
        || (!permitted.is_empty() && !permitted.contains(&Relation::Within))
}

fn relation(name: &GeneralName, base: &GeneralName) -> Relation {
    let told = |within: bool| if within { Relation::Within } else { Relation::Outside };
    match (name, base) {
        (GeneralName::DnsName(name), GeneralName::DnsName(base)) => told(is_domain_within(name, base)),
        (GeneralName::Rfc822Name(name), GeneralName::Rfc822Name(base)) => told(is_mailbox_within(name, base)),
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => match uri_host(uri) {
            // "if the URI does not include … a host name specified as a fully qualified domain name", it is rejected.
            Some(host) if host.parse::<std::net::IpAddr>().is_err() => told(is_host_within(host, base)),
            Some(_) | None => Relation::Unknown,
        },
        (GeneralName::IpAddress(name), GeneralName::IpAddress(base)) => told(is_address_within(name, base)),
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(base)) => told(is_directory_within(name, base)),
        (GeneralName::RegisteredId(name), GeneralName::RegisteredId(base)) => told(name == base),
        (GeneralName::OtherName { type_id: name, .. }, GeneralName::OtherName { type_id: base, .. })
            if name == base =>
        {
            Relation::Unknown
        }
        (GeneralName::X400Address(_), GeneralName::X400Address(_))
        | (GeneralName::EdiPartyName(_), GeneralName::EdiPartyName(_)) => Relation::Unknown,
        _ => Relation::OtherKind,
    }
}

/// "Any DNS name that can be constructed by simply adding zero or more labels to the left-hand side of the name". A dot in
/// front, which is not of the standard, is read as everywhere: at least one label more.
fn is_domain_within(name: &str, base: &str) -> bool {
    if base.starts_with('.') {
        return ends_with_ignoring_case(name, base) && name.len() > base.len();
    }
    base.is_empty() || name.eq_ignore_ascii_case(base) || ends_with_ignoring_case(name, &format!(".{base}"))
}

/// A mailbox, a host, or with a dot in front the hosts of a domain.
fn is_mailbox_within(name: &str, base: &str) -> bool {
    let Some((local, host)) = name.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => is_host_within(host, base),
    }
}

/// A host, or with a dot in front the hosts of a domain.
fn is_host_within(host: &str, base: &str) -> bool {
    if base.starts_with('.') {
        return ends_with_ignoring_case(host, base) && host.len() > base.len();
    }
    host.eq_ignore_ascii_case(base)
}

/// RFC 3986 section 3.2: the host between userinfo and port.
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty() && !host.starts_with('[')).then_some(host)
}

/// RFC 4632: address and mask, of four or sixteen octets each.
fn is_address_within(name: &[u8], base: &[u8]) -> bool {
    let (address, mask) = base.split_at(base.len() / 2);
    address.len() == name.len()
        && mask.len() == name.len()
        && name.iter().zip(address).zip(mask).all(|((name, address), mask)| name & mask == address & mask)
}

/// The base's RDNs are the first ones of the name, by the comparison of RFC 5280 section 7.1.
fn is_directory_within(name: &Name, base: &Name) -> bool {
    let (name, base) = (name.rdns(), base.rdns());
    name.len() >= base.len() && Name::from_rdns(&name[..base.len()]).matches(&Name::from_rdns(base))
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use estd_asn1::{AttributeTypeAndValue, Oid};

    fn name(attributes: &[(Oid, &str)]) -> Name {
        let rdn = |(oid, text): &(Oid, &str)| vec![AttributeTypeAndValue::from_text(oid.clone(), text).unwrap()];
        Name::from_rdns(&attributes.iter().map(rdn).collect::<Vec<_>>())
    }

    #[test]
    fn each_kind_of_name_is_held_against_its_subtrees() {
        let dns = |text: &str| GeneralName::DnsName(text.into());
        let email = |text: &str| GeneralName::Rfc822Name(text.into());
        let uri = |text: &str| GeneralName::Uri(text.into());
        let ip = |octets: &[u8]| GeneralName::IpAddress(octets.to_vec());
        let directory = |attributes: &[(Oid, &str)]| GeneralName::DirectoryName(name(attributes));
        let acme = [(oid::AT_ORGANIZATION_NAME, "Acme")];
        let device = [(oid::AT_ORGANIZATION_NAME, "ACME "), (oid::AT_COMMON_NAME, "SN-1")];
        let upn = |value: &[u8]| GeneralName::OtherName { type_id: oid::HARDWARE_MODULE_NAME, value: value.to_vec() };
        for (base, within, outside) in [
            (dns("acme.example"), vec![dns("acme.example"), dns("a.B.ACME.example")], vec![dns("xacme.example")]),
            (dns(".acme.example"), vec![dns("a.acme.example")], vec![dns("acme.example"), dns(".acme.example")]),
            (dns(""), vec![dns("any.example")], vec![]),
            (email("acme.example"), vec![email("a@ACME.example")], vec![email("a@b.acme.example"), email("a")]),
            (email(".acme.example"), vec![email("a@b.acme.example")], vec![email("a@acme.example")]),
            (email("a@acme.example"), vec![email("a@Acme.example")], vec![email("A@acme.example")]),
            (
                uri(".acme.example"),
                vec![uri("https://u@a.acme.example:1/x")],
                vec![uri("https://acme.example"), uri("urn:acme:SN-1"), uri("http://192.0.2.1/"), uri("http://[::1]/")],
            ),
            (uri("acme.example"), vec![uri("http://acme.example#x")], vec![uri("http://evil.example/@acme.example")]),
            (ip(&[192, 0, 2, 0, 255, 255, 255, 0]), vec![ip(&[192, 0, 2, 9])], vec![ip(&[192, 0, 3, 9]), ip(&[0; 16])]),
            (directory(&acme), vec![directory(&device)], vec![directory(&device[1..]), directory(&[])]),
            (upn(&[5, 0]), vec![], vec![upn(&[5, 0])]),
        ] {
            let judge = |constraints: NameConstraints, name: &GeneralName| {
                PathConstraints(vec![constraints]).check(&Name::empty(), std::slice::from_ref(name)).is_ok()
            };
            let permitted = NameConstraints { permitted: vec![base.clone()], excluded: Vec::new() };
            let excluded = NameConstraints { permitted: Vec::new(), excluded: vec![base.clone()] };
            for name in &within {
                assert!(judge(permitted.clone(), name) && !judge(excluded.clone(), name), "{name} within {base}");
            }
            for name in &outside {
                assert!(!judge(permitted.clone(), name), "{name} outside of {base}");
                let unknown = relation(name, &base) == Relation::Unknown;
                assert_eq!(judge(excluded.clone(), name), !unknown, "{name} not excluded by {base}");
            }
        }
        let only_dns = NameConstraints { permitted: vec![dns("acme.example")], excluded: Vec::new() };
        assert!(!forbids(&only_dns, &uri("urn:x")), "of another kind");
    }

    #[test]
    fn the_subject_counts_and_every_ca_of_the_path_has_a_say() {
        let base = |text| GeneralName::DirectoryName(name(&[(oid::AT_ORGANIZATION_NAME, text)]));
        let path = |bases: [&'static str; 2]| {
            PathConstraints(
                bases.map(|text| NameConstraints { permitted: vec![base(text)], excluded: vec![] }).to_vec(),
            )
        };
        let subject = name(&[(oid::AT_ORGANIZATION_NAME, "Acme")]);
        assert_eq!(path(["Acme", "Acme"]).check(&subject, &[]), Ok(()));
        assert!(path(["Acme", "Globex"]).check(&subject, &[]).is_err());
        assert_eq!(path(["Acme", "Globex"]).check(&Name::empty(), &[]), Ok(()), "there is no name");
        let mail =
            NameConstraints { permitted: vec![GeneralName::Rfc822Name("acme.example".into())], excluded: vec![] };
        let with_address = name(&[(oid::AT_EMAIL_ADDRESS, "a@evil.example")]);
        let refused = PathConstraints(vec![mail]).check(&with_address, &[]).unwrap_err();
        assert_eq!(refused.name, "email:a@evil.example");
    }
}
