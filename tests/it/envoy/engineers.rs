//! Who the engineer is: what somebody has verified, by the one source that the mapping names (G7).

use consentry::policy::{Bundle, BundleSource};
use envoy_types::pb::google::protobuf::value::Kind;
use serde_json::json;

use super::gate::{EXAMPLE, Gate, SIGN_IN, Sent};

pub const CERTIFICATE: &str =
    "from = \"certificate\"\ntenant = \"vendor\"\nprincipal = \"spiffe://vendor.example/engineers/{object}\"";
pub const PAYLOAD: &str = "from = \"jwt_payload\"\nnamespace = \"envoy.filters.http.jwt_authn\"\nkey = \"engineer\"\n\
                       tenant_claim = \"tid\"\nobject_claim = \"oid\"";

/// The example's mapping with another source.
pub fn by(source: &str) -> String {
    EXAMPLE.replacen("from = \"token\"", source, 1)
}

async fn granted_by(source: &str) -> Gate {
    let gate = Gate::with(&by(source)).await;
    gate.house.grant().await;
    gate
}

#[tokio::test]
async fn a_token_counts_when_it_is_good_and_an_engineers() {
    let gate = Gate::granted().await;
    let house = &gate.house;
    let ask = async |sent: Sent| {
        let answer = gate.ask(sent.under("SR-1")).await;
        let challenge = answer.header("www-authenticate").to_owned();
        let (status, code) = answer.denial();
        (status, code.to_owned(), challenge)
    };
    let bearer = |token: &str| Sent::get(SIGN_IN).with("authorization", &format!("Bearer {token}"));
    let (status, code, challenge) = ask(Sent::get(SIGN_IN)).await;
    assert_eq!((status, code.as_str()), (401, "token_missing"));
    assert_eq!(challenge, "Bearer realm=\"consentry\"");
    let (status, code, challenge) = ask(bearer("nonsense")).await;
    assert_eq!((status, code.as_str()), (401, "token_malformed"));
    assert_eq!(challenge, "Bearer realm=\"consentry\", error=\"invalid_token\"");
    let ada = house.engineer("ada").token();
    let basic = Sent::get(SIGN_IN).with("authorization", &format!("Basic {ada}"));
    assert_eq!(ask(basic).await.1, "token_missing");
    // Two tokens: the API could take the other one.
    let both = Sent::get(SIGN_IN)
        .with_raw("authorization", format!("Bearer {ada}").as_bytes())
        .with_raw("authorization", b"Bearer other");
    assert_eq!(ask(both).await.1, "header_ambiguous");
    let mut other = house.engineer("ada");
    other.claims.audience = "another-service".to_owned();
    assert_eq!(ask(Sent::get(SIGN_IN).by(&other)).await.1, "token_audience_wrong");
    for (person, code) in [
        (house.service("ada", &["SupportEngineer", "Decisions.Evaluate"]), "not_an_engineer"),
        (house.person("vendor", "ada", &[], &[]), "not_support_engineer"),
        (house.person("contoso", "ada", &["Global Administrator"], &["SupportEngineer"]), "not_support_engineer"),
    ] {
        let (status, found, _) = ask(Sent::get(SIGN_IN).by(&person)).await;
        assert_eq!((status, found.as_str()), (403, code), "{}", person.id);
    }
    house.clock.advance_millis(11 * 60 * 1000);
    assert_eq!(ask(bearer(&ada)).await.1, "token_expired");
}

#[tokio::test]
async fn an_engineers_right_to_ask_is_looked_up_once_a_token_and_bundle() {
    let gate = Gate::granted().await;
    let sent = Sent::get(SIGN_IN).by(&gate.house.engineer("ada")).under("SR-1");
    let asked =
        |gate: &Gate| gate.house.records().iter().filter(|record| record["action"] == "evaluateAsEngineer").count();
    for _ in 0..3 {
        assert!(gate.ask(sent.clone()).await.is_through());
    }
    assert_eq!(asked(&gate), 1);
    gate.house.app().edge().policies.replace(Bundle::load(&BundleSource::shipped()).unwrap());
    assert!(gate.ask(sent.clone()).await.is_through());
    assert_eq!(asked(&gate), 2, "another bundle may say no");
    // What was remembered is about ada alone: the same token may still not ask about others.
    let token = sent.headers["authorization"].trim_start_matches("Bearer ").to_owned();
    let about_bob = crate::support::question("vendor/bob", "read", "fabrikam/signInLogs", "SR-1");
    let reply = gate.house.engineer("ada").holding(&token).post("/access/v1/evaluation", &about_bob).await;
    assert_eq!((reply.status, reply.code()), (403, "evaluate_not_permitted"));
}

#[tokio::test]
async fn a_certificate_counts_when_the_proxy_has_verified_it() {
    let gate = granted_by(CERTIFICATE).await;
    let ada = "spiffe://vendor.example/engineers/ada";
    let sent = Sent::get(SIGN_IN).under("SR-1");
    let answer = gate.ask(sent.clone().issued_to(ada)).await;
    assert!(answer.is_through(), "{answer:?}");
    assert_eq!(answer.header("x-consentry-engineer"), "vendor/ada");
    let answer = gate.ask(sent.clone().issued_to("spiffe://vendor.example/engineers/bob")).await;
    assert_eq!(answer.denial(), (403, "not_assigned"));
    for other in ["spiffe://other.example/engineers/ada", "CN=ada", "spiffe://vendor.example/engineers/ada/x"] {
        let answer = gate.ask(sent.clone().issued_to(other)).await;
        assert_eq!(answer.denial(), (403, "not_an_engineer"), "{other}");
    }
    // What the request itself says of certificates and tokens counts nothing.
    let said = sent.with("x-forwarded-client-cert", &format!("URI={ada}")).by(&gate.house.engineer("ada"));
    assert_eq!(gate.ask(said).await.denial(), (403, "certificate_missing"));
}

#[tokio::test]
async fn a_payload_counts_when_the_proxys_filter_has_left_it() {
    let gate = granted_by(PAYLOAD).await;
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let filter = "envoy.filters.http.jwt_authn";
    let sent = Sent::get(SIGN_IN).under("SR-1");
    let claims = [("tid", text("vendor")), ("oid", text("ada"))];
    let answer = gate.ask(sent.clone().with_payload(filter, "engineer", &claims)).await;
    assert!(answer.is_through(), "{answer:?}");
    assert_eq!(answer.header("x-consentry-engineer"), "vendor/ada");
    for claims in [
        [("tid", text("contoso")), ("oid", text("ada"))],
        [("tid", text("vendor")), ("sub", text("ada"))],
        [("tid", text("vendor")), ("oid", text("ada/x"))],
        [("tid", text("vendor")), ("oid", text(""))],
        [("tid", text("vendor")), ("oid", Kind::NumberValue(1.0))],
        [("tid", Kind::BoolValue(true)), ("oid", text("ada"))],
    ] {
        let answer = gate.ask(sent.clone().with_payload(filter, "engineer", &claims)).await;
        assert_eq!(answer.denial(), (403, "not_an_engineer"), "{claims:?}");
    }
    // Another filter's metadata, another payload, and the token itself are nothing.
    let elsewhere = [
        sent.clone().with_payload("envoy.lua", "engineer", &claims),
        sent.clone().with_payload(filter, "other", &claims),
        sent.clone().by(&gate.house.engineer("ada")),
    ];
    for sent in elsewhere {
        let answer = gate.ask(sent).await;
        assert_eq!(answer.denial(), (401, "token_missing"));
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"consentry\"");
    }
}

#[tokio::test]
async fn nobody_is_an_engineer_because_a_request_says_so() {
    let gate = Gate::granted().await;
    let bob = Sent::get(SIGN_IN).by(&gate.house.engineer("bob")).under("SR-1");
    let said = bob
        .issued_to("spiffe://vendor.example/engineers/ada")
        .with("x-consentry-engineer", "vendor/ada")
        .with_payload("envoy.filters.http.jwt_authn", "engineer", &[("oid", Kind::StringValue("ada".to_owned()))]);
    assert_eq!(gate.ask(said).await.denial(), (403, "not_assigned"));
    assert_eq!(gate.house.records().pop().unwrap()["subject"], json!("vendor/bob"));
}
