//! Why a token was refused: a stable code for people outside, a short message, never a piece of the token.

/// Why a token does not prove who calls. The messages hold nothing from the token, so they can be logged and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not three base64url parts of JSON with the claims' types of RFC 7519, or a claim stands twice.
    #[error("the token is not a well-formed signed JWT")]
    Malformed,
    /// No configured issuer has the token's `iss`.
    #[error("the token's issuer is not one that this service trusts")]
    UnknownIssuer,
    /// The issuer may not use the header's `alg`, or the key that `kid` names is not for it (RFC 8725, 3.1).
    #[error("the token's algorithm is not allowed for its issuer and key")]
    AlgorithmNotAllowed,
    /// The issuer's key set has no usable key with the header's `kid`.
    #[error("the token's signing key is not in its issuer's key set")]
    UnknownKey,
    /// The signature does not fit the key.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// `aud` names none of the audiences that are configured for the issuer.
    #[error("the token is not meant for this service")]
    WrongAudience,
    /// `exp` has come.
    #[error("the token has expired: get a new one")]
    Expired,
    /// `nbf` or `iat` lies further ahead than the clock skew.
    #[error("the token is not valid yet: compare the clocks")]
    NotYetValid,
    /// The issuer does not speak for the tenant in `tid`.
    #[error("the token's issuer does not speak for the token's tenant")]
    TenantMismatch,
    /// A claim or header parameter that we need is not there.
    #[error("the token has no `{0}`")]
    MissingClaim(&'static str),
    /// The token is over [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("the token is longer than {} bytes", super::MAX_TOKEN_BYTES)]
    TooLong,
    /// The token asks for something that we do not do, such as `crit`.
    #[error("the token cannot be used here: {0}")]
    Unsupported(&'static str),
    /// The issuer's keys cannot be read now, so nobody can say whether the token is good.
    #[error("the keys of the token's issuer cannot be read now: try again later")]
    KeysUnavailable,
}

impl TokenRefused {
    /// The stable name of this reason for programs, in snake case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::UnknownIssuer => "token_issuer_unknown",
            Self::AlgorithmNotAllowed => "token_algorithm_not_allowed",
            Self::UnknownKey => "token_key_unknown",
            Self::BadSignature => "token_signature_wrong",
            Self::WrongAudience => "token_audience_wrong",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::TenantMismatch => "token_tenant_mismatch",
            Self::MissingClaim(_) => "token_claim_missing",
            Self::TooLong => "token_too_long",
            Self::Unsupported(_) => "token_unsupported",
            Self::KeysUnavailable => "token_keys_unavailable",
        }
    }

    /// Whether the fault is not the token's: the same token may be good in a while.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_keys_are_not_the_tokens_fault() {
        assert!(TokenRefused::KeysUnavailable.is_unavailable());
        assert!(!TokenRefused::UnknownKey.is_unavailable());
    }

    #[test]
    fn a_refusal_has_a_code_and_a_short_message() {
        assert_eq!(TokenRefused::Expired.code(), "token_expired");
        assert_eq!(TokenRefused::MissingClaim("tid").to_string(), "the token has no `tid`");
        assert_eq!(TokenRefused::TooLong.to_string(), "the token is longer than 16384 bytes");
    }
}
