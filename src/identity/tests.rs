//! Tokens at the front door: good ones, forged ones, old ones.

pub(super) mod kit;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use self::kit::{Desk, KeyServer, NOW_S, TestKey, key_set, message};
use super::cache::LastToken;
use super::development::{DevelopmentClaims, DevelopmentKey};
use super::{Caller, CallerKind, Identity, IdentitySettings, InvalidIdentitySettings, MAX_TOKEN_BYTES, TokenRefused};
use crate::clock::ManualClock;
use crate::model::{AppRole, RoleId, Timestamp};

#[tokio::test]
async fn a_person_of_the_vendor_is_known_by_tenant_and_object_id() {
    for key in [TestKey::ed25519(), TestKey::p256(), TestKey::rsa()] {
        let desk = Desk::with(key);
        let token = desk.token(|claims| claims["email"] = json!("ceo@contoso.example"));
        assert!(desk.identity.cached(&token, None).is_none());
        let caller = desk.ask(&token).await.unwrap();
        assert_eq!(caller.to_string(), "vendor/ada");
        assert_eq!(caller.person().unwrap().as_str(), "vendor/ada");
        assert_eq!(caller.tenant().unwrap().as_str(), "vendor");
        assert_eq!(caller.expires_at(), Some(Timestamp::from_millis((NOW_S + 3600) * 1000)));
        assert_eq!((caller.vendor(), caller.token_id()), (true, Some("token-1")));
        assert!(desk.identity.cached(&token, None).is_some());
        assert!(!format!("{caller:?}").contains(&token[..20]));
    }
}

#[tokio::test]
async fn a_program_is_known_by_its_client_id() {
    let desk = Desk::new();
    for (claim, name) in [("azp", "vendor/tooling"), ("appid", "vendor/tooling"), ("other", "vendor/ada")] {
        let token = desk.token(|claims| {
            claims["idtyp"] = json!("app");
            claims[claim] = json!("tooling");
        });
        let caller = desk.ask(&token).await.unwrap();
        assert_eq!(caller.to_string(), name);
        assert!(matches!(caller.kind(), CallerKind::Service { .. }) && caller.person().is_none());
    }
    let device = desk.token(|claims| claims["idtyp"] = json!("device"));
    assert!(matches!(desk.refusal(&device).await, TokenRefused::Unsupported(_)));
}

#[tokio::test]
async fn roles_that_the_catalogue_does_not_know_are_dropped() {
    let desk = Desk::new();
    let token = desk.token(|claims| {
        claims["wids"] = json!(["global-admin", "not an id", 7, "global-admin"]);
        claims["roles"] = json!(["Support.Engineer", "not an id", null, "Audit.Read"]);
    });
    let caller = desk.ask(&token).await.unwrap();
    assert_eq!(caller.roles(), [RoleId::new("global-admin").unwrap()]);
    assert_eq!(caller.app_roles(), [AppRole::new("Audit.Read").unwrap(), AppRole::new("Support.Engineer").unwrap()]);
    let token = desk.token(|claims| claims["roles"] = json!(vec!["r"; 201]));
    assert_eq!(desk.refusal(&token).await, TokenRefused::Unsupported("more than 200 roles"));
    let token = desk.token(|claims| claims["roles"] = json!(vec!["r"; 200]));
    assert_eq!(desk.ask(&token).await.unwrap().app_roles().len(), 1);
}

#[tokio::test]
async fn a_token_is_called_by_its_own_id_where_that_can_be_written_down() {
    let desk = Desk::new();
    for (id, known) in [("t".repeat(128), true), ("t".repeat(129), false), ("a b".into(), false), ("é".into(), false)]
    {
        let caller = desk.ask(&desk.token(|claims| claims["jti"] = json!(id))).await.unwrap();
        assert_eq!(caller.token_id(), known.then_some(id.as_str()), "{id}");
    }
}

#[tokio::test]
async fn a_claim_that_does_not_hold_is_refused_by_its_name() {
    let desk = Desk::new();
    let cases: [(&str, Value, TokenRefused); 17] = [
        ("iss", json!("https://login.evil.example/vendor/v2.0"), TokenRefused::UnknownIssuer),
        ("iss", json!("https://login.example/contoso/v2.0"), TokenRefused::TenantMismatch),
        ("tid", json!("contoso"), TokenRefused::TenantMismatch),
        ("aud", json!("someone-else"), TokenRefused::WrongAudience),
        ("aud", json!([]), TokenRefused::WrongAudience),
        ("exp", json!(NOW_S), TokenRefused::Expired),
        ("exp", json!(-1), TokenRefused::Expired),
        ("nbf", json!(NOW_S + 31), TokenRefused::NotYetValid),
        ("iat", json!(NOW_S + 31), TokenRefused::NotYetValid),
        ("iss", Value::Null, TokenRefused::MissingClaim("iss")),
        ("aud", Value::Null, TokenRefused::MissingClaim("aud")),
        ("exp", Value::Null, TokenRefused::MissingClaim("exp")),
        ("tid", Value::Null, TokenRefused::MissingClaim("tid")),
        ("oid", Value::Null, TokenRefused::MissingClaim("oid")),
        ("oid", json!("a/b"), TokenRefused::Malformed),
        ("exp", json!("later"), TokenRefused::Malformed),
        ("wids", json!("global-admin"), TokenRefused::Malformed),
    ];
    for (claim, value, refusal) in cases {
        let token = desk.token(|claims| claims[claim] = value.clone());
        assert_eq!(desk.refusal(&token).await, refusal, "{claim}: {value}");
        let removed = desk.token(|claims| {
            claims.as_object_mut().unwrap().remove(claim);
        });
        if let TokenRefused::MissingClaim(_) = refusal {
            assert_eq!(desk.refusal(&removed).await, refusal, "{claim} removed");
        }
    }
    for (claim, value) in [("nbf", json!(NOW_S + 30)), ("iat", json!(NOW_S + 30)), ("aud", json!(["x", "consentry"]))] {
        let token = desk.token(|claims| claims[claim] = value.clone());
        assert!(desk.ask(&token).await.is_ok(), "{claim}: {value}");
    }
}

#[tokio::test]
async fn a_customers_own_issuer_speaks_for_that_customer_alone() {
    let desk = Desk::new();
    let own = |tid: &str| {
        let mut claims = Desk::claims();
        claims["iss"] = json!("https://id.contoso.example");
        claims["tid"] = json!(tid);
        claims
    };
    let caller = desk.ask(&desk.contoso_key.token("c1", &own("contoso"))).await.unwrap();
    assert_eq!((caller.to_string().as_str(), caller.vendor()), ("contoso/ada", false));
    for foreign in ["vendor", "fabrikam"] {
        let token = desk.contoso_key.token("c1", &own(foreign));
        assert_eq!(desk.refusal(&token).await, TokenRefused::TenantMismatch);
    }
    // With its own key, but in the name of the vendor's directory: the key is looked up there alone.
    let token = desk.contoso_key.token("c1", &Desk::claims());
    assert_eq!(desk.refusal(&token).await, TokenRefused::UnknownKey);
    let token = desk.contoso_key.token("k1", &Desk::claims());
    assert_eq!(desk.refusal(&token).await, TokenRefused::BadSignature);
}

#[tokio::test]
async fn algorithms_that_anyone_could_sign_with_are_refused() {
    let desk = Desk::with(TestKey::rsa());
    let claims = Desk::claims().to_string();
    for alg in ["none", "None", "nOnE", "", "HS256", "PS256", "ES512"] {
        let token = format!("{}.", message(&json!({"alg": alg, "kid": "k1"}), &claims));
        assert_eq!(desk.refusal(&token).await, TokenRefused::AlgorithmNotAllowed, "{alg}");
    }
    let public = desk.key.jwk("k1")["n"].as_str().unwrap().to_owned();
    for secret in [public.as_bytes(), &URL_SAFE_NO_PAD.decode(&public).unwrap()] {
        let message = message(&json!({"alg": "HS256", "kid": "k1"}), &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(desk.refusal(&token).await, TokenRefused::AlgorithmNotAllowed);
    }
    // Allowed for the issuer, but not what this key is for.
    let token = desk.key.token_with(&json!({"alg": "EdDSA", "kid": "k1"}), &claims);
    assert_eq!(desk.refusal(&token).await, TokenRefused::AlgorithmNotAllowed);
}

#[tokio::test]
async fn a_header_without_a_key_id_or_with_a_claim_twice_is_refused() {
    let desk = Desk::new();
    let claims = Desk::claims().to_string();
    let without = desk.key.token_with(&json!({"alg": "EdDSA"}), &claims);
    assert_eq!(desk.refusal(&without).await, TokenRefused::MissingClaim("kid"));
    let critical = desk.key.token_with(&json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false}), &claims);
    assert!(matches!(desk.refusal(&critical).await, TokenRefused::Unsupported(_)));
    let twice = claims.replacen('{', r#"{"tid":"contoso","#, 1);
    let twice = desk.key.token_with(&json!({"alg": "EdDSA", "kid": "k1"}), &twice);
    assert_eq!(desk.refusal(&twice).await, TokenRefused::Malformed);
}

#[tokio::test]
async fn no_bit_of_a_token_may_differ() {
    for key in [TestKey::ed25519(), TestKey::p256()] {
        let desk = Desk::with(key);
        let token = desk.token(|_| ());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let good = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bad));
            assert_eq!(desk.refusal(&forged).await, TokenRefused::BadSignature, "bit {bit}");
        }
        assert_eq!(desk.refusal(&format!("{message}.")).await, TokenRefused::BadSignature);
        let (header, _) = message.split_once('.').unwrap();
        let mut claims = Desk::claims();
        claims["oid"] = json!("eve");
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(desk.refusal(&forged).await, TokenRefused::BadSignature);
        assert!(desk.ask(&token).await.is_ok());
    }
}

#[tokio::test]
async fn a_new_key_is_found_when_its_first_token_comes() {
    let desk = Desk::new();
    let new = TestKey::p256();
    let token = new.token("k2", &Desk::claims());
    desk.publish(&[("k1", &desk.key), ("k2", &new)]);
    assert_eq!(desk.ask(&token).await.unwrap().to_string(), "vendor/ada");
    assert_eq!(desk.refusal(&new.token("k3", &Desk::claims())).await, TokenRefused::UnknownKey);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_stops_the_tokens_that_were_remembered() {
    let desk = Desk::new();
    let new = TestKey::ed25519();
    let (old_token, new_token) = (desk.token(|_| ()), new.token("k2", &Desk::claims()));
    desk.ask(&old_token).await.unwrap();
    desk.publish(&[("k1", &desk.key), ("k2", &new)]);
    desk.identity.refresh_all().await;
    let connection = LastToken::default();
    assert!(desk.identity.cached(&old_token, Some(&connection)).is_some(), "a key that is added disturbs nobody");
    desk.ask(&new_token).await.unwrap();
    desk.publish(&[("k2", &new)]);
    desk.identity.refresh_all().await;
    assert!(desk.identity.cached(&old_token, Some(&connection)).is_none());
    assert_eq!(desk.refusal(&old_token).await, TokenRefused::UnknownKey);
    assert!(desk.ask(&new_token).await.is_ok());
    // The same id with another key is another key.
    desk.publish(&[("k2", &desk.key)]);
    desk.identity.refresh_all().await;
    assert_eq!(desk.refusal(&new_token).await, TokenRefused::BadSignature);
}

#[tokio::test]
async fn keys_that_cannot_be_read_any_more_keep_working() {
    let desk = Desk::new();
    let token = desk.token(|_| ());
    desk.unpublish();
    desk.identity.refresh_all().await;
    assert!(desk.ask(&token).await.is_ok());
    let unknown = desk.key.token("k9", &Desk::claims());
    assert_eq!(desk.refusal(&unknown).await, TokenRefused::KeysUnavailable);
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_expires() {
    let desk = Desk::new();
    let token = desk.token(|_| ());
    let memo = |caller: &Caller| std::ptr::from_ref(caller.memo());
    let first = desk.ask(&token).await.unwrap();
    desk.clock.advance_millis(3_599_999);
    let connection = LastToken::default();
    for connection in [None, Some(&connection), Some(&connection)] {
        let last = desk.identity.cached(&token, connection).unwrap();
        assert_eq!(memo(&first), memo(&last));
    }
    desk.clock.advance_millis(1);
    assert!(desk.identity.cached(&token, Some(&connection)).is_none());
    assert!(desk.identity.cached(&token, None).is_none());
    assert_eq!(desk.refusal(&token).await, TokenRefused::Expired);
}

#[tokio::test]
async fn a_connection_that_brings_another_token_is_another_caller() {
    let desk = Desk::new();
    let (ada, bob) = (desk.token(|_| ()), desk.token(|claims| claims["oid"] = "bob".into()));
    let connection = LastToken::default();
    for token in [&ada, &bob, &ada] {
        desk.ask(token).await.unwrap();
        let called = desk.ask(token).await.unwrap();
        for _ in 0..2 {
            assert_eq!(desk.identity.cached(token, Some(&connection)).unwrap().name(), called.name());
        }
    }
    let unknown = format!("{ada}x");
    assert!(desk.identity.cached(&unknown, Some(&connection)).is_none());
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_looked_at() {
    let desk = Desk::new();
    assert_eq!(desk.refusal(&"a".repeat(MAX_TOKEN_BYTES)).await, TokenRefused::Malformed);
    assert_eq!(desk.refusal(&"a".repeat(MAX_TOKEN_BYTES + 1)).await, TokenRefused::TooLong);
}

#[tokio::test]
async fn keys_behind_a_url_are_fetched_when_the_first_token_comes() {
    let key = TestKey::p256();
    let server = KeyServer::start(&key_set(&[("k1", &key)])).await;
    server.answer(503, "");
    let settings: IdentitySettings = serde_json::from_value(json!({"issuers": [{
        "issuer": "https://login.example/{tid}/v2.0", "audiences": ["consentry"], "algorithms": ["ES256"],
        "jwks_url": server.url, "tenants": ["vendor", "contoso"],
    }]}))
    .unwrap();
    let clock = ManualClock::at(Timestamp::from_millis(NOW_S * 1000));
    let identity = Identity::new(settings, Arc::new(clock)).unwrap();
    assert_eq!(server.fetches(), 0);
    let token = key.token("k1", &Desk::claims());
    assert!(identity.authenticate(&token).await.unwrap_err().is_unavailable());
    server.answer(200, &key_set(&[("k1", &key)]));
    assert!(identity.authenticate(&token).await.unwrap_err().is_unavailable(), "not asked again at once");
    identity.refresh_all().await;
    assert_eq!(identity.authenticate(&token).await.unwrap().to_string(), "vendor/ada");
    assert_eq!(server.fetches(), 2);
    let mut claims = Desk::claims();
    claims["iss"] = json!("https://login.example/fabrikam/v2.0");
    claims["tid"] = json!("fabrikam");
    let unlisted = identity.authenticate(&key.token("k1", &claims)).await;
    assert_eq!(unlisted.map(|caller| caller.to_string()), Err(TokenRefused::TenantMismatch));
}

#[tokio::test]
async fn a_development_key_mints_what_a_development_issuer_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let key = DevelopmentKey::load_or_create(&folder.path().join("key")).unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, key.jwks()).unwrap();
    let settings: IdentitySettings = serde_json::from_value(json!({"issuers": [{
        "issuer": "dev", "audiences": ["consentry"], "algorithms": ["EdDSA"], "jwks_file": path,
        "tenants": ["vendor"], "development": true,
    }]}))
    .unwrap();
    assert_eq!(settings.validate(true), Err(InvalidIdentitySettings::DevelopmentInProduction("dev".into())));
    let now = Timestamp::from_millis(NOW_S * 1000);
    let role = RoleId::new("global-admin").unwrap();
    let identity = Identity::new(settings, Arc::new(ManualClock::at(now))).unwrap();
    let mut claims = DevelopmentClaims {
        issuer: "dev".into(),
        audience: "consentry".into(),
        tenant: "vendor".parse().unwrap(),
        object: "ada".into(),
        roles: vec![role.clone()],
        app_roles: vec![AppRole::new("Audit.Read").unwrap()],
        service: false,
        issued_at: now,
        lifetime_s: 60,
    };
    let caller = identity.authenticate(&key.mint(&claims).unwrap()).await.unwrap();
    assert_eq!((caller.to_string().as_str(), caller.roles()), ("vendor/ada", &[role][..]));
    assert_eq!(caller.expires_at(), Some(now.plus_millis(60_000)));
    claims.service = true;
    let caller = identity.authenticate(&key.mint(&claims).unwrap()).await.unwrap();
    assert!(matches!(caller.kind(), CallerKind::Service { id, .. } if id.as_str() == "ada"));
    claims.lifetime_s = 0;
    let ended = identity.authenticate(&key.mint(&claims).unwrap()).await;
    assert_eq!(ended.map(|caller| caller.to_string()), Err(TokenRefused::Expired));
}

#[test]
fn a_key_file_without_a_usable_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    for body in [None, Some("not json"), Some(r#"{"keys":[]}"#), Some(r#"{"keys":[{"kty":"oct","kid":"k","k":"a"}]}"#)]
    {
        if let Some(body) = body {
            std::fs::write(&path, body).unwrap();
        }
        let settings: IdentitySettings = serde_json::from_value(json!({"issuers": [{
            "issuer": "i", "audiences": ["a"], "jwks_file": path, "tenants": ["t"],
        }]}))
        .unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let fault = Identity::new(settings, clock).unwrap_err().to_string();
        assert!(fault.contains(path.to_str().unwrap()), "{body:?}: {fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_us_panic_or_believe(text in prop_oneof![
        any::<String>(),
        "[A-Za-z0-9_.-]{0,200}",
        ("\\PC{0,40}", "\\PC{0,80}", any::<Vec<u8>>()).prop_map(|(header, claims, signature)| {
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(&signature))
        }),
        any::<Vec<u8>>().prop_map(|signature| {
            let message = message(&json!({"alg": "EdDSA", "kid": "k1"}), &Desk::claims().to_string());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }),
    ]) {
        let desk = Desk::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(desk.ask(&text)).is_err());
        prop_assert!(desk.identity.cached(&text, None).is_none());
    }
}
