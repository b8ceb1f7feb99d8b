//! Names as an input spells them: attributes in whatever string type, key usages and purposes by number.

use estd_asn1::{KeyUsage, Name, Oid, oid};
use estd_fuzz::tlv;

use super::input::{Attribute, AttributeKind, StringForm};

impl Attribute {
    /// The text as the string type can hold it.
    pub fn as_text(&self) -> String {
        let fits = |character: char| match self.form {
            StringForm::Printable => character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character),
            StringForm::Utf8 => true,
            StringForm::Bmp => u16::try_from(u32::from(character)).is_ok(),
            StringForm::Teletex => u8::try_from(u32::from(character)).is_ok(),
        };
        self.text.chars().filter(|character| fits(*character)).collect()
    }

    fn value(&self) -> Vec<u8> {
        let text = self.as_text();
        match self.form {
            StringForm::Printable => tlv::write(0x13, text.as_bytes()),
            StringForm::Utf8 => tlv::write(0x0c, text.as_bytes()),
            StringForm::Bmp => tlv::write(0x1e, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
            StringForm::Teletex => {
                tlv::write(0x14, &text.chars().filter_map(|character| u8::try_from(character).ok()).collect::<Vec<_>>())
            }
        }
    }
}

pub fn name(attributes: &[Attribute]) -> Name {
    let rdn = |attribute: &Attribute| {
        let oid = match attribute.kind {
            AttributeKind::SerialNumber => oid::AT_SERIAL_NUMBER,
            AttributeKind::CommonName => oid::AT_COMMON_NAME,
            AttributeKind::Organization => oid::AT_ORGANIZATION_NAME,
        };
        vec![estd_asn1::AttributeTypeAndValue { oid, value: attribute.value() }]
    };
    Name::from_rdns(&attributes.iter().map(rdn).collect::<Vec<_>>())
}

pub fn common_name(text: &str) -> Name {
    let value = tlv::write(0x0c, text.as_bytes());
    Name::from_rdns(&[vec![estd_asn1::AttributeTypeAndValue { oid: oid::AT_COMMON_NAME, value }]])
}

const PURPOSES: [Oid; 8] = [
    oid::KP_CLIENT_AUTH,
    oid::KP_SERVER_AUTH,
    oid::ANY_EXTENDED_KEY_USAGE,
    oid::KP_OCSP_SIGNING,
    oid::KP_CMC_RA,
    oid::KP_CMC_CA,
    oid::KP_CODE_SIGNING,
    oid::KP_TIME_STAMPING,
];

pub fn purposes(purposes: &[u8]) -> Vec<Oid> {
    purposes.iter().map(|purpose| PURPOSES[usize::from(*purpose) % PURPOSES.len()].clone()).collect()
}

/// Nine bits, the first one first.
pub fn key_usage(bits: u16) -> Vec<u8> {
    let usages = [
        KeyUsage::DIGITAL_SIGNATURE,
        KeyUsage::NON_REPUDIATION,
        KeyUsage::KEY_ENCIPHERMENT,
        KeyUsage::DATA_ENCIPHERMENT,
        KeyUsage::KEY_AGREEMENT,
        KeyUsage::KEY_CERT_SIGN,
        KeyUsage::CRL_SIGN,
        KeyUsage::ENCIPHER_ONLY,
        KeyUsage::DECIPHER_ONLY,
    ];
    let set = usages.into_iter().enumerate().filter(|(number, _)| bits & (1 << number) != 0);
    set.fold(KeyUsage::default(), |all, (_, usage)| all.union(usage)).encode()
}
