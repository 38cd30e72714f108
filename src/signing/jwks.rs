//! Keys as they are published: a JWK set (RFC 7517, RFC 8037), which can name several, so that a key can be changed and what
//! it signed still be verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{TrustedKey, TrustedKeys};

/// A text holds no key that signatures can be verified with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("holds no Ed25519 key: neither PEM with a `PUBLIC KEY` nor a JWK set")]
pub struct NoKeys;

/// A JWK set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PublishedKey)]
struct Key {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
}

/// These keys as a JWK set. Its `kid` is the `keyid` of their signatures.
#[must_use]
pub fn published(keys: &TrustedKeys) -> String {
    let key = |key: &TrustedKey| Key {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: URL_SAFE_NO_PAD.encode(key.as_bytes()),
        kid: key.id().to_owned(),
        usage: "sig".to_owned(),
        alg: "EdDSA".to_owned(),
    };
    let set = KeySet { keys: keys.0.iter().map(key).collect() };
    // Strings and lists serialise.
    serde_json::to_string(&set).unwrap_or_default()
}

/// The keys in a file: one in PEM, or all of a JWK set.
///
/// # Errors
/// [`NoKeys`].
pub fn read_keys(text: &str) -> Result<TrustedKeys, NoKeys> {
    if let Ok(key) = TrustedKey::from_pem(text) {
        return Ok(TrustedKeys(vec![key]));
    }
    let set: KeySet = serde_json::from_str(text).map_err(|_| NoKeys)?;
    let key = |key: &Key| {
        let bytes = URL_SAFE_NO_PAD.decode(&key.x).ok()?.try_into().ok()?;
        (key.kty == "OKP" && key.crv == "Ed25519").then(|| TrustedKey::from_bytes(bytes))
    };
    let keys: Vec<TrustedKey> = set.keys.iter().filter_map(key).collect();
    if keys.is_empty() { Err(NoKeys) } else { Ok(TrustedKeys(keys)) }
}
