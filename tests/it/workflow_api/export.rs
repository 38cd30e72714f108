//! Logs as lines for other programs (R21, R22): what the lists show, whole, in the shape that was asked for.

use serde_json::{Value, json};

use super::is;
use crate::support::{House, Person, Reply};

/// A house with entries of every kind in fabrikam's and contoso's logs.
async fn busy() -> House {
    let house = House::granted().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.allows("vendor/ada", "fabrikam/auditLogs/entry-7", "SR-1").await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let approved = is(&dee.get("/v1/consents?view=approved").await, 200)["items"][0]["id"].as_str().unwrap().to_owned();
    let narrower = json!({ "categories": ["auditLogs"] });
    is(&dee.post(&format!("/v1/consents/{approved}/narrow"), &narrower).await, 200);
    is(&dee.post(&format!("/v1/consents/{approved}/revoke"), &json!({})).await, 200);
    for (number, rejects) in [(2, true), (3, false)] {
        let id = format!("SR-{number}");
        house.open(&id, "contoso", "vendor/ada").await;
        house.ask(&house.engineer("ada"), &id, "fabrikam").await;
        if rejects {
            for admin in [&cyd, &dee] {
                let consent = house.pending(admin).await;
                is(&admin.post(&format!("/v1/consents/{consent}/reject"), &json!({})).await, 200);
            }
        }
        house.clock.advance_millis(1_000);
        house.close(&id).await;
    }
    house.open_with("SR-4", "fabrikam", json!({ "assignee": "vendor/ada", "submitted_in": "other_portal" })).await;
    house
}

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")), "{reply:?}");
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn listed(who: &Person, list: &str) -> Vec<Value> {
    is(&who.get(&format!("{list}?limit=200")).await, 200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn lines_are_what_the_lists_show() {
    let house = busy().await;
    let dee = house.admin("fabrikam", "dee");
    for (list, length) in [("/v1/audit-log", 4), ("/v1/audit-log/reads", 2)] {
        let whole = listed(&dee, list).await;
        assert_eq!(whole.len(), length, "{whole:?}");
        assert_eq!(lines(&dee.get(&format!("{list}?format=jsonl")).await), whole);
        let filtered = lines(&dee.get(&format!("{list}?format=jsonl&support_request=SR-2")).await);
        let expected: Vec<_> = whole.iter().filter(|entry| entry["support_request"] == "SR-2").cloned().collect();
        assert_eq!(filtered, expected);
        assert_eq!(dee.get(&format!("{list}?format=csv")).await.problem(), (400, "invalid_request", "format"));
        assert_eq!(dee.get(&format!("{list}?format=jsonl&limit=10001")).await.problem().2, "limit");
        let nobody = house.person("fabrikam", "nobody", &[], &[]).get(&format!("{list}?format=ocsf")).await;
        assert_eq!(nobody.problem(), (403, "not_audit_reader", ""));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_all_ends_with_the_cursor_of_the_rest() {
    let house = busy().await;
    let (dee, list) = (house.admin("fabrikam", "dee"), "/v1/audit-log");
    let whole = lines(&dee.get(&format!("{list}?format=ocsf")).await);
    for limit in 1..whole.len() {
        let (mut found, mut path) = (Vec::new(), format!("{list}?format=ocsf&limit={limit}"));
        loop {
            let mut page = lines(&dee.get(&path).await);
            let Some(next) = page.pop_if(|last| last.get("next_cursor").is_some()) else {
                found.extend(page);
                break;
            };
            assert_eq!(page.len(), limit);
            found.extend(page);
            path = format!("{list}?format=ocsf&limit={limit}&cursor={}", next["next_cursor"].as_str().unwrap());
        }
        assert_eq!(found, whole, "by {limit}");
    }
}

/// More than one portion, and more than one answer holds: read to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_written_while_it_is_read() {
    let house = House::granted().await;
    let question = crate::support::question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    for _ in 0..11 {
        let mut batch = question.clone();
        batch["evaluations"] = vec![question.clone(); 1_000].into();
        assert_eq!(house.tooling().post("/access/v1/evaluations", &batch).await.status, 200);
    }
    let dee = house.admin("fabrikam", "dee");
    let mut page = lines(&dee.get("/v1/audit-log/reads?format=ocsf").await);
    let more = page.pop().unwrap();
    assert_eq!(page.len(), 10_000);
    let rest = format!("/v1/audit-log/reads?format=ocsf&cursor={}", more["next_cursor"].as_str().unwrap());
    page.extend(lines(&dee.get(&rest).await));
    let ids: std::collections::HashSet<&str> =
        page.iter().map(|event| event["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!((page.len(), ids.len()), (11_000, 11_000));
}

/// What OCSF 1.8.0 requires of every event, of these two classes, and of the objects in them: members, with the types
/// that its dictionary gives them. From `events/base_event.json`, `events/iam/entity_management.json`,
/// `events/application/api_activity.json` and `objects/` of the schema's release.
fn assert_valid(event: &Value) {
    let integers = ["activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid", "status_id"];
    for member in integers {
        assert!(event[member].is_i64(), "{member}: {event}");
    }
    let number = |member: &str| event[member].as_i64().unwrap();
    assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"), "{event}");
    assert_eq!(number("class_uid") / 1_000, number("category_uid"), "{event}");
    assert!((0..=6).contains(&number("severity_id")) && number("time") > 1_700_000_000_000, "{event}");
    let metadata = &event["metadata"];
    assert_eq!(metadata["version"], "1.8.0");
    // `product` needs a name or a uid.
    assert!(metadata["product"]["name"].is_string() && metadata["uid"].is_string(), "{event}");
    // `actor` needs one of these; `user` one of uid, name and account.
    let actor = &event["actor"];
    assert!(actor["user"]["uid"].is_string() || actor["app_uid"].is_string(), "{event}");
    match number("class_uid") {
        3004 => {
            assert!([1, 3, 10, 11, 99].contains(&number("activity_id")), "{event}");
            // `managed_entity` needs one of name, uid and others; 99 needs the name of the type beside it.
            assert!(event["entity"]["uid"].is_string() && event["entity"]["type"].is_string(), "{event}");
        }
        6003 => {
            assert_eq!(number("activity_id"), 2);
            assert!(event["api"]["operation"].is_string() && event["api"]["request"]["uid"].is_string(), "{event}");
            // `network_endpoint` needs one of ip, uid, name, svc_name and others.
            assert!(event["src_endpoint"]["svc_name"].is_string(), "{event}");
            assert!(event["resources"][0]["uid"].is_string(), "{event}");
        }
        other => panic!("class {other}: {event}"),
    }
    // 99, "other", needs the source's own word.
    if number("activity_id") == 99 {
        assert!(event["activity_name"].is_string(), "{event}");
    }
}

#[tokio::test]
async fn events_are_what_ocsf_requires() {
    let house = busy().await;
    let mut kinds = std::collections::BTreeMap::new();
    for (admin, list) in [
        (house.admin("contoso", "cyd"), "/v1/audit-log"),
        (house.admin("fabrikam", "dee"), "/v1/audit-log"),
        (house.admin("fabrikam", "dee"), "/v1/audit-log/reads"),
    ] {
        let events = lines(&admin.get(&format!("{list}?format=ocsf")).await);
        for (event, entry) in events.iter().zip(listed(&admin, list).await) {
            assert_valid(event);
            let time: consentry::model::Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
            assert_eq!(event["time"], time.as_millis());
            assert_eq!(event["metadata"]["event_code"], entry["activity"]);
            let who = entry["actor"]["id"].as_str().or(entry["support_engineer"].as_str());
            assert_eq!(event["actor"]["user"]["uid"].as_str(), who, "{event}");
            kinds.insert(entry["activity"].as_str().unwrap().to_owned(), event["activity_name"].clone());
        }
    }
    let expected = [
        ("Approval approved", "Activate"),
        ("Approval narrowed", "Update"),
        ("Approval rejected", "Reject"),
        ("Approval removed", "Deactivate"),
        ("Diagnostic data read", "Read"),
        ("Request approved", "Activate"),
        ("Request canceled", "Cancel"),
        ("Request created", "Create"),
        ("Request rejected", "Reject"),
    ];
    let kinds: Vec<(&str, &str)> = kinds.iter().map(|(one, other)| (one.as_str(), other.as_str().unwrap())).collect();
    assert_eq!(kinds, expected);
}
