//! Tokens that must not be believed, over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::clock::Clock as _;
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{EVALUATION, ask_about};
use crate::support::{House, Person};

/// A token of the tooling with something else in it, signed with the right key.
fn minted(house: &House, change: impl FnOnce(&mut DevelopmentClaims)) -> String {
    let mut claims = DevelopmentClaims { issued_at: house.clock.now(), ..house.tooling().claims };
    change(&mut claims);
    house.key.mint(&claims).unwrap()
}

/// The same token under another header, with this signature.
fn forged(token: &str, header: &Value, signature: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn public_key(house: &House) -> Value {
    serde_json::from_str::<Value>(&house.key.jwks()).unwrap()["keys"][0].clone()
}

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn refused(caller: &Person, token: &str, code: &str) {
    let holder = caller.holding(token);
    let consents = holder.get("/v1/consents?view=pending").await;
    for reply in [holder.post(EVALUATION, &ask_about("vendor/ada")).await, consents] {
        assert_eq!(reply.problem(), (401, code, ""), "{reply:?}");
        let expected = "Bearer realm=\"consentry\", error=\"invalid_token\"";
        assert_eq!(reply.header("www-authenticate"), Some(expected));
        assert!(!token.split('.').any(|part| part.len() > 8 && reply.text.contains(part)), "{reply:?}");
    }
}

#[tokio::test]
async fn a_token_for_others_or_from_others_is_refused() {
    let house = House::granted().await;
    let tooling = house.tooling();
    refused(&tooling, &minted(&house, |claims| claims.audience = "other".into()), "token_audience_wrong").await;
    refused(&tooling, &minted(&house, |claims| claims.audience = "consentry/".into()), "token_audience_wrong").await;
    for issuer in
        ["https://evil.example/vendor", "https://issuer.test.example/vendor/", "", "https://issuer.test.example/"]
    {
        let token = minted(&house, |claims| claims.issuer = issuer.to_owned());
        refused(&tooling, &token, "token_issuer_unknown").await;
    }
    // An issuer speaks for its own tenant: contoso's cannot make anyone the vendor's.
    let token = minted(&house, |claims| claims.tenant = "contoso".parse().unwrap());
    refused(&tooling, &token, "token_tenant_mismatch").await;
    let token = minted(&house, |claims| claims.issuer = "https://issuer.test.example/contoso".into());
    refused(&tooling, &token, "token_tenant_mismatch").await;
}

#[tokio::test]
async fn a_token_counts_from_its_start_to_its_end() {
    let house = House::granted().await;
    let tooling = house.tooling();
    let at = |seconds: i64| house.clock.now().plus_millis(seconds * 1_000);
    refused(&tooling, &minted(&house, |claims| claims.issued_at = at(60)), "token_not_yet_valid").await;
    refused(&tooling, &minted(&house, |claims| claims.issued_at = at(-600)), "token_expired").await;
    refused(&tooling, &minted(&house, |claims| claims.lifetime_s = 0), "token_expired").await;
    let token = minted(&house, |claims| claims.issued_at = at(-599));
    let holder = tooling.holding(&token);
    assert!(holder.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    // It has been remembered now, and ends all the same.
    house.clock.advance_millis(999);
    assert!(holder.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    house.clock.advance_millis(1);
    refused(&tooling, &token, "token_expired").await;
}

#[tokio::test]
async fn a_token_that_nobody_signed_is_refused() {
    let house = House::granted().await;
    let (tooling, good) = (house.tooling(), minted(&house, |_| {}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    for alg in ["none", "None", "NONE", "nOnE"] {
        for signature in ["", signature] {
            let token = forged(&good, &json!({ "alg": alg, "typ": "JWT" }), signature);
            refused(&tooling, &token, "token_algorithm_not_allowed").await;
            let token = forged(&good, &json!({ "alg": alg, "kid": public_key(&house)["kid"] }), signature);
            refused(&tooling, &token, "token_algorithm_not_allowed").await;
        }
    }
    let kid = &public_key(&house)["kid"];
    for token in [
        format!("{message}."),
        format!("{good}="),
        forged(&good, &json!({ "alg": "EdDSA", "kid": kid }), signature),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{}.{signature}", message.replacen(message.split('.').nth(1).unwrap(), &vip(&good), 1)),
    ] {
        refused(&tooling, &token, "token_signature_wrong").await;
    }
}

/// The claims of a token, with one more role.
fn vip(token: &str) -> String {
    let mut claims = claims_of(token);
    claims["roles"] = json!(["Decisions.Evaluate", "SupportRequests.Manage"]);
    URL_SAFE_NO_PAD.encode(claims.to_string())
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let house = House::granted().await;
    let good = minted(&house, |_| {});
    let key = public_key(&house);
    let x = key["x"].as_str().unwrap();
    let secrets = [x.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(x).unwrap(), house.key.jwks().into_bytes()];
    for secret in secrets {
        let header = Header { kid: key["kid"].as_str().map(ToOwned::to_owned), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims_of(&good), &EncodingKey::from_secret(&secret)).unwrap();
        refused(&house.tooling(), &token, "token_algorithm_not_allowed").await;
    }
}

#[tokio::test]
async fn another_key_is_not_the_issuers() {
    let house = House::granted().await;
    let (tooling, good) = (house.tooling(), minted(&house, |_| {}));
    let other = DevelopmentKey::generate().unwrap();
    let claims = DevelopmentClaims { issued_at: house.clock.now(), ..tooling.claims.clone() };
    let token = other.mint(&claims).unwrap();
    refused(&tooling, &token, "token_key_unknown").await;
    let theirs = token.rsplit_once('.').unwrap().1;
    let mixed = format!("{}.{theirs}", good.rsplit_once('.').unwrap().0);
    refused(&tooling, &mixed, "token_signature_wrong").await;
    let signature = good.rsplit_once('.').unwrap().1;
    refused(&tooling, &forged(&good, &json!({ "alg": "EdDSA" }), signature), "token_claim_missing").await;
    // A key that the token brings along is nobody's.
    let jwk = serde_json::from_str::<Value>(&other.jwks()).unwrap()["keys"][0].clone();
    let header = json!({ "alg": "EdDSA", "kid": jwk["kid"], "jwk": jwk, "jku": "https://evil.example/jwks" });
    refused(&tooling, &forged(&token, &header, theirs), "token_key_unknown").await;
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let house = House::granted().await;
    let (tooling, good) = (house.tooling(), minted(&house, |_| {}));
    for token in ["x", "a.b.c", "..", &format!("{good}.x"), &good[1..], "{}"] {
        refused(&tooling, token, "token_malformed").await;
    }
    refused(&tooling, &"x".repeat(20_000), "token_too_long").await;
    let critical = json!({ "alg": "EdDSA", "kid": public_key(&house)["kid"], "crit": ["exp"], "exp": 1 });
    refused(&tooling, &forged(&good, &critical, good.rsplit_once('.').unwrap().1), "token_unsupported").await;
}

#[tokio::test]
async fn tokens_do_not_stand_in_the_records() {
    let house = House::granted().await;
    let token = house.tooling().token();
    assert!(house.tooling().holding(&token).post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    let log = std::fs::read_to_string(house.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap();
    for secret in token.split('.') {
        assert!(!log.contains(secret), "{secret}");
    }
}
