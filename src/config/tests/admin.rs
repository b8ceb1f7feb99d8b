//! `[admin]`: operators and what they may, told apart.

use super::problems_after;

#[test]
fn an_operator_needs_a_certificate_a_role_and_a_tenant_where_the_role_is_of_one() {
    let with = |operator: &str| problems_after(|text| text.replace("[admin]", &format!("[admin]\n{operator}")));
    let operator =
        |keys: &str| with(&format!("[[admin.operator]]\nname = \"olga\"\ncertificate = \"ca/root.pem\"\n{keys}"));
    assert_eq!(operator("role = \"admin\""), Vec::<String>::new());
    assert_eq!(operator("role = \"tenant-admin\"\ntenant = \"acme\""), Vec::<String>::new());
    for (keys, expected) in [
        ("role = \"tenant-admin\"", "the role tenant-admin is of one tenant, none is named"),
        ("role = \"admin\"\ntenant = \"acme\"", "the role admin is of the whole server, it takes no tenant"),
        ("role = \"tenant-admin\"\ntenant = \"other\"", "there is no tenant \"other\"; known: acme"),
        ("role = \"root\"", "expected one of admin, auditor"),
        ("", "role: missing"),
    ] {
        let told = operator(keys);
        assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
    }
    let told = with(&format!("socket = \"{}\"", "s".repeat(120)));
    assert!(told.len() == 1 && told[0].contains("a path of at most 107 octets"), "{told:?}");
}
