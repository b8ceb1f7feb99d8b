//! Each leniency: taken where a label is lenient, refused by its code where it is strict.

use super::full_cmc::message;
use super::*;
use crate::credential::declared::{ApiToken, Declarations, User};
use crate::credential::{Accepted, Credentials, DeviceScope, GuessLimits, HttpScheme, digest, secret};
use crate::est::transfer::{self, LineWrapping};
use crate::est::{DigestAlgorithm, EstTarget, Leniency};
use crate::pki::digest::{hex, sha256};
use crate::pki::public_key::KeyType;
use crate::pki::testing::TestKey;
use crate::policy::AuthenticationRule;
use crate::ra::Authentication;
use estd_asn1::{Attribute, Extension, Name, extension, oid, pkcs10};

/// Lenient, and takes full CMC.
const LENIENT: &str = "cmc";
/// The same, strict.
const STRICT: &str = "strict";

/// By certificate, by the token `estd_t`, or as user `dev` by Digest; all for SN-0001.
fn fixture() -> Enrolled {
    let devices = Arc::new(DeviceScope::parse(&["SN-0001".to_owned()]).unwrap());
    let user = User {
        name: "dev".to_owned(),
        password: None,
        digest_sha256: Some(digest::ha1(DigestAlgorithm::Sha256, "dev", "acme", "right").into()),
        digest_md5: None,
        devices: Arc::clone(&devices),
    };
    let token = ApiToken { name: "t".to_owned(), sha256: secret::hash("estd_t"), devices, not_after: None };
    let declared =
        Declarations { realm: "acme".to_owned(), users: vec![user], tokens: vec![token], ..Declarations::default() };
    let authentication = Authentication {
        rule: AuthenticationRule::CertificateOrHttp,
        accepted: Accepted {
            schemes: vec![HttpScheme::Digest, HttpScheme::Bearer],
            digest: vec![DigestAlgorithm::Sha256],
        },
        credentials: Arc::new(Credentials::new(declared).unwrap()),
        guesses: GuessLimits::default(),
    };
    testing::enrolled_by(MemoryStore::new(), &authentication)
}

/// A certification request with these attributes, as it is encoded; as the body of a POST.
fn request(attributes: &[Attribute], change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let key = TestKey::generate(KeyType::P256);
    let info = pkcs10::encode_certification_request_info_with(&Name::empty(), key.spki.der(), attributes);
    let info = change(info);
    let der = pkcs10::encode_certification_request(&info, key.algorithm.identifier(), &key.sign(&info));
    String::from_utf8(transfer::encode(&der, LineWrapping::Lines64)).unwrap()
}

fn attribute(oid: estd_asn1::Oid, value: Vec<u8>) -> Attribute {
    Attribute { oid, values: vec![value] }
}

fn asking(attribute_type: estd_asn1::Oid, extension: estd_asn1::Oid, value: &[u8]) -> Attribute {
    let extension = Extension { oid: extension, critical: false, value: value.to_vec() };
    attribute(attribute_type, extension::encode_extensions(&[extension]))
}

/// An answer to `challenge` for `uri`, its qop in quotation marks or not.
fn digest_answer(challenge: &Answer, uri: &str, qop: &str) -> String {
    let nonce = challenge.head.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let h = |text: String| hex(&sha256(&[text.as_bytes()]));
    let (ha1, ha2) = (h("dev:acme:right".to_owned()), h(format!("POST:{uri}")));
    let response = h(format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
    format!(
        "Authorization: Digest username=\"dev\", realm=\"acme\", nonce=\"{nonce}\", uri=\"{uri}\", cnonce=\"c\", \
         nc=00000001, qop={qop}, algorithm=SHA-256, response=\"{response}\"\r\n"
    )
}

/// What a label answers to a request that needs the leniency.
async fn answer(fixture: &Enrolled, label: &str, leniency: Leniency) -> Answer {
    let enroll = format!("{}{label}/simpleenroll", EstTarget::PREFIX);
    let same = |info| info;
    let body = match leniency {
        Leniency::PemArmour => {
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{}-----END CERTIFICATE REQUEST-----\n", fixture.request)
        }
        // A0 00 ends the CertificationRequestInfo.
        Leniency::OmittedAttributes => request(&[], |info| {
            let content = &info[2..info.len() - 2];
            [&[0x30, u8::try_from(content.len()).unwrap()], content].concat()
        }),
        Leniency::UnsortedSet => request(
            &[attribute(oid::AT_SURNAME, vec![0x0c, 1, b'x']), attribute(oid::AT_COMMON_NAME, vec![0x0c, 1, b'x'])],
            same,
        ),
        Leniency::Ia5Challenge => {
            // The binding of these tests' connections.
            let text = [&[0x16, 16][..], b"AAAAAAAAAAAAAAAA"].concat();
            request(&[attribute(oid::CHALLENGE_PASSWORD, text)], same)
        }
        Leniency::MicrosoftExtensionRequest => {
            request(&[asking(oid::MS_EXTENSION_REQUEST, oid::KEY_USAGE, &[3, 2, 7, 0x80])], same)
        }
        Leniency::UntrimmedKeyUsage => {
            request(&[asking(oid::EXTENSION_REQUEST, oid::KEY_USAGE, &[3, 2, 0, 0x80])], same)
        }
        Leniency::WrittenDefault => {
            request(&[asking(oid::EXTENSION_REQUEST, oid::BASIC_CONSTRAINTS, &[0x30, 3, 1, 1, 0])], same)
        }
        Leniency::WrappedChallenge => {
            let text = [&[0x13, 17][..], b"AAAAAAAA AAAAAAAA"].concat();
            request(&[attribute(oid::CHALLENGE_PASSWORD, text)], same)
        }
        Leniency::MissingSmimeType => message(fixture),
        Leniency::QuotedDigest | Leniency::DigestUriWithoutLabel | Leniency::EncodedBearerToken => {
            fixture.request.clone()
        }
    };
    let mut device = Client::connect(fixture, HttpLimits::default());
    let mut stranger = Client::anonymous(fixture, HttpLimits::default());
    let (uri, qop) = match leniency {
        Leniency::MissingSmimeType => {
            let path = enroll.replace("simpleenroll", "fullcmc");
            let head = post(&path, "", &body).replace("application/pkcs10", "application/pkcs7-mime");
            return device.exchange(head).await;
        }
        Leniency::EncodedBearerToken => {
            // base64 of estd_t
            return stranger.exchange(post(&enroll, "Authorization: Bearer ZXN0ZF90\r\n", &body)).await;
        }
        Leniency::QuotedDigest => (enroll.as_str(), "\"auth\""),
        Leniency::DigestUriWithoutLabel => (ENROLL, "auth"),
        Leniency::PemArmour
        | Leniency::OmittedAttributes
        | Leniency::UnsortedSet
        | Leniency::Ia5Challenge
        | Leniency::MicrosoftExtensionRequest
        | Leniency::UntrimmedKeyUsage
        | Leniency::WrittenDefault
        | Leniency::WrappedChallenge => return device.exchange(post(&enroll, "", &body)).await,
    };
    let challenge = stranger.exchange(post(&enroll, "", "")).await;
    let fields = digest_answer(&challenge, uri, qop);
    stranger.exchange(post(&enroll, &fields, &body)).await
}

#[tokio::test]
async fn each_leniency_is_taken_at_a_lenient_label_and_refused_by_its_code_at_a_strict_one() {
    let fixture = fixture();
    for leniency in Leniency::ALL {
        let taken = answer(&fixture, LENIENT, leniency).await;
        assert_eq!(taken.status, 200, "{leniency:?}: {}", taken.body);
        let refused = answer(&fixture, STRICT, leniency).await;
        let code = leniency.refusal().code().as_str();
        // fullcmc tells it by a CMC response.
        let told = refused.body.starts_with(&format!("estd: {code}: "))
            || (leniency == Leniency::MissingSmimeType && refused.status == 415);
        assert!(refused.status >= 400 && told, "{leniency:?}: {refused:?}");
    }
}

#[tokio::test]
async fn what_the_standards_allow_is_taken_at_a_strict_label_as_well() {
    let fixture = fixture();
    let enroll = format!("{}{STRICT}/simpleenroll", EstTarget::PREFIX);
    let mut device = Client::connect(&fixture, HttpLimits::default());
    let linked = attribute(oid::CHALLENGE_PASSWORD, [&[0x13, 16][..], b"AAAAAAAAAAAAAAAA"].concat());
    let usage = asking(oid::EXTENSION_REQUEST, oid::KEY_USAGE, &[3, 2, 7, 0x80]);
    for body in [
        fixture.request.clone(),
        fixture.request.replace('\n', "\r\n \t"),
        request(&[], |info| info),
        request(&[usage, linked], |info| info),
    ] {
        let fields = "Content-Transfer-Encoding: binary\r\n";
        let answer = device.exchange(post(&enroll, fields, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let media_type = post(&enroll, "", &fixture.request).replace("application/pkcs10", "Application/PKCS10; x=y");
    assert_eq!(device.exchange(media_type).await.status, 200, "RFC 9110 section 8.3.1");
    let mut stranger = Client::anonymous(&fixture, HttpLimits::default());
    let challenge = stranger.exchange(post(&enroll, "", "")).await;
    let fields = digest_answer(&challenge, &enroll, "auth");
    assert_eq!(stranger.exchange(post(&enroll, &fields, &fixture.request)).await.status, 200);
    let bearer = post(&enroll, "Authorization: Bearer estd_t\r\n", &fixture.request);
    assert_eq!(stranger.exchange(bearer).await.status, 200);
    let full_cmc = post(&enroll.replace("simpleenroll", "fullcmc"), "", &message(&fixture))
        .replace("application/pkcs10", "application/pkcs7-mime; smime-type=CMC-request");
    assert_eq!(device.exchange(full_cmc).await.status, 200);
}
