//! What one run of the fuzzer does: a few steps, each read from the octets; no octets at all are a plain enrollment.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps after the first that are looked at.
const MAX_MORE: usize = 3;

/// The steps, in order.
#[derive(Debug)]
pub struct Input {
    pub steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
pub enum Step {
    Enroll(Attempt),
    /// Revokes one of the certificates issued before.
    Revoke {
        which: u8,
        /// Somebody else has the key.
        compromised: bool,
    },
    /// What an operator does to the device of one of them.
    Operate {
        which: u8,
        act: Act,
    },
    /// Asks what a request should carry.
    CsrAttrs {
        label: LabelName,
        peer: Peer,
    },
    Wait {
        days: u16,
        minutes: u8,
    },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Act {
    Suspend,
    Resume,
    Revoke,
    Reset,
}

#[derive(Debug, Arbitrary)]
pub struct Attempt {
    pub label: LabelName,
    pub operation: OperationName,
    pub peer: Peer,
    pub body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Arbitrary)]
pub enum LabelName {
    Devices,
    Second,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum OperationName {
    SimpleEnroll,
    SimpleReenroll,
    CaCerts,
    CsrAttrs,
}

/// Who stands at the other end of the connection.
#[derive(Debug, Arbitrary)]
pub enum Peer {
    Presents {
        leaf: Leaf,
        /// Made to the certificate after it was signed.
        edits: Vec<Edit>,
        above: Vec<Above>,
        /// Nothing links requests to the connection.
        unbound: bool,
    },
    Nobody,
    /// The connection of an earlier step.
    Again(u8),
}

#[derive(Debug, Arbitrary)]
pub enum Leaf {
    /// A birth certificate of a device that is there from the start.
    Born(u8),
    /// A certificate that was issued before.
    Issued(u8),
    Composed(Composed),
    Octets(Vec<u8>),
}

/// A certificate that a manufacturer signs, whatever stands in it.
#[derive(Debug, Arbitrary)]
pub struct Composed {
    /// By somebody who has the manufacturer's name and not its key.
    pub by_namesake: bool,
    pub key: u8,
    pub serial_number: SerialNumber,
    /// What else stands in the subject.
    pub subject: Vec<Attribute>,
    /// Days from the start, or 20 years.
    pub from: Option<i8>,
    pub to: Option<i8>,
    pub ca: Option<bool>,
    pub key_usage: Option<u16>,
    pub ext_key_usage: Option<Vec<u8>>,
    pub unknown_critical: bool,
}

/// Where the device id stands, or should.
#[derive(Debug, Arbitrary)]
pub enum SerialNumber {
    Plain {
        number: u8,
        lower_case: bool,
    },
    /// That of a device which another manufacturer made.
    Of(u8),
    Text {
        form: StringForm,
        text: String,
    },
    Absent,
}

#[derive(Debug, Clone, Arbitrary)]
pub struct Attribute {
    pub kind: AttributeKind,
    pub form: StringForm,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum AttributeKind {
    SerialNumber,
    CommonName,
    Organization,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum StringForm {
    Printable,
    Utf8,
    Bmp,
    Teletex,
}

/// What comes with the peer's own certificate.
#[derive(Debug, Arbitrary)]
pub enum Above {
    SubordinateMaker,
    Maker,
    OtherMaker,
    Authority(LabelName),
    Device(u8),
    Octets(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
pub enum Body {
    Built(Request),
    Octets(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
pub struct Request {
    pub key: u8,
    pub subject: Subject,
    pub names: Vec<AltName>,
    pub wishes: Vec<Wish>,
    pub attributes: Vec<RequestAttribute>,
    /// Made before it is signed: possession is proven of whatever comes out.
    pub edits_before: Vec<Edit>,
    pub forgery: Option<Forgery>,
    pub edits_after: Vec<Edit>,
}

#[derive(Debug, Arbitrary)]
pub enum Subject {
    /// What a device sends that does it right: no name with a birth certificate, every name with one that it renews.
    Fitting,
    Empty,
    /// The commonName the device will get.
    Own,
    /// The subject of the certificate that is presented.
    Presented,
    Of(u8),
    Composed(Vec<Attribute>),
}

#[derive(Debug, Arbitrary)]
pub enum AltName {
    /// Every name of the certificate that is presented.
    Presented,
    OwnUri,
    OwnHost,
    UriOf(u8),
    Dns(String),
    Uri(String),
    Email(String),
    Ip(Vec<u8>),
    Directory(Vec<Attribute>),
    Other(Vec<u8>),
}

/// An extension that is asked for.
#[derive(Debug, Arbitrary)]
pub enum Wish {
    KeyUsage(u16),
    ExtKeyUsage(Vec<u8>),
    BasicConstraints { ca: bool, path_len: Option<u8> },
    Other { which: u8, critical: bool, value: Vec<u8> },
}

#[derive(Debug, Arbitrary)]
pub enum RequestAttribute {
    /// challengePassword with the binding of the connection.
    Linked,
    /// challengePassword with the binding of another.
    LinkedElsewhere,
    ChallengePassword(String),
    IdentityLinking(String),
    UnstructuredName(String),
}

#[derive(Debug, Arbitrary)]
pub enum Forgery {
    /// Signed with another key than the one in it.
    Signer(u8),
    /// Another algorithm is named than the one it is signed with.
    Algorithm(u8),
    /// The other signature that anybody can make of an ECDSA signature.
    Twin,
}

/// A change to an encoding; positions are counted modulo its length.
#[derive(Debug, Arbitrary)]
pub enum Edit {
    Set { at: u16, octet: u8 },
    Flip { at: u16, bit: u8 },
    Insert { at: u16, octet: u8 },
    Remove { at: u16 },
    Truncate { at: u16 },
}

/// A file that starts as DER starts is a certification request, which the device `est-client-01` sends; so the vectors
/// of the wire are seeds here as well.
const SEQUENCE: u8 = 0x30;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(octets: &mut Unstructured<'a>) -> Result<Self> {
        if octets.peek_bytes(1) == Some(&[SEQUENCE]) {
            let body = octets.bytes(octets.len())?.to_vec();
            return Ok(Self { steps: vec![Step::Enroll(Attempt::by_est_client(body))] });
        }
        let mut steps = vec![Step::arbitrary(octets)?];
        while steps.len() <= MAX_MORE && !octets.is_empty() {
            steps.push(Step::arbitrary(octets)?);
        }
        Ok(Self { steps })
    }
}

impl Attempt {
    fn by_est_client(body: Vec<u8>) -> Self {
        Self {
            label: LabelName::Devices,
            operation: OperationName::SimpleEnroll,
            peer: Peer::Presents { leaf: Leaf::Born(0), edits: Vec::new(), above: Vec::new(), unbound: false },
            body: Body::Octets(body),
        }
    }
}

impl Edit {
    /// The octets with every change made to them.
    pub fn all(edits: &[Self], octets: &[u8]) -> Vec<u8> {
        edits.iter().fold(octets.to_vec(), |mut octets, edit| {
            edit.make(&mut octets);
            octets
        })
    }

    fn make(&self, octets: &mut Vec<u8>) {
        let Some(length) = std::num::NonZeroUsize::new(octets.len()) else { return };
        let position = |at: &u16| usize::from(*at) % length;
        match self {
            Self::Set { at, octet } => octets[position(at)] = *octet,
            Self::Flip { at, bit } => octets[position(at)] ^= 1 << (bit % 8),
            Self::Insert { at, octet } => octets.insert(position(at), *octet),
            Self::Remove { at } => drop(octets.remove(position(at))),
            Self::Truncate { at } => octets.truncate(position(at)),
        }
    }
}
