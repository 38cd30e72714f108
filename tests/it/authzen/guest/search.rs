//! Searching a guest model: what is found, how much is asked for it, and its pages.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{copied, found, question, records, settings, with};
use crate::support::House;
use crate::support::effort::{effort, random};

/// A larger model: users in groups in groups, records of which some are each group's.
fn drawn(random: &mut fastrand::Rng) -> TempDir {
    let folder = copied();
    let write = |file: &str, text: String| std::fs::write(folder.path().join(file), text).unwrap();
    write("model.toml", "name = \"drawn\"".to_owned());
    write(
        "schemas/records.cedarschema",
        "entity group in [group];\nentity user in [group] = { \"level\": Long };\nentity record in [group] = { \"level\": \
         Long };\naction \"read\", \"write\", \"share\" appliesTo { principal: [user, group], resource: [record] };\naction \
         \"join\" appliesTo { principal: [user], resource: [group] };\n"
            .to_owned(),
    );
    write(
        "policies/records.cedar",
        "permit (principal in group::\"g0\", action == Action::\"read\", resource);\npermit (principal is user, action in \
         [Action::\"read\", Action::\"write\"], resource is record) when { principal.level > resource.level };\nforbid \
         (principal, action, resource in group::\"g1\") unless { principal in group::\"g1\" };\npermit (principal is user, \
         action == Action::\"join\", resource is group) when { principal.level > 2 };\n"
            .to_owned(),
    );
    let mut entities = Vec::new();
    let parents = |random: &mut fastrand::Rng, below: usize| -> Vec<Value> {
        (0..below).filter(|_| random.u8(..3) == 0).map(|n| json!({ "type": "group", "id": format!("g{n}") })).collect()
    };
    for n in 0..4 {
        entities.push(
            json!({ "uid": { "type": "group", "id": format!("g{n}") }, "attrs": {}, "parents": parents(random, n) }),
        );
    }
    for (kind, count) in [("user", 12), ("record", 9)] {
        for n in 0..count {
            let attrs = json!({ "level": random.u8(..6) });
            entities.push(json!({ "uid": { "type": kind, "id": format!("{kind}-{n}") }, "attrs": attrs, "parents": parents(random, 4) }));
        }
    }
    write("entities.json", json!(entities).to_string());
    folder
}

/// Every result of a search, page by page.
async fn all_pages(house: &House, what: &str, body: &Value, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut page = json!({ "limit": limit });
    for _ in 0..100 {
        let mut body = body.clone();
        body["page"] = page;
        let reply = house.tooling().post(&format!("/access/v1/search/{what}"), &body).await;
        let part = found(&reply);
        assert!(part.len() <= limit, "{reply:?}");
        all.extend(part);
        let next = reply.json["page"]["next_token"].as_str().unwrap();
        if next.is_empty() {
            return all;
        }
        page = json!({ "token": next });
    }
    panic!("the pages of {body} do not end");
}

#[tokio::test]
async fn a_search_finds_what_evaluations_allow_and_all_of_it_on_pages_of_any_size() {
    let mut random = random("guest searches");
    for _ in 0..effort(2) {
        let folder = drawn(&mut random);
        let house = House::start_with(&settings(folder.path())).await;
        let ids = |kind: &str, count: usize| -> Vec<String> { (0..count).map(|n| format!("{kind}-{n}")).collect() };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let mut allowed = Vec::new();
        let mut evaluations = Vec::new();
        for user in ids("user", 12) {
            for record in ids("record", 9) {
                for action in ["read", "share", "write"] {
                    evaluations.push(question(&user, action, &record));
                    allowed.push((user.clone(), action, record.clone()));
                }
            }
        }
        let reply = house.tooling().post("/access/v1/evaluations", &json!({ "evaluations": evaluations })).await;
        let mut answers = reply.json["evaluations"].as_array().unwrap().iter();
        allowed.retain(|_| answers.next().unwrap()["decision"] == true);
        assert!(!allowed.is_empty());
        // Of a record that nobody knows nothing is found, whatever the policies would say of it.
        let unknown = with(question("g0", "read", "record-99"), "/subject/type", json!("group"));
        assert!(house.tooling().post("/access/v1/evaluation", &unknown).await.decision());
        for what in ["subject", "action"] {
            assert_eq!(all_pages(&house, what, &unknown, 5).await, [""; 0]);
        }
        for user in ids("user", 12) {
            let body = with(question(&user, "read", "x"), "/resource", json!({ "type": "record" }));
            let expected = allowed.iter().filter(|(who, what, _)| *who == user && *what == "read");
            let expected = sorted(expected.map(|(_, _, record)| record.clone()).collect());
            assert_eq!(all_pages(&house, "resource", &body, random.usize(1..6)).await, expected, "{user}");
            let expected = allowed.iter().filter(|(who, _, record)| *who == user && record == "record-0");
            let expected: Vec<_> = expected.map(|(_, what, _)| (*what).to_owned()).collect();
            let body = question(&user, "read", "record-0");
            assert_eq!(all_pages(&house, "action", &body, random.usize(1..3)).await, expected, "{user}");
        }
        for record in ids("record", 9) {
            let body = with(question("x", "write", &record), "/subject", json!({ "type": "user" }));
            let expected = allowed.iter().filter(|(_, what, which)| *which == record && *what == "write");
            let expected = sorted(expected.map(|(who, _, _)| who.clone()).collect());
            assert_eq!(all_pages(&house, "subject", &body, random.usize(1..6)).await, expected, "{record}");
        }
    }
}

#[tokio::test]
async fn one_request_asks_about_so_many_entities_and_the_next_page_goes_on() {
    let folder = copied();
    let user = |n: usize| {
        let role = if n == 4_500 { "admin" } else { "clerk" };
        json!({ "uid": { "type": "user", "id": format!("u{n:05}") }, "attrs": { "role": role }, "parents": [] })
    };
    let record = json!({
        "uid": { "type": "record", "id": "r" }, "attrs": { "status": "archived", "keepers": [], "readers": [] }, "parents": [],
    });
    let entities: Vec<_> = (0..5_000).map(user).chain([record]).collect();
    std::fs::write(folder.path().join("entities.json"), json!(entities).to_string()).unwrap();
    let house = House::start_with(&settings(folder.path())).await;
    let mut body = with(question("x", "write", "r"), "/subject", json!({ "type": "user" }));
    let mut pages = Vec::new();
    loop {
        let reply = house.tooling().post("/access/v1/search/subject", &body).await;
        pages.push(found(&reply));
        match reply.json["page"]["next_token"].as_str().unwrap() {
            "" => break,
            next => body["page"] = json!({ "token": next }),
        }
    }
    assert_eq!(pages, [vec![], vec![], vec!["u04500".to_owned()]]);
    let records = house.records();
    let asked = records.iter().filter(|record| record["type"] == "guest_search").map(|record| &record["asked"]);
    assert_eq!(asked.collect::<Vec<_>>(), [&json!(2_000), &json!(2_000), &json!(1_000)]);
}

#[tokio::test]
async fn pages_of_another_search_and_too_large_ones_are_refused() {
    let house = records().await;
    let body = with(question("x", "read", "record-1"), "/subject", json!({ "type": "user" }));
    let search = async |body: &Value| house.tooling().post("/access/v1/search/subject", body).await;
    let first = search(&with(body.clone(), "/page", json!({ "limit": 1 }))).await;
    let token = &first.json["page"]["next_token"];
    let same = with(body.clone(), "/page", json!({ "token": token, "limit": 1 }));
    assert_eq!(found(&search(&same).await), ["bob"]);
    let none = search(&with(body.clone(), "/page", json!({ "limit": 0 }))).await;
    assert_eq!((found(&none).len(), none.json["page"]["next_token"] == ""), (0, false));
    for (changed, field) in [
        (with(same.clone(), "/page/limit", json!(2)), "page.limit"),
        (with(same.clone(), "/page/token", json!("made-up")), "page.token"),
        (with(same.clone(), "/resource/id", json!("record-2")), "page.token"),
        (with(same.clone(), "/action/name", json!("write")), "page.token"),
        (with(same.clone(), "/context", json!({ "ip": "::1" })), "page.token"),
        (with(body.clone(), "/page", json!({ "limit": 1_001 })), "page.limit"),
    ] {
        assert_eq!(search(&changed).await.problem(), (400, "invalid_request", field), "{changed}");
    }
}
