//! JSON Web Signatures in compact form (RFC 7515) by Ed25519 (RFC 8037), of one kind each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{SigningKey, TrustedKeys};

const ALGORITHM: &str = "EdDSA";

/// The longest that is looked at, in bytes.
const LONGEST: usize = 32 * 1024;

/// A text is no signature of the kind and by a key that it should be by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAJws {
    /// Not three parts in Base64, or too long.
    #[error("is no JSON Web Signature in compact form")]
    Malformed,
    /// Another algorithm, another kind, or a head with something in it that we do not write.
    #[error("is signed for something else")]
    AnotherKind,
    /// No trusted key has this id.
    #[error("is signed by a key that is not known")]
    UnknownKey,
    /// Somebody changed it, or signed it with another key.
    #[error("does not have the signature of its key")]
    WrongSignature,
}

/// A head says nothing else: where a key could be found, or what else must be understood, is nothing that we write.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    alg: &'a str,
    kid: &'a str,
    /// Keeps what is signed for one purpose from being taken for another (RFC 8725, section 3.11).
    typ: &'a str,
}

/// These bytes, signed for one purpose.
#[must_use]
pub fn seal(key: &SigningKey, kind: &str, payload: &[u8]) -> String {
    let public = key.public();
    // Strings of ours: they serialise.
    let head = serde_json::to_vec(&Head { alg: ALGORITHM, kid: public.id(), typ: kind }).unwrap_or_default();
    let mut text = URL_SAFE_NO_PAD.encode(head);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

/// What was signed for this purpose by one of these keys.
///
/// # Errors
/// [`NotAJws`].
pub fn open(text: &str, kind: &str, trusted: &TrustedKeys) -> Result<Vec<u8>, NotAJws> {
    let (signed, signature) = text.rsplit_once('.').filter(|_| text.len() <= LONGEST).ok_or(NotAJws::Malformed)?;
    let (head, payload) = signed.split_once('.').ok_or(NotAJws::Malformed)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NotAJws::Malformed);
    let (head, payload, signature) = (decoded(head)?, decoded(payload)?, decoded(signature)?);
    let head: Head<'_> = serde_json::from_slice(&head).map_err(|_| NotAJws::AnotherKind)?;
    if head.alg != ALGORITHM || head.typ != kind {
        return Err(NotAJws::AnotherKind);
    }
    let key = trusted.0.iter().find(|key| key.id() == head.kid).ok_or(NotAJws::UnknownKey)?;
    if key.signed(signed.as_bytes(), &signature) { Ok(payload) } else { Err(NotAJws::WrongSignature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // RFC 8037, appendix A.4: the key, and its signature on the example's input.
        let der = [
            &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..],
            &URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap(),
        ]
        .concat();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der));
        let key = SigningKey::from_pem(&pem).unwrap();
        let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes())), signature);
        // A head without a kind is none of ours, however well it is signed.
        let trusted = TrustedKeys(vec![key.public()]);
        assert_eq!(open(&format!("{input}.{signature}"), "", &trusted), Err(NotAJws::AnotherKind));
    }

    #[test]
    fn it_opens_for_its_purpose_by_its_key_and_as_it_was() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let trusted = TrustedKeys(vec![other.public(), key.public()]);
        let sealed = seal(&key, "one+jwt", b"{\"a\":1}");
        assert_eq!(open(&sealed, "one+jwt", &trusted).unwrap(), b"{\"a\":1}");
        assert_eq!(open(&sealed, "two+jwt", &trusted), Err(NotAJws::AnotherKind));
        assert_eq!(open(&sealed, "one+jwt", &TrustedKeys(vec![other.public()])), Err(NotAJws::UnknownKey));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(open(&changed, "one+jwt", &trusted).is_err(), "byte {at}");
        }
        for text in ["", ".", "..", "...", "a.b.c", "e30..", &sealed[..sealed.len() - 1], &format!("{sealed}A")] {
            assert!(open(text, "one+jwt", &trusted).is_err(), "{text}");
        }
    }

    #[test]
    fn a_head_with_anything_else_in_it_is_refused() {
        let key = SigningKey::generate().unwrap();
        let trusted = TrustedKeys(vec![key.public()]);
        let kid = key.public().id().to_owned();
        for head in [
            format!(r#"{{"alg":"none","kid":"{kid}","typ":"one+jwt"}}"#),
            format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"one+jwt"}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"one+jwt","crit":["b64"]}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"one+jwt","jku":"https://elsewhere.example"}}"#),
        ] {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&head), URL_SAFE_NO_PAD.encode("{}"));
            let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())));
            assert_eq!(open(&text, "one+jwt", &trusted), Err(NotAJws::AnotherKind), "{head}");
        }
    }
}
