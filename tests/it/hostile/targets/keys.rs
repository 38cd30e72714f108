//! Key sets: whatever a file says, only a key that stands in it opens anything.

use std::cell::LazyCell;
use std::sync::Arc;

use consentry::clock::ManualClock;
use consentry::identity::development::DevelopmentClaims;
use consentry::identity::{Identity, IdentitySettings};
use consentry::model::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::front::{AUDIENCE, ISSUER, NOW, key};

struct Desk {
    folder: TempDir,
    runtime: Runtime,
    token: String,
    public: String,
}

thread_local! {
    static DESK: LazyCell<Desk> = LazyCell::new(|| {
        let folder = TempDir::new().unwrap();
        let key = key(folder.path());
        let token = key.mint(&DevelopmentClaims {
            issuer: ISSUER.replace("{tid}", "contoso"),
            audience: AUDIENCE.to_owned(),
            tenant: "contoso".parse().unwrap(),
            object: "cyd".to_owned(),
            roles: Vec::new(),
            app_roles: Vec::new(),
            service: false,
            issued_at: NOW.parse().unwrap(),
            lifetime_s: 600,
        });
        let set: Value = serde_json::from_str(&key.jwks()).unwrap();
        let public = set["keys"][0]["x"].as_str().unwrap().to_owned();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Desk { folder, runtime, token: token.unwrap(), public }
    });
}

/// The bytes are a key file.
pub fn run(bytes: &[u8]) {
    DESK.with(|desk| {
        let path = desk.folder.path().join("jwks.json");
        std::fs::write(&path, bytes).unwrap();
        let settings: IdentitySettings = serde_json::from_value(json!({ "issuers": [{
            "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_file": path, "development": true,
            "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        }] }))
        .unwrap();
        let clock = ManualClock::at(NOW.parse::<Timestamp>().unwrap());
        match Identity::new(settings, Arc::new(clock)) {
            Err(refused) => assert!(refused.to_string().contains("jwks.json"), "the file is not named: {refused}"),
            Ok(identity) => {
                let entered = desk.runtime.block_on(identity.authenticate(&desk.token)).is_ok();
                let set: Value = serde_json::from_slice(bytes).expect("a key set that was taken is JSON");
                let stands_there = |key: &Value| key["x"] == desk.public.as_str() && key["crv"] == "Ed25519";
                assert!(!entered || set["keys"].as_array().is_some_and(|keys| keys.iter().any(stands_there)), "{set}");
            }
        }
    });
}
