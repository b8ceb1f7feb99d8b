//! CMCStatusInfoV2: what became of the parts of a message (RFC 5272 section 6.1).

use chrono::{DateTime, SubsecRound, Utc};
use rasn::prelude::*;

use super::control::{BodyPartReference, encode_references};
use crate::DecodeError;
use crate::der::{self, tag};
use crate::time::decode_time;

/// The status of some parts of a request.
///
/// ```asn1
/// CMCStatusInfoV2 ::= SEQUENCE {
///    cMCStatus             CMCStatus,
///    bodyList              SEQUENCE SIZE (1..MAX) OF
///                                   BodyPartReference,
///    statusString          UTF8String OPTIONAL,
///    otherInfo             CHOICE {
///        failInfo               CMCFailInfo,
///        pendInfo               PendInfo,
///        extendedFailInfo       [1] SEQUENCE {
///           failInfoOID            TYPE-IDENTIFIER.&id
///                                      ({ExtendedFailures}),
///           failInfoValue          TYPE-IDENTIFIER.&Type
///                                      ({ExtendedFailures}
///                                          {@.failInfoOID})
///        }
///     } OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmcStatusInfoV2 {
    /// cMCStatus
    pub status: CmcStatus,
    /// bodyList, which has at least one entry.
    pub body_list: Vec<BodyPartReference>,
    /// statusString
    pub text: Option<String>,
    /// otherInfo
    pub other: Option<OtherStatusInfo>,
}

/// What more there is to say of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherStatusInfo {
    /// failInfo
    FailInfo(CmcFailInfo),
    /// pendInfo
    PendInfo(PendInfo),
    /// extendedFailInfo, which nobody here gives a meaning to.
    Extended,
}

/// When and by what name to ask again.
///
/// ```asn1
/// PendInfo ::= SEQUENCE {
///     pendToken        OCTET STRING,
///     pendTime         GeneralizedTime
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendInfo {
    /// pendToken
    pub token: Vec<u8>,
    /// pendTime
    pub time: DateTime<Utc>,
}

/// ```asn1
/// CMCStatus ::= INTEGER {
///     success         (0),
///     failed          (2),
///     pending         (3),
///     noSupport       (4),
///     confirmRequired (5),
///     popRequired     (6),
///     partial         (7)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmcStatus {
    /// success
    Success = 0,
    /// failed
    Failed = 2,
    /// pending
    Pending = 3,
    /// noSupport
    NoSupport = 4,
    /// confirmRequired
    ConfirmRequired = 5,
    /// popRequired
    PopRequired = 6,
    /// partial
    Partial = 7,
}

impl CmcStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Failed,
        Self::Pending,
        Self::NoSupport,
        Self::ConfirmRequired,
        Self::PopRequired,
        Self::Partial,
    ];
}

/// ```asn1
/// CMCFailInfo ::= INTEGER {
///     badAlg          (0),
///     badMessageCheck (1),
///     badRequest      (2),
///     badTime         (3),
///     badCertId       (4),
///     unsuportedExt   (5),
///     mustArchiveKeys (6),
///     badIdentity     (7),
///     popRequired     (8),
///     popFailed       (9),
///     noKeyReuse      (10),
///     internalCAError (11),
///     tryLater        (12),
///     authDataFail    (13)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmcFailInfo {
    /// badAlg
    BadAlg = 0,
    /// badMessageCheck
    BadMessageCheck = 1,
    /// badRequest
    BadRequest = 2,
    /// badTime
    BadTime = 3,
    /// badCertId
    BadCertId = 4,
    /// unsupportedExt
    UnsupportedExt = 5,
    /// mustArchiveKeys
    MustArchiveKeys = 6,
    /// badIdentity
    BadIdentity = 7,
    /// popRequired
    PopRequired = 8,
    /// popFailed
    PopFailed = 9,
    /// noKeyReuse
    NoKeyReuse = 10,
    /// internalCAError
    InternalCaError = 11,
    /// tryLater
    TryLater = 12,
    /// authDataFail
    AuthDataFail = 13,
}

impl CmcFailInfo {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::BadAlg,
        Self::BadMessageCheck,
        Self::BadRequest,
        Self::BadTime,
        Self::BadCertId,
        Self::UnsupportedExt,
        Self::MustArchiveKeys,
        Self::BadIdentity,
        Self::PopRequired,
        Self::PopFailed,
        Self::NoKeyReuse,
        Self::InternalCaError,
        Self::TryLater,
        Self::AuthDataFail,
    ];
}

impl CmcStatusInfoV2 {
    /// Decodes a value that the door has let in.
    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let what = "CMCStatusInfoV2";
        let malformed = DecodeError::Malformed { what };
        let fields = der::elements(what, der, 4)?;
        let mut fields = fields.iter().map(|field| field.as_bytes()).peekable();
        let status: u8 = der::decode_checked(what, fields.next().unwrap_or_default())?;
        let status = CmcStatus::ALL.into_iter().find(|known| *known as u8 == status).ok_or(malformed.clone())?;
        let body_list = BodyPartReference::decode_list(fields.next().ok_or(malformed.clone())?)?;
        let text = fields.next_if(|field| field.first() == Some(&tag::UTF8_STRING));
        let text = text.map(|text| der::decode_checked::<Utf8String>(what, text)).transpose()?;
        let other = fields.next().map(OtherStatusInfo::decode).transpose()?;
        match fields.next() {
            None => Ok(Self { status, body_list, text, other }),
            Some(_) => Err(malformed),
        }
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let text = self.text.as_ref().map(|text| der::wrap(tag::UTF8_STRING, text.as_bytes()));
        let fields = [
            der::encode(&(self.status as u8)),
            encode_references(&self.body_list),
            text.unwrap_or_default(),
            self.other.as_ref().map(OtherStatusInfo::encode).unwrap_or_default(),
        ];
        der::wrap(tag::SEQUENCE, &fields.concat())
    }
}

/// Identifier octet of extendedFailInfo.
const EXTENDED: u8 = 0xa1;

impl OtherStatusInfo {
    fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let what = "OtherStatusInfo";
        match der::parts(der) {
            Some((tag::INTEGER, _)) => {
                let number: u16 = der::decode_checked(what, der)?;
                let known = CmcFailInfo::ALL.into_iter().find(|known| *known as u16 == number);
                known.map(Self::FailInfo).ok_or(DecodeError::Malformed { what })
            }
            Some((tag::SEQUENCE, _)) => {
                let wire: PendInfoWire = der::decode_checked(what, der)?;
                let time = decode_time(wire.pend_time.as_bytes())?;
                Ok(Self::PendInfo(PendInfo { token: wire.pend_token.to_vec(), time }))
            }
            Some((EXTENDED, _)) => Ok(Self::Extended),
            _ => Err(DecodeError::Malformed { what }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::FailInfo(info) => der::encode(&(*info as u8)),
            Self::PendInfo(info) => {
                // X.690 §11.7: in UTC, without a fraction that is zero.
                let time = info.time.trunc_subsecs(0).format("%Y%m%d%H%M%SZ").to_string();
                der::encode(&PendInfoWire {
                    pend_token: OctetString::from(info.token.clone()),
                    pend_time: Any::new(der::wrap(tag::GENERALIZED_TIME, time.as_bytes())),
                })
            }
            Self::Extended => der::wrap(EXTENDED, &[]),
        }
    }
}

#[derive(AsnType, Decode, Encode)]
struct PendInfoWire {
    pend_token: OctetString,
    pend_time: Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_it_was_written() {
        let time = DateTime::parse_from_rfc3339("2026-06-01T12:00:00Z").unwrap().to_utc();
        let others = [
            None,
            Some(OtherStatusInfo::FailInfo(CmcFailInfo::AuthDataFail)),
            Some(OtherStatusInfo::PendInfo(PendInfo { token: vec![1, 2, 3], time })),
        ];
        for (status, other) in
            CmcStatus::ALL.into_iter().flat_map(|status| others.iter().map(move |other| (status, other)))
        {
            for text in [None, Some("estd: …".to_owned())] {
                let body_list = vec![BodyPartReference::Id(u32::MAX), BodyPartReference::Path(vec![1, 2])];
                let info = CmcStatusInfoV2 { status, body_list, text, other: other.clone() };
                let der = info.encode();
                der::check(&der).unwrap();
                assert_eq!(CmcStatusInfoV2::decode_checked(&der), Ok(info));
            }
        }
    }

    /// CMC-07: the numbers of RFC 5272 section 6.1.4.
    #[test]
    fn fail_infos_have_their_numbers() {
        let numbers: Vec<u8> = CmcFailInfo::ALL.into_iter().map(|info| info as u8).collect();
        assert_eq!(numbers, (0..14).collect::<Vec<u8>>());
    }
}
