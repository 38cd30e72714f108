//! "Who may?": the people known to the service who may decide on a consent, and who is told of them (R11, R18-R20, G7).

use std::sync::Arc;

use consentry::identity::development::DevelopmentKey;
use serde_json::{Value, json};

use super::PATH;
use crate::support::{Connection, House, Person, Reply, request};

const SEARCH: &str = "/access/v1/search/subject";

fn search(action: &str, consent: &str) -> Value {
    json!({
        "subject": { "type": "User" }, "action": { "name": action }, "resource": { "type": "Consent", "id": consent },
    })
}

fn found(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let results = reply.json["results"].as_array().unwrap();
    assert!(results.iter().all(|one| one["type"] == "User"), "{reply:?}");
    results.iter().map(|one| one["id"].as_str().unwrap()).collect()
}

async fn who_may(caller: &Person, action: &str, consent: &str) -> Reply {
    caller.post(SEARCH, &search(action, consent)).await
}

/// Somebody comes by, and looks at their tenant's list.
async fn comes(person: &Person) -> Reply {
    person.get("/v1/consents?view=pending").await
}

#[tokio::test]
async fn who_is_found_may_and_who_may_and_is_known_is_found() {
    let house = House::start().await;
    let (contoso, fabrikam) = house.asked().await;
    let people = [
        house.admin("contoso", "cyd"),
        house.admin("contoso", "eve"),
        house.person("contoso", "max", &["Reports Reader"], &[]),
        house.person("contoso", "nobody", &[], &[]),
        house.admin("fabrikam", "dee"),
        house.admin("fabrikam", "fay"),
    ];
    for person in &people {
        comes(person).await;
    }
    let mut seen = 0;
    for decided in [false, true] {
        if decided {
            house.approve(&people[0]).await;
            house.approve(&people[4]).await;
        }
        for (consent, asker) in [(&contoso, &people[1]), (&fabrikam, &people[5])] {
            for action in [
                "approveConsent",
                "rejectConsent",
                "narrowConsent",
                "revokeConsent",
                "viewConsent",
                "viewApprovedAccess",
            ] {
                let mut may = Vec::new();
                for person in &people {
                    let question = json!({
                        "subject": { "type": "User", "id": person.id }, "action": { "name": action },
                        "resource": { "type": "Consent", "id": consent },
                    });
                    if person.post(PATH, &question).await.decision() {
                        may.push(person.id.as_str());
                    }
                }
                let reply = who_may(asker, action, consent).await;
                assert_eq!(found(&reply), may, "{action} {consent} {decided}: {reply:?}");
                seen += may.len();
            }
        }
    }
    // Pending: two of each tenant approve, reject and see. Approved: fabrikam's two narrow, remove, see and look through
    // what is approved; contoso's two see theirs.
    assert_eq!(seen, 2 * 2 * 3 + 2 * 4 + 2);
    for other in ["createAccessRequest", "evaluate", "read", "fly"] {
        assert_eq!(found(&who_may(&people[0], other, &contoso).await), [""; 0], "{other}");
    }
}

#[tokio::test]
async fn nobody_is_known_before_they_come_or_when_their_token_has_ended() {
    let mut house = House::start().await;
    let (consent, _) = house.asked().await;
    let eve = house.admin("contoso", "eve");
    let may = async |house: &House| {
        let reply = who_may(&house.admin("contoso", "cyd"), "approveConsent", &consent).await;
        found(&reply).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(may(&house).await, ["contoso/cyd"], "whoever asks is known");
    comes(&eve).await;
    assert_eq!(may(&house).await, ["contoso/cyd", "contoso/eve"]);
    // With another token than before the new one counts, whatever the old one said.
    let without_role = house.person("contoso", "eve", &[], &[]);
    comes(&without_role).await;
    assert_eq!(may(&house).await, ["contoso/cyd"]);
    comes(&eve).await;
    assert_eq!(may(&house).await.len(), 2);
    house.clock.advance_millis(599_000);
    assert_eq!(may(&house).await.len(), 2);
    house.clock.advance_millis(1_000);
    assert_eq!(may(&house).await, ["contoso/cyd"], "a token of ten minutes has ended");
    comes(&eve).await;
    assert_eq!(may(&house).await.len(), 2);
    // A key that is withdrawn ends what it has proved.
    house.key = Arc::new(DevelopmentKey::generate().unwrap());
    std::fs::write(house.folder.path().join("jwks.json"), house.key.jwks()).unwrap();
    house.app().edge().identity.refresh_all().await;
    assert_eq!(may(&house).await, ["contoso/cyd"]);
    comes(&house.admin("contoso", "eve")).await;
    assert_eq!(may(&house).await.len(), 2);
    house.restart().await;
    assert_eq!(may(&house).await, ["contoso/cyd"], "nothing is kept over a restart");
}

#[tokio::test]
async fn whoever_may_not_see_the_consent_is_told_what_is_told_of_none() {
    let house = House::start().await;
    let (contoso, fabrikam) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    for person in [&cyd, &dee] {
        comes(person).await;
    }
    let nothing = who_may(&cyd, "approveConsent", "co-none").await;
    assert_eq!(found(&nothing), [""; 0]);
    let outsiders = [
        (&dee, &contoso),
        (&cyd, &fabrikam),
        (&house.engineer("ada"), &contoso),
        (&house.engineer("ada"), &fabrikam),
        (&house.person("contoso", "max", &["Reports Reader"], &[]), &contoso),
        (&house.tooling(), &contoso),
        (&house.tooling(), &fabrikam),
    ];
    for (caller, consent) in outsiders {
        for consent in [consent.as_str(), "co-none", "no id at all", ""] {
            let reply = who_may(caller, "approveConsent", consent).await;
            assert_eq!((reply.status, &reply.text), (200, &nothing.text), "{} {consent}: {reply:?}", caller.id);
        }
    }
    // Who may not ask for decisions at all is not answered.
    let stranger = house.service("other", &[]);
    assert_eq!(who_may(&stranger, "approveConsent", &contoso).await.problem().0, 403);
    assert_eq!(who_may(&cyd.holding(""), "approveConsent", &contoso).await.problem().0, 401);
    let missing = json!({ "subject": { "type": "User" }, "resource": { "type": "Consent", "id": contoso } });
    assert_eq!(cyd.post(SEARCH, &missing).await.problem(), (400, "invalid_request", "action"));
}

#[tokio::test]
async fn so_many_people_of_a_tenant_are_known_and_told_in_pages() {
    let house = House::start().await;
    let (contoso, fabrikam) = house.asked().await;
    let cyd = house.admin("contoso", "cyd");
    comes(&cyd).await;
    for n in 0..210 {
        let admin = cyd.other(["contoso", &format!("p{n:03}")], [&["Global Administrator"], &[]], false);
        assert_eq!(comes(&admin).await.status, 200);
    }
    let page = |page: Value| {
        let mut body = search("approveConsent", &contoso);
        body["page"] = page;
        body
    };
    let first = cyd.post(SEARCH, &page(json!({ "limit": 150 }))).await;
    assert_eq!((found(&first).len(), &first.json["page"]["total"]), (150, &json!(200)));
    let second = cyd.post(SEARCH, &page(json!({ "token": first.json["page"]["next_token"] }))).await;
    assert_eq!((found(&second).len(), &second.json["page"]["next_token"]), (50, &json!("")));
    assert_eq!((found(&first)[0], found(&second)[49]), ("contoso/cyd", "contoso/p198"));
    // Another tenant's people are none of theirs, and have their own places.
    let dee = house.admin("fabrikam", "dee");
    assert_eq!(found(&who_may(&dee, "approveConsent", &fabrikam).await), ["fabrikam/dee"]);
    // Who has gone makes room.
    house.clock.advance_millis(601_000);
    comes(&house.admin("contoso", "zoe")).await;
    assert_eq!(found(&who_may(&cyd, "approveConsent", &contoso).await), ["contoso/cyd", "contoso/zoe"]);
}

#[tokio::test]
async fn what_was_found_is_in_the_log_before_it_is_told() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let mut house = House::start_with(&format!("server.unix_socket = \"{}\"", socket.display())).await;
    let (consent, _) = house.asked().await;
    let cyd = house.admin("contoso", "cyd");
    assert_eq!(found(&who_may(&cyd, "approveConsent", &consent).await), ["contoso/cyd"]);
    let record = house.records().pop().unwrap();
    for (member, expected) in [
        ("type", json!("workflow_search")),
        ("caller", json!("contoso/cyd")),
        ("action", json!("approveConsent")),
        ("resource_type", json!("Consent")),
        ("resource", json!(consent)),
        ("asked", json!(1)),
        ("found", json!(["contoso/cyd"])),
    ] {
        assert_eq!(record[member], expected, "{record:#}");
    }
    // The socket knows no persons.
    let asked = request("POST", SEARCH, &[("connection", "close")], &search("approveConsent", &consent).to_string());
    let answer = Connection::through(&socket).await.send(&asked).await.rest().await;
    assert!(answer.ends_with("\"results\":[]}"), "{answer}");
    house.app().edge().log.close().unwrap();
    for consent in [consent.as_str(), "co-none"] {
        assert_eq!(who_may(&cyd, "approveConsent", consent).await.problem(), (503, "log_closed", ""));
    }
    house.app.take();
}
