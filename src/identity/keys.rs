//! The keys of an issuer: a JWK set read with suspicion (RFC 7517, RFC 7518).

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;

use super::settings::SigningAlgorithm;

/// Public keys by `kid`.
pub(super) type Keys = HashMap<String, Arc<VerificationKey>>;

/// The keys of one issuer at one time. Replaced as a whole.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Keys,
    generation: u64,
}

impl KeySet {
    /// The set that comes after this one. Its generation is another one when a key was dropped or changed, so that
    /// whatever was verified with the old keys is verified again; keys that are only added disturb nobody.
    pub(super) fn succeeded_by(&self, keys: Keys) -> Self {
        let kept = self.keys.iter().all(|(kid, key)| keys.get(kid) == Some(key));
        Self { keys, generation: if kept { self.generation } else { self.generation.saturating_add(1) } }
    }

    pub(super) fn find(&self, kid: &str) -> Option<Arc<VerificationKey>> {
        self.keys.get(kid).cloned()
    }

    /// Changes when a key of the issuer is dropped or changed.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A public key that may verify signatures, and what kind of them.
#[derive(Debug)]
pub(super) struct VerificationKey {
    kind: KeyKind,
    algorithm: Option<KeyAlgorithm>,
    decoding_key: DecodingKey,
    material: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl PartialEq for VerificationKey {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.algorithm == other.algorithm && self.material == other.material
    }
}

impl VerificationKey {
    /// Whether the key is of the algorithm's type, and its own `alg`, if it has one, says the same (RFC 8725, 3.1).
    pub(super) fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        let kind = match algorithm {
            SigningAlgorithm::Rs256
            | SigningAlgorithm::Rs384
            | SigningAlgorithm::Rs512
            | SigningAlgorithm::Ps256
            | SigningAlgorithm::Ps384
            | SigningAlgorithm::Ps512 => KeyKind::Rsa,
            SigningAlgorithm::Es256 => KeyKind::P256,
            SigningAlgorithm::Es384 => KeyKind::P384,
            SigningAlgorithm::EdDsa => KeyKind::Ed25519,
        };
        self.kind == kind && self.algorithm.is_none_or(|own| own == KeyAlgorithm::from(algorithm.in_library()))
    }

    pub(super) fn decoding_key(&self) -> &DecodingKey {
        &self.decoding_key
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// Reads a JWK set. A key that cannot be used is left out with a warning, and the others still count: issuers publish
/// encryption keys and new kinds of keys beside those we need (RFC 7517, 5).
///
/// # Errors
/// When the text is not a JWK set at all.
pub(super) fn read_key_set(json: &[u8], issuer: &str) -> Result<Keys, serde_json::Error> {
    let document: Document = serde_json::from_slice(json)?;
    let mut keys = Keys::new();
    for (position, value) in document.keys.into_iter().enumerate() {
        let (kid, key) = match read_key(value) {
            Ok(read) => read,
            Err(reason) => {
                tracing::warn!(issuer, position, reason, "a key of the key set is left out");
                continue;
            }
        };
        if keys.get(&kid).is_some_and(|first| **first != key) {
            tracing::warn!(issuer, position, kid, reason = "its `kid` is taken", "a key of the key set is left out");
            continue;
        }
        keys.insert(kid, Arc::new(key));
    }
    Ok(keys)
}

fn read_key(value: serde_json::Value) -> Result<(String, VerificationKey), &'static str> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| "it is not a JWK")?;
    let id = jwk.common.key_id.ok_or("it has no `kid`")?;
    if jwk.common.public_key_use.is_some_and(|usage| usage != PublicKeyUse::Signature) {
        return Err("its `use` is not `sig`");
    }
    if jwk.common.key_operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return Err("its `key_ops` do not hold `verify`");
    }
    let (kind, decoding_key, material) = match jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => rsa_key(&rsa.n, &rsa.e)?,
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            ec_key(KeyKind::P256, &point.x, &point.y)?
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P384 => {
            ec_key(KeyKind::P384, &point.x, &point.y)?
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => ed_key(&pair.x)?,
        AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_) => {
            return Err("its curve is not P-256, P-384 or Ed25519");
        }
        // Whoever can read a symmetric key can sign with it.
        AlgorithmParameters::OctetKey(_) => return Err("it is symmetric"),
        AlgorithmParameters::Other(_) | _ => return Err("its `kty` is unknown"),
    };
    Ok((id, VerificationKey { kind, algorithm: jwk.common.key_algorithm, decoding_key, material }))
}

type KeyParts = (KeyKind, DecodingKey, Vec<u8>);

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "its numbers are not base64url")
}

fn rsa_key(modulus: &str, exponent: &str) -> Result<KeyParts, &'static str> {
    let (modulus, exponent) = (bytes(modulus)?, bytes(exponent)?);
    // Some issuers write a leading zero byte, which RFC 7518 (6.3.1.1) forbids and the library refuses.
    let number = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|byte| *byte == 0).collect() };
    let (n, e) = (number(&modulus), number(&exponent));
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("its modulus is not 2048 to 8192 bits long");
    }
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| "it is not an RSA key")?;
    Ok((KeyKind::Rsa, DecodingKey::from_rsa_raw_components(&n, &e), [n, b"/".to_vec(), e].concat()))
}

fn ec_key(kind: KeyKind, x: &str, y: &str) -> Result<KeyParts, &'static str> {
    let point = [vec![0x04], bytes(x)?, bytes(y)?].concat();
    let parsed = match kind {
        KeyKind::P256 if point.len() == 65 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point),
        KeyKind::P384 if point.len() == 97 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point),
        KeyKind::P256 | KeyKind::P384 | KeyKind::Rsa | KeyKind::Ed25519 => return Err("its point has a wrong length"),
    };
    parsed.map_err(|_| "its point is not on the curve")?;
    Ok((kind, DecodingKey::from_ec_der(&point), point))
}

fn ed_key(x: &str) -> Result<KeyParts, &'static str> {
    let public = bytes(x)?;
    if public.len() != 32 {
        return Err("its point has a wrong length");
    }
    ParsedPublicKey::new(&ED25519, &public).map_err(|_| "its point is not on the curve")?;
    Ok((KeyKind::Ed25519, DecodingKey::from_ed_der(&public), public))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::tests::kit::TestKey;

    fn left_out(jwk: Value) -> &'static str {
        read_key(jwk).map(|_| ()).unwrap_err()
    }

    #[test]
    fn keys_that_cannot_be_trusted_are_left_out() {
        let ed = TestKey::ed25519().jwk("k");
        let with = |key: &str, value: Value| {
            let mut jwk = ed.clone();
            jwk[key] = value;
            jwk
        };
        assert_eq!(left_out(json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"})), "it is symmetric");
        assert_eq!(left_out(with("use", json!("enc"))), "its `use` is not `sig`");
        assert_eq!(left_out(with("key_ops", json!(["sign"]))), "its `key_ops` do not hold `verify`");
        assert_eq!(left_out(with("kid", Value::Null)), "it has no `kid`");
        assert_eq!(left_out(with("x", json!("AAAA"))), "its point has a wrong length");
        assert_eq!(left_out(with("kty", json!("AKP"))), "its `kty` is unknown");
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let short = json!({"kty": "RSA", "kid": "k", "n": short, "e": "AQAB"});
        assert_eq!(left_out(short), "its modulus is not 2048 to 8192 bits long");
        assert_eq!(
            left_out(json!({"kty": "RSA", "kid": "k", "n": "", "e": ""})),
            "its modulus is not 2048 to 8192 bits long"
        );
        let mut shorter_by_a_bit = [0xff; 256];
        shorter_by_a_bit[0] = 0x7f;
        let modulus = URL_SAFE_NO_PAD.encode(shorter_by_a_bit);
        assert_eq!(
            left_out(json!({"kty": "RSA", "kid": "k", "n": modulus, "e": "AQAB"})),
            "its modulus is not 2048 to 8192 bits long"
        );
        assert_eq!(left_out(with("crv", json!("P-256"))), "its curve is not P-256, P-384 or Ed25519");
        let off = URL_SAFE_NO_PAD.encode([7; 32]);
        let off = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": off, "y": off});
        assert_eq!(left_out(off), "its point is not on the curve");
    }

    #[test]
    fn a_point_is_of_its_own_curve() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let jwk = |curve: &str| json!({"kty": "EC", "crv": curve, "kid": "k", "x": x, "y": y});
        let key = read_key(jwk("P-384")).unwrap().1;
        assert!(key.fits(SigningAlgorithm::Es384) && !key.fits(SigningAlgorithm::Es256));
        assert_eq!(left_out(jwk("P-256")), "its point has a wrong length");
        assert_eq!(left_out(jwk("P-521")), "its curve is not P-256, P-384 or Ed25519");
        let mut other = TestKey::p256().jwk("k");
        other["crv"] = json!("P-384");
        assert_eq!(left_out(other), "its point has a wrong length");
    }

    #[test]
    fn of_two_keys_with_one_kid_the_first_counts() {
        let (first, second) = (TestKey::ed25519(), TestKey::ed25519());
        let set = json!({"keys": [first.jwk("k"), second.jwk("k"), {"kty": "oct"}, 7]}).to_string();
        let keys = read_key_set(set.as_bytes(), "issuer").unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(*keys["k"], read_key(first.jwk("k")).unwrap().1);
    }

    #[test]
    fn a_generation_ends_when_a_key_is_dropped_or_changed_and_not_when_one_is_added() {
        let (one, two) = (TestKey::ed25519(), TestKey::ed25519());
        let read = |keys: Vec<Value>| read_key_set(json!({ "keys": keys }).to_string().as_bytes(), "i").unwrap();
        let first = KeySet::default().succeeded_by(read(vec![one.jwk("a")]));
        let added = first.succeeded_by(read(vec![two.jwk("b"), one.jwk("a")]));
        assert_eq!(added.generation(), first.generation());
        assert_ne!(added.succeeded_by(read(vec![one.jwk("a")])).generation(), added.generation());
        assert_ne!(first.succeeded_by(read(vec![two.jwk("a")])).generation(), first.generation());
        let mut bound = one.jwk("a");
        bound["alg"] = json!("EdDSA");
        assert_ne!(first.succeeded_by(read(vec![bound])).generation(), first.generation());
    }

    #[test]
    fn a_key_is_for_its_own_algorithm_alone() {
        let mut jwk = TestKey::rsa().jwk("k");
        assert!(read_key(jwk.clone()).unwrap().1.fits(SigningAlgorithm::Ps256));
        jwk["alg"] = json!("RS256");
        let key = read_key(jwk).unwrap().1;
        assert!(key.fits(SigningAlgorithm::Rs256));
        for other in [SigningAlgorithm::Ps256, SigningAlgorithm::Rs512, SigningAlgorithm::Es256] {
            assert!(!key.fits(other), "{other:?}");
        }
    }
}
