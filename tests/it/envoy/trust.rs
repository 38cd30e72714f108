//! Which proxies are answered: Envoy proves who it is as every program does that asks for decisions.

use envoy_types::ext_authz::v3::pb::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tonic::Request;
use tonic::transport::Channel;

use super::gate::{Answer, EXAMPLE, Gate, SIGN_IN, Sent};

async fn with_token(client: &AuthorizationClient<Channel>, token: &str, sent: &Sent) -> Answer {
    let mut request = Request::new(sent.clone().message());
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let response: CheckResponse = client.clone().check(request).await.unwrap().into_inner();
    response.into()
}

#[tokio::test]
async fn over_tcp_envoy_needs_a_token_that_may_ask() {
    let gate = Gate::granted().await;
    let house = &gate.house;
    let client = gate.over_tcp().await;
    let sent = Sent::get(SIGN_IN).by(&house.engineer("ada")).under("SR-1");
    let envoy = house.service("envoy", &["Decisions.Evaluate"]).token();
    assert!(with_token(&client, &envoy, &sent).await.is_through());
    assert_eq!(house.records().pop().unwrap()["caller"], "vendor/envoy");
    for token in [
        String::new(),
        "nonsense".to_owned(),
        house.service("other", &[]).token(),
        house.ticketing().token(),
        house.admin("contoso", "cyd").token(),
    ] {
        let answer = with_token(&client, &token, &sent).await;
        assert_eq!((answer.code, answer.denial()), (14, (503, "proxy_not_trusted")));
        assert_eq!(
            answer.body["decision_id"],
            serde_json::Value::Null,
            "whose role is missing is the operator's business"
        );
    }
    // Without a token nobody learns either what passes.
    let answer = with_token(&client, "", &Sent::get("/healthz")).await;
    assert_eq!(answer.denial(), (503, "proxy_not_trusted"));
    // An engineer in Envoy's place asks about themselves, and about nobody else.
    let ada = house.engineer("ada").token();
    assert!(with_token(&client, &ada, &sent).await.is_through());
    let bob = Sent::get(SIGN_IN).by(&house.engineer("bob")).under("SR-1");
    assert_eq!(with_token(&client, &ada, &bob).await.denial(), (503, "proxy_not_trusted"));
}

#[tokio::test]
async fn a_token_counts_on_the_socket_too() {
    let gate = Gate::granted().await;
    let sent = Sent::get(SIGN_IN).by(&gate.house.engineer("ada")).under("SR-1");
    assert!(with_token(&gate.client, "", &sent).await.is_through());
    assert_eq!(with_token(&gate.client, "nonsense", &sent).await.denial(), (503, "proxy_not_trusted"));
    let stranger = gate.house.service("other", &[]).token();
    assert_eq!(with_token(&gate.client, &stranger, &sent).await.denial(), (503, "proxy_not_trusted"));
}

#[tokio::test]
async fn the_right_of_a_proxy_ends_with_the_bundle_that_gave_it() {
    let gate = Gate::granted().await;
    assert!(gate.reads("ada", SIGN_IN).await.is_through());
    let mut source = consentry::policy::BundleSource::shipped();
    for file in &mut source.policies {
        file.text =
            file.text.replace("principal == Service::\"unix-socket\"", "principal == Service::\"another-socket\"");
    }
    gate.house.app().edge().policies.replace(consentry::policy::Bundle::load(&source).unwrap());
    assert_eq!(gate.reads("ada", SIGN_IN).await.denial(), (503, "proxy_not_trusted"));
}

#[tokio::test]
async fn an_open_loopback_is_open_to_a_proxy_too() {
    let gate = Gate::with_more(EXAMPLE, "server.insecure_loopback = true").await;
    gate.house.grant().await;
    let sent = Sent::get(SIGN_IN).by(&gate.house.engineer("ada")).under("SR-1");
    assert!(with_token(&gate.over_tcp().await, "", &sent).await.is_through());
    assert_eq!(gate.house.records().pop().unwrap()["caller"], "insecure-loopback");
}
