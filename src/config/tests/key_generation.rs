//! Labels that make keys, as configured.

use super::*;

#[test]
fn a_label_makes_no_keys_unless_told_to_and_then_by_the_strictest_rules() {
    let config = load(&example_folder(EXAMPLE)).unwrap();
    assert!(config.labels[0].key_generation.is_none());
    let config = load(&example_folder(&format!("{EXAMPLE}[tenant.label.key_generation]\n"))).unwrap();
    let rules = config.labels[0].key_generation.as_ref().unwrap();
    assert!(!rules.plaintext && !rules.birth_certificates && rules.shared_keys.is_empty());
}

#[test]
fn keys_to_encrypt_to_are_checked_when_they_are_read() {
    let problems = |change: &dyn Fn(&str) -> String, prepare: &dyn Fn(&Path)| {
        let folder = folder_of(&change(&with_examples()));
        prepare(folder.path());
        load(&folder).map(|_| ()).unwrap_err()
    };
    let place = "config.toml: tenant acme, label devices, key_generation";
    let key_place = format!("{place}, decrypt_key 70736b2d69642d30303031");
    let same = |text: &str| text.to_owned();
    let nothing = |_: &Path| ();
    let write = |text: &'static str| move |path: &Path| write_secret(&path.join("keys/psk-id-0001.hex"), text);
    let open = |path: &Path| {
        fs::set_permissions(path.join("keys/psk-id-0001.hex"), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let twice = |text: &str| {
        let table = text.split_once("[[tenant.label.key_generation.decrypt_key]]").unwrap().1;
        format!("{text}[[tenant.label.key_generation.decrypt_key]]{table}")
    };
    let anonymous = |path: &Path| {
        let plain = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        fs::write(path.join("decrypt-certificates/two.pem"), plain.pem()).unwrap();
    };
    for (found, expected) in [
        (
            problems(&same, &write("00010203")),
            format!("{key_place}, key: an aes key has 16, 24 or 32 octets, this one has 4"),
        ),
        (
            problems(&same, &write("not hexadecimal!")),
            format!("{key_place}, key: keys/psk-id-0001.hex: expected an AES key"),
        ),
        (problems(&same, &open), format!("{key_place}, key: keys/psk-id-0001.hex is open to others (mode 0644)")),
        (problems(&twice, &nothing), format!("{key_place}, id: the name is taken")),
        (
            problems(&same, &anonymous),
            format!("{place}, decrypt_certificates: expected certificates with a subjectKey"),
        ),
        (
            problems(&|text| text.replace("\"70736b2d69642d30303031\"", "\"psk\""), &nothing),
            format!("{place}, decrypt_key psk, id: expected octets in hexadecimal, found \"psk\""),
        ),
        (
            problems(
                &|text| {
                    text.replace("# keys = [\"rsa\", \"p256\", \"p384\", \"p521\", \"ed25519\"]", "keys = [\"p521\"]")
                },
                &nothing,
            ),
            format!("{place}: expected a profile whose keys allow p256"),
        ),
        (
            problems(&|text| text.replace("plaintext = false", "plain_text = true"), &nothing),
            format!("{place}, plain_text: unknown field"),
        ),
    ] {
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&expected), "expected {expected:?}, found {found:#?}");
        assert!(!found[0].contains("00010203"), "the key is not shown");
    }
}
