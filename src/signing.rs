//! Signatures and digests: Ed25519 keys in PEM, signing and checking bytes, SHA-256.
//!
//! What lives here: keys, as files and as they are published, the bytes that they sign, the envelopes in which several rooms
//! put what they sign, and the digests by which texts are told apart. What does not: what is signed.
//!
//! A [`Signer`] makes signatures. [`SigningKey`] is the one that has its key in this process; one whose key stays in a
//! key service answers the same questions.

mod digest;
pub mod dsse;
pub mod jwks;
pub mod jws;
mod key;

use std::fmt::Debug;

pub(crate) use digest::beginning;
pub use digest::{sha256, sha256_of_texts};
pub use key::{InvalidKey, SigningKey, TrustedKey, TrustedKeys};

/// An Ed25519 signature (RFC 8032).
pub type Signature = [u8; 64];

/// A signature was not made. Keys in this process always sign; a key service may be out of reach.
#[derive(Debug, thiserror::Error)]
#[error("it could not be signed: {0}")]
pub struct NotSigned(pub String);

/// Whoever can sign with one Ed25519 key.
pub trait Signer: Send + Sync + Debug {
    /// The public half of the key.
    fn public(&self) -> TrustedKey;

    /// The signature on these bytes. May take a while: never ask for one on a request's way.
    ///
    /// # Errors
    /// [`NotSigned`].
    fn sign(&self, message: &[u8]) -> Result<Signature, NotSigned>;
}

impl Signer for SigningKey {
    fn public(&self) -> TrustedKey {
        SigningKey::public(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, NotSigned> {
        Ok(SigningKey::sign(self, message))
    }
}
