//! Authorities on the way to a successor, as configured.

use super::*;
use crate::ca::RolloverPhase;

/// Another root of the same name, a CA below it, and what both roots say of each other.
pub(super) fn write_successor(folder: &Path, old_params: &CertificateParams, old_key: &KeyPair) {
    let (mut params, key) = ca("Acme Root");
    params.not_after = rcgen::date_time_ymd(4097, 1, 1);
    let root = params.self_signed(&key).unwrap();
    let (issuing_params, issuing_key) = ca("Acme Issuing");
    let issuing = issuing_params.signed_by(&issuing_key, &Issuer::from_params(&params, &key)).unwrap();
    let old_with_new = old_params.signed_by(old_key, &Issuer::from_params(&params, &key)).unwrap();
    let mut ending = params.clone();
    ending.not_after = old_params.not_after;
    let new_with_old = ending.signed_by(&key, &Issuer::from_params(old_params, old_key)).unwrap();
    for (name, certificate) in
        [("root", root), ("issuing", issuing), ("old-with-new", old_with_new), ("new-with-old", new_with_old)]
    {
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    }
    write_key(&folder.join("issuing.key"), &issuing_key);
}

/// The example with its successor and `change`.
fn changed(change: &dyn Fn(String) -> String) -> Result<Config, Vec<String>> {
    let successor = |line: &str| {
        let example = line.strip_prefix("# e.g. ").unwrap_or(line);
        let is_of_it = line != example
            && (example == "[tenant.authority.successor]"
                || example.starts_with("phase")
                || example.contains("\"ca/next/"));
        if is_of_it { format!("{example}\n") } else { format!("{line}\n") }
    };
    load(&example_folder(&change(EXAMPLE.lines().map(successor).collect())))
}

#[test]
fn the_phase_says_who_signs_and_both_are_trusted() {
    for phase in RolloverPhase::ALL {
        let config = changed(&|text| text.replace("announce\"", &format!("{}\"", phase.as_str()))).unwrap();
        let authority = &config.authorities[0];
        let rollover = authority.rollover.as_ref().unwrap();
        assert_eq!(rollover.phase(), phase);
        assert_eq!(authority.authority.issuer_id(), rollover.signing().issuer_id());
        assert_eq!(authority.all().count(), 2);
        let label = &config.labels[0];
        assert_eq!(label.authority.issuer_id(), rollover.signing().issuer_id());
        let trusted: Vec<_> = label.anchors.explicit().iter().map(|anchor| anchor.public_key().der()).collect();
        let both = rollover.authorities().map(|authority| authority.certificate().public_key().der());
        assert_eq!(trusted, both);
        let CertificateSource::Own { issuer, rollover: Some(_), .. } = &config.server.tls.certificate else { panic!() };
        assert_eq!(issuer.issuer_id(), rollover.signing().issuer_id());
    }
}

#[test]
fn a_successor_that_nobody_could_follow_is_refused_with_its_place() {
    let place = "config.toml: tenant acme, authority issuing, successor";
    let without = |text: String, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        text.replace(&format!("{line}\n"), "")
    };
    let swapped = |text: String| {
        text.replace("next/old-with-new", "next/other")
            .replace("next/new-with-old", "next/old-with-new")
            .replace("next/other", "next/new-with-old")
    };
    let cases: [(&dyn Fn(String) -> String, &str); 8] = [
        (&|text| without(text, "phase"), ", phase: missing: expected \"announce\" or \"cut-over\""),
        (&|text| text.replace("\"announce\"", "\"soon\""), ", phase: expected announce, cut-over, found \"soon\""),
        (&|text| text.replace("ca/next/issuing.key", "ca/other.key"), ": the key is not the one of the certificate of"),
        (&|text| without(text, "new_with_old"), ", new_with_old: missing: expected the other"),
        (&|text| without(text, "old_with_new"), ", old_with_new: missing: expected the other"),
        (&|text| without(without(text, "old_with_new"), "new_with_old"), ": the successor has another root"),
        (&swapped, ": OldWithNew: expected the key of the other root"),
        (&|text| text.replace("new_with_old = \"", "new_with_old = \"ca/none"), ", new_with_old: cannot read"),
    ];
    for (change, expected) in cases {
        let problems = changed(change).map(|_| ()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("{place}{expected}")), "expected {expected:?}, found {problems:#?}");
    }
}
