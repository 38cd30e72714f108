//! Signatures of deliveries, as Standard Webhooks 1.0 has them: HMAC-SHA256 with a shared secret, `v1`, and Ed25519, `v1a`.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::signing::SigningKey;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// How long a secret is, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets, and the key if there is one, that an endpoint's deliveries are signed with.
pub(super) struct Signer {
    secrets: Vec<hmac::Key>,
    key: Option<SigningKey>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new(secrets: Vec<hmac::Key>, key: Option<SigningKey>) -> Self {
        Self { secrets, key }
    }

    /// The value of `webhook-signature`: one signature for each secret, and one by the key.
    pub(super) fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp_s}.").as_bytes(), body].concat();
        let signatures = self.secrets.iter().map(|secret| {
            let tag = hmac::sign(secret, &signed);
            format!("v1,{}", STANDARD.encode(tag.as_ref()))
        });
        let by_key = self.key.iter().map(|key| format!("v1a,{}", STANDARD.encode(key.sign(&signed))));
        signatures.chain(by_key).collect::<Vec<_>>().join(" ")
    }
}

/// The secret in this file.
///
/// # Errors
/// What is wrong with it, without a word of what it holds.
pub(super) fn read_secret(file: &Path) -> Result<hmac::Key, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    parse_secret(&text).ok_or_else(|| {
        format!("holds no secret: `{PREFIX}` and 24 to 64 bytes in Base64, as `openssl rand -base64 32` makes them")
    })
}

/// The key in this file.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_key(file: &Path) -> Result<SigningKey, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    SigningKey::from_pem(&text).map_err(|error| error.to_string())
}

fn parse_secret(text: &str) -> Option<hmac::Key> {
    let secret = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    SECRET_BYTES.contains(&secret.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example of Standard Webhooks' own libraries.
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signed = Signer::new(vec![secret.clone()], None).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let key = SigningKey::generate().unwrap();
        let public = key.public();
        let thrice = Signer::new(vec![secret.clone(), secret], Some(key)).sign("a", 1, b"{}");
        let [one, two, by_key] = thrice.split(' ').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(one, two);
        assert!(public.signed(b"a.1.{}", &STANDARD.decode(by_key.strip_prefix("v1a,").unwrap()).unwrap()));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_ä",
            "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(parse_secret(text).is_none(), "{text}");
        }
    }
}
