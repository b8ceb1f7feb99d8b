//! Public-key infrastructure rules: keys, signatures, requests, names, certificates, paths. Pure; no I/O, no clock.

pub mod blocked_keys;
pub mod cert_id;
pub mod certificate;
pub mod device_identity;
pub mod digest;
pub mod digest_algorithm;
pub mod generated_key;
pub mod key_encryption;
pub mod message_signature;
pub mod name_constraints;
pub mod name_rules;
pub mod openssl_index;
pub mod pem;
pub mod profile;
pub mod public_key;
pub mod request;
pub mod revocation;
pub mod rsa_modulus;
mod rsa_parameters;
pub mod serial;
pub mod shard;
pub mod signature;
pub mod template;
pub mod trust;

#[cfg(test)]
pub(crate) mod testing;
