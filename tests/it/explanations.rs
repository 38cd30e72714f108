//! `GET /v1/decisions/{id}/explanation`: why a read was decided as it was, for reviewers and for the tenant that was read.

use serde_json::{Value, json};

use crate::support::{House, Person, Reply};

fn reviewer(house: &House) -> Person {
    house.person("vendor", "rob", &[], &["Decisions.Explain"])
}

/// Asks whether ada may read, and gives the decision's id.
async fn read(house: &House, resource: &str) -> String {
    let reply = house.may_read("vendor/ada", resource, "SR-1").await;
    reply.json["context"]["decision_id"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

async fn explained(person: &Person, id: &str) -> Reply {
    person.get(&format!("/v1/decisions/{id}/explanation")).await
}

/// The conditions of a policy with this truth: text and facts.
fn conditions<'a>(policy: &'a Value, truth: &str) -> Vec<(&'a str, &'a Value)> {
    let all = policy["conditions"].as_array().unwrap();
    all.iter().filter(|one| one["truth"] == truth).map(|one| (one["text"].as_str().unwrap(), &one["facts"])).collect()
}

#[tokio::test]
async fn a_reviewer_is_told_what_denied_a_read_and_what_the_nearest_permit_lacks() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    house.ask(&house.engineer("ada"), "SR-1", "fabrikam").await;
    house.approve(&house.admin("contoso", "cyd")).await;
    let id = read(&house, "fabrikam/signInLogs").await;
    let reply = explained(&reviewer(&house), &id).await;
    let told = &reply.json;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
    assert_eq!((&told["decision_id"], &told["time"]), (&json!(id), &json!("2026-11-22T10:00:00.000Z")));
    let asked = json!({
        "support_engineer": "vendor/ada", "action": "read", "resource": "fabrikam/signInLogs", "support_request": "SR-1",
    });
    assert_eq!((&told["question"], &told["facts"], &told["facts_told"]), (&asked, &json!("recorded"), &json!("all")));
    let version = house.records().iter().find(|record| record["decision_id"] == *id).unwrap()["policy_version"].clone();
    let waits = "reading.awaiting.resource-tenant";
    let recorded = json!({
        "decision": false, "code": "awaiting_consent", "policies": [waits], "policy_version": version, "cached": false,
    });
    assert_eq!((&told["recorded"], &told["policy_version"], &told["decision"]), (&recorded, &version, &json!(false)));
    assert_eq!(told["reason"]["missing_consents"], json!(["resource_tenant"]));
    let [decided] = told["determining"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    assert_eq!(
        (&decided["id"], &decided["file"], &decided["holds"]),
        (&json!(waits), &json!("reading.cedar"), &json!(true))
    );
    let source = decided["source"].as_str().unwrap();
    assert!(source.starts_with("@id(\"reading.awaiting.resource-tenant\")") && source.ends_with("};"), "{source}");
    let status = "context.accessRequest.consents.resourceTenant.status";
    let pending = json!([[status, "\"pending\""]]);
    assert!(conditions(decided, "true").contains(&(&*format!("{status} == \"pending\""), &pending)), "{decided:#}");
    let nearest = &told["nearest_permits"][0];
    assert_eq!(nearest["id"], "reading.cross-tenant.both-consents");
    let unmet: Vec<_> = nearest["unmet"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    assert_eq!(unmet.len(), 1, "{nearest:#}");
    let unmet = &nearest["conditions"][usize::try_from(unmet[0]).unwrap()];
    assert_eq!((&unmet["text"], &unmet["facts"]), (&json!(format!("{status} == \"approved\"")), &pending));
}

#[tokio::test]
async fn an_explanation_rests_on_the_facts_of_the_decision_also_where_the_answer_was_remembered() {
    let house = House::granted().await;
    let (first, second) = (read(&house, "fabrikam/signInLogs").await, read(&house, "fabrikam/signInLogs").await);
    let (rob, dee) = (reviewer(&house), house.admin("fabrikam", "dee"));
    let before = [explained(&rob, &first).await, explained(&dee, &first).await];
    house.clock.advance_millis(60 * 60 * 1_000);
    house.close("SR-1").await;
    house.denies("support_request_closed", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let after = [explained(&rob, &first).await, explained(&dee, &first).await];
    let texts = |replies: &[Reply; 2]| replies.clone().map(|reply| (reply.status, reply.text));
    assert_eq!(texts(&after), texts(&before));
    let remembered = explained(&rob, &second).await;
    assert_eq!((&remembered.json["recorded"]["cached"], &remembered.json["facts"]), (&json!(true), &json!("recorded")));
    assert_eq!(remembered.json["determining"], after[0].json["determining"]);
    // A time narrows the search; a wrong one, in so short a log, misses nothing.
    for time in ["2026-11-22T10:00:00Z", "2026-11-22T12:00:00%2B01:00"] {
        for person in [&rob, &dee] {
            let found = person.get(&format!("/v1/decisions/{second}/explanation?time={time}")).await;
            assert_eq!(found.json["decision_id"], second, "{found:?}");
        }
    }
}

#[tokio::test]
async fn the_tenant_that_was_read_is_told_of_its_own_part_and_nobody_else_is_told_anything() {
    let house = House::granted().await;
    let allowed = read(&house, "fabrikam/signInLogs").await;
    let denied = read(&house, "contoso/signInLogs").await;
    for (name, role) in [("dee", "Global Administrator"), ("rita", "Reports Reader"), ("sam", "Security Reader")] {
        let reader = house.person("fabrikam", name, &[role], &[]);
        let told = explained(&reader, &allowed).await;
        assert_eq!((told.status, &told.json["facts_told"]), (200, &json!("own_part")), "{told:?}");
        assert_eq!(told.json["determining"][0]["id"], "reading.cross-tenant.both-consents");
        assert_eq!((&told.json["recorded"], told.text.contains("contoso")), (&Value::Null, false), "{told:?}");
        assert_eq!(explained(&reader, &denied).await.problem().0, 404);
    }
    // The same bytes for what is another's, what was denied, what is no read, and what is not there.
    let workflow =
        house.records().iter().find(|record| record["action"] == "approveConsent").unwrap()["decision_id"].clone();
    let absent = "0123456789abcdef0123456789abcdef";
    for reader in [house.admin("contoso", "cyd"), house.admin("northwind", "ned")] {
        let missing = explained(&reader, absent).await;
        assert_eq!(
            (missing.status, &missing.json["detail"]),
            (404, &json!("there is no such decision")),
            "{missing:?}"
        );
        for id in [&*allowed, &denied, workflow.as_str().unwrap()] {
            assert_eq!(explained(&reader, id).await.text, missing.text);
        }
    }
    let rob = reviewer(&house);
    assert_eq!(explained(&rob, workflow.as_str().unwrap()).await.text, explained(&rob, absent).await.text);
    for (person, code) in [
        (house.person("fabrikam", "dora", &["Service Support Administrator"], &[]), "not_audit_reader"),
        (house.person("contoso", "rik", &[], &["Decisions.Explain"]), "not_audit_reader"),
        (house.admin("vendor", "vic"), "not_reviewer"),
        (house.engineer("ada"), "not_reviewer"),
        (house.person("vendor", "rex", &[], &["Decisions.Explain", "SupportEngineer"]), "not_reviewer"),
        (house.service("robot", &["Decisions.Explain"]), "not_permitted"),
        (house.tooling(), "not_permitted"),
    ] {
        for id in [&*allowed, absent] {
            let refused = explained(&person, id).await;
            assert_eq!((refused.status, refused.code()), (403, code), "{} {refused:?}", person.id);
        }
    }
}

#[tokio::test]
async fn a_read_of_the_support_requests_own_tenant_is_told_to_it_with_its_own_setting() {
    let house = House::start().await;
    house
        .open_with("SR-1", "contoso", json!({ "assignee": "vendor/ada", "advanced_diagnostic_information": true }))
        .await;
    let id = read(&house, "contoso/signInLogs").await;
    let told = explained(&house.admin("contoso", "cyd"), &id).await;
    let permit = &told.json["determining"][0];
    assert_eq!(permit["id"], "reading.own-tenant.advanced-diagnostics", "{told:?}");
    let setting = "context.supportRequest.advancedDiagnosticInformation";
    assert!(conditions(permit, "true").contains(&(setting, &json!([[setting, "true"]]))), "{permit:#}");
}

/// As after the segment with the evaluation's record was removed. With its heads a log from which it is missing would be
/// refused.
#[tokio::test]
async fn where_the_recorded_facts_are_lost_those_of_now_are_used_and_it_is_said() {
    let mut house = House::granted().await;
    let evaluated = read(&house, "fabrikam/signInLogs").await;
    let remembered = read(&house, "fabrikam/signInLogs").await;
    house.app.take().unwrap().stop().await.unwrap();
    let path = house.folder.path().join("decisions/00000000000000000000.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lost = format!("\"decision_id\":\"{evaluated}\"");
    let rest: Vec<&str> = text.lines().filter(|line| !line.contains(&lost)).collect();
    assert_eq!(rest.len() + 1, text.lines().count());
    std::fs::write(&path, rest.join("\n") + "\n").unwrap();
    std::fs::remove_file(path.with_extension("heads")).unwrap();
    house.restart().await;
    let (rob, dee) = (reviewer(&house), house.admin("fabrikam", "dee"));
    for person in [&rob, &dee] {
        let told = explained(person, &remembered).await;
        assert_eq!((&told.json["facts"], &told.json["decision"]), (&json!("present"), &json!(true)), "{told:?}");
    }
    let bob = json!({ "assignee": "vendor/bob" });
    assert_eq!(house.ticketing().put("/v1/support-requests/SR-1/assignee", &bob).await.status, 200);
    let told = explained(&rob, &remembered).await;
    assert_eq!(
        (&told.json["reason"]["code"], &told.json["recorded"]["decision"]),
        (&json!("not_assigned"), &json!(true))
    );
    // Who works on it by now is not the tenant's to know.
    let told = explained(&dee, &remembered).await;
    assert_eq!((&told.json["decision"], told.text.contains("bob")), (&json!(true), false), "{told:?}");
    assert_eq!(explained(&rob, &evaluated).await.status, 404);
}

#[tokio::test]
async fn a_malformed_id_or_time_is_named() {
    let house = House::start().await;
    let rob = reviewer(&house);
    let id = "0123456789abcdef0123456789abcdef";
    for (path, field) in [
        ("x/explanation".to_owned(), "id"),
        (format!("{}/explanation", id.to_uppercase()), "id"),
        (format!("{id}0/explanation"), "id"),
        (format!("{id}/explanation?time=yesterday"), "time"),
        (format!("{id}/explanation?when=now"), "when"),
    ] {
        let reply = rob.get(&format!("/v1/decisions/{path}")).await;
        assert_eq!((reply.status, reply.field()), (400, field), "{path}: {reply:?}");
    }
    assert_eq!(rob.holding("").get(&format!("/v1/decisions/{id}/explanation")).await.status, 401);
}
