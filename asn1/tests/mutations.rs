//! Mutated vectors never panic, and whatever is let in keeps its exact bytes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use estd_asn1::cmc::{PkiData, PkiDataLimits};
use estd_asn1::key_protection::{self, KeyProtection};
use estd_asn1::pkcs10::{RequestLimits, encode_certification_request};
use estd_asn1::signed_message::{MessageLimits, SignedMessage};
use estd_asn1::{Certificate, CertificationRequest, certificate, certs_only, csr_attrs};
use proptest::prelude::*;

/// One change to an encoding.
#[derive(Debug, Clone)]
enum Mutation {
    Flip { at: prop::sample::Index, bit: u8 },
    Set { at: prop::sample::Index, octet: u8 },
    Insert { at: prop::sample::Index, octet: u8 },
    Remove { at: prop::sample::Index },
    Truncate { at: prop::sample::Index },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        4 => (at(), any::<u8>()).prop_map(|(at, octet)| Mutation::Set { at, octet }),
        1 => (at(), any::<u8>()).prop_map(|(at, octet)| Mutation::Insert { at, octet }),
        1 => at().prop_map(|at| Mutation::Remove { at }),
        1 => at().prop_map(|at| Mutation::Truncate { at }),
    ]
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match mutation {
            Mutation::Flip { at, bit } => bytes[at.index(length)] ^= 1 << bit,
            Mutation::Set { at, octet } => bytes[at.index(length)] = *octet,
            Mutation::Insert { at, octet } => bytes.insert(at.index(length), *octet),
            Mutation::Remove { at } => drop(bytes.remove(at.index(length))),
            Mutation::Truncate { at } => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

fn vectors() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let files = [root.clone(), root.join("constructed")].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths =
        files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|der| der == "der"));
    let vectors: Vec<Vec<u8>> = paths.map(|path| fs::read(path).unwrap()).collect();
    let certificates = vectors.iter().filter_map(|der| certs_only::decode(der, 9).ok()).flatten();
    certificates.chain(vectors.iter().cloned()).collect()
}

/// Decodes as everything there is, and holds what was let in against the input.
fn decode_all(der: &[u8]) {
    if let Ok(request) = CertificationRequest::decode(der, &RequestLimits::default()) {
        let algorithm = request.signature_algorithm();
        assert_eq!(encode_certification_request(request.info_der(), algorithm, request.signature()), der);
        assert_eq!(request.subject().to_string().chars().find(|shown| shown.is_control()), None);
        assert!(request.subject().matches(request.subject()));
        if let Ok(KeyProtection { capabilities: Some(capabilities), .. }) = KeyProtection::read(request.attributes()) {
            assert!((1..=key_protection::MAX_CAPABILITIES).contains(&capabilities.len()));
            assert!(capabilities.iter().all(|one| der.windows(one.der().len()).any(|window| window == one.der())));
        }
    }
    if let Ok(message) = SignedMessage::decode(der, &MessageLimits { max_certificates: 7 }) {
        let limits =
            PkiDataLimits { max_controls: 8, max_requests: 8, max_contents: 8, request: RequestLimits::default() };
        let held = |part: &[u8]| der.windows(part.len().max(1)).any(|window| window == part);
        if let Ok(data) = PkiData::decode(&message.content, &limits) {
            assert!(held(data.request_sequence()), "what a witness is over stands so in the message");
        }
        for signer in &message.signers {
            assert!(held(&signer.attributes.to_be_verified()[2..]), "what was signed stands so in the message");
        }
    }
    if let Ok(decoded) = Certificate::decode(der) {
        let algorithm = decoded.signature_algorithm();
        assert_eq!(certificate::encode_certificate(decoded.tbs_der(), algorithm, decoded.signature()), der);
        let _ = (decoded.basic_constraints(), decoded.key_usage(), decoded.ext_key_usage());
        let _ = (decoded.subject_alt_names(9), decoded.subject_key_identifier(), decoded.authority_key_identifier());
    }
    if let Ok(certificates) = certs_only::decode(der, 9) {
        for certificate in &certificates {
            assert!(der.windows(certificate.len()).any(|window| window == certificate));
        }
        let message = certs_only::encode(certificates.iter().map(Vec::as_slice));
        assert_eq!(certs_only::decode(&message, 9).unwrap().len(), certificates.len());
    }
    if let Ok(attrs) = csr_attrs::decode(der, 99) {
        let sorted = csr_attrs::encode(&attrs);
        assert_eq!(sorted.len(), der.len());
        assert_eq!(csr_attrs::encode(&csr_attrs::decode(&sorted, 99).unwrap()), sorted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_vectors(
        vector in prop::sample::select(vectors()),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        decode_all(&mutate(vector, &mutations));
    }

    #[test]
    fn random_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        decode_all(&octets);
    }
}
