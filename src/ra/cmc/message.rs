//! A Full PKI Request as it came: what it asks for, what is echoed of it, and who signed it.

use estd_asn1::cmc::control::IdentityProofV2;
use estd_asn1::cmc::{
    BodyPartId, BodyPartReference, Control, ControlValue, PkiData, PkiDataLimits, TaggedRequest, WHOLE_MESSAGE,
};
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::signed_message::{MessageLimits, SignedMessage, SignerId};
use estd_asn1::{Certificate, DecodeError, SubjectPublicKeyInfo, oid};

use crate::est::{Rejection, RejectionCode};
use crate::pki::message_signature::{self, MessageError, SignedContent};
use crate::pki::trust::AuthenticatedPeer;
use crate::store::RequestKey;

/// Most controls of a message.
pub const MAX_CONTROLS: usize = 32;

/// Most certification requests that are read; one is granted.
const MAX_REQUESTS: usize = 16;

/// Most nested messages that are counted; none is opened.
const MAX_CONTENTS: usize = 16;

/// Most certificates that come with the signature. They are not looked at: TLS has shown the one that counts.
const MAX_CERTIFICATES: usize = 8;

/// A decoded message. Nothing in it was verified.
pub(super) struct Message {
    signed: SignedMessage,
    data: PkiData,
}

/// What a message asks for.
pub(super) enum Wanted<'a> {
    /// A certificate.
    Certificate(&'a TaggedRequest),
    /// What became of a request that waits for an operator.
    Pending {
        /// The control that asks.
        part: BodyPartId,
        /// The pendToken.
        request: RequestKey,
    },
}

/// What the answer repeats (RFC 5272 sections 6.4 and 6.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Echo {
    /// transactionId, its TLV.
    pub(super) transaction: Option<Vec<u8>>,
    /// senderNonce, which is the recipientNonce of the answer.
    pub(super) sender_nonce: Option<Vec<u8>>,
    /// dataReturn
    pub(super) data_return: Option<Vec<u8>>,
}

/// Why a message is not looked at further, and which of its parts are to blame.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) rejection: Rejection,
    pub(super) parts: Vec<BodyPartReference>,
}

impl Message {
    /// Decodes a message (RFC 5272 section 3.2).
    pub(super) fn read(body: &[u8], requests: &RequestLimits) -> Result<Self, Rejection> {
        let signed =
            SignedMessage::decode(body, &MessageLimits { max_certificates: MAX_CERTIFICATES }).map_err(no_cmc)?;
        // RFC 5272 §3.2.1: the content is id-cct-PKIData; what is signed once more is not opened.
        if signed.content_type != oid::PKI_DATA {
            let reason =
                format!("the content of a full pki request is id-cct-PKIData, this is {}", signed.content_type);
            return Err(Rejection::new(RejectionCode::BadCmc, "RFC 5272 3.2", reason));
        }
        let limits = PkiDataLimits {
            max_controls: MAX_CONTROLS,
            max_requests: MAX_REQUESTS,
            max_contents: MAX_CONTENTS,
            request: *requests,
        };
        let data = PkiData::decode(&signed.content, &limits).map_err(no_cmc)?;
        Ok(Self { signed, data })
    }

    /// What the answer repeats; of a control that stands there twice, the first.
    pub(super) fn echo(&self) -> Echo {
        let mut echo = Echo::default();
        for control in &self.data.controls {
            match &control.value {
                Ok(ControlValue::TransactionId(der)) => _ = echo.transaction.get_or_insert_with(|| der.clone()),
                Ok(ControlValue::SenderNonce(nonce)) => _ = echo.sender_nonce.get_or_insert_with(|| nonce.clone()),
                Ok(ControlValue::DataReturn(data)) => _ = echo.data_return.get_or_insert_with(|| data.clone()),
                Ok(_) | Err(_) => {}
            }
        }
        echo
    }

    /// The one thing that the message asks for.
    ///
    /// RFC 5272 §3.2.1.1: a control that is not recognized fails the whole message, and is named in the answer.
    pub(super) fn wanted(&self) -> Result<Wanted<'_>, Unfit> {
        let mut pending = None;
        for control in &self.data.controls {
            match judge(control)? {
                Role::Noted => {}
                Role::Asks(request) if pending.is_none() => pending = Some((control.id, request)),
                Role::Asks(_) => return Err(unfit(control.id, "queryPending stands there twice".to_owned())),
            }
            if let Some(other) =
                self.data.controls.iter().find(|other| other.kind == control.kind && other.id != control.id)
            {
                let reason = format!("a control of one kind is expected once, {} stands there twice", other.kind);
                return Err(unfit(other.id, reason));
            }
        }
        if let Some(nested) = self.data.contents.first() {
            return Err(unfit(nested.id, "nested messages are not opened here".to_owned()));
        }
        match (self.data.requests.as_slice(), pending) {
            ([request], None) => Ok(Wanted::Certificate(request)),
            ([], Some((part, request))) => Ok(Wanted::Pending { part, request }),
            ([], None) => {
                Err(unfit(WHOLE_MESSAGE, "expected a certification request or queryPending, found neither".to_owned()))
            }
            ([request, ..], Some(_)) | ([_, request, ..], None) => {
                let reason = "expected one certification request or queryPending in a message, found more".to_owned();
                Err(unfit(request.id, reason))
            }
        }
    }

    /// A proof that a shared secret is known, if there is one, and what it is over (RFC 5272 section 6.2.1).
    pub(super) fn identity_proof(&self) -> Option<(&IdentityProofV2, &[u8])> {
        let proof = self.data.controls.iter().find_map(|control| match &control.value {
            Ok(ControlValue::IdentityProof(Some(proof))) => Some(proof),
            Ok(_) | Err(_) => None,
        });
        proof.map(|proof| (proof, self.data.request_sequence()))
    }

    /// Verifies that the message was signed by whom it may be: the peer that TLS has shown, or who holds the key of the
    /// request, when the signer is named by a subjectKeyIdentifier as one without a certificate is (RFC 5272 section 3.2).
    pub(super) fn verify_signer(
        &self,
        peer: Option<&AuthenticatedPeer>,
        requested: &SubjectPublicKeyInfo,
    ) -> Result<(), Rejection> {
        let refused = |error: MessageError| {
            let code = match &error {
                MessageError::Algorithm(_) => RejectionCode::SignatureAlgorithm,
                MessageError::Key(_) => RejectionCode::WeakKey,
                MessageError::Signers { .. } | MessageError::Content | MessageError::Signature => {
                    RejectionCode::CmcSignature
                }
            };
            Rejection::new(code, "RFC 5652 5.4", error.to_string())
        };
        let signer = message_signature::the_signer(&self.signed).map_err(refused)?;
        let presented = peer.map(AuthenticatedPeer::certificate).filter(|certificate| names(&signer.id, certificate));
        let key = match (presented, &signer.id) {
            (Some(certificate), _) => certificate.public_key(),
            (None, SignerId::SubjectKeyIdentifier(_)) => requested,
            (None, SignerId::IssuerAndSerialNumber(_)) => {
                let reason = "expected the signature of the certificate that the tls connection presented, or of the \
                              request's key, named by its subjectKeyIdentifier; the message is signed by another \
                              certificate";
                return Err(Rejection::new(RejectionCode::CmcSignature, "RFC 5272 3.2", reason));
            }
        };
        SignedContent::verify(&self.signed, key).map(|_| ()).map_err(refused)
    }
}

fn names(id: &SignerId, certificate: &Certificate) -> bool {
    match id {
        SignerId::IssuerAndSerialNumber(named) => {
            named.serial == certificate.serial() && named.issuer.matches(certificate.issuer())
        }
        SignerId::SubjectKeyIdentifier(named) => {
            matches!(certificate.subject_key_identifier(), Ok(Some(own)) if own == *named)
        }
    }
}

/// What a control does here.
enum Role {
    /// It is echoed, or judged elsewhere, or says nothing that changes the outcome.
    Noted,
    /// It asks what became of a request.
    Asks(RequestKey),
}

fn judge(control: &Control) -> Result<Role, Unfit> {
    let refused = |reason: &str| Err(unfit(control.id, reason.to_owned()));
    match &control.value {
        Err(error) => Err(unfit(control.id, format!("the control {}: {error}", control.kind))),
        Ok(
            ControlValue::TransactionId(_)
            | ControlValue::SenderNonce(_)
            | ControlValue::DataReturn(_)
            // Whoever proves to know a secret may say which; the secret itself tells (RFC 5272 §6.2.3).
            | ControlValue::Identification(_)
            | ControlValue::IdentityProof(Some(_))
            // The nonce of an answer was for this connection, which TLS protects from replay.
            | ControlValue::RecipientNonce(_)
            // RFC 5272 §6.12: for the CA to read or not.
            | ControlValue::RegInfo(_),
        ) => Ok(Role::Noted),
        Ok(ControlValue::QueryPending(token)) => match token.as_slice().try_into() {
            Ok(token) => Ok(Role::Asks(RequestKey(token))),
            Err(_) => refused("queryPending has no pendToken of this server"),
        },
        Ok(ControlValue::IdentityProof(None)) => Err(Unfit {
            rejection: Rejection::new(
                RejectionCode::SignatureAlgorithm,
                "RFC 5272 6.2.2",
                "identityProof is made with SHA-1; expected identityProofV2",
            ),
            parts: vec![BodyPartReference::Id(control.id)],
        }),
        // RFC 6402 §2.12: what an RA says is believed where it is authorized to; here it asks in its own message, and
        // vouches for nothing but whom it speaks for.
        Ok(
            ControlValue::AddExtensions(_)
            | ControlValue::LraPopWitness(_)
            | ControlValue::ModCertTemplate(_)
            | ControlValue::BatchRequests(_)
            | ControlValue::ControlProcessed(_)
            | ControlValue::RaIdentityWitness(_),
        ) => refused("controls by which an ra changes or vouches for requests are not taken here"),
        Ok(ControlValue::RevokeRequest(_)) => refused("certificates are revoked by an operator, not by cmc"),
        Ok(ControlValue::PopLinkRandom(_)) => {
            refused("popLinkRandom is not taken here; identityProofV2 and a signature by the request's key are")
        }
        Ok(
            ControlValue::StatusInfo(_)
            | ControlValue::ConfirmCertAcceptance(_)
            | ControlValue::PublishTrustAnchors(_)
            | ControlValue::BatchResponses(_),
        ) => refused("this control answers nothing that was asked here"),
        Ok(ControlValue::Unknown) => Err(unfit(control.id, format!("the control {} is not known", control.kind))),
    }
}

fn unfit(part: BodyPartId, reason: String) -> Unfit {
    let rejection = Rejection::new(RejectionCode::CmcControl, "RFC 5272 3.2.1", reason);
    Unfit { rejection, parts: vec![BodyPartReference::Id(part)] }
}

fn no_cmc(error: DecodeError) -> Rejection {
    Rejection::new(RejectionCode::BadCmc, "RFC 5272 3.2", error.to_string())
}
