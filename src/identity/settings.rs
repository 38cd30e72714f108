//! What the operator says about issuers: whom to trust, for which tenants, with which keys.

use std::collections::HashSet;
use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::issuer::IssuerName;
use crate::model::TenantId;

/// The longest clock skew that can be configured, in seconds.
pub const MAX_CLOCK_SKEW_S: u64 = 300;

/// Who may call with a token, and how its token is checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// The vendor's own tenants: their people are support engineers.
    pub vendor_tenants: Vec<TenantId>,
    /// How far ahead of our clock a token's `nbf` and `iat` may lie, in seconds. It never lengthens a token's life.
    pub clock_skew_s: u64,
    /// The issuers whose tokens count.
    pub issuers: Vec<IssuerSettings>,
    /// How many verified tokens are remembered.
    pub token_cache_capacity: u64,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self { vendor_tenants: Vec::new(), clock_skew_s: 30, issuers: Vec::new(), token_cache_capacity: 10_000 }
    }
}

/// One issuer: a directory, or all tenants of one (a template).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The `iss` of its tokens, exactly; or a template in which `{tid}` stands for the token's `tid`.
    pub issuer: String,
    /// The `aud` values that mean us; at least one (RFC 8725, 3.9).
    pub audiences: Vec<String>,
    /// The algorithms its tokens may be signed with.
    #[serde(default = "only_rs256")]
    pub algorithms: Vec<SigningAlgorithm>,
    /// A file with its JWK set (RFC 7517). Either this or `jwks_url`.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Where its JWK set is fetched: https, or http from this machine itself.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The tenants it speaks for. An exact issuer must list them, or a customer's own directory could name another
    /// customer's tenant; a template without a list speaks for all tenants of its directory.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// An issuer for trying things out, whose key lies on a developer's disk. Refused in production.
    #[serde(default)]
    pub development: bool,
}

fn only_rs256() -> Vec<SigningAlgorithm> {
    vec![SigningAlgorithm::Rs256]
}

/// A signature algorithm that an issuer may be allowed (RFC 7518, RFC 8037). There is no symmetric one and no `none`:
/// naming one is a configuration error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// The name in a token's header and in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) const fn in_library(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// Why the identity settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentitySettings {
    /// The skew is over [`MAX_CLOCK_SKEW_S`].
    #[error("`clock_skew_s` is {0}, at most {MAX_CLOCK_SKEW_S} seconds are allowed: synchronise the clocks instead")]
    ClockSkew(u64),
    /// The issuer is empty, holds spaces or braces other than one `{{tid}}`.
    #[error("issuer `{0}` is neither a plain name nor a template with one `{{tid}}`")]
    IssuerName(String),
    /// Two entries would answer for the same `iss`.
    #[error("issuer `{0}` is configured twice: join the two entries")]
    DuplicateIssuer(String),
    /// `audiences` is empty or holds an empty one.
    #[error("issuer `{0}` has no audience: list the `aud` values that mean this service")]
    NoAudience(String),
    /// `algorithms` is empty.
    #[error("issuer `{0}` has no algorithm: list what its tokens are signed with, such as `RS256`")]
    NoAlgorithm(String),
    /// Both or none of `jwks_file` and `jwks_url`.
    #[error("issuer `{0}` needs either `jwks_file` or `jwks_url`, and not both")]
    KeySource(String),
    /// The URL of the keys could be read or changed on its way.
    #[error(
        "issuer `{issuer}` has `jwks_url` `{url}`: it must be an https address without a password; http is for loopback"
    )]
    KeyUrl {
        /// The issuer as configured.
        issuer: String,
        /// The address as configured.
        url: String,
    },
    /// An exact issuer that lists no tenant.
    #[error("issuer `{0}` lists no tenants: name those it speaks for, or use `{{tid}}` in the issuer")]
    NoTenants(String),
    /// A development issuer in production.
    #[error("issuer `{0}` is for development: remove it in production")]
    DevelopmentInProduction(String),
    /// The key file cannot be read, or has no key that can be used.
    #[error("issuer `{issuer}`: {cause}")]
    Keys {
        /// The issuer as configured.
        issuer: String,
        /// What went wrong, with the name of the file.
        cause: String,
    },
    /// No client for `jwks_url` can be made, such as when this machine has no root certificates.
    #[error("keys cannot be fetched by https: {0}")]
    HttpClient(String),
}

impl IdentitySettings {
    /// Checks everything that can be checked without reading keys. In production, development issuers are refused.
    ///
    /// # Errors
    /// [`InvalidIdentitySettings`] names the first setting that cannot be used.
    pub fn validate(&self, production: bool) -> Result<(), InvalidIdentitySettings> {
        if self.clock_skew_s > MAX_CLOCK_SKEW_S {
            return Err(InvalidIdentitySettings::ClockSkew(self.clock_skew_s));
        }
        let mut seen = HashSet::new();
        for issuer in &self.issuers {
            issuer.validate(production)?;
            if !seen.insert(&issuer.issuer) {
                return Err(InvalidIdentitySettings::DuplicateIssuer(issuer.issuer.clone()));
            }
        }
        Ok(())
    }
}

impl IssuerSettings {
    fn validate(&self, production: bool) -> Result<(), InvalidIdentitySettings> {
        let name = || self.issuer.clone();
        let parsed = IssuerName::parse(&self.issuer).ok_or_else(|| InvalidIdentitySettings::IssuerName(name()))?;
        if self.development && production {
            return Err(InvalidIdentitySettings::DevelopmentInProduction(name()));
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(InvalidIdentitySettings::NoAudience(name()));
        }
        if self.algorithms.is_empty() {
            return Err(InvalidIdentitySettings::NoAlgorithm(name()));
        }
        if parsed.is_exact() && self.tenants.is_empty() {
            return Err(InvalidIdentitySettings::NoTenants(name()));
        }
        match (&self.jwks_file, &self.jwks_url) {
            (Some(_), None) => Ok(()),
            (None, Some(url)) => match key_url(url) {
                Some(_) => Ok(()),
                None => Err(InvalidIdentitySettings::KeyUrl { issuer: name(), url: url.clone() }),
            },
            (Some(_), Some(_)) | (None, None) => Err(InvalidIdentitySettings::KeySource(name())),
        }
    }
}

/// The address, when keys may be fetched from it: https, or http that does not leave this machine.
pub(super) fn key_url(text: &str) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok()?;
    let host = url.host_str()?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty() && url.password().is_none();
    (secure && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut issuer = json!({
            "issuer": "https://login.example/contoso",
            "audiences": ["consentry"],
            "jwks_url": "https://login.example/keys",
            "tenants": ["contoso"],
        });
        change(&mut issuer);
        let settings: IdentitySettings =
            serde_json::from_value(json!({ "issuers": [issuer] })).map_err(|fault| fault.to_string())?;
        settings.validate(true).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_plain_issuer_is_good_and_signs_with_rs256() {
        assert_eq!(settings(|_| ()), Ok(()));
        assert_eq!(settings(|issuer| issuer["algorithms"] = json!(["ES256", "PS512", "EdDSA"])), Ok(()));
        assert_eq!(only_rs256(), [SigningAlgorithm::Rs256]);
        let defaults = IdentitySettings::default();
        assert_eq!((defaults.clock_skew_s, defaults.token_cache_capacity), (30, 10_000));
    }

    #[test]
    fn what_would_weaken_the_check_is_refused() {
        let cases: [(&str, Value, &str); 15] = [
            ("algorithms", json!(["HS256"]), "unknown variant `HS256`"),
            ("algorithms", json!(["none"]), "unknown variant `none`"),
            ("algorithms", json!([]), "has no algorithm"),
            ("audiences", json!([]), "has no audience"),
            ("audiences", json!([""]), "has no audience"),
            ("tenants", json!([]), "lists no tenants"),
            ("issuer", json!("https://{tid}/{tid}"), "neither a plain name"),
            ("issuer", json!("https://{tenant}/"), "neither a plain name"),
            ("issuer", json!(""), "neither a plain name"),
            ("jwks_url", json!("http://login.example/keys"), "https address"),
            ("jwks_url", json!("https://ada:secret@login.example/keys"), "https address"),
            ("jwks_url", json!("https://:secret@login.example/keys"), "https address"),
            ("issuer", json!("https://login.example/a b"), "neither a plain name"),
            ("jwks_file", json!("keys.json"), "either `jwks_file` or `jwks_url`"),
            ("development", json!(true), "for development"),
        ];
        for (key, value, message) in cases {
            let refused = settings(|issuer| issuer[key] = value.clone()).unwrap_err();
            assert!(refused.contains(message), "{key} {value}: {refused}");
        }
        assert!(settings(|issuer| issuer["jwks_uri"] = json!("x")).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn only_a_template_may_speak_for_every_tenant() {
        let template = |issuer: &mut Value| {
            issuer["issuer"] = json!("https://login.example/{tid}/v2.0");
            issuer["tenants"] = json!([]);
        };
        assert_eq!(settings(template), Ok(()));
    }

    #[test]
    fn http_is_for_this_machine() {
        for good in ["https://a.example/k", "http://127.0.0.1:80/k", "http://localhost/k", "http://[::1]:9/k"] {
            assert!(key_url(good).is_some(), "{good}");
        }
        for bad in ["http://127.0.0.1.evil.example/k", "http://10.0.0.1/k", "file:///k", "ftp://localhost/k", "k"] {
            assert!(key_url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_long_skew_and_a_second_entry_for_one_issuer_are_refused() {
        let skewed = IdentitySettings { clock_skew_s: 301, ..IdentitySettings::default() };
        assert_eq!(skewed.validate(false), Err(InvalidIdentitySettings::ClockSkew(301)));
        assert_eq!(IdentitySettings { clock_skew_s: 300, ..skewed }.validate(false), Ok(()));
        let issuer: IssuerSettings = serde_json::from_value(json!({
            "issuer": "i", "audiences": ["a"], "jwks_file": "k", "tenants": ["t"],
        }))
        .unwrap();
        let twice = IdentitySettings { issuers: vec![issuer.clone(), issuer], ..IdentitySettings::default() };
        assert_eq!(twice.validate(false), Err(InvalidIdentitySettings::DuplicateIssuer("i".into())));
    }
}
