//! DSSE envelopes (<https://github.com/secure-systems-lab/dsse>, version 1): a payload of a named type, with signatures on
//! both.
//!
//! Nothing of a payload is read before one of its signatures was found to be by a trusted key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use super::{NotSigned, Signer, TrustedKey, TrustedKeys};

/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 16;

/// Why an envelope was not opened: what is wrong with it, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotOpened(String);

/// An envelope with this payload, signed by this key, as JSON. The same payload and key make the same bytes.
///
/// # Errors
/// [`NotSigned`].
pub fn seal(signer: &dyn Signer, payload_type: &str, payload: &[u8]) -> Result<String, NotSigned> {
    let sig = STANDARD.encode(signer.sign(&pre_authentication(payload_type, payload))?);
    let envelope = Envelope {
        payload_type: payload_type.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature { keyid: signer.public().id().to_owned(), sig }],
    };
    // Strings and lists serialise.
    Ok(serde_json::to_string(&envelope).unwrap_or_default())
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
/// [`NotOpened`] when it is no envelope, holds another kind of payload, or nobody who is trusted has signed it.
pub fn open<'a>(
    envelope: &[u8],
    payload_type: &str,
    trusted: &'a TrustedKeys,
) -> Result<(Vec<u8>, &'a TrustedKey), NotOpened> {
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| NotOpened(format!("is no DSSE envelope: {error}")))?;
    if envelope.payload_type != payload_type {
        return Err(NotOpened(format!("holds a payload of another type than `{payload_type}`")));
    }
    let payload =
        from_base64(&envelope.payload).ok_or_else(|| NotOpened("has a payload that is no Base64".to_owned()))?;
    let signed = pre_authentication(payload_type, &payload);
    for signature in envelope.signatures.iter().take(MOST_SIGNATURES) {
        let Some(bytes) = from_base64(&signature.sig) else { continue };
        if let Some(key) = trusted.signed(&signed, &bytes) {
            return Ok((payload, key));
        }
    }
    let claimed = envelope.signatures.first().map(|signature| signature.keyid.chars().take(64).collect::<String>());
    Err(NotOpened(match claimed {
        None => "is not signed".to_owned(),
        Some(id) => format!("was changed, or signed by no trusted key (it names `{id}`)"),
    }))
}

/// Base64 in either alphabet, as DSSE asks of whoever reads.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

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
    fn no_bit_can_be_changed_and_no_other_key_counts() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let trusted = TrustedKeys(vec![other.public(), key.public()]);
        let signed = seal(&key, KIND, b"{}").unwrap();
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
