//! What is taken for whom, and what it costs to find out.

use zeroize::Zeroizing;

use super::*;
use crate::credential::declared::{ApiToken, CredentialsError, Declarations, User};
use crate::credential::password::{PasswordHash, SALT_OCTETS, VERIFIED};
use crate::credential::{digest, jwt, secret};

const DEVICES: Place<'_> = Place { tenant: "acme", label: "devices" };
const TARGET: &str = "/.well-known/est/devices/simpleenroll";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn scope(patterns: &[&str]) -> Arc<DeviceScope> {
    Arc::new(DeviceScope::parse(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).unwrap())
}

fn user(name: &str, password: &str, devices: &[&str]) -> User {
    let ha1 = |algorithm| Some(Zeroizing::new(digest::ha1(algorithm, name, "acme", password)));
    User {
        name: name.to_owned(),
        password: Some(PasswordHash::parse(&PasswordHash::make(password, &[1; SALT_OCTETS]).unwrap()).unwrap()),
        digest_sha256: ha1(DigestAlgorithm::Sha256),
        digest_md5: ha1(DigestAlgorithm::Md5),
        devices: scope(devices),
    }
}

fn declarations() -> Declarations {
    let soon = Some(now() + chrono::TimeDelta::hours(1));
    let token = |name: &str, not_after| ApiToken {
        name: name.to_owned(),
        sha256: secret::hash(&format!("estd_{name}")),
        devices: scope(&["*"]),
        not_after,
    };
    let code = |code: &str, devices: &[&str]| EnrollmentCode {
        sha256: secret::hash(code),
        devices: scope(devices),
        not_after: soon,
        uses: 1,
    };
    Declarations {
        realm: "acme".to_owned(),
        users: vec![user("line-7", "a:b", &["SN-7*"]), user("", "nameless", &["SN-1"])],
        tokens: vec![token("build", None), token("gone", Some(now() - chrono::TimeDelta::seconds(1)))],
        codes: vec![code("CODE-1", &["SN-1"]), code("CODE-X", &["AX-*"])],
        issuers: Vec::new(),
    }
}

fn accepted() -> Accepted {
    Accepted { schemes: HttpScheme::ALL.to_vec(), digest: DigestAlgorithm::ALL.to_vec() }
}

fn basic(user: &str, password: &str) -> PresentedCredential {
    PresentedCredential::Basic { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) }
}

fn bearer(token: &str) -> PresentedCredential {
    PresentedCredential::Bearer(Zeroizing::new(token.to_owned()))
}

/// A Digest credential as a client makes it.
fn digested(algorithm: DigestAlgorithm, user: &str, password: &str, nonce: &str, count: u32) -> DigestCredential {
    let mut presented = DigestCredential {
        user: user.to_owned(),
        realm: "acme".to_owned(),
        nonce: nonce.to_owned(),
        uri: TARGET.to_owned(),
        algorithm,
        cnonce: "c".to_owned(),
        nonce_count_text: format!("{count:08x}"),
        nonce_count: count,
        response: String::new(),
        method: "POST".to_owned(),
        target: TARGET.to_owned(),
    };
    answer(&mut presented, password);
    presented
}

fn answer(presented: &mut DigestCredential, password: &str) {
    let ha1 = digest::ha1(presented.algorithm, &presented.user, &presented.realm, password);
    presented.response = digest::response(presented, &ha1);
}

fn verify(credentials: &Credentials, presented: &PresentedCredential) -> Option<HttpIdentity> {
    let nonces = Nonces::new(&[0; 32]);
    credentials.verify_secret(presented, &accepted(), Tolerance::Lenient, now()).or_else(|| {
        credentials.verify_password(presented, &accepted(), Tolerance::Lenient, DEVICES, &nonces, now()).ok()
    })
}

#[test]
fn each_kind_of_credential_says_whom_it_speaks_for() {
    let keys = jwt::tests::SigningKey::all();
    let declared = Declarations { issuers: vec![jwt::tests::issuer(&keys)], ..declarations() };
    let credentials = Credentials::new(declared).unwrap();
    let jwt = jwt::tests::token(&keys[0], &jwt::tests::claims(now()));
    let otp = PresentedCredential::OneTimePassword(Zeroizing::new("CODE-1".to_owned()));
    for (presented, id, inside, outside, uses) in [
        (basic("line-7", "a:b"), "user/line-7", "SN-77", "SN-1", None),
        (basic("", "nameless"), "user/", "SN-1", "SN-2", None),
        (bearer("estd_build"), "token/build", "any", "", None),
        (bearer("ZXN0ZF9idWlsZA=="), "token/build", "any", "", None),
        (bearer(&jwt), "issuer/factory", "SN-1", "SN-2", None),
        (basic("", "CODE-1"), "code/", "SN-1", "SN-2", Some(1)),
        (otp, "code/", "SN-1", "SN-2", Some(1)),
        (basic("AX-1", "CODE-X"), "code/", "AX-1", "AX-2", Some(1)),
        (basic("", "CODE-X"), "code/", "AX-2", "SN-1", Some(1)),
    ] {
        let identity = verify(&credentials, &presented).unwrap_or_else(|| panic!("{id}"));
        assert!(identity.credential().as_str().starts_with(id), "{identity:?}");
        assert!(identity.speaks_for(inside), "{id}");
        assert!(outside.is_empty() || !identity.speaks_for(outside), "{id}");
        assert_eq!(identity.max_uses(), uses);
    }
}

#[test]
fn nothing_else_is_taken() {
    let credentials = Credentials::new(declarations()).unwrap();
    for presented in [
        basic("line-7", "a"),
        basic("line-7", "nameless"),
        basic("LINE-7", "a:b"),
        basic("", ""),
        basic("nobody", "a:b"),
        basic("SN-2", "CODE-1"),
        basic("line-7", "CODE-1"),
        basic("", "code-1"),
        bearer("estd_gone"),
        bearer("estd_other"),
        bearer("CODE-1"),
        bearer("a.b.c"),
        bearer(""),
        basic("", "estd_build"),
        PresentedCredential::OneTimePassword(Zeroizing::new("nameless".to_owned())),
    ] {
        assert_eq!(verify(&credentials, &presented), None, "{presented:?} {:?}", presented.user());
    }
    let later = now() + chrono::TimeDelta::hours(2);
    assert_eq!(credentials.verify_secret(&basic("", "CODE-1"), &accepted(), Tolerance::Lenient, later), None);
    for (presented, scheme) in [
        (basic("line-7", "a:b"), HttpScheme::Basic),
        (basic("", "CODE-1"), HttpScheme::Code),
        (bearer("estd_build"), HttpScheme::Bearer),
    ] {
        let schemes = HttpScheme::ALL.into_iter().filter(|other| *other != scheme).collect();
        let without = Accepted { schemes, ..accepted() };
        assert_eq!(credentials.verify_secret(&presented, &without, Tolerance::Lenient, now()), None);
        let nonces = Nonces::new(&[0; 32]);
        assert!(
            credentials.verify_password(&presented, &without, Tolerance::Lenient, DEVICES, &nonces, now()).is_err()
        );
    }
}

/// Threat 36: one verification of one cost, for a right password, a wrong one, and a user who does not exist or has none.
#[test]
fn who_does_not_exist_costs_as_much_as_who_does() {
    let mut declared = declarations();
    declared.users.push(User { password: None, ..user("digest-only", "x", &["*"]) });
    let credentials = Credentials::new(declared).unwrap();
    assert!(!credentials.differ_in_cost());
    for presented in [
        basic("line-7", "a:b"),
        basic("line-7", "wrong"),
        basic("nobody", "a:b"),
        basic("digest-only", "x"),
        basic("", "wrong"),
    ] {
        VERIFIED.take();
        let _ = verify(&credentials, &presented);
        assert_eq!(VERIFIED.take(), [(2 * 19_456, 19_456, 1)], "{:?}", presented.user());
    }
}

#[test]
fn a_digest_is_good_once_for_its_uri_at_its_label() {
    let credentials = Credentials::new(declarations()).unwrap();
    let nonces = Nonces::new(&[0; 32]);
    let check = |presented: &DigestCredential, at| {
        let presented = PresentedCredential::Digest(Box::new(presented.clone()));
        assert_eq!(credentials.verify_secret(&presented, &accepted(), Tolerance::Lenient, at), None);
        credentials.verify_password(&presented, &accepted(), Tolerance::Lenient, DEVICES, &nonces, at).map(|_| ())
    };
    for algorithm in DigestAlgorithm::ALL {
        let nonce = nonces.make(DEVICES, now());
        let first = digested(algorithm, "line-7", "a:b", &nonce, 1);
        assert_eq!(check(&first, now()), Ok(()));
        assert_eq!(check(&first, now()), Err(CredentialError::Stale), "replayed");
        assert_eq!(check(&digested(algorithm, "line-7", "a:b", &nonce, 2), now()), Ok(()));
        let later = now() + chrono::TimeDelta::minutes(5);
        assert_eq!(check(&digested(algorithm, "line-7", "a:b", &nonce, 3), later), Err(CredentialError::Stale));
        let foreign = nonces.make(Place { label: "other", ..DEVICES }, now());
        assert_eq!(check(&digested(algorithm, "line-7", "a:b", &foreign, 1), now()), Err(CredentialError::Stale));

        let nonce = nonces.make(DEVICES, now());
        let mut changed = digested(algorithm, "line-7", "a:b", &nonce, 1);
        changed.uri = "/.well-known/est/simpleenroll".to_owned();
        answer(&mut changed, "a:b");
        assert_eq!(check(&changed, now()), Ok(()), "libest leaves the label out");
        for uri in ["/.well-known/est/simplereenroll", "/.well-known/est/other/simpleenroll", "", "*"] {
            changed.uri = uri.to_owned();
            answer(&mut changed, "a:b");
            assert_eq!(check(&changed, now()), Err(CredentialError::Uri), "{uri}");
        }
        for (user, password) in [("line-7", "wrong"), ("nobody", "a:b"), ("", "")] {
            let presented = digested(algorithm, user, password, &nonces.make(DEVICES, now()), 1);
            assert_eq!(check(&presented, now()), Err(CredentialError::Wrong), "{user}");
        }
        let mut other_realm = digested(algorithm, "line-7", "a:b", &nonce, 9);
        other_realm.realm = "other".to_owned();
        answer(&mut other_realm, "a:b");
        assert_eq!(check(&other_realm, now()), Err(CredentialError::Wrong));
    }
    let only_sha = Accepted { digest: vec![DigestAlgorithm::Sha256], ..accepted() };
    let presented = digested(DigestAlgorithm::Md5, "line-7", "a:b", &nonces.make(DEVICES, now()), 1);
    assert!(!only_sha.is_welcome(&PresentedCredential::Digest(Box::new(presented))));
}

#[test]
fn what_cannot_stand_together_is_told_all_at_once() {
    let mut declared = declarations();
    declared.realm = "a\"b".to_owned();
    declared.users.push(User { password: None, digest_sha256: None, digest_md5: None, ..user("line-7", "x", &["*"]) });
    declared.users.push(User { digest_md5: Some(Zeroizing::new("ABC".to_owned())), ..user("other", "x", &["*"]) });
    declared.tokens.extend(declared.tokens.clone());
    let errors = Credentials::new(declared).unwrap_err();
    let hash = |name: &str| crate::pki::digest::hex(&secret::hash(name));
    for expected in [
        CredentialsError::Realm,
        CredentialsError::Duplicate { kind: "user", name: "line-7".to_owned() },
        CredentialsError::NoSecret { name: "line-7".to_owned() },
        CredentialsError::Digest { name: "other".to_owned(), key: "digest_md5", digits: 32 },
        CredentialsError::Duplicate { kind: "token", name: "build".to_owned() },
        CredentialsError::DuplicateHash { kind: "token", sha256: hash("estd_gone") },
    ] {
        assert!(errors.contains(&expected), "{expected} is missing among {errors:?}");
    }
}
