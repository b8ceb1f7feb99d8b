//! Opens what `serverkeygen` sends encrypted, with a DER reader of its own and a second implementation of the public-key part.

use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use estd::pki::public_key::{KeyPolicy, PublicKey};
use estd::pki::signature::{self, SignatureAlgorithm};
use estd_asn1::{AlgorithmIdentifier, Certificate, Oid, oid};
use rsa::sha2::{Digest as _, Sha256};

/// A value in DER.
#[derive(Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Tlv<'a> {
    fn first(der: &'a [u8]) -> (Self, &'a [u8]) {
        let (start, length) = match der[1] {
            short @ 0..0x80 => (2, usize::from(short)),
            long => {
                let octets = usize::from(long & 0x7f);
                (2 + octets, der[2..2 + octets].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))
            }
        };
        let (whole, rest) = der.split_at(start + length);
        (Self { tag: der[0], content: &whole[start..], whole }, rest)
    }

    pub(crate) fn only(der: &'a [u8]) -> Self {
        let (tlv, rest) = Self::first(der);
        assert!(rest.is_empty(), "trailing octets");
        tlv
    }

    pub(crate) fn children(self) -> Vec<Self> {
        let (mut children, mut rest) = (Vec::new(), self.content);
        while !rest.is_empty() {
            let (child, after) = Self::first(rest);
            children.push(child);
            rest = after;
        }
        children
    }

    fn oid(self) -> Oid {
        Oid::decode(self.whole).unwrap()
    }

    fn algorithm(self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::decode(self.whole).unwrap()
    }
}

/// The one recipient of an EnvelopedData, and its content, still encrypted.
pub(crate) struct Envelope<'a> {
    /// 0x30: ktri, 0xa1: kari, 0xa2: kekri.
    pub(crate) kind: u8,
    pub(crate) version: u8,
    /// What the recipient's key is called.
    pub(crate) identifier: &'a [u8],
    pub(crate) key_encryption: AlgorithmIdentifier,
    pub(crate) encrypted_key: &'a [u8],
    /// kari: the sender's point.
    pub(crate) originator: Option<&'a [u8]>,
    pub(crate) content_encryption: AlgorithmIdentifier,
    encrypted_content: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Self {
        let info = Tlv::only(der).children();
        assert_eq!(info[0].oid(), oid::ENVELOPED_DATA);
        let enveloped = Tlv::only(info[1].content).children();
        let [version, recipients, content] = enveloped[..] else { panic!("three fields") };
        assert_eq!((version.content, recipients.tag), (&[2][..], 0x31));
        let recipients = recipients.children();
        let [recipient] = recipients[..] else { panic!("one recipient") };
        let fields = recipient.children();
        let version = fields[0].content[0];
        let (identifier, originator, algorithm, encrypted_key) = match recipient.tag {
            0x30 => (fields[1].content, None, fields[2], fields[3].content),
            0xa1 => {
                let key = Tlv::only(fields[1].content).children();
                let encrypted = Tlv::only(fields[3].content).children();
                let identifier = encrypted[0].children()[0].content;
                (identifier, Some(&key[1].content[1..]), fields[2], encrypted[1].content)
            }
            0xa2 => (fields[1].children()[0].content, None, fields[2], fields[3].content),
            other => panic!("recipient {other:02x}"),
        };
        let content = content.children();
        assert_eq!(content[0].oid(), oid::SIGNED_DATA);
        Self {
            kind: recipient.tag,
            version,
            identifier,
            key_encryption: algorithm.algorithm(),
            encrypted_key,
            originator,
            content_encryption: content[1].algorithm(),
            encrypted_content: content[2].content,
        }
    }

    /// The content, by the key that the recipient recovered.
    pub(crate) fn open(&self, content_key: &[u8]) -> Vec<u8> {
        let cipher = [&cipher::AES_128, &cipher::AES_192, &cipher::AES_256][content_key.len() / 8 - 2];
        let expected = [oid::AES128_CBC, oid::AES192_CBC, oid::AES256_CBC][content_key.len() / 8 - 2].clone();
        assert_eq!(*self.content_encryption.oid(), expected);
        let iv = Tlv::only(self.content_encryption.parameters().unwrap());
        let iv: [u8; 16] = iv.content.try_into().unwrap();
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, content_key).unwrap()).unwrap();
        let mut content = self.encrypted_content.to_vec();
        key.decrypt(&mut content, DecryptionContext::Iv128(FixedLength::from(iv))).unwrap().to_vec()
    }

    /// What a key-encryption key of 128 or 256 bits wraps.
    pub(crate) fn unwrap(&self, kek: &[u8]) -> Vec<u8> {
        let cipher = if kek.len() == 16 { &key_wrap::AES_128 } else { &key_wrap::AES_256 };
        let mut key = vec![0; self.encrypted_key.len() - 8];
        AesKek::new(cipher, kek).unwrap().unwrap(self.encrypted_key, &mut key).unwrap();
        key
    }

    /// RFC 5753 section 3.1.3, by the recipient's private key on P-256.
    pub(crate) fn agreed(&self, key: &p256::SecretKey) -> Vec<u8> {
        assert_eq!(*self.key_encryption.oid(), oid::DH_SINGLE_PASS_STD_DH_SHA256_KDF);
        let key_wrap = AlgorithmIdentifier::decode(self.key_encryption.parameters().unwrap()).unwrap();
        let bits: u32 = if *key_wrap.oid() == oid::AES128_WRAP { 128 } else { 256 };
        let originator = p256::PublicKey::from_sec1_bytes(self.originator.unwrap()).unwrap();
        let shared = p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), originator.as_affine());
        let length = bits.to_be_bytes();
        let info = [&[0x30, 0x15][..], key_wrap.der(), &[0xa2, 0x06, 0x04, 0x04], &length].concat();
        let derived = Sha256::digest([&shared.raw_secret_bytes()[..], &[0, 0, 0, 1], &info].concat());
        derived[..bits as usize / 8].to_vec()
    }
}

/// The private key in a SignedData whose signature holds and whose signer `issuer` certified for that.
pub(crate) fn verified_key(signed_data: &[u8], issuer: &Certificate) -> Vec<u8> {
    let fields = Tlv::only(signed_data).children();
    let [version, digests, content, certificates, signers] = fields[..] else { panic!("five fields") };
    assert_eq!((version.content, digests.children()[0].algorithm().oid()), (&[3][..], &oid::SHA256));
    let content = content.children();
    assert_eq!(content[0].oid(), oid::ASYMMETRIC_KEY_PACKAGE);
    let package = Tlv::only(content[1].content).content;

    let signer = signers.children()[0].children();
    let serial = signer[1].children()[1].content;
    let certificates: Vec<_> =
        certificates.children().iter().map(|der| Certificate::decode(der.whole).unwrap()).collect();
    let certificate = certificates.iter().find(|certificate| certificate.serial() == serial).unwrap();
    assert_eq!(certificate.ext_key_usage().unwrap(), Some(vec![oid::KP_EMAIL_PROTECTION]));
    verify(issuer, certificate.signature_algorithm(), certificate.tbs_der(), certificate.signature());

    let attributes: Vec<_> = signer[3].children().iter().map(|attribute| attribute.children()).collect();
    let value = |wanted: &Oid| {
        let found = attributes.iter().find(|attribute| attribute[0].oid() == *wanted).unwrap();
        found[1].children()[0]
    };
    assert_eq!(value(&oid::CONTENT_TYPE).oid(), oid::ASYMMETRIC_KEY_PACKAGE);
    assert_eq!(value(&oid::MESSAGE_DIGEST).content, &Sha256::digest(package)[..]);
    let signed = [&[0x31], &signer[3].whole[1..]].concat();
    verify(certificate, &signer[4].algorithm(), &signed, signer[5].content);

    let keys = Tlv::only(package).children();
    assert_eq!(keys.len(), 1);
    keys[0].whole.to_vec()
}

fn verify(by: &Certificate, algorithm: &AlgorithmIdentifier, message: &[u8], signature: &[u8]) {
    let key = PublicKey::check(by.public_key(), &KeyPolicy::default()).unwrap();
    let algorithm = SignatureAlgorithm::from_identifier(algorithm).unwrap();
    signature::verify(&key, algorithm, message, signature).unwrap();
}
