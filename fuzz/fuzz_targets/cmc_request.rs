//! Full PKI Requests: whatever stands in one, nothing is issued but to the device that signed it, for a key that it proved
//! to hold, and whatever is refused is told in a message.

#![no_main]

#[path = "../../tests/support/cmc.rs"]
mod cmc;
#[path = "../../tests/support/world.rs"]
mod world;

use std::cell::RefCell;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use estd::ca::{CmcResponder, Signer};
use estd::est::{EstRequest, EstTarget, Operation, ResponseBody};
use estd::pki::public_key::KeyType;
use estd::policy::RepeatedBirth;
use estd::ra::Refusal;
use estd::store::CertificateStore as _;
use estd_asn1::cmc::{CmcStatus, Control, TaggedContentInfo, TaggedRequest, encode_pki_data};
use estd_asn1::{Name, Oid, crmf, oid};
use estd_fuzz::possession;
use estd_fuzz::tlv::{Tlv, write};
use libfuzzer_sys::fuzz_target;

use cmc::{By, Response, signed};
use world::{Device, World};

/// What one run sends.
#[derive(Debug)]
enum Input {
    Composed(Composed),
    /// A body as it is.
    Octets(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct Composed {
    signer: SignedBy,
    key: u8,
    controls: Vec<(u8, u32, Value)>,
    requests: Vec<(u32, Form)>,
    contents: Vec<(u32, Vec<u8>)>,
    /// Made to the PKIData before it is signed.
    before: Vec<(u16, u8)>,
    /// Made to the message after.
    after: Vec<(u16, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum SignedBy {
    Device,
    RequestKey,
    OtherDevice,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Octets(Vec<u8>),
    Number(u32),
    Raw(Vec<u8>),
}

#[derive(Debug, PartialEq, Eq, Arbitrary)]
enum Form {
    Pkcs10,
    Crmf,
    RaVerified,
    Unproven,
    Raw(Vec<u8>),
}

/// A file that starts as DER starts is a body, so that messages are seeds.
const SEQUENCE: u8 = 0x30;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(octets: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        if octets.peek_bytes(1) == Some(&[SEQUENCE]) {
            return Ok(Self::Octets(octets.bytes(octets.len())?.to_vec()));
        }
        Composed::arbitrary(octets).map(Self::Composed)
    }
}

const KINDS: [Oid; 24] = [
    oid::CMC_IDENTIFICATION,
    oid::CMC_IDENTITY_PROOF,
    oid::CMC_DATA_RETURN,
    oid::CMC_TRANSACTION_ID,
    oid::CMC_SENDER_NONCE,
    oid::CMC_RECIPIENT_NONCE,
    oid::CMC_ADD_EXTENSIONS,
    oid::CMC_LRA_POP_WITNESS,
    oid::CMC_REVOKE_REQUEST,
    oid::CMC_REG_INFO,
    oid::CMC_QUERY_PENDING,
    oid::CMC_POP_LINK_RANDOM,
    oid::CMC_CONFIRM_CERT_ACCEPTANCE,
    oid::CMC_STATUS_INFO_V2,
    oid::CMC_TRUSTED_ANCHORS,
    oid::CMC_BATCH_REQUESTS,
    oid::CMC_BATCH_RESPONSES,
    oid::CMC_MOD_CERT_TEMPLATE,
    oid::CMC_CONTROL_PROCESSED,
    oid::CMC_POP_LINK_WITNESS_V2,
    oid::CMC_IDENTITY_PROOF_V2,
    oid::CMC_RA_IDENTITY_WITNESS,
    oid::CMC_CHANGE_SUBJECT_NAME,
    oid::DATA,
];

struct Stage {
    world: World,
    device: Device,
    other: Device,
    keys: Vec<Box<dyn Signer>>,
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

impl Stage {
    fn new() -> Self {
        let world = World::with(
            KeyType::P256,
            |_| (),
            |label| {
                label.registration.repeated_birth = RepeatedBirth::Allow;
                label.cmc_responder = Some(Arc::new(CmcResponder::new(Arc::clone(&label.authority))));
            },
        );
        let [device, other] = ["SN-1", "SN-2"].map(|id| world.birth(id, KeyType::P256));
        let keys = [KeyType::P256, KeyType::P384, KeyType::Ed25519].map(world::device_key).into();
        Self { world, device, other, keys }
    }

    fn key(&self, input: &Composed) -> &dyn Signer {
        self.keys[usize::from(input.key) % self.keys.len()].as_ref()
    }

    /// The PKIData, and the message around it.
    fn message(&self, input: &Composed) -> (Vec<u8>, Vec<u8>) {
        let key = self.key(input);
        let controls: Vec<_> = input.controls.iter().map(control).collect();
        let requests: Vec<_> = input.requests.iter().map(|(id, form)| request(key, *id, form)).collect();
        let content = |(id, octets): &(u32, Vec<u8>)| {
            TaggedContentInfo { id: *id, content_info: write(SEQUENCE, octets) }.encode()
        };
        let contents: Vec<_> = input.contents.iter().map(content).collect();
        let data = edited(encode_pki_data(&controls, &requests, &contents), &input.before);
        let by = match input.signer {
            SignedBy::Device => By::Certificate(self.device.key.as_ref(), &self.device.certificate),
            SignedBy::OtherDevice => By::Certificate(self.other.key.as_ref(), &self.other.certificate),
            SignedBy::RequestKey => By::Key(key),
        };
        let message = edited(signed(&by, &data), &input.after);
        (data, message)
    }
}

fn control((kind, id, value): &(u8, u32, Value)) -> Vec<u8> {
    let value = match value {
        Value::Octets(octets) => write(0x04, octets),
        Value::Number(number) => write(0x02, &[&[0], &number.to_be_bytes()[..]].concat()),
        Value::Raw(octets) => octets.clone(),
    };
    Control::encode(*id, &KINDS[usize::from(*kind) % KINDS.len()], value)
}

fn request(key: &dyn Signer, id: u32, form: &Form) -> Vec<u8> {
    let cert_request = || crmf::encode_cert_request(id, &Name::empty(), key.public_key(), &[], &[]);
    let with_popo = |popo: &[u8]| write(0xa1, &[&cert_request(), popo].concat());
    match form {
        Form::Pkcs10 => TaggedRequest::encode_pkcs10(id, &world::request(key, &Name::empty(), &[])),
        Form::Crmf => {
            let signature = key.sign(&cert_request()).expect("a signature");
            let algorithm = key.algorithm().identifier().clone();
            TaggedRequest::encode_crmf(&crmf::encode_cert_req_msg(&cert_request(), &algorithm, &signature))
        }
        Form::RaVerified => with_popo(&[0x80, 0]),
        Form::Unproven => with_popo(&[]),
        Form::Raw(octets) => octets.clone(),
    }
}

fn edited(mut octets: Vec<u8>, edits: &[(u16, u8)]) -> Vec<u8> {
    let length = octets.len();
    for (at, octet) in edits {
        octets[usize::from(*at) % length] = *octet;
    }
    octets
}

fuzz_target!(|input: Input| {
    STAGE.with_borrow_mut(|stage| {
        stage.world.begin_again();
        let (data, body) = match &input {
            Input::Octets(octets) => (None, octets.clone()),
            Input::Composed(composed) => {
                let (data, body) = stage.message(composed);
                (Some(data), body)
            }
        };
        let target = EstTarget { label: None, operation: Operation::FullCmc };
        let request = EstRequest { target, body: body.clone(), credential: None };
        let (world, session) = (&stage.world, stage.device.session());
        let label = world.label("devices");
        match world.ra.enroll(label, &request, &session, "fuzz") {
            Ok(pending) => {
                let ResponseBody::FullPki { response, retry_after: None } = pending.response.body else {
                    panic!("another answer")
                };
                judge(stage, &input, data.as_deref(), &body, &Response::read(&response));
            }
            Err(Refusal::Fault(fault)) => panic!("a client's doing ends in a fault: {fault}"),
            Err(refusal @ Refusal::Rejected(_)) => {
                let left = (world.store.certificate_count().expect("a count"), world.store.events().len());
                assert_eq!(left, (0, 1), "a refusal leaves one event and nothing else");
                assert!(!is_right(&input), "{refusal}: nothing is wrong with this message");
                let told = world.ra.full_cmc_refusal(label, Some(&body), &refusal, &session, "fuzz");
                let told = Response::read(&told.expect("a message"));
                // That the status is failed is asserted as well.
                let _info = told.fail_info();
                assert!(told.certificates.is_empty() && told.controls.len() <= 4);
                assert!(!told.status.body_list.is_empty() && told.status.text.is_some());
            }
        }
    });
});

/// One request by a device that does everything right.
fn is_right(input: &Input) -> bool {
    let Input::Composed(input) = input else { return false };
    let [(id, Form::Pkcs10 | Form::Crmf)] = input.requests.as_slice() else { return false };
    let plain = input.controls.is_empty() && input.contents.is_empty();
    plain && *id != 0 && input.signer != SignedBy::OtherDevice && input.before.is_empty() && input.after.is_empty()
}

fn judge(stage: &Stage, input: &Input, data: Option<&[u8]>, body: &[u8], response: &Response) {
    assert_eq!(response.status.status, CmcStatus::Success);
    let [certificate] = response.certificates.as_slice() else { panic!("{}", response.certificates.len()) };
    assert_eq!(certificate.subject().to_string(), "O=Acme,CN=SN-1");
    assert_eq!(certificate.issuer(), response.responder.issuer(), "answered by another CA");
    let spki = certificate.public_key().der();
    // Only the keys of this process sign here, and a body that was not composed is signed by none of them.
    let (Input::Composed(input), Some(data)) = (input, data) else { panic!("signed by nobody: {body:02x?}") };
    assert_ne!(input.signer, SignedBy::OtherDevice, "signed by another device");
    assert_eq!(spki, stage.key(input).public_key().der(), "a key that nobody here holds");
    assert_eq!(content(body).as_deref(), Some(data), "what was signed is not what was read");
    let fields = Tlv::only(data).and_then(|data| data.elements()).expect("a PKIData");
    let [request] = fields[1].elements().expect("requests")[..] else { panic!("more than one request") };
    match request.tag {
        0xa0 => {
            let pkcs10 = request.elements().expect("a TaggedCertificationRequest")[1];
            assert!(possession::is_proven(pkcs10.whole), "possession is not proven");
        }
        // certReq, and POPOSigningKey: an algorithm and a signature.
        0xa1 => {
            let fields = request.elements().expect("a CertReqMsg");
            let [_, popo] = fields[..] else { panic!("possession is not proven") };
            assert_eq!(popo.tag, 0xa1, "possession is vouched for");
        }
        other => panic!("another form: {other:02x}"),
    }
}

/// eContent, read without the decoder under test.
fn content(body: &[u8]) -> Option<Vec<u8>> {
    let content_info = Tlv::only(body)?.elements()?;
    let signed_data = Tlv::only(content_info.get(1)?.content)?.elements()?;
    let encapsulated = signed_data.get(2)?.elements()?;
    Some(Tlv::only(encapsulated.get(1)?.content)?.content.to_vec())
}
