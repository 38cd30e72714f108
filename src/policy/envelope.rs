//! Signatures on bundles: Ed25519 over a DSSE envelope (<https://github.com/secure-systems-lab/dsse>, version 1).
//!
//! Nothing of a payload is read before one of its signatures was found to be by a trusted key.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::{Deserialize, Serialize};

use super::digest::sha256;
use super::place::LoadError;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 16;

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
        public.map(Self::of).ok_or(InvalidKey::NotEd25519)
    }

    fn of(public: [u8; 32]) -> Self {
        Self { id: sha256(&Self::der(&public)), public }
    }

    fn der(public: &[u8; 32]) -> Vec<u8> {
        [SPKI_HEAD.as_slice(), public].concat()
    }

    /// Its id: the SHA-256 digest of its DER form, in hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
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

/// A key that signs.
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
        TrustedKey::of(public)
    }

    /// An envelope with this payload, as JSON.
    #[must_use]
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> String {
        let sig = STANDARD.encode(self.pair.sign(&pre_authentication(payload_type, payload)).as_ref());
        let envelope = Envelope {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature { keyid: self.public().id, sig }],
        };
        // Strings and lists serialise.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    /// A hint to whoever looks, and not signed: nothing is decided by it.
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// What is signed (DSSE 1, "PAE"): kind and payload with their lengths, so that neither can be taken for the other.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The payload of an envelope that one of these keys has signed, with that key.
///
/// # Errors
/// [`LoadError`] when it is no envelope, holds another kind of payload, or nobody who is trusted has signed it.
pub(super) fn open<'a>(
    envelope: &[u8],
    payload_type: &str,
    trusted: &'a TrustedKeys,
) -> Result<(Vec<u8>, &'a TrustedKey), LoadError> {
    let refuse = |message: String| LoadError::of(format!("the signed bundle {message}"));
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| refuse(format!("is no DSSE envelope: {error}")))?;
    if envelope.payload_type != payload_type {
        return Err(refuse(format!("holds a payload of another type than `{payload_type}`")));
    }
    let payload = from_base64(&envelope.payload).ok_or_else(|| refuse("has a payload that is no Base64".to_owned()))?;
    let signed = pre_authentication(payload_type, &payload);
    for signature in envelope.signatures.iter().take(MOST_SIGNATURES) {
        let Some(bytes) = from_base64(&signature.sig) else { continue };
        let by = |key: &&TrustedKey| UnparsedPublicKey::new(&ED25519, key.public).verify(&signed, &bytes).is_ok();
        if let Some(key) = trusted.0.iter().find(by) {
            return Ok((payload, key));
        }
    }
    let claimed = envelope.signatures.first().map(|signature| signature.keyid.chars().take(64).collect::<String>());
    Err(refuse(match claimed {
        None => "is not signed".to_owned(),
        Some(id) => format!("was changed, or signed by no trusted key (it names `{id}`)"),
    }))
}

/// Base64 in either alphabet, as DSSE asks of whoever reads.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
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

    const KIND: &str = "application/x-test";

    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        // The example of the DSSE specification.
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

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
    fn no_bit_can_be_changed_and_no_other_key_counts() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let trusted = TrustedKeys(vec![other.public(), key.public()]);
        let signed = key.sign(KIND, b"{}");
        assert_eq!(open(signed.as_bytes(), KIND, &trusted).unwrap(), (b"{}".to_vec(), &key.public()));
        for keys in [TrustedKeys::default(), TrustedKeys(vec![other.public()])] {
            assert!(open(signed.as_bytes(), KIND, &keys).unwrap_err().to_string().contains("no trusted key"));
        }
        assert!(open(signed.as_bytes(), "application/x-other", &trusted).is_err());
        let mut envelope: Envelope = serde_json::from_str(&signed).unwrap();
        envelope.signatures.clear();
        let unsigned = serde_json::to_string(&envelope).unwrap();
        assert!(open(unsigned.as_bytes(), KIND, &trusted).unwrap_err().to_string().contains("is not signed"));
        let mut accepted = 0;
        for at in 0..signed.len() {
            for bit in 0..7 {
                let mut bytes = signed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                // The hint, names of members that come to the same, and white space may differ; what was signed may not.
                if let Ok((payload, _)) = open(&bytes, KIND, &trusted) {
                    assert_eq!(payload, b"{}", "byte {at}, bit {bit}");
                    accepted += 1;
                }
            }
        }
        assert!(accepted <= 7 * ("keyid".len() + 64), "{accepted}");
    }
}
