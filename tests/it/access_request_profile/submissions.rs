//! What is taken as an access request after a denial, and what is not: substituted, replayed, forged, stale, somebody else's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::signing::{SigningKey, jws};
use serde_json::{Value, json};

use super::{REQUESTS, Stage, problem, requestable, submission};
use crate::support::{config, question};

const KIND: &str = "denial-binding+jwt";

fn with(submission: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = submission.clone();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(member);
    } else {
        parent.insert(member.to_owned(), value);
    }
    changed
}

fn claims(submission: &Value) -> Value {
    let token = submission["denial"]["binding_token"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn forged(submission: &Value, key: &SigningKey, kind: &str, claims: &Value) -> Value {
    with(submission, "/denial/binding_token", jws::seal(key, kind, claims.to_string().as_bytes()).into())
}

impl Stage {
    /// Asserts that this is refused as not bound to its denial, and that nothing came of it.
    async fn is_not_bound(&self, submission: &Value, what: &str) {
        let reply = self.submit(submission).await;
        assert_eq!(problem(&reply), (400, "invalid_denial_binding"), "{what}: {reply:?}");
        let requests = self.ada.get("/v1/access-requests").await;
        assert_eq!(requests.json["items"], json!([]), "{what}");
    }
}

#[tokio::test]
async fn a_binding_is_of_the_question_that_was_denied_and_of_no_other() {
    let stage = Stage::set().await;
    stage.house.open_with("SR-3", "contoso", json!({ "assignee": "vendor/bob" })).await;
    let good = stage.submission().await;
    for (pointer, value) in [
        ("/resource/id", json!("fabrikam/auditLogs")),
        ("/resource/id", json!("fabrikam/signInLogs/one")),
        ("/resource/id", json!("contoso/signInLogs")),
        ("/resource/type", json!("Consent")),
        ("/resource/properties", json!({ "more": 1 })),
        ("/action/name", json!("list")),
        ("/action/name", json!("delete")),
        ("/action/properties", json!({})),
        ("/subject/type", json!("User")),
        ("/subject/properties", json!({ "roles": ["admin"] })),
        ("/context/support_request", json!("SR-2")),
        ("/context/support_request", json!("SR-3")),
        ("/context/support_request", json!(null)),
        ("/context/support_request", json!(["SR-1"])),
    ] {
        stage.is_not_bound(&with(&good, pointer, value.clone()), &format!("{pointer} {value}")).await;
    }
    // What is added to the context, and is nobody's fact, is no part of it.
    assert_eq!(stage.submit(&with(&good, "/context/time", json!("now"))).await.status, 202);
}

#[tokio::test]
async fn what_comes_back_of_the_denial_is_what_was_told() {
    let stage = Stage::set().await;
    let good = stage.submission().await;
    for (pointer, value) in [
        ("/denial", json!(null)),
        ("/denial/binding_token", json!(null)),
        ("/denial/binding_token", json!("")),
        ("/denial/binding_token", json!("a.b.c")),
        ("/denial/expires_at", json!(null)),
        ("/denial/expires_at", json!("tomorrow")),
        ("/denial/expires_at", json!("2026-11-22T10:10:01Z")),
        ("/denial/expires_at", json!("2027-11-22T10:10:00Z")),
        ("/denial/evaluation_id", json!("00000000000000000000000000000000")),
        ("/denial/evaluated_at", json!("2026-11-22T10:00:01Z")),
        ("/denial/evaluated_at", json!("x")),
        ("/denial/reason", json!("consent_expired")),
        ("/denial/reason", json!({ "code": "consent_expired" })),
        ("/denial/template", json!("mine")),
    ] {
        stage.is_not_bound(&with(&good, pointer, value.clone()), &format!("{pointer} {value}")).await;
    }
    // Another way of writing the same moment, and the reason's code alone.
    let same = with(&good, "/denial/expires_at", json!("2026-11-22T11:10:00+01:00"));
    let least = json!({ "binding_token": good["denial"]["binding_token"], "expires_at": same["denial"]["expires_at"] });
    let coded = with(&same, "/denial/reason", json!("access_request_required"));
    assert_eq!(stage.submit(&coded).await.status, 202);
    let again = with(&stage.submission_for("SR-2").await, "/denial/reason", json!(null));
    let mut bare = again.clone();
    bare["denial"] = json!({
        "binding_token": again["denial"]["binding_token"], "expires_at": again["denial"]["expires_at"],
    });
    assert_ne!(bare["denial"]["binding_token"], least["binding_token"]);
    assert_eq!(stage.submit(&bare).await.status, 202);
}

impl Stage {
    async fn submission_for(&self, support_request: &str) -> Value {
        let asked = question("vendor/ada", "read", "fabrikam/signInLogs", support_request);
        submission(&asked, &requestable(self.house.tooling().post("/access/v1/evaluation", &asked).await))
    }
}

#[tokio::test]
async fn a_binding_that_was_changed_or_made_by_somebody_else_is_none() {
    let stage = Stage::set().await;
    let good = stage.submission().await;
    let token = good["denial"]["binding_token"].as_str().unwrap();
    let foreign = SigningKey::generate().unwrap();
    let told = claims(&good);
    for at in [0, 10, token.find('.').unwrap(), token.len() / 2, token.rfind('.').unwrap() + 1, token.len() - 1] {
        let mut changed = token.to_owned().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = with(&good, "/denial/binding_token", String::from_utf8(changed).unwrap().into());
        stage.is_not_bound(&changed, &format!("byte {at}")).await;
    }
    stage.is_not_bound(&forged(&good, &foreign, KIND, &told), "another key").await;
    // The right key, for another purpose or another service.
    stage.is_not_bound(&forged(&good, &stage.key, "approval-state+jwt", &told), "another kind").await;
    for (claim, value) in [
        ("iss", json!("https://elsewhere.example")),
        ("aud", json!("https://elsewhere.example/access/v1/requests")),
        ("aud", json!(null)),
        ("denial_expires_at", json!("2030-01-01T00:00:00.000Z")),
        ("denial_expires_at", json!("x")),
        ("evaluation_id", json!("1")),
    ] {
        let mut other = told.clone();
        other[claim] = value;
        stage.is_not_bound(&forged(&good, &stage.key, KIND, &other), claim).await;
    }
    // The kid of a known key over the signature of another one.
    let (head, rest) = token.split_once('.').unwrap();
    let by_other = jws::seal(&foreign, KIND, told.to_string().as_bytes());
    let mixed = format!("{head}.{}.{}", rest.split('.').next().unwrap(), by_other.rsplit('.').next().unwrap());
    stage.is_not_bound(&with(&good, "/denial/binding_token", mixed.into()), "a known kid").await;
    // And the same words, signed as we do, are as good as the first ones.
    assert_eq!(stage.submit(&forged(&good, &stage.key, KIND, &told)).await.status, 202);
}

#[tokio::test]
async fn a_key_that_was_replaced_still_counts_while_it_is_named() {
    let mut stage = Stage::set().await;
    let (good, lost) = (stage.submission().await, stage.submission_for("SR-2").await);
    let path = stage.folder.path().display().to_string();
    std::fs::write(stage.folder.path().join("former.pem"), stage.key.public().to_pem()).unwrap();
    std::fs::write(stage.folder.path().join("requests.pem"), SigningKey::generate().unwrap().to_pem()).unwrap();
    let url = stage.house.url.clone();
    let settings = format!("server.public_url = \"{url}\"\n[access_requests]\nsigning_key = \"{path}/requests.pem\"\n");
    let kept = format!("{settings}former_keys = [\"{path}/former.pem\"]\n");
    stage.house.config = config(stage.house.folder.path(), &kept);
    stage.house.restart().await;
    stage.ada = stage.house.engineer("ada");
    assert_eq!(stage.submit(&good).await.status, 202);
    let keys = stage.house.tooling().get("/access/v1/jwks").await;
    assert_eq!(keys.json["keys"].as_array().unwrap().len(), 2);
    stage.house.config = config(stage.house.folder.path(), &settings);
    stage.house.restart().await;
    stage.ada = stage.house.engineer("ada");
    assert_eq!(problem(&stage.submit(&lost).await), (400, "invalid_denial_binding"));
}

#[tokio::test]
async fn a_denial_expires() {
    let stage = Stage::set().await;
    let (good, other) = (stage.submission().await, stage.submission_for("SR-2").await);
    stage.house.clock.advance_millis(10 * 60_000);
    assert_eq!(stage.submit(&good).await.status, 202, "the last moment");
    stage.house.clock.advance_millis(1);
    let late = stage.submit(&other).await;
    assert_eq!(problem(&late), (410, "expired_denial"), "{late:?}");
    // Whatever the echo says.
    let longer = with(&other, "/denial/expires_at", json!("2026-11-22T12:00:00Z"));
    assert_eq!(problem(&stage.submit(&longer).await), (400, "invalid_denial_binding"));
    // A shorter life, as the operator sets it, counts from whole seconds.
    let stage = Stage::set_with("denial_lifetime_ms = 1999\n").await;
    stage.house.clock.advance_millis(500);
    let good = stage.submission().await;
    assert_eq!(good["denial"]["expires_at"], "2026-11-22T10:00:02.000Z");
}

#[tokio::test]
async fn a_denial_leads_to_one_access_request_however_often_it_is_brought() {
    let stage = Stage::set().await;
    let good = stage.submission().await;
    assert_eq!(stage.submit(&good).await.status, 202);
    for _ in 0..2 {
        let again = stage.submit(&good).await;
        assert_eq!(problem(&again), (400, "invalid_denial_binding"), "{again:?}");
        // Also when nothing else is in its way.
        let requests = stage.ada.get("/v1/access-requests").await;
        let id = requests.json["items"][0]["id"].as_str().unwrap().to_owned();
        stage.ada.post(&format!("/v1/access-requests/{id}/cancel"), &json!({})).await;
    }
    assert_eq!(stage.ada.get("/v1/access-requests").await.json["items"].as_array().unwrap().len(), 1);
    // Another denial of the same question is another one; while a request is under way it is that one's turn.
    let (one, two) = (stage.submission().await, stage.submission().await);
    assert_eq!(stage.submit(&one).await.status, 202);
    assert_eq!(stage.submit(&two).await.problem(), (409, "access_request_live", ""));
}

#[tokio::test]
async fn of_many_at_once_one_is_taken() {
    let stage = Stage::set().await;
    let good = stage.submission().await;
    let stage = std::sync::Arc::new(stage);
    let tries = (0..8).map(|_| {
        let (stage, good) = (std::sync::Arc::clone(&stage), good.clone());
        tokio::spawn(async move { stage.submit(&good).await.status })
    });
    let mut taken = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            202 => taken += 1,
            status => assert_eq!(status, 400),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn the_same_submission_under_a_key_is_taken_once_and_answered_alike() {
    let stage = Stage::set().await;
    let (good, other) = (stage.submission().await, stage.submission_for("SR-2").await);
    let keyed = stage.ada.with("idempotency-key", "key-1");
    let first = keyed.post(REQUESTS, &good).await;
    assert_eq!(first.status, 202, "{first:?}");
    // A PEP that was away for longer than the denial lives.
    stage.house.clock.advance_millis(3_600_000);
    let again = keyed.post(REQUESTS, &good).await;
    assert_eq!((again.status, &again.json), (202, &first.json));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    let reused = keyed.post(REQUESTS, &other).await;
    assert_eq!(problem(&reused), (409, "duplicate_request"), "{reused:?}");
    // Somebody else's key is somebody else's.
    let bob = stage.house.engineer("bob").with("idempotency-key", "key-1");
    assert_eq!(bob.post(REQUESTS, &good).await.problem(), (403, "not_the_subject", "subject.id"));
}

#[tokio::test]
async fn nobody_uses_a_denial_of_somebody_else() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let good = stage.submission().await;
    let others = [
        house.engineer("bob"),
        house.tooling(),
        house.service("other-tooling", &["Decisions.Evaluate", "SupportEngineer"]),
        house.ticketing(),
        house.admin("contoso", "cyd"),
        house.person("contoso", "ada", &[], &["SupportEngineer"]),
        // A program that bears the engineer's name.
        house.service("ada", &["SupportEngineer"]),
    ];
    for who in others {
        let reply = who.post(REQUESTS, &good).await;
        assert_eq!(reply.problem(), (403, "not_the_subject", "subject.id"), "{}", who.id);
        // In their own name it is not what was denied.
        let own = with(&good, "/subject/id", who.id.clone().into());
        let reply = who.post(REQUESTS, &own).await;
        assert!(matches!(reply.status, 400 | 403), "{}: {reply:?}", who.id);
    }
    assert_eq!(stage.submit(&with(&good, "/subject/id", json!("vendor/bob"))).await.status, 403);
    assert_eq!(stage.ada.holding("").post(REQUESTS, &good).await.problem(), (401, "token_missing", ""));
    // What a person was told of another one is not for the other one to use, either.
    let mut told = claims(&good);
    told["client_id"] = json!("person vendor/bob");
    stage.is_not_bound(&forged(&good, &stage.key, KIND, &told), "told to bob").await;
    // Without the role that makes an engineer, the policies say no.
    let no_engineer = house.person("vendor", "ada", &[], &[]);
    let reply = no_engineer.post(REQUESTS, &good).await;
    assert!(matches!(reply.status, 403 | 404), "{reply:?}");
    assert_eq!(stage.submit(&good).await.status, 202);
}

#[tokio::test]
async fn the_policies_and_the_case_as_they_are_now_have_the_last_word() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let good = stage.submission().await;
    let assign = async |to: &str| {
        let reply = house.ticketing().put("/v1/support-requests/SR-1/assignee", &json!({ "assignee": to })).await;
        assert_eq!(reply.status, 200);
    };
    // What Ada may not know of any more looks as what there is not.
    assign("vendor/bob").await;
    let gone = stage.submit(&good).await;
    let absent = stage
        .ada
        .post(
            "/v1/access-requests",
            &json!({ "support_request": "SR-none", "resource_tenant": "fabrikam", "reason": "x" }),
        )
        .await;
    assert_eq!((gone.status, &gone.text), (404, &absent.text));
    assign("vendor/ada").await;
    house.close("SR-1").await;
    assert_eq!(stage.submit(&good).await.problem(), (403, "support_request_closed", ""));
    let reopened = house.ticketing().post("/v1/support-requests/SR-1/reopen", &json!({})).await;
    assert_eq!(reopened.status, 200);
    assert_eq!(stage.submit(&good).await.status, 202);
}

#[tokio::test]
async fn a_malformed_submission_is_told_what_is_wrong() {
    let stage = Stage::set().await;
    let good = stage.submission().await;
    for (pointer, value, status, code, field) in [
        ("/subject", json!(null), 400, "invalid_request", "subject"),
        ("/subject", json!([]), 400, "invalid_request", "subject"),
        ("/subject/id", json!(7), 400, "invalid_request", "subject.id"),
        ("/action", json!(null), 400, "invalid_request", "action"),
        ("/resource", json!(null), 400, "invalid_request", "resource"),
        ("/resource", json!("x"), 400, "invalid_request", "resource"),
        ("/context", json!(7), 400, "invalid_request", "context"),
        ("/context/business_justification", json!(null), 400, "invalid_request", "context.business_justification"),
        ("/context/business_justification", json!(" "), 400, "invalid_request", "context.business_justification"),
        ("/context/business_justification", json!(["x"]), 400, "invalid_request", "context.business_justification"),
        ("/context/business_justification", json!("\u{0}"), 400, "invalid_request", "context.business_justification"),
        (
            "/context/business_justification",
            json!("x".repeat(2_001)),
            400,
            "invalid_request",
            "context.business_justification",
        ),
        ("/denial", json!("x"), 400, "invalid_request", "denial"),
        ("/denial/binding_token", json!(7), 400, "invalid_request", "denial.binding_token"),
        ("/denial/more", json!(7), 400, "invalid_request", "denial.more"),
        ("/items", json!([]), 400, "invalid_request", "items"),
        ("/calback", json!({}), 400, "invalid_request", "calback"),
        ("/callback", json!({}), 400, "invalid_request", "callback.endpoint"),
        ("/callback", json!({ "endpoint": "https://pep.example/" }), 400, "invalid_request", "callback.endpoint"),
        ("/callback", json!({ "endpoint": "http://169.254.169.254/" }), 400, "invalid_request", "callback.endpoint"),
        ("/requested_access", json!([]), 400, "invalid_request", "requested_access"),
        (
            "/requested_access",
            json!({ "requested_until": 7 }),
            400,
            "invalid_request",
            "requested_access.requested_until",
        ),
        (
            "/requested_access",
            json!({ "requested_until": "2026-11-22T10:00:00Z" }),
            400,
            "invalid_request",
            "requested_access.requested_until",
        ),
        ("/client", json!("x"), 400, "invalid_request", "client"),
        ("/client", json!({ "actor": { "id": "agent" } }), 403, "actor_not_verified", "client.actor"),
        (
            "/client",
            json!({ "actor": { "id": "vendor/ada", "act": { "sub": "x", "iss": "y" } } }),
            403,
            "actor_not_verified",
            "client.actor",
        ),
    ] {
        let reply = stage.submit(&with(&good, pointer, value.clone())).await;
        assert_eq!(reply.problem(), (status, code, field), "{pointer} {value}");
    }
    let plain = stage.ada.with("content-type", "text/plain").post(REQUESTS, &good).await;
    assert_eq!(plain.problem(), (415, "content_type", ""));
    let list = stage.ada.post(REQUESTS, &json!([])).await;
    assert_eq!(list.problem(), (400, "invalid_request", "body"));
    // Where the profile is open to more, more is fine.
    let mut more = good.clone();
    more["client"] = json!({ "id": "toolbox", "name": "Toolbox", "source": { "session_id": "1" }, "x.example/y": 1 });
    more["requested_access"] =
        json!({ "requested_until": "2026-11-22T12:00:00Z", "emergency": true, "x.example/y": 1 });
    more["subject"]["properties"] = json!({ "act": { "sub": "agent", "iss": "https://agents.example" } });
    assert_eq!(stage.submit(&more).await.status, 202);
    // An access request by the ordinary way has no task.
    let requests = stage.ada.get("/v1/access-requests").await;
    assert_eq!(requests.json["items"][0].get("task"), None);
}
