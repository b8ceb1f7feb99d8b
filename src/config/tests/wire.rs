//! How labels speak with their clients, as configured.

use super::*;
use crate::est::{CsrAttrsForm, Tolerance, WireRules, WireShape};

fn of(keys: &str) -> Result<WireRules, Vec<String>> {
    load(&example_folder(&EXAMPLE.replace("\nidentity = ", &format!("\n{keys}\nidentity = "))))
        .map(|config| config.labels[0].wire)
}

#[test]
fn a_label_speaks_as_told_and_old_names_go_on() {
    assert_eq!(of("").unwrap(), WireRules::default());
    assert_eq!(of("wire = \"lines\"").unwrap(), WireRules::default());
    assert_eq!(of("wire = \"single-line\"").unwrap().shape, WireShape::StrongSwan598);
    for shape in WireShape::ALL {
        assert_eq!(of(&format!("wire = \"{}\"", shape.as_str())).unwrap().shape, shape);
    }
    assert_eq!(of("strict = true").unwrap().tolerance, Tolerance::Strict);
    for form in CsrAttrsForm::ALL {
        assert_eq!(of(&format!("csrattrs = \"{}\"", form.as_str())).unwrap().csr_attrs, form);
    }
}

#[test]
fn what_cannot_be_spoken_is_told() {
    let told = |keys: &str| of(keys).unwrap_err().join("\n");
    assert!(told("wire = \"chunked\"").contains("wire: expected rfc8951, libest, strongswan-5.9.8, aziot, found"));
    assert!(told("csrattrs = \"all\"").contains("csrattrs: expected list, template, both, found \"all\""));
    let waits = "wire = \"aziot\"\nregistration = \"approval\"";
    assert!(told(waits).contains("wire: expected approval with a hold"));
    let held = EXAMPLE.replace("\nidentity = ", &format!("\n{waits}\nidentity = "));
    assert!(load(&example_folder(&format!("{held}\n[tenant.label.approval]\nhold = \"30s\"\n"))).is_ok());
}
