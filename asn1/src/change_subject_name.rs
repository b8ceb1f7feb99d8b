//! ChangeSubjectName (RFC 6402 section 2.8): the names a client asks for instead of those its certificate has.

use crate::der::{self, tag};
use crate::pkcs10::RequestLimits;
use crate::{DecodeError, GeneralName, Name, general_name};

/// The names asked for; a name that is left out is to be taken away.
///
/// ```asn1
/// ChangeSubjectName ::= SEQUENCE {
///     subject             Name OPTIONAL,
///     subjectAlt          GeneralNames OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSubjectName {
    /// subject
    pub subject: Option<Name>,
    /// subjectAlt
    pub subject_alt_names: Option<Vec<GeneralName>>,
}

impl ChangeSubjectName {
    /// Strictly decodes the TLV.
    ///
    /// Both fields are a SEQUENCE without a tag of their own; what they hold tells them apart, and an empty one is the
    /// empty Name, as GeneralNames are never empty.
    ///
    /// # Errors
    /// When the bytes are not the DER of one, neither field is present, or a count is beyond `limits`.
    pub fn decode(der: &[u8], limits: &RequestLimits) -> Result<Self, DecodeError> {
        let what = "ChangeSubjectName";
        der::check(der)?;
        // RFC 6402 §2.8: "At least one of the fields in the sequence MUST be present".
        let fields = der::elements(what, der, 2)?;
        let mut fields = fields.iter().map(|field| field.as_bytes()).peekable();
        let subject = fields.next_if(|field| is_name(field)).map(Name::decode_checked).transpose()?;
        let names = |der| general_name::decode_general_names(der, limits.max_subject_alt_names);
        let subject_alt_names = fields.next().map(names).transpose()?;
        if subject.as_ref().is_some_and(|subject| subject.rdns().len() > limits.max_rdns) {
            return Err(DecodeError::TooMany { what: "RDNs in the subject", limit: limits.max_rdns });
        }
        match fields.next() {
            None => Ok(Self { subject, subject_alt_names }),
            Some(_) => Err(DecodeError::Malformed { what }),
        }
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let subject = self.subject.as_ref().map(|subject| subject.der().to_vec()).unwrap_or_default();
        let names = self.subject_alt_names.as_deref().map(general_name::encode_general_names).unwrap_or_default();
        der::wrap(tag::SEQUENCE, &[subject, names].concat())
    }
}

/// A SEQUENCE of SETs, or of nothing.
fn is_name(der: &[u8]) -> bool {
    matches!(der::parts(der), Some((tag::SEQUENCE, [] | [tag::SET, ..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttributeTypeAndValue, oid};

    fn decode(der: &[u8]) -> Result<ChangeSubjectName, DecodeError> {
        ChangeSubjectName::decode(der, &RequestLimits::default())
    }

    fn name(text: &str) -> Name {
        Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
    }

    #[test]
    fn each_field_is_told_from_the_other() {
        let names = Some(vec![GeneralName::DnsName("new.example.com".into())]);
        for (subject, subject_alt_names) in [
            (Some(name("new-name")), names.clone()),
            (Some(name("new-name")), None),
            (None, names.clone()),
            (Some(Name::empty()), names),
            (Some(Name::empty()), None),
        ] {
            let change = ChangeSubjectName { subject, subject_alt_names };
            assert_eq!(decode(&change.encode()), Ok(change));
        }
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        let malformed = Err(DecodeError::Malformed { what: "ChangeSubjectName" });
        assert_eq!(decode(&[0x30, 0x00]), malformed);
        let (subject, names) =
            (name("a").der().to_vec(), general_name::encode_general_names(&[GeneralName::DnsName("b".into())]));
        let of = |fields: &[&[u8]]| decode(&der::wrap(tag::SEQUENCE, &fields.concat()));
        assert!(of(&[&subject, &names]).is_ok());
        for wrong in [of(&[&names, &subject]), of(&[&subject, &subject]), of(&[&names, &names]), of(&[&[5, 0]])] {
            assert!(matches!(wrong, Err(DecodeError::Malformed { .. })), "{wrong:?}");
        }
        assert!(matches!(of(&[&subject, &names, &names]), Err(DecodeError::TooMany { .. })));
    }
}
