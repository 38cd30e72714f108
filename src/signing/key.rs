//! Ed25519 keys: in PEM as `openssl` writes them, signing and checking bytes.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use pem::{EncodeConfig, LineEnding, Pem};

use super::Signature;
use super::digest::sha256;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A text is not the key that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not PEM of this kind.
    #[error("is not PEM with a `{0}`")]
    NotPem(&'static str),
    /// Another kind of key.
    #[error("is not an Ed25519 key")]
    NotEd25519,
    /// The machine gives no randomness.
    #[error("cannot be made")]
    NotMade,
}

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    public: [u8; 32],
    id: String,
}

impl TrustedKey {
    /// The key in this PEM text (`SubjectPublicKeyInfo`, as `openssl pkey -pubout` writes it).
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let der = from_pem(text, "PUBLIC KEY")?;
        let public = der.strip_prefix(&SPKI_HEAD).and_then(|public| public.try_into().ok());
        public.map(Self::from_bytes).ok_or(InvalidKey::NotEd25519)
    }

    /// The key of these bytes (RFC 8032).
    #[must_use]
    pub fn from_bytes(public: [u8; 32]) -> Self {
        Self { id: sha256(&Self::der(&public)), public }
    }

    /// Its bytes (RFC 8032).
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.public
    }

    fn der(public: &[u8; 32]) -> Vec<u8> {
        [SPKI_HEAD.as_slice(), public].concat()
    }

    /// Its id: the SHA-256 digest of its DER form, in hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it made this signature on these bytes.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public).verify(message, signature).is_ok()
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(&Self::der(&self.public), "PUBLIC KEY")
    }
}

/// The keys whose signatures count; one of them is enough.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(pub Vec<TrustedKey>);

impl TrustedKeys {
    /// The key that made this signature on these bytes, if one of these did.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> Option<&TrustedKey> {
        self.0.iter().find(|key| key.signed(message, signature))
    }
}

/// A key that signs, in this process.
pub struct SigningKey {
    pkcs8: Vec<u8>,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public().id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`InvalidKey::NotMade`].
    pub fn generate() -> Result<Self, InvalidKey> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| InvalidKey::NotMade)?;
        Self::from_pkcs8(pkcs8.as_ref().to_vec())
    }

    /// The key in this PEM text (PKCS#8, as `openssl genpkey -algorithm ed25519` writes it).
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        Self::from_pkcs8(from_pem(text, "PRIVATE KEY")?)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| InvalidKey::NotEd25519)?;
        Ok(Self { pkcs8, pair })
    }

    /// As PEM. Whoever has it can sign.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(&self.pkcs8, "PRIVATE KEY")
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> TrustedKey {
        let mut public = [0; 32];
        public.iter_mut().zip(self.pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        TrustedKey::from_bytes(public)
    }

    /// The signature on these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        let made = self.pair.sign(message);
        signature.iter_mut().zip(made.as_ref()).for_each(|(to, from)| *to = *from);
        signature
    }
}

fn to_pem(der: &[u8], kind: &str) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(kind, der), lines)
}

fn from_pem(text: &str, kind: &'static str) -> Result<Vec<u8>, InvalidKey> {
    let found = pem::parse_many(text).unwrap_or_default().into_iter().find(|found| found.tag() == kind);
    found.map(Pem::into_contents).ok_or(InvalidKey::NotPem(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_ones_that_openssl_writes() {
        // RFC 8410, section 10.1 and 10.3.
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                      -----END PUBLIC KEY-----\n";
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                       -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(private).unwrap();
        assert_eq!(key.public(), TrustedKey::from_pem(public).unwrap());
        assert_eq!((key.to_pem().as_str(), key.public().to_pem().as_str()), (private, public));
        assert_eq!(TrustedKey::from_pem(private).unwrap_err(), InvalidKey::NotPem("PUBLIC KEY"));
        let rsa = "-----BEGIN PUBLIC KEY-----\nMAAA\n-----END PUBLIC KEY-----";
        assert_eq!(TrustedKey::from_pem(rsa).unwrap_err(), InvalidKey::NotEd25519);
    }

    #[test]
    fn a_signature_is_by_one_key_on_one_message() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let signature = key.sign(b"one");
        let both = TrustedKeys(vec![other.public(), key.public()]);
        assert_eq!(both.signed(b"one", &signature), Some(&key.public()));
        assert_eq!(both.signed(b"two", &signature), None);
        assert_eq!(TrustedKeys(vec![other.public()]).signed(b"one", &signature), None);
        for bit in 0..signature.len() * 8 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.public().signed(b"one", &changed), "bit {bit}");
        }
        assert!(!key.public().signed(b"one", &signature[..63]));
    }
}
