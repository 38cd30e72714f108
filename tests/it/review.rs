//! `consentry review`: what the log of a real history answers to a security reviewer, held against what was answered then.

use std::process::Command;
use std::time::Duration;

use consentry::clock::Clock as _;
use serde_json::{Value, json};

use crate::support::effort::random;
use crate::support::process::copy_bundle;
use crate::support::{House, Person};

const ENGINEERS: [&str; 2] = ["vendor/ada", "vendor/bob"];

/// Asks a question; gives how it ended and the answer.
fn review(house: &House, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .current_dir(house.folder.path())
        .arg("review")
        .args(arguments)
        .args(["--log", "decisions", "--json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    (output.status.code().unwrap(), value)
}

/// The facts that the log tells of, oldest first.
fn facts(house: &House) -> Vec<Value> {
    house.records().into_iter().filter(|record| record["type"] == "facts").collect()
}

/// Returns once the log tells of so many states of the facts.
async fn told_of(house: &House, states: usize) {
    for _ in 0..1_000 {
        if facts(house).len() >= states {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the log tells of {} states of the facts, not of {states}", facts(house).len());
}

/// A third tenant can be asked for access too.
async fn registered(house: &House) {
    let reply = house.ticketing().put("/v1/tenants/northwind", &json!({ "display_name": "Northwind" })).await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// The one consent that the administrator has approved.
async fn approved(admin: &Person) -> String {
    admin.get("/v1/consents?view=approved").await.json["items"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_log_tells_every_state_of_the_facts_and_a_restart_none_of_them_twice() {
    let mut house = House::granted().await;
    // Opened, asked for, approved twice.
    told_of(&house, 4).await;
    let dee = house.admin("fabrikam", "dee");
    house.clock.advance_millis(1_000);
    let id = approved(&dee).await;
    assert_eq!(dee.post(&format!("/v1/consents/{id}/revoke"), &json!({})).await.status, 200);
    told_of(&house, 5).await;
    let told = facts(&house);
    let status = |line: &Value| line["facts"]["access_requests"][0]["resource_tenant_consent"]["status"].clone();
    let seen: Vec<_> = told.iter().map(status).collect();
    assert_eq!(seen, [json!(null), json!("pending"), json!("pending"), json!("approved"), json!("revoked")]);
    assert_eq!(told[3]["at"], "2026-11-22T10:00:00.000Z");
    assert_eq!(told[4]["at"], "2026-11-22T10:00:01.000Z");
    let revisions: Vec<_> = told.iter().map(|line| line["revision"].as_u64().unwrap()).collect();
    assert!(revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");

    // Once it was noted how far the account goes, a start goes on from there. Without the note everything is told again.
    let note = house.folder.path().join("store.db.recorded-facts");
    for _ in 0..1_000 {
        let noted = std::fs::read_to_string(&note).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        if noted.is_some_and(|noted| noted["seq"] == *revisions.last().unwrap()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.restart().await;
    house.open("SR-2", "contoso", "vendor/ada").await;
    told_of(&house, 6).await;
    assert_eq!(facts(&house).len(), 6);
    assert_eq!(facts(&house)[5]["support_request"], "SR-2");
    std::fs::remove_file(&note).unwrap();
    house.restart().await;
    told_of(&house, 8).await;
    let again: Vec<_> = facts(&house)[6..].iter().map(|line| line["facts"].clone()).collect();
    assert_eq!(again, [told[4]["facts"].clone(), facts(&house)[5]["facts"].clone()]);
    assert!(facts(&house)[6]["at"].is_null());

    // Three starts, one version.
    let (code, served) = review(&house, &["served"]);
    assert_eq!((code, served["times"].as_array().unwrap().len()), (0, 1), "{served:#}");
    assert_eq!(house.records().iter().filter(|record| record["type"] == "policies").count(), 3);
    assert_eq!(served["times"][0]["to"], Value::Null);
}

#[tokio::test]
async fn every_read_is_listed_with_the_consents_behind_it_and_what_nobody_used_is_listed_too() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    house.ask(&house.engineer("ada"), "SR-1", "fabrikam").await;
    let cyd = house.approve(&house.admin("contoso", "cyd")).await;
    let dee = house.approve(&house.admin("fabrikam", "dee")).await;
    for _ in 0..2 {
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        house.denies("not_assigned", "vendor/bob", "fabrikam/signInLogs", "SR-1").await;
    }
    registered(&house).await;
    house.ask(&house.engineer("ada"), "SR-1", "northwind").await;
    let unused = house.approve_with(&house.admin("northwind", "ned"), json!({ "categories": ["auditLogs"] })).await;
    told_of(&house, 6).await;
    let (code, found) = review(&house, &["reads", "--support-request", "SR-1"]);
    let reads = found["reads"].as_array().unwrap();
    assert_eq!((code, reads.len()), (0, 2), "{found:#}");
    for read in reads {
        assert_eq!((&read["engineer"], &read["resource"]), (&json!("vendor/ada"), &json!("fabrikam/signInLogs")));
        let mut consents: Vec<_> = read["consents"].as_array().unwrap().clone();
        consents.sort_by_key(ToString::to_string);
        let mut wanted = vec![json!(cyd), json!(dee)];
        wanted.sort_by_key(ToString::to_string);
        assert_eq!(consents, wanted);
    }
    let behind: Vec<_> = found["consents"].as_array().unwrap().iter().collect();
    assert_eq!(behind.len(), 2, "{found:#}");
    for consent in behind {
        let by = if consent["id"] == *cyd { "contoso/cyd" } else { "fabrikam/dee" };
        assert_eq!((&consent["reads"], &consent["approvals"][0]["by"]), (&json!(2), &json!(by)), "{consent:#}");
    }
    for (filter, count) in [
        (["--tenant", "fabrikam"], 2),
        (["--tenant", "contoso"], 0),
        (["--engineer", "vendor/bob"], 0),
        (["--from", "2026-11-22T10:00:00Z"], 2),
        (["--to", "2026-11-22T10:00:00Z"], 0),
        (["--support-request", "SR-2"], 0),
    ] {
        let (_, found) = review(&house, &[&["reads"][..], &filter].concat());
        assert_eq!(found["reads"].as_array().unwrap().len(), count, "{filter:?}");
    }
    let (code, found) = review(&house, &["unused"]);
    // Contoso's second consent waits, and northwind's was never used.
    assert_eq!((code, &found["approved"]), (0, &json!(3)), "{found:#}");
    let [never] = found["unused"].as_array().unwrap().as_slice() else { panic!("{found:#}") };
    assert_eq!((&never["id"], &never["status"]), (&json!(unused), &json!("approved")));
    assert_eq!(never["scope"]["categories"], json!(["auditLogs"]));
    let (code, found) = review(&house, &["reassess"]);
    assert_eq!((code, &found["would_be_denied"]), (0, &json!([])), "{found:#}");
    assert!(found["allows"].as_u64().unwrap() > 2);
}

#[tokio::test]
async fn an_allow_that_the_policies_would_deny_today_is_listed() {
    let house = House::granted().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.allows("vendor/ada", "fabrikam/auditLogs", "SR-1").await;
    let stricter = house.folder.path().join("stricter");
    copy_bundle(&stricter);
    let file = stricter.join("policies/reading.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    let forbid = "@id(\"reading.no-audit-logs\") @rule(\"R1\") @code(\"no_audit_logs\") @reason(\"not these\")\n\
                  forbid (principal, action, resource is DiagnosticData) when { resource.category == \"auditLogs\" };";
    std::fs::write(&file, format!("{text}\n{forbid}\n")).unwrap();
    let (code, found) = review(&house, &["reassess", "--bundle", stricter.to_str().unwrap()]);
    let [denied] = found["would_be_denied"].as_array().unwrap().as_slice() else { panic!("{found:#}") };
    assert_eq!((code, &denied["answer"]["reason"]["code"]), (1, &json!("no_audit_logs")), "{denied:#}");
}

/// Anything that somebody may do, or may not.
async fn something_happens(house: &House, admins: &[Person; 3], dice: &mut fastrand::Rng) {
    let id = format!("SR-{}", dice.usize(..3));
    let engineer = ENGINEERS[dice.usize(..2)];
    let ticketing = house.ticketing();
    match dice.usize(..12) {
        0 | 1 => {
            let body = json!({
                "id": id, "number": id, "summary": "s", "tenant": "contoso", "submitted_in": "admin_center",
                "assignee": engineer,
            });
            ticketing.post("/v1/support-requests", &body).await
        }
        2 => ticketing.put(&format!("/v1/support-requests/{id}/assignee"), &json!({ "assignee": engineer })).await,
        3 => ticketing.post(&format!("/v1/support-requests/{id}/close"), &json!({})).await,
        4 => ticketing.post(&format!("/v1/support-requests/{id}/reopen"), &json!({})).await,
        5 | 6 => {
            let tenant = ["fabrikam", "northwind", "contoso"][dice.usize(..3)];
            let body = json!({ "support_request": id, "resource_tenant": tenant, "reason": "r" });
            house.engineer(engineer.trim_start_matches("vendor/")).post("/v1/access-requests", &body).await
        }
        7..=10 => {
            let admin = &admins[dice.usize(..3)];
            let waiting = admin.get("/v1/consents?view=pending").await.json;
            let consent = waiting["items"][0]["id"].as_str().unwrap_or("none");
            let scope = if dice.bool() { json!({}) } else { json!({ "categories": ["signInLogs"] }) };
            admin.post(&format!("/v1/consents/{consent}/approve"), &scope).await
        }
        _ => {
            let admin = &admins[dice.usize(..3)];
            let approved = admin.get("/v1/consents?view=approved").await.json;
            let consent = approved["items"][0]["id"].as_str().unwrap_or("none");
            admin.post(&format!("/v1/consents/{consent}/revoke"), &json!({})).await
        }
    };
}

/// At random moments of a random history every question is asked, and its answer written down. Later the log must tell
/// the same of every one of these moments.
#[tokio::test]
async fn who_could_read_at_any_time_is_who_was_allowed_to_then() {
    const CATEGORIES: [&str; 2] = ["signInLogs", "auditLogs"];
    let mut dice = random("review::who_could_read");
    let house = House::granted().await;
    registered(&house).await;
    let admins = [house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"), house.admin("northwind", "ned")];
    let mut moments = Vec::new();
    for step in 0..100 {
        house.clock.advance_millis(1_000);
        if step > 0 {
            something_happens(&house, &admins, &mut dice).await;
        }
        if step % 4 != 0 {
            continue;
        }
        // Of the first moment it is known that somebody may read.
        let tenant = if step == 0 { "fabrikam" } else { ["fabrikam", "contoso", "northwind"][dice.usize(..3)] };
        let category = CATEGORIES[dice.usize(..2)];
        let mut allowed = Vec::new();
        for request in 0..3 {
            for engineer in ENGINEERS {
                let (resource, request) = (format!("{tenant}/{category}"), format!("SR-{request}"));
                if house.may_read(engineer, &resource, &request).await.decision() {
                    allowed.push((engineer.to_owned(), request));
                }
            }
        }
        allowed.sort();
        moments.push((house.clock.now().to_string(), tenant, category, allowed));
    }
    // The last commit stands behind all others.
    house.clock.advance_millis(1_000);
    house.open("SR-9", "contoso", "vendor/ada").await;
    let is_told = || facts(&house).iter().any(|line| line["support_request"] == "SR-9");
    while !is_told() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut readers = 0;
    for (at, tenant, category, allowed) in moments {
        let (code, found) = review(&house, &["could-read", "--tenant", tenant, "--category", category, "--at", &at]);
        let mut could: Vec<_> = found["could"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reader| {
                let text = |name: &str| reader[name].as_str().unwrap().to_owned();
                (text("engineer"), text("support_request"))
            })
            .collect();
        could.sort();
        assert_eq!((code, &could), (0, &allowed), "{tenant}/{category} at {at}: {found:#}");
        readers += could.len();
    }
    assert!(readers > 0, "nobody could ever read anything: the history says nothing");
}

#[tokio::test]
async fn a_bundle_that_was_not_in_force_is_told_of() {
    let house = House::granted().await;
    told_of(&house, 4).await;
    let at = ["could-read", "--tenant", "fabrikam", "--category", "signInLogs", "--at"];
    let (code, found) = review(&house, &[&at[..], &["2026-11-22T10:00:00Z"]].concat());
    assert_eq!((code, found["could"].as_array().unwrap().len()), (0, 1), "{found:#}");
    assert_eq!(found["could"][0]["policies"][0]["rules"], json!(["R6", "R8"]), "{found:#}");
    // Before anything was so, nobody could, and no policies were in force.
    let (code, found) = review(&house, &[&at[..], &["2026-11-22T09:59:59Z"]].concat());
    assert_eq!((code, found["could"].as_array().unwrap().len()), (1, 0), "{found:#}");
    assert_eq!(found["in_force"], Value::Null);
}
