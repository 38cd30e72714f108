//! The search endpoints: every result is what an evaluation allows, and nothing that one allows is missing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{House, Reply};

const VERBS: [&str; 4] = ["download", "list", "read", "search"];
const CATEGORIES: [&str; 6] = [
    "auditLogs",
    "deviceRegistrationLogs",
    "directoryObjects",
    "serviceConfiguration",
    "serviceHealthTelemetry",
    "signInLogs",
];

async fn search(house: &House, what: &str, body: &Value) -> Reply {
    house.tooling().post(&format!("/access/v1/search/{what}"), body).await
}

fn resources(engineer: &str, verb: &str, support_request: &str) -> Value {
    json!({
        "subject": { "type": "SupportEngineer", "id": engineer }, "action": { "name": verb },
        "resource": { "type": "DiagnosticData" }, "context": { "support_request": support_request },
    })
}

fn actions(engineer: &str, resource: &str, support_request: &str) -> Value {
    json!({
        "subject": { "type": "SupportEngineer", "id": engineer },
        "resource": { "type": "DiagnosticData", "id": resource }, "context": { "support_request": support_request },
    })
}

fn subjects(verb: &str, resource: &str, support_request: &str) -> Value {
    json!({
        "subject": { "type": "SupportEngineer" }, "action": { "name": verb },
        "resource": { "type": "DiagnosticData", "id": resource }, "context": { "support_request": support_request },
    })
}

/// The ids or names of all results.
fn found(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let results = reply.json["results"].as_array().unwrap();
    assert_eq!(reply.json["page"]["count"], results.len());
    results.iter().map(|one| one["id"].as_str().or(one["name"].as_str()).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_found_is_what_an_evaluation_allows_and_all_of_it() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    house
        .open_with("SR-2", "contoso", json!({ "assignee": "vendor/bob", "advanced_diagnostic_information": true }))
        .await;
    house.ask(&house.engineer("ada"), "SR-1", "fabrikam").await;
    house.approve(&house.admin("contoso", "cyd")).await;
    house.approve_with(&house.admin("fabrikam", "dee"), json!({ "categories": ["signInLogs", "auditLogs"] })).await;
    let mut seen = [0; 3];
    for request in ["SR-1", "SR-2", "SR-3"] {
        for engineer in ["vendor/ada", "vendor/bob"] {
            for verb in ["read", "download", "delete", "shred"] {
                let mut allowed = Vec::new();
                for tenant in ["contoso", "fabrikam"] {
                    for category in CATEGORIES {
                        let resource = format!("{tenant}/{category}");
                        if house.may(engineer, verb, &resource, request).await.decision() {
                            allowed.push(resource);
                        }
                    }
                }
                let reply = search(&house, "resource", &resources(engineer, verb, request)).await;
                assert_eq!(found(&reply), allowed, "{engineer} {verb} {request}: {reply:?}");
                seen[0] += allowed.len();
            }
            for resource in ["fabrikam/signInLogs", "fabrikam/signInLogs/today", "fabrikam/directoryObjects"] {
                let mut allowed = Vec::new();
                for verb in VERBS.into_iter().chain(["delete", "update", "write"]) {
                    if house.may(engineer, verb, resource, request).await.decision() {
                        allowed.push(verb.to_owned());
                    }
                }
                let reply = search(&house, "action", &actions(engineer, resource, request)).await;
                assert_eq!(found(&reply), allowed, "{engineer} {resource} {request}: {reply:?}");
                seen[1] += allowed.len();
            }
        }
        for resource in ["fabrikam/signInLogs", "contoso/signInLogs"] {
            let mut allowed = Vec::new();
            for engineer in ["vendor/ada", "vendor/bob"] {
                if house.may_read(engineer, resource, request).await.decision() {
                    allowed.push(engineer.to_owned());
                }
            }
            let reply = search(&house, "subject", &subjects("read", resource, request)).await;
            assert_eq!(found(&reply), allowed, "{resource} {request}: {reply:?}");
            seen[2] += allowed.len();
        }
    }
    // Ada reads two categories of fabrikam's in two ways, bob six of contoso's; four verbs on two resources; each one once.
    assert_eq!(seen, [2 * 2 + 6 * 2, 4 * 2, 2]);
}

#[tokio::test]
async fn what_has_been_taken_away_is_not_found_any_more() {
    let house = House::granted().await;
    let ask = resources("vendor/ada", "read", "SR-1");
    assert_eq!(found(&search(&house, "resource", &ask).await).len(), 6);
    house.close("SR-1").await;
    assert_eq!(found(&search(&house, "resource", &ask).await), [""; 0]);
}

#[tokio::test]
async fn pages_go_on_with_the_token_and_for_the_same_search_alone() {
    let house = House::granted().await;
    let all = found(&search(&house, "resource", &resources("vendor/ada", "read", "SR-1")).await);
    let page = |page: Value| {
        let mut body = resources("vendor/ada", "read", "SR-1");
        body["page"] = page;
        body
    };
    let first = search(&house, "resource", &page(json!({ "limit": 4 }))).await;
    assert_eq!((found(&first), &first.json["page"]["total"]), (all[..4].to_vec(), &json!(6)));
    let token = first.json["page"]["next_token"].as_str().unwrap();
    assert!(!token.is_empty());
    for page_wanted in [json!({ "token": token }), json!({ "token": token, "limit": 4 })] {
        let second = search(&house, "resource", &page(page_wanted)).await;
        assert_eq!((found(&second), &second.json["page"]["next_token"]), (all[4..].to_vec(), &json!("")));
    }
    let none = search(&house, "resource", &page(json!({ "limit": 0 }))).await;
    assert_eq!((found(&none), &none.json["page"]["total"]), (Vec::new(), &json!(6)));
    for (body, field) in [
        (page(json!({ "token": token, "limit": 5 })), "page.limit"),
        (page(json!({ "limit": 1_001 })), "page.limit"),
        (page(json!({ "limit": -1 })), "page.limit"),
        (page(json!({ "token": "made-up" })), "page.token"),
        (page(json!([])), "page"),
    ] {
        let reply = search(&house, "resource", &body).await;
        assert_eq!((reply.status, reply.field()), (400, field), "{reply:?}");
    }
    let mut other = resources("vendor/ada", "list", "SR-1");
    other["page"] = json!({ "token": token });
    let reply = search(&house, "resource", &other).await;
    assert_eq!((reply.status, reply.field()), (400, "page.token"), "{reply:?}");
}

/// A token is only a place: what somebody writes into one gets no more than a request may ask for.
#[tokio::test]
async fn a_token_that_was_changed_gets_no_larger_page() {
    let own = House::granted().await;
    let guest = super::guest::records().await;
    let records = json!({ "subject": { "type": "user", "id": "bob" }, "action": { "name": "read" },
        "resource": { "type": "record" } });
    for (house, body) in [(&own, resources("vendor/ada", "read", "SR-1")), (&guest, records)] {
        let with = |page: Value| {
            let mut body = body.clone();
            body["page"] = page;
            body
        };
        let first = search(house, "resource", &with(json!({ "limit": 1 }))).await;
        let token = first.json["page"]["next_token"].as_str().unwrap();
        let place: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        let changed = |member: &str, value: Value| {
            let mut place = place.clone();
            place[member] = value;
            json!({ "token": URL_SAFE_NO_PAD.encode(place.to_string()) })
        };
        let larger = search(house, "resource", &with(changed("limit", json!(1_000)))).await;
        assert!(!found(&larger).is_empty(), "the place as it is, in another spelling, is good: {larger:?}");
        for (page, field) in [
            (changed("limit", json!(1_001)), "page.limit"),
            (changed("limit", json!(-1)), "page.token"),
            (changed("search", json!("other")), "page.token"),
            (changed("more", json!(1)), "page.token"),
            (changed("after", json!(7)), "page.token"),
        ] {
            let reply = search(house, "resource", &with(page.clone())).await;
            assert_eq!((reply.status, reply.field()), (400, field), "{page} {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_search_is_answered_as_the_protocol_wants_it() {
    let house = House::granted().await;
    // The id of what is searched for is ignored, whatever it is.
    let plain = search(&house, "subject", &subjects("read", "fabrikam/signInLogs", "SR-1")).await;
    assert_eq!(
        plain.text.split_once("\"results\":").unwrap().1,
        "[{\"type\":\"SupportEngineer\",\"id\":\"vendor/ada\"}]}"
    );
    assert!(plain.text.starts_with("{\"page\":{"), "{plain:?}");
    for id in [json!("vendor/bob"), json!(7), Value::Null] {
        let mut with_id = subjects("read", "fabrikam/signInLogs", "SR-1");
        with_id["subject"]["id"] = id;
        assert_eq!(search(&house, "subject", &with_id).await.text, plain.text);
    }
    // Nothing is found of kinds that nobody knows, and nothing without a support request (R3).
    for (part, kind) in [("subject", "Robot"), ("resource", "Car")] {
        let mut unknown = resources("vendor/ada", "read", "SR-1");
        unknown[part]["type"] = json!(kind);
        assert_eq!(found(&search(&house, "resource", &unknown).await), [""; 0]);
    }
    let mut without = resources("vendor/ada", "read", "SR-1");
    without.as_object_mut().unwrap().remove("context");
    assert_eq!(found(&search(&house, "resource", &without).await), [""; 0]);
    // What is missing or malformed is named, and facts of the caller's are refused (G7).
    let asked = |change: &dyn Fn(&mut Value)| {
        let mut body = resources("vendor/ada", "read", "SR-1");
        change(&mut body);
        body
    };
    for (body, field) in [
        (asked(&|body| drop(body.as_object_mut().unwrap().remove("action"))), "action"),
        (asked(&|body| drop(body["subject"].as_object_mut().unwrap().remove("id"))), "subject.id"),
        (asked(&|body| body["subject"]["id"] = json!("nobody")), "subject.id"),
        (asked(&|body| body["resource"] = json!({})), "resource.type"),
        (asked(&|body| body["context"]["now"] = json!("2026-01-01")), "context.now"),
    ] {
        let reply = search(&house, "resource", &body).await;
        assert_eq!((reply.status, reply.field()), (400, field), "{reply:?}");
    }
    for path in ["subject", "resource", "action"] {
        assert_eq!(house.tooling().get(&format!("/access/v1/search/{path}")).await.status, 405);
        assert_eq!(
            house.tooling().holding("").post(&format!("/access/v1/search/{path}"), &json!({})).await.status,
            401
        );
    }
}

#[tokio::test]
async fn a_search_is_recorded_and_is_no_read_of_the_customers_data() {
    let house = House::granted().await;
    let body = resources("vendor/ada", "read", "SR-1");
    search(&house, "resource", &body).await;
    let record = house.records().pop().unwrap();
    assert_eq!(
        (&record["type"], &record["subject"], &record["asked"]),
        (&json!("search"), &json!("vendor/ada"), &json!(12))
    );
    assert_eq!(record["found"].as_array().unwrap().len(), 6, "{record:#}");
    let reads = house.admin("fabrikam", "dee").get("/v1/audit-log/reads").await;
    assert_eq!(reads.json["items"], json!([]), "{reads:?}");
    // An engineer may search about themselves alone, and a customer's people not at all (R19, R20).
    let post =
        async |person: crate::support::Person, body: &Value| person.post("/access/v1/search/resource", body).await;
    assert_eq!(found(&post(house.engineer("ada"), &body).await).len(), 6);
    assert_eq!(post(house.engineer("bob"), &body).await.status, 403);
    assert_eq!(post(house.admin("fabrikam", "dee"), &body).await.status, 403);
    let about = resources("fabrikam/dee", "read", "SR-1");
    assert_eq!(post(house.admin("fabrikam", "dee"), &about).await.status, 403);
}
