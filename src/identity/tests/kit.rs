//! What the tests of this room share: keys of three kinds, tokens made by hand, a server of keys, an identity to ask.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::ManualClock;
use crate::identity::{Caller, Identity, IdentitySettings, TokenRefused};
use crate::model::Timestamp;

/// When the tests take place: 2026-11-22T10:00:00Z, in seconds.
pub(in crate::identity) const NOW_S: i64 = 1_795_341_600;

pub(in crate::identity) enum TestKey {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    pub(in crate::identity) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(in crate::identity) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(in crate::identity) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(in crate::identity) fn alg(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(in crate::identity) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": text(pair.public_key().as_ref())})
            }
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(x), "y": text(y)})
            }
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "kid": kid, "n": text(&n), "e": text(&e)})
            }
        }
    }

    pub(in crate::identity) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this key's own header.
    pub(in crate::identity) fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.alg(), "kid": kid, "typ": "JWT"}), &claims.to_string())
    }

    pub(in crate::identity) fn token_with(&self, header: &Value, claims: &str) -> String {
        let message = message(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Modulus and exponent of a PKCS#1 public key: two DER integers in a sequence.
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        let (start, length) = match der[1] {
            0x81 => (3, usize::from(der[2])),
            0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
            short => (2, usize::from(short)),
        };
        der[start..].split_at(length)
    }
    let (n, rest) = value(value(der).0);
    (n.to_vec(), value(rest).0.to_vec())
}

pub(in crate::identity) fn message(header: &Value, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims))
}

pub(in crate::identity) fn key_set(keys: &[(&str, &TestKey)]) -> String {
    let keys: Vec<Value> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
    json!({ "keys": keys }).to_string()
}

/// A server that gives out keys and counts how often it was asked.
pub(in crate::identity) struct KeyServer {
    pub(in crate::identity) url: String,
    answer: Arc<Mutex<(u16, String)>>,
    fetches: Arc<AtomicUsize>,
}

impl KeyServer {
    pub(in crate::identity) async fn start(body: &str) -> Self {
        let answer = Arc::new(Mutex::new((200, body.to_owned())));
        let fetches = Arc::new(AtomicUsize::new(0));
        let state = (Arc::clone(&answer), Arc::clone(&fetches));
        let reply = move || {
            let (answer, fetches) = &state;
            fetches.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answer.lock().clone();
            (StatusCode::from_u16(status).unwrap(), [("location", "https://elsewhere.example/")], body)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let routes = axum::Router::new().route("/keys", axum::routing::get(async move || reply()));
        let service = TowerToHyperService::new(routes);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, answer, fetches }
    }

    pub(in crate::identity) fn answer(&self, status: u16, body: &str) {
        *self.answer.lock() = (status, body.to_owned());
    }

    pub(in crate::identity) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// An identity that trusts the vendor's directory by template and Contoso's own issuer by name, each with its key file.
pub(in crate::identity) struct Desk {
    folder: tempfile::TempDir,
    pub(in crate::identity) clock: ManualClock,
    pub(in crate::identity) key: TestKey,
    pub(in crate::identity) contoso_key: TestKey,
    pub(in crate::identity) identity: Identity,
}

impl Desk {
    pub(in crate::identity) fn new() -> Self {
        Self::with(TestKey::ed25519())
    }

    /// `key` signs for the directory, as `k1`; Contoso's own key is `c1`.
    pub(in crate::identity) fn with(key: TestKey) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let contoso_key = TestKey::ed25519();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        std::fs::write(path("directory.json"), key_set(&[("k1", &key)])).unwrap();
        std::fs::write(path("contoso.json"), key_set(&[("c1", &contoso_key)])).unwrap();
        let settings: IdentitySettings = serde_json::from_value(json!({
            "vendor_tenants": ["vendor"],
            "issuers": [
                {
                    "issuer": "https://login.example/{tid}/v2.0",
                    "audiences": ["consentry"],
                    "algorithms": ["RS256", "ES256", "EdDSA"],
                    "jwks_file": path("directory.json"),
                },
                {
                    "issuer": "https://id.contoso.example",
                    "audiences": ["consentry"],
                    "algorithms": ["EdDSA"],
                    "jwks_file": path("contoso.json"),
                    "tenants": ["contoso"],
                },
            ],
        }))
        .unwrap();
        let clock = ManualClock::at(Timestamp::from_millis(NOW_S * 1000));
        let identity = Identity::new(settings, Arc::new(clock.clone())).unwrap();
        Self { folder, clock, key, contoso_key, identity }
    }

    /// Ada's claims, who works for the vendor; good for an hour.
    pub(in crate::identity) fn claims() -> Value {
        json!({
            "iss": "https://login.example/vendor/v2.0", "aud": "consentry", "tid": "vendor", "oid": "ada",
            "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3600, "uti": "token-1",
        })
    }

    /// A token with Ada's claims after this change.
    pub(in crate::identity) fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = Self::claims();
        change(&mut claims);
        self.key.token("k1", &claims)
    }

    pub(in crate::identity) async fn ask(&self, token: &str) -> Result<Caller, TokenRefused> {
        self.identity.authenticate(token).await
    }

    /// What is refused about a token that must not pass.
    pub(in crate::identity) async fn refusal(&self, token: &str) -> TokenRefused {
        self.ask(token).await.map(|caller| caller.to_string()).unwrap_err()
    }

    /// Replaces the directory's key file.
    pub(in crate::identity) fn publish(&self, keys: &[(&str, &TestKey)]) {
        std::fs::write(self.folder.path().join("directory.json"), key_set(keys)).unwrap();
    }

    pub(in crate::identity) fn unpublish(&self) {
        std::fs::remove_file(self.folder.path().join("directory.json")).unwrap();
    }
}
