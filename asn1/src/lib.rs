//! The wire of estd: what EST (RFC 7030) carries, as ASN.1 modules, rasn types and one strict DER door.
//!
//! Every type here owns its bytes. Whatever was signed, or must be compared or copied bit for bit, is kept exactly as it
//! was received (`*_der` accessors); nothing signed is ever re-encoded.

pub mod certificate;
pub mod certs_only;
pub mod change_subject_name;
pub mod cmc;
pub mod crl;
pub mod crmf;
pub mod csr_attrs;
pub mod csr_template;
pub mod der;
pub mod enveloped_data;
pub mod extension;
pub mod general_name;
pub mod key_package;
pub mod key_protection;
pub mod name;
pub mod name_constraints;
pub mod ocsp_request;
pub mod ocsp_response;
pub mod oid;
pub mod pkcs10;
pub mod signed_data;
pub mod signed_message;
pub mod spki;
mod time;

pub use certificate::{Certificate, TbsCertificate, Validity};
pub use crl::CrlReason;
pub use der::DecodeError;
pub use extension::{BasicConstraints, Extension, KeyUsage};
pub use general_name::GeneralName;
pub use name::{AttributeTypeAndValue, Name};
pub use oid::Oid;
pub use pkcs10::{Attribute, CertificationRequest};
pub use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};
