//! Paths and labels: one spelling to one target, and no spelling that a proxy or a file system would read otherwise.

#![no_main]

use estd::est::transfer::encode_base64url;
use estd::est::{EstTarget, Label, Operation, RenewalIdentifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    judge_path(text);
    judge_path(&format!("{}{text}", EstTarget::PREFIX));
    judge_label(text);
    judge_path(&format!("{}renewal-info/{text}", EstTarget::PREFIX));
    judge_path(&format!("{}label/renewal-info/{text}", EstTarget::PREFIX));
    for operation in Operation::ALL {
        judge_path(&format!("{}{text}/{}", EstTarget::PREFIX, operation.segment()));
    }
});

fn judge_path(path: &str) {
    let target = EstTarget::parse_with_identifier(path);
    assert_eq!(target.is_some(), is_est_path(path), "{path:?}");
    assert_eq!(EstTarget::parse(path), target.clone().map(|(target, _)| target));
    if let Some((EstTarget { label, operation }, identifier)) = target {
        let label = label.map(|label| format!("{label}/")).unwrap_or_default();
        let behind = identifier.map(|identifier| format!("/{identifier}")).unwrap_or_default();
        assert_eq!(format!("/.well-known/est/{label}{}{behind}", operation.segment()), path);
        identifier.into_iter().for_each(judge_identifier);
    }
}

/// RFC 7030 section 3.2.2, read by segments.
fn is_est_path(path: &str) -> bool {
    let operations = ["cacerts", "simpleenroll", "simplereenroll", "csrattrs", "serverkeygen", "fullcmc"];
    let is_operation = |segment: &str| operations.contains(&segment);
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", ".well-known", "est", operation] => is_operation(operation),
        ["", ".well-known", "est", "renewal-info", identifier] => !identifier.is_empty(),
        ["", ".well-known", "est", label, operation] => is_label(label) && is_operation(operation),
        ["", ".well-known", "est", label, "renewal-info", identifier] => is_label(label) && !identifier.is_empty(),
        _ => false,
    }
}

/// One certificate has one spelling.
fn judge_identifier(text: &str) {
    if let Ok(named) = RenewalIdentifier::parse(text) {
        let [key_identifier, serial] = [&named.key_identifier, &named.serial].map(|octets| encode_base64url(octets));
        assert_eq!(format!("{key_identifier}.{serial}"), text);
        assert!((1..=64).contains(&named.key_identifier.len()) && (1..=20).contains(&named.serial.len()));
    }
}

fn judge_label(text: &str) {
    let label = Label::parse(text);
    assert_eq!(label.is_ok(), is_label(text), "{text:?}");
    if let Ok(label) = label {
        assert_eq!((label.as_str(), label.to_string().as_str()), (text, text));
    }
}

fn is_label(text: &str) -> bool {
    let reserved = "cacerts simpleenroll simplereenroll fullcmc serverkeygen csrattrs pal cacrls crls symmetrickeys \
                    symmetrickeys.return firmware firmware.return tamp tampresponse requestvoucher voucher_status \
                    requestauditlog enrollstatus renewal-info";
    (1..=64).contains(&text.len())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
        && !text.starts_with('.')
        && !reserved.split_whitespace().any(|segment| segment.eq_ignore_ascii_case(text))
}
