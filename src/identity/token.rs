//! Tokens before and after their signature was checked: the parts, the header, the claims (RFC 7515, RFC 7519).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use super::keys::VerificationKey;
use super::refused::TokenRefused;
use super::settings::SigningAlgorithm;
use crate::model::Timestamp;

/// A token that was taken apart and not believed yet.
pub(super) struct UnverifiedToken<'a> {
    header: Header,
    claims: Claims,
    message: &'a str,
    signature: &'a str,
}

/// The parameters of the header that we look at. The derived reader refuses one that stands twice.
#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
}

/// The claims that we look at. The derived reader refuses one that stands twice: two readers of the same token could
/// otherwise see two different tokens. E-mail addresses and names are not among them; anyone can have any.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) aud: Option<Audiences>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
    pub(super) tid: Option<String>,
    pub(super) oid: Option<String>,
    pub(super) idtyp: Option<String>,
    pub(super) azp: Option<String>,
    pub(super) appid: Option<String>,
    pub(super) jti: Option<String>,
    pub(super) uti: Option<String>,
    // Values and not strings: a directory may add entries of a kind that we do not know, and they are no roles.
    pub(super) wids: Option<Vec<serde_json::Value>>,
    pub(super) roles: Option<Vec<serde_json::Value>>,
}

/// One audience or several (RFC 7519, 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Audiences {
    pub(super) fn any(&self, wanted: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(audience) => wanted(audience),
            Self::Several(audiences) => audiences.iter().any(|audience| wanted(audience)),
        }
    }
}

/// Seconds since the epoch, with or without a fraction (RFC 7519, 2).
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(Timestamp::from_millis(seconds.saturating_mul(1000))))
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
            }

            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the time is clamped anyway")]
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                Ok(NumericDate(Timestamp::from_millis((seconds * 1000.0) as i64)))
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// True when the key is there at all, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenRefused> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenRefused::Malformed)?;
    // A derived reader would take a JSON list for a struct, field by field; a claims set is an object (RFC 7519, 7.2).
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(TokenRefused::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| TokenRefused::Malformed)
}

impl<'a> UnverifiedToken<'a> {
    /// Takes the token apart and refuses what we never do, whoever signed it.
    ///
    /// # Errors
    /// [`TokenRefused::Malformed`], [`TokenRefused::Unsupported`].
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenRefused> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenRefused::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenRefused::Malformed)?;
        // A dot that is left over is no base64url and fails there.
        let header: Header = part(header)?;
        let claims: Claims = part(claims)?;
        if header.crit {
            return Err(TokenRefused::Unsupported("header parameter `crit`"));
        }
        if header.b64 {
            return Err(TokenRefused::Unsupported("header parameter `b64`"));
        }
        let access = |typ: &String| ["JWT", "at+jwt"].iter().any(|good| typ.eq_ignore_ascii_case(good));
        if !header.typ.as_ref().is_none_or(access) {
            return Err(TokenRefused::Unsupported("header parameter `typ` other than `JWT` or `at+jwt`"));
        }
        Ok(Self { header, claims, message, signature })
    }

    /// The claims as they are written, to choose the keys with and for nothing else.
    pub(super) fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// The header's `alg`.
    ///
    /// # Errors
    /// [`TokenRefused::Malformed`] when there is none: RFC 7515 (4.1.1) wants one.
    pub(super) fn alg(&self) -> Result<&str, TokenRefused> {
        self.header.alg.as_deref().ok_or(TokenRefused::Malformed)
    }

    /// The header's `kid`.
    ///
    /// # Errors
    /// [`TokenRefused::MissingClaim`]: we do not try one key after the other.
    pub(super) fn kid(&self) -> Result<&str, TokenRefused> {
        self.header.kid.as_deref().ok_or(TokenRefused::MissingClaim("kid"))
    }

    /// The claims, once the signature fits the key.
    ///
    /// # Errors
    /// [`TokenRefused::AlgorithmNotAllowed`] when the key is not for this algorithm, [`TokenRefused::BadSignature`].
    pub(super) fn verify(self, key: &VerificationKey, algorithm: SigningAlgorithm) -> Result<Claims, TokenRefused> {
        if !key.fits(algorithm) {
            return Err(TokenRefused::AlgorithmNotAllowed);
        }
        let good = jsonwebtoken::crypto::verify(
            self.signature,
            self.message.as_bytes(),
            key.decoding_key(),
            algorithm.in_library(),
        );
        match good {
            Ok(true) => Ok(self.claims),
            Ok(false) | Err(_) => Err(TokenRefused::BadSignature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: &str, claims: &str) -> Option<TokenRefused> {
        let token = format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        UnverifiedToken::parse(&token).err()
    }

    #[test]
    fn a_claim_that_stands_twice_makes_the_token_malformed() {
        assert_eq!(refused(r#"{"alg":"RS256"}"#, r#"{"tid":"a"}"#), None);
        assert_eq!(refused(r#"{"alg":"RS256"}"#, r#"{"tid":"a","tid":"b"}"#), Some(TokenRefused::Malformed));
        assert_eq!(refused(r#"{"alg":"RS256","alg":"none"}"#, "{}"), Some(TokenRefused::Malformed));
    }

    #[test]
    fn what_we_never_do_is_refused_whoever_signed_it() {
        for header in [r#"{"crit":["exp"]}"#, r#"{"crit":null}"#, r#"{"b64":false}"#, r#"{"typ":"dpop+jwt"}"#] {
            assert!(matches!(refused(header, "{}"), Some(TokenRefused::Unsupported(_))), "{header}");
        }
        for header in [r#"{"typ":"jwt"}"#, r#"{"typ":"AT+JWT"}"#, "{}"] {
            assert_eq!(refused(header, "{}"), None, "{header}");
        }
    }

    #[test]
    fn tokens_of_another_shape_are_malformed() {
        for token in
            ["", ".", "..", "...", "a.b.c", "e30.e30", "e30.e30.e30.e30", "e30=.e30=.", "W10.W10.", "e30. e30."]
        {
            assert_eq!(UnverifiedToken::parse(token).err(), Some(TokenRefused::Malformed), "{token}");
        }
        assert_eq!(refused("{}", r#"{"exp":"soon"}"#), Some(TokenRefused::Malformed));
        assert_eq!(refused("{}", r#"{"wids":"admin"}"#), Some(TokenRefused::Malformed));
        assert_eq!(refused("{}", r#"["issuer"]"#), Some(TokenRefused::Malformed));
    }

    #[test]
    fn dates_out_of_range_are_brought_into_it() {
        for (text, millis) in
            [("1.5", 1500), ("-9", 0), ("1e300", 253_402_207_200_000), ("18446744073709551615", 253_402_207_200_000)]
        {
            assert_eq!(serde_json::from_str::<NumericDate>(text).unwrap().0.as_millis(), millis, "{text}");
        }
    }
}
