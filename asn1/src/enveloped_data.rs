//! EnvelopedData for one recipient (RFC 5652 section 6).

use rasn::prelude::*;
use rasn_cms::ContentInfo;

use crate::der::{self, tag};
use crate::{AlgorithmIdentifier, Oid, oid};

/// Whom the content is for, and how the key of the content is encrypted to it.
///
/// ```asn1
/// RecipientInfo ::= CHOICE {
///     ktri           KeyTransRecipientInfo,
///     ...,
///     [[3: kari  [1] KeyAgreeRecipientInfo ]],
///     [[4: kekri [2] KEKRecipientInfo]],
///     [[5: pwri  [3] PasswordRecipientInfo,
///          ori   [4] OtherRecipientInfo ]] }
/// ```
#[derive(Debug, Clone)]
pub struct RecipientInfo<'a> {
    /// Which of the three.
    pub kind: RecipientKind<'a>,
    /// The identifier of the recipient's key.
    pub key_identifier: &'a [u8],
    /// keyEncryptionAlgorithm
    pub algorithm: &'a AlgorithmIdentifier,
    /// encryptedKey
    pub encrypted_key: &'a [u8],
}

/// How the key of the content reaches its recipient.
#[derive(Debug, Clone)]
pub enum RecipientKind<'a> {
    /// kekri: under a key that both sides hold.
    SharedKey,
    /// ktri: encrypted to the recipient's public key.
    KeyTransport,
    /// kari: under a key agreed with the recipient's public key.
    KeyAgreement {
        /// Algorithm and octets of the sender's ephemeral public key.
        originator: (&'a AlgorithmIdentifier, &'a [u8]),
    },
}

/// A content that was encrypted.
#[derive(Debug, Clone)]
pub struct EncryptedContent<'a> {
    /// What it was.
    pub content_type: Oid,
    /// What it was encrypted with.
    pub algorithm: &'a AlgorithmIdentifier,
    /// What it is now.
    pub octets: &'a [u8],
}

/// Encodes EnvelopedData in a ContentInfo.
pub fn encode(recipient: &RecipientInfo<'_>, content: &EncryptedContent<'_>) -> Vec<u8> {
    let enveloped = EnvelopedDataWire {
        version: VERSION,
        recipient_infos: vec![Any::new(recipient.encode())].into(),
        encrypted_content_info: EncryptedContentInfoWire {
            content_type: content.content_type.to_wire(),
            content_encryption_algorithm: any(content.algorithm),
            encrypted_content: OctetString::from(content.octets.to_vec()),
        },
    };
    let content = Any::new(der::encode(&enveloped));
    der::encode(&ContentInfo { content_type: oid::ENVELOPED_DATA.to_wire(), content })
}

/// What a key agreement binds the agreed key to: the algorithm it is for, and its length (RFC 5753 section 7.2).
///
/// There is no ukm and so no entityUInfo: it guards against an ephemeral key used twice, and the backend lets none be.
///
/// ```asn1
/// ECC-CMS-SharedInfo ::= SEQUENCE {
///   keyInfo         KeyWrapAlgorithm,
///   entityUInfo [0] EXPLICIT OCTET STRING OPTIONAL,
///   suppPubInfo [2] EXPLICIT OCTET STRING
/// }
/// ```
pub fn shared_info(key_wrap: &AlgorithmIdentifier, key_bits: u32) -> Vec<u8> {
    let length = der::wrap(EXPLICIT_2, &der::wrap(tag::OCTET_STRING, &key_bits.to_be_bytes()));
    der::wrap(tag::SEQUENCE, &[key_wrap.der(), &length].concat())
}

impl RecipientInfo<'_> {
    fn encode(&self) -> Vec<u8> {
        let identifier = OctetString::from(self.key_identifier.to_vec());
        let key_encryption_algorithm = any(self.algorithm);
        let encrypted_key = OctetString::from(self.encrypted_key.to_vec());
        match &self.kind {
            RecipientKind::SharedKey => {
                let kekid = KekIdentifierWire { key_identifier: identifier };
                der::encode(&KekRecipientInfoWire { version: 4, kekid, key_encryption_algorithm, encrypted_key })
            }
            RecipientKind::KeyTransport => {
                let rid = SubjectKeyIdentifierWire(identifier);
                der::encode(&KeyTransRecipientInfoWire { version: 2, rid, key_encryption_algorithm, encrypted_key })
            }
            RecipientKind::KeyAgreement { originator: (algorithm, key) } => {
                let rid = RecipientKeyIdentifierWire { subject_key_identifier: identifier };
                der::encode(&KeyAgreeRecipientInfoWire {
                    version: 3,
                    originator: OriginatorPublicKeyWire {
                        algorithm: any(algorithm),
                        public_key: BitString::from_slice(key),
                    },
                    key_encryption_algorithm,
                    recipient_encrypted_keys: vec![RecipientEncryptedKeyWire { rid, encrypted_key }],
                })
            }
        }
    }
}

fn any(algorithm: &AlgorithmIdentifier) -> Any {
    Any::new(algorithm.der().to_vec())
}

/// Identifier octet of a constructed `[2]`.
const EXPLICIT_2: u8 = 0xa2;

/// RFC 5652 section 6.1: 2, since no recipient of these kinds has version 0 and there are no passwords.
const VERSION: u64 = 2;

/// ```asn1
/// EnvelopedData ::= SEQUENCE {
///     version CMSVersion,
///     originatorInfo [0] IMPLICIT OriginatorInfo OPTIONAL,
///     recipientInfos RecipientInfos,
///     encryptedContentInfo EncryptedContentInfo,
///     ...,
///     [[2: unprotectedAttrs [1] IMPLICIT Attributes
///         {{ UnprotectedAttributes }} OPTIONAL ]] }
/// ```
#[derive(AsnType, Encode)]
struct EnvelopedDataWire {
    version: u64,
    recipient_infos: SetOf<Any>,
    encrypted_content_info: EncryptedContentInfoWire,
}

/// ```asn1
/// EncryptedContentInfo ::= SEQUENCE {
///     contentType        CONTENT-TYPE.&id({ContentSet}),
///     contentEncryptionAlgorithm ContentEncryptionAlgorithmIdentifier,
///     encryptedContent   [0] IMPLICIT OCTET STRING OPTIONAL }
/// ```
#[derive(AsnType, Encode)]
struct EncryptedContentInfoWire {
    content_type: ObjectIdentifier,
    content_encryption_algorithm: Any,
    #[rasn(tag(0))]
    encrypted_content: OctetString,
}

/// ```asn1
/// KEKRecipientInfo ::= SEQUENCE {
///     version CMSVersion,  -- always set to 4
///     kekid KEKIdentifier,
///     keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
///     encryptedKey EncryptedKey }
/// ```
#[derive(AsnType, Encode)]
#[rasn(tag(2))]
struct KekRecipientInfoWire {
    version: u64,
    kekid: KekIdentifierWire,
    key_encryption_algorithm: Any,
    encrypted_key: OctetString,
}

/// ```asn1
/// KEKIdentifier ::= SEQUENCE {
///     keyIdentifier OCTET STRING,
///     date GeneralizedTime OPTIONAL,
///     other OtherKeyAttribute OPTIONAL }
/// ```
#[derive(AsnType, Encode)]
struct KekIdentifierWire {
    key_identifier: OctetString,
}

/// ```asn1
/// KeyTransRecipientInfo ::= SEQUENCE {
///     version CMSVersion,  -- always set to 0 or 2
///     rid RecipientIdentifier,
///     keyEncryptionAlgorithm AlgorithmIdentifier
///         {KEY-TRANSPORT, {KeyTransportAlgorithmSet}},
///     encryptedKey EncryptedKey }
/// ```
#[derive(AsnType, Encode)]
struct KeyTransRecipientInfoWire {
    version: u64,
    rid: SubjectKeyIdentifierWire,
    key_encryption_algorithm: Any,
    encrypted_key: OctetString,
}

/// ```asn1
/// RecipientIdentifier ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     ...,
///     [[2: subjectKeyIdentifier [0] SubjectKeyIdentifier ]] }
///
/// SubjectKeyIdentifier ::= OCTET STRING
/// ```
#[derive(AsnType, Encode)]
#[rasn(delegate, tag(0))]
struct SubjectKeyIdentifierWire(OctetString);

/// ```asn1
/// KeyAgreeRecipientInfo ::= SEQUENCE {
///     version CMSVersion,  -- always set to 3
///     originator [0] EXPLICIT OriginatorIdentifierOrKey,
///     ukm [1] EXPLICIT UserKeyingMaterial OPTIONAL,
///     keyEncryptionAlgorithm AlgorithmIdentifier
///         {KEY-AGREE, {KeyAgreementAlgorithmSet}},
///     recipientEncryptedKeys RecipientEncryptedKeys }
///
/// RecipientEncryptedKeys ::= SEQUENCE OF RecipientEncryptedKey
/// ```
#[derive(AsnType, Encode)]
#[rasn(tag(1))]
struct KeyAgreeRecipientInfoWire {
    version: u64,
    #[rasn(tag(explicit(0)))]
    originator: OriginatorPublicKeyWire,
    key_encryption_algorithm: Any,
    recipient_encrypted_keys: SequenceOf<RecipientEncryptedKeyWire>,
}

/// The alternative of OriginatorIdentifierOrKey for an ephemeral key:
///
/// ```asn1
/// OriginatorIdentifierOrKey ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     subjectKeyIdentifier [0] SubjectKeyIdentifier,
///     originatorKey [1] OriginatorPublicKey }
///
/// OriginatorPublicKey ::= SEQUENCE {
///     algorithm AlgorithmIdentifier {PUBLIC-KEY, {OriginatorKeySet}},
///     publicKey BIT STRING }
/// ```
#[derive(AsnType, Encode)]
#[rasn(tag(1))]
struct OriginatorPublicKeyWire {
    algorithm: Any,
    public_key: BitString,
}

/// ```asn1
/// RecipientEncryptedKey ::= SEQUENCE {
///     rid KeyAgreeRecipientIdentifier,
///     encryptedKey EncryptedKey }
///
/// EncryptedKey ::= OCTET STRING
/// ```
#[derive(AsnType, Encode)]
struct RecipientEncryptedKeyWire {
    rid: RecipientKeyIdentifierWire,
    encrypted_key: OctetString,
}

/// ```asn1
/// KeyAgreeRecipientIdentifier ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     rKeyId [0] IMPLICIT RecipientKeyIdentifier }
///
/// RecipientKeyIdentifier ::= SEQUENCE {
///     subjectKeyIdentifier SubjectKeyIdentifier,
///     date GeneralizedTime OPTIONAL,
///     other OtherKeyAttribute OPTIONAL }
/// ```
#[derive(AsnType, Encode)]
#[rasn(tag(0))]
struct RecipientKeyIdentifierWire {
    subject_key_identifier: OctetString,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rasn_cms::{EnvelopedData, KeyAgreeRecipientIdentifier, OriginatorIdentifierOrKey, RecipientIdentifier};

    /// What another implementation reads, of what is strict DER.
    fn read(kind: RecipientKind<'_>) -> rasn_cms::RecipientInfo {
        let (wrap, cbc) = (
            AlgorithmIdentifier::new(oid::AES256_WRAP, None),
            AlgorithmIdentifier::new(oid::AES256_CBC, Some(&[4, 0])),
        );
        let recipient = RecipientInfo { kind, key_identifier: b"id", algorithm: &wrap, encrypted_key: &[0xee; 40] };
        let content = EncryptedContent { content_type: oid::SIGNED_DATA, algorithm: &cbc, octets: &[0xcc; 32] };
        let encoded = encode(&recipient, &content);
        let info: ContentInfo = der::decode("ContentInfo", &encoded).unwrap();
        assert_eq!(info.content_type, oid::ENVELOPED_DATA.to_wire());
        let enveloped: EnvelopedData = rasn::der::decode(info.content.as_bytes()).unwrap();
        assert_eq!(enveloped.version, VERSION.into());
        assert!(enveloped.originator_info.is_none() && enveloped.unprotected_attrs.is_none());
        assert_eq!(enveloped.encrypted_content_info.content_type, oid::SIGNED_DATA.to_wire());
        assert_eq!(enveloped.encrypted_content_info.encrypted_content.unwrap().as_ref(), [0xcc; 32]);
        let mut recipients = enveloped.recipient_infos.to_vec();
        assert_eq!(recipients.len(), 1);
        recipients.remove(0).clone()
    }

    #[test]
    fn each_kind_of_recipient_is_read_by_another_implementation() {
        let rasn_cms::RecipientInfo::KekRecipientInfo(shared) = read(RecipientKind::SharedKey) else { panic!("kekri") };
        assert_eq!((shared.version, shared.kek_id.key_identifier.as_ref()), (4.into(), b"id".as_slice()));
        let transported = read(RecipientKind::KeyTransport);
        let rasn_cms::RecipientInfo::KeyTransRecipientInfo(transported) = transported else { panic!("ktri") };
        let RecipientIdentifier::SubjectKeyIdentifier(identifier) = transported.rid else { panic!("rid") };
        assert_eq!((transported.version, identifier.as_ref()), (2.into(), b"id".as_slice()));
        let curve = AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&oid::SECP256R1.encode()));
        let agreed = read(RecipientKind::KeyAgreement { originator: (&curve, &[4; 65]) });
        let rasn_cms::RecipientInfo::KeyAgreeRecipientInfo(agreed) = agreed else { panic!("kari") };
        let OriginatorIdentifierOrKey::OriginatorPublicKey(originator) = &agreed.originator else { panic!("key") };
        assert_eq!(originator.public_key.as_raw_slice(), [4; 65]);
        let KeyAgreeRecipientIdentifier::RecipientKeyIdentifier(identifier) =
            &agreed.recipient_encrypted_keys[0].key_agree_recipient_identifier
        else {
            panic!("rid")
        };
        assert_eq!((agreed.version, identifier.subject_key_identifier.as_ref()), (3.into(), b"id".as_slice()));
    }

    /// The SharedInfo that RFC 5753 section 7.2 describes, for id-aes256-wrap.
    #[test]
    fn shared_info_tells_algorithm_and_length() {
        let wrap = AlgorithmIdentifier::new(oid::AES256_WRAP, None);
        let expected = [
            0x30, 0x15, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2d, 0xa2, 0x06, 0x04,
            0x04, 0x00, 0x00, 0x01, 0x00,
        ];
        assert_eq!(shared_info(&wrap, 256), expected);
    }
}
