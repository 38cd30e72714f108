//! Signatures of deliveries, as Standard Webhooks 1.0 has them: HMAC-SHA256 with a shared secret, `v1`.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// How long a secret is, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets that an endpoint's deliveries are signed with.
pub(super) struct Signer {
    secrets: Vec<hmac::Key>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new(secrets: Vec<hmac::Key>) -> Self {
        Self { secrets }
    }

    /// The value of `webhook-signature`: one signature for each secret.
    pub(super) fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp_s}.").as_bytes(), body].concat();
        let signatures = self.secrets.iter().map(|secret| {
            let tag = hmac::sign(secret, &signed);
            format!("v1,{}", STANDARD.encode(tag.as_ref()))
        });
        signatures.collect::<Vec<_>>().join(" ")
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
        let signed = Signer::new(vec![secret.clone()]).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let twice = Signer::new(vec![secret.clone(), secret]).sign("a", 1, b"");
        assert_eq!(twice.split(' ').count(), 2);
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
