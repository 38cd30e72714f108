//! What is another's and what there is not: the same bytes, and the same records, to whoever has no right to it.

use http::Method;
use serde_json::json;

use super::observer::ABSENT;
use super::routes::{KNOWN, methods};
use crate::support::{House, Person, Reply};

/// Bodies, and headers, that a caller could hope to learn something from.
const SAYINGS: [(&str, &str, Option<&str>); 9] = [
    ("accept", "*/*", None),
    ("accept", "*/*", Some("{}")),
    ("accept", "*/*", Some("{")),
    ("if-match", "\"1\"", Some("{}")),
    ("if-match", "\"9\"", Some("{}")),
    ("idempotency-key", "k", Some("{}")),
    ("content-type", "text/plain", Some("{}")),
    ("accept", "*/*", Some(r#"{"until":"2000-01-01T00:00:00Z"}"#)),
    ("accept", "*/*", Some(r#"{"summary":"mine","categories":[]}"#)),
];

/// A house with one case of contoso and fabrikam, and one of fabrikam alone.
struct Stage {
    house: House,
    request: String,
    /// A read of fabrikam's data that was denied.
    decision: String,
    contosos: String,
    fabrikams: String,
}

impl Stage {
    async fn set() -> Self {
        let house = House::start().await;
        let (contosos, fabrikams) = house.asked().await;
        let requests = house.engineer("ada").get("/v1/access-requests").await;
        let request = requests.json["items"][0]["id"].as_str().unwrap().to_owned();
        let denied = house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        let decision = denied.json["context"]["decision_id"].as_str().unwrap().to_owned();
        house.open_with("SR-2", "fabrikam", json!({ "submitted_in": "other_portal", "assignee": "vendor/ada" })).await;
        Self { house, request, decision, contosos, fabrikams }
    }

    /// People without a right to any of these, with the consents that are not theirs to see.
    fn strangers(&self) -> Vec<(Person, Vec<&str>)> {
        let (house, both) = (&self.house, vec![self.contosos.as_str(), self.fabrikams.as_str()]);
        vec![
            (house.admin("contoso", "cyd"), vec![self.fabrikams.as_str()]),
            (house.admin("fabrikam", "dee"), vec![self.contosos.as_str()]),
            (house.person("contoso", "roleless", &[], &[]), both.clone()),
            (house.person("fabrikam", "rita", &["Reports Reader"], &[]), both.clone()),
            (house.admin("northwind", "ned"), both.clone()),
            (house.admin("vendor", "vic"), both.clone()),
            (house.engineer("eve"), both),
        ]
    }

    async fn end(mut self) {
        self.house.app.take().unwrap().stop().await.unwrap();
    }
}

/// Everything of an answer but what is another one each time.
fn told(reply: &Reply) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    headers.retain(|header| !header.starts_with("date="));
    headers.sort();
    let id = reply.json["decision_id"].as_str().or_else(|| reply.json["context"]["decision_id"].as_str());
    (reply.status, headers, id.map_or(reply.text.clone(), |id| reply.text.replace(id, "")))
}

/// The records that a call leaves, without times and ids.
async fn recorded(house: &House, call: impl Future<Output = Reply>) -> (Reply, Vec<String>) {
    let log = || std::fs::read_to_string(house.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap();
    let before = log().len();
    let reply = call.await;
    let record = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {} {}", record["action"], record["decision"], record["subject"])
    };
    (reply, log()[before..].lines().map(record).collect())
}

#[tokio::test]
async fn every_call_on_anothers_thing_is_answered_as_if_it_were_not_there() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let mut compared = 0;
    for (stranger, others) in stage.strangers() {
        for route in KNOWN.into_iter().filter(|route| route.contains("{id}") && !route.contains("tenants")) {
            let (there, absent) = match route.split('/').nth(2).unwrap() {
                "consents" => (others.clone(), format!("co-{ABSENT}")),
                "decisions" => (vec![stage.decision.as_str()], ABSENT.to_owned()),
                "access-requests" => (vec![stage.request.as_str()], format!("ar-{ABSENT}")),
                _ => (vec!["SR-1", "SR-2"], "SR-9".to_owned()),
            };
            for method in methods() {
                // What no route takes, the router answers before anybody looks.
                let said = if method == Method::GET || method == Method::POST { SAYINGS.len() } else { 2 };
                for (header, value, body) in SAYINGS.into_iter().take(said) {
                    let caller = stranger.with(header, value);
                    let call = |id: &str| {
                        let (caller, method, path) = (caller.clone(), method.clone(), route.replace("{id}", id));
                        async move { caller.send(method, &path, body.map(|body| body.as_bytes().to_vec())).await }
                    };
                    let (missing, left) = recorded(house, call(&absent)).await;
                    assert!(!(200..300).contains(&missing.status), "{missing:?}");
                    for id in &there {
                        let (found, left_by_found) = recorded(house, call(id)).await;
                        let what = format!("{} {method} {route} {header} {body:?}", stranger.id);
                        assert_eq!(told(&found), told(&missing), "{what}");
                        assert_eq!(left_by_found, left, "{what}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 900, "only {compared} calls were compared");
    stage.end().await;
}

#[tokio::test]
async fn every_question_about_anothers_thing_is_answered_as_if_it_were_not_there() {
    let stage = Stage::set().await;
    let house = &stage.house;
    for (stranger, others) in stage.strangers() {
        let things = others.iter().map(|id| ("Consent", *id, format!("co-{ABSENT}"))).chain([
            ("AccessRequest", stage.request.as_str(), format!("ar-{ABSENT}")),
            ("SupportRequest", "SR-1", "SR-9".to_owned()),
        ]);
        for (kind, there, absent) in things {
            for action in
                ["viewConsent", "approveConsent", "revokeConsent", "viewAccessRequest", "viewSupportRequest", "x"]
            {
                for subject in ["User", "SupportEngineer"] {
                    let ask = |id: &str| {
                        let question = json!({
                            "subject": { "type": subject, "id": stranger.id }, "action": { "name": action },
                            "resource": { "type": kind, "id": id },
                        });
                        let stranger = stranger.clone();
                        async move { stranger.post("/access/v1/evaluation", &question).await }
                    };
                    let (missing, left) = recorded(house, ask(&absent)).await;
                    let (found, left_by_found) = recorded(house, ask(there)).await;
                    let what = format!("{} {action} {kind} as {subject}", stranger.id);
                    assert_eq!(told(&found), told(&missing), "{what}");
                    assert_eq!(left_by_found, left, "{what}");
                }
            }
        }
    }
    stage.end().await;
}

/// An access request under a support request that is not there, or not theirs.
#[tokio::test]
async fn what_a_body_or_a_query_names_shows_no_more_than_what_a_path_names() {
    let stage = Stage::set().await;
    for (stranger, _) in stage.strangers() {
        let ask = |id: &str| json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "because" });
        let (missing, left) = recorded(&stage.house, stranger.post("/v1/access-requests", &ask("SR-9"))).await;
        let (found, left_by_found) = recorded(&stage.house, stranger.post("/v1/access-requests", &ask("SR-1"))).await;
        assert_eq!((told(&found), left_by_found), (told(&missing), left), "{}", stranger.id);
        let under = |id: &str| format!("/v1/access-requests?support_request={id}");
        let (missing, left) = recorded(&stage.house, stranger.get(&under("SR-9"))).await;
        let (found, left_by_found) = recorded(&stage.house, stranger.send(Method::GET, &under("SR-1"), None)).await;
        assert_eq!((told(&found), left_by_found), (told(&missing), left), "{}", stranger.id);
        for path in ["/v1/audit-log?support_request=", "/v1/audit-log/reads?support_request="] {
            let missing = stranger.get(&format!("{path}SR-9")).await;
            let found = stranger.get(&format!("{path}SR-2")).await;
            // SR-2 has no access request yet: its own tenant's log has nothing to say of it either.
            assert_eq!(told(&found), told(&missing), "{} {path}", stranger.id);
        }
    }
    stage.end().await;
}
