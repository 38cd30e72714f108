//! A key for trying things out: mints tokens that a `development` issuer accepts. Production refuses such an issuer.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::model::{AppRole, RoleId, TenantId, Timestamp};

/// An Ed25519 key (RFC 8037) with its key id.
pub struct DevelopmentKey {
    pkcs8: Vec<u8>,
    public: String,
    kid: String,
}

/// What a development token says.
#[derive(Debug, Clone)]
pub struct DevelopmentClaims {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `tid`.
    pub tenant: TenantId,
    /// `oid`; for a service also `azp`.
    pub object: String,
    /// `wids`.
    pub roles: Vec<RoleId>,
    /// `roles`.
    pub app_roles: Vec<AppRole>,
    /// Whether a program calls (`idtyp` is `app`).
    pub service: bool,
    /// `iat` and `nbf`, in whole seconds.
    pub issued_at: Timestamp,
    /// How many seconds after `issued_at` the token ends.
    pub lifetime_s: u64,
}

/// Why a development key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentKeyUnusable {
    /// No key could be made, or it cannot sign.
    #[error("the development key cannot be used for signing")]
    Signing,
    /// The file is there and is no key.
    #[error("`{}` is not an Ed25519 key in PKCS#8: remove it to have a new one made", .0.display())]
    NotAKey(PathBuf),
    /// The file can be neither read nor made.
    #[error("the development key `{}` cannot be read or written", path.display())]
    File {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl DevelopmentKey {
    /// A new key that is kept nowhere.
    ///
    /// # Errors
    /// [`DevelopmentKeyUnusable::Signing`] when the machine gives no randomness.
    pub fn generate() -> Result<Self, DevelopmentKeyUnusable> {
        let fault = |_| DevelopmentKeyUnusable::Signing;
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(fault)?;
        Self::from_pkcs8(pkcs8.as_ref().to_vec()).ok_or(DevelopmentKeyUnusable::Signing)
    }

    /// The key in this file; made when there is none, for its owner's eyes only (0600). Of two processes that make it
    /// at the same time, one wins and both use that one's key.
    ///
    /// # Errors
    /// [`DevelopmentKeyUnusable`] names the file.
    pub fn load_or_create(path: &Path) -> Result<Self, DevelopmentKeyUnusable> {
        let fault = |source| DevelopmentKeyUnusable::File { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(pkcs8) => {
                return Self::from_pkcs8(pkcs8).ok_or_else(|| DevelopmentKeyUnusable::NotAKey(path.to_owned()));
            }
            Err(absent) if absent.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(fault(source)),
        }
        let key = Self::generate()?;
        if create_whole(path, &key.pkcs8).map_err(fault)? {
            return Ok(key);
        }
        let pkcs8 = fs::read(path).map_err(fault)?;
        Self::from_pkcs8(pkcs8).ok_or_else(|| DevelopmentKeyUnusable::NotAKey(path.to_owned()))
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        // RFC 7638, 3: the required members in alphabetical order, without spaces.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#).as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
        Some(Self { pkcs8, public, kid })
    }

    /// The public half as a JWK set (RFC 7517); its `kid` is the key's thumbprint (RFC 7638) and so always the same.
    #[must_use]
    pub fn jwks(&self) -> String {
        let (public, kid) = (&self.public, &self.kid);
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": public, "kid": kid, "alg": "EdDSA", "use": "sig"});
        json!({ "keys": [key] }).to_string()
    }

    /// A signed token that says this.
    ///
    /// # Errors
    /// [`DevelopmentKeyUnusable::Signing`] when the library cannot sign.
    pub fn mint(&self, claims: &DevelopmentClaims) -> Result<String, DevelopmentKeyUnusable> {
        let issued_at = claims.issued_at.as_millis() / 1000;
        let mut body = json!({
            "iss": claims.issuer,
            "aud": claims.audience,
            "tid": claims.tenant,
            "oid": claims.object,
            "wids": claims.roles,
            "roles": claims.app_roles,
            "idtyp": if claims.service { "app" } else { "user" },
            "jti": uuid::Uuid::new_v4(),
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at.saturating_add(i64::try_from(claims.lifetime_s).unwrap_or(i64::MAX)),
        });
        if let (true, Some(body)) = (claims.service, body.as_object_mut()) {
            body.insert("azp".to_owned(), json!(claims.object));
        }
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(&self.pkcs8);
        jsonwebtoken::encode(&header, &body, &key).map_err(|_| DevelopmentKeyUnusable::Signing)
    }
}

/// Makes the file with all its bytes or not at all; false when it was there already.
fn create_whole(path: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", uuid::Uuid::new_v4()));
    let draft = path.with_file_name(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link, because it fails when the name is taken; a rename would replace another process's key.
        match fs::hard_link(&draft, path) {
            Ok(()) => Ok(true),
            Err(taken) if taken.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(fault) => Err(fault),
        }
    });
    // The draft is only a second name now. If it cannot be removed, nothing but a stray file is left.
    let _ = fs::remove_file(&draft);
    written
}

impl fmt::Debug for DevelopmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owners_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("development.key");
        let made = DevelopmentKey::load_or_create(&path).unwrap();
        let found = DevelopmentKey::load_or_create(&path).unwrap();
        assert_eq!(made.jwks(), found.jwks());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        assert!(!create_whole(&path, b"other").unwrap(), "a key that is there is not replaced");
    }

    #[test]
    fn a_file_that_is_no_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "dear diary").unwrap();
        assert!(matches!(DevelopmentKey::load_or_create(&path), Err(DevelopmentKeyUnusable::NotAKey(_))));
        assert_eq!(fs::read(&path).unwrap(), b"dear diary");
    }

    #[test]
    fn the_key_id_is_the_thumbprint_of_rfc_7638() {
        // The Ed25519 key of RFC 8037, appendix A.1 with its thumbprint of A.3.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let key = DevelopmentKey::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref().to_vec()).unwrap();
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert!(!format!("{key:?}").contains("pkcs8"));
    }
}
