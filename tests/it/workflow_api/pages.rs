//! Lists in pages, with cursors that mean nothing but "go on here".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::is;
use crate::support::{House, Person};

/// A house in which ada has asked for fabrikam's data under seven support requests, two at the same millisecond; the
/// first four are decided in both tenants.
async fn busy() -> House {
    let house = House::start().await;
    let ada = house.engineer("ada");
    for number in 1..=7 {
        let id = format!("SR-{number}");
        house.open(&id, "contoso", "vendor/ada").await;
        house.ask(&ada, &id, "fabrikam").await;
        if number <= 4 {
            house.approve(&house.admin("contoso", "cyd")).await;
            house.approve(&house.admin("fabrikam", "dee")).await;
            house.allows("vendor/ada", "fabrikam/signInLogs", &id).await;
        }
        if number % 2 == 0 {
            house.clock.advance_millis(1_000);
        }
    }
    house
}

/// Walks a list with this limit; gives what it showed, and the cursors.
async fn walk(caller: &Person, path: &str, limit: usize) -> (Vec<Value>, Vec<String>) {
    let (mut items, mut cursors) = (Vec::new(), Vec::new());
    let glue = if path.contains('?') { '&' } else { '?' };
    loop {
        let cursor = cursors.last().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = is(&caller.get(&format!("{path}{glue}limit={limit}{cursor}")).await, 200);
        let shown = page["items"].as_array().unwrap();
        assert!(shown.len() <= limit, "{page}");
        items.extend(shown.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => cursors.push(cursor.to_owned()),
            None => return (items, cursors),
        }
        assert!(cursors.len() < 100, "the list has no end");
    }
}

/// Every list, with who reads it and how long it is.
fn lists(house: &House) -> Vec<(Person, &'static str, usize)> {
    let (ada, dee, cyd) = (house.engineer("ada"), house.admin("fabrikam", "dee"), house.admin("contoso", "cyd"));
    vec![
        (ada.clone(), "/v1/support-requests", 7),
        (ada, "/v1/access-requests", 7),
        (dee.clone(), "/v1/consents?view=pending", 3),
        (dee.clone(), "/v1/consents?view=approved", 4),
        (dee.clone(), "/v1/audit-log/reads", 4),
        (dee.clone(), "/v1/audit-log/reads?data_category=signInLogs", 4),
        (dee, "/v1/audit-log?activity=Approval%20approved", 4),
        (cyd, "/v1/audit-log?activity=Request%20approved", 4),
    ]
}

#[tokio::test]
async fn pages_of_every_size_show_the_same_list() {
    let house = busy().await;
    for (caller, path, length) in lists(&house) {
        let (whole, cursors) = walk(&caller, path, 200).await;
        assert_eq!((whole.len(), cursors.len()), (length, 0), "{path}");
        for limit in 1..=length {
            let (pages, cursors) = walk(&caller, path, limit).await;
            assert_eq!(pages, whole, "{path} in pages of {limit}");
            // The log of reads may end with an empty page: it does not look ahead.
            let most = if path.contains("reads") { length / limit } else { (length - 1) / limit };
            assert!(((length - 1) / limit..=most).contains(&cursors.len()), "{path} in pages of {limit}");
        }
    }
}

#[tokio::test]
async fn what_comes_in_between_does_not_move_the_rest() {
    let house = busy().await;
    let ada = house.engineer("ada");
    let first = is(&ada.get("/v1/access-requests?limit=3").await, 200);
    let whole = is(&ada.get("/v1/access-requests").await, 200);
    house.open("SR-8", "contoso", "vendor/ada").await;
    house.ask(&ada, "SR-8", "fabrikam").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = is(&ada.get(&format!("/v1/access-requests?cursor={cursor}")).await, 200);
    assert_eq!(rest["items"].as_array().unwrap()[..], whole["items"].as_array().unwrap()[3..]);
}

#[tokio::test]
async fn a_limit_is_between_one_and_two_hundred() {
    let house = busy().await;
    for (caller, path, _) in lists(&house) {
        let glue = if path.contains('?') { '&' } else { '?' };
        for limit in ["0", "201", "18446744073709551615"] {
            let reply = caller.get(&format!("{path}{glue}limit={limit}")).await;
            assert_eq!(reply.problem(), (400, "invalid_request", "limit"), "{path} {limit}");
        }
        for query in
            ["limit=-1", "limit=x", "limit=", "limit=1.5", "limit=18446744073709551616", "limit=1&limit=2", "lim=1"]
        {
            let reply = caller.get(&format!("{path}{glue}{query}")).await;
            let field = if query.starts_with("limit") { "limit" } else { "lim" };
            assert_eq!(reply.problem(), (400, "invalid_request", field), "{path} {query}");
        }
        is(&caller.get(&format!("{path}{glue}limit=1")).await, 200);
        is(&caller.get(&format!("{path}{glue}limit=200")).await, 200);
    }
    let dee = house.admin("fabrikam", "dee");
    for path in ["/v1/consents", "/v1/consents?view=all", "/v1/consents?view="] {
        assert_eq!(dee.get(path).await.problem(), (400, "invalid_request", "view"), "{path}");
    }
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=99999-01-01T00:00:00Z", "to"),
        ("activity=Approved", "activity"),
        ("actor=dee", "actor"),
        ("support_request=a%20b", "support_request"),
        ("data_category=signInLogs", "data_category"),
        ("data_category=sign-ins", "data_category"),
    ] {
        assert_eq!(
            dee.get(&format!("/v1/audit-log?{query}")).await.problem(),
            (400, "invalid_request", field),
            "{query}"
        );
    }
}

/// What is asked of a log, and of each log's entries whether it is wanted.
type Asked = (&'static str, fn(&Value) -> bool);

#[tokio::test]
async fn filters_show_what_they_say_and_cursors_keep_them() {
    let house = busy().await;
    let dee = house.admin("fabrikam", "dee");
    house.may_read("vendor/ada", "fabrikam/auditLogs/a-1", "SR-2").await;
    house.clock.advance_millis(60_000);
    house.allows("vendor/ada", "fabrikam/auditLogs", "SR-3").await;
    house.approve(&dee).await;
    let activities: [Asked; 6] = [
        ("actor=fabrikam/dee", |_| true),
        ("actor=contoso/cyd", |_| false),
        ("support_request=SR-3", |entry| entry["support_request"] == "SR-3"),
        ("from=2026-11-22T10:00:10Z", |entry| entry["time"].as_str().unwrap() >= "2026-11-22T10:00:10"),
        ("to=2026-11-22T11:00:10%2B01:00", |entry| entry["time"].as_str().unwrap() < "2026-11-22T10:00:10"),
        ("activity=Approval%20approved&support_request=SR-2", |entry| entry["support_request"] == "SR-2"),
    ];
    let reads: [Asked; 6] = [
        ("data_category=auditLogs", |entry| entry["data_category"] == "auditLogs"),
        ("data_category=directoryObjects", |_| false),
        ("actor=vendor/ada&data_category=signInLogs", |entry| entry["data_category"] == "signInLogs"),
        ("actor=vendor/bob", |_| false),
        ("support_request=SR-2", |entry| entry["support_request"] == "SR-2"),
        ("from=2026-11-22T10:00:10Z&data_category=auditLogs", |entry| {
            entry["time"].as_str().unwrap() >= "2026-11-22T10:00:10" && entry["data_category"] == "auditLogs"
        }),
    ];
    for (list, filters) in [("/v1/audit-log", activities), ("/v1/audit-log/reads", reads)] {
        let (whole, _) = walk(&dee, list, 200).await;
        for (filter, wanted) in filters {
            let expected: Vec<Value> = whole.iter().filter(|entry| wanted(entry)).cloned().collect();
            let path = format!("{list}?{filter}");
            let (found, cursors) = walk(&dee, &path, 1).await;
            assert_eq!(found, expected, "{path}");
            for (done, cursor) in cursors.iter().enumerate() {
                let alone = is(&dee.get(&format!("{list}?cursor={cursor}")).await, 200);
                let rest = &expected[(done + 1).min(expected.len())..];
                assert_eq!(alone["items"].as_array().unwrap()[..], *rest, "{path}, by the cursor alone");
                let other = dee.get(&format!("{list}?support_request=SR-7&cursor={cursor}")).await;
                assert_eq!(other.problem(), (400, "invalid_request", "cursor"), "{path}");
            }
        }
        assert!(whole.len() > 4);
    }
    assert_eq!(
        dee.get("/v1/audit-log/reads?activity=Approval%20approved").await.problem(),
        (400, "invalid_request", "activity")
    );
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let house = busy().await;
    let mut cursors = Vec::new();
    for (caller, path, _) in lists(&house) {
        cursors.push((path.split('&').next().unwrap(), walk(&caller, path, 1).await.1[0].clone()));
    }
    for (caller, path, _) in lists(&house) {
        let glue = if path.contains('?') { '&' } else { '?' };
        let ask = async |cursor: &str| caller.get(&format!("{path}{glue}cursor={cursor}")).await;
        for (other, cursor) in &cursors {
            let reply = ask(cursor).await;
            // A cursor keeps its filters: a list without any takes it with them.
            let same = path == *other || path == other.split('?').next().unwrap();
            assert_eq!(reply.status, if same { 200 } else { 400 }, "{other}'s cursor for {path}: {reply:?}");
        }
        let good = &cursors.iter().find(|(other, _)| *other == path).unwrap().1;
        let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(good).unwrap()).unwrap();
        let mut more = decoded.clone();
        more["tenant"] = json!("contoso");
        let mut odd = decoded.clone();
        odd["after"] = json!({ "at": "x", "id": 7 });
        let tampered = [
            "x".to_owned(),
            "%20".to_owned(),
            format!("{good}="),
            good[1..].to_owned(),
            "A".repeat(2_000),
            URL_SAFE_NO_PAD.encode("{}"),
            URL_SAFE_NO_PAD.encode("[".repeat(500)),
            URL_SAFE_NO_PAD.encode(more.to_string()),
            URL_SAFE_NO_PAD.encode(odd.to_string()),
        ];
        for cursor in tampered {
            let reply = ask(&cursor).await;
            assert_eq!(reply.problem(), (400, "invalid_request", "cursor"), "{path} {cursor}");
        }
        // One that is well-formed can be made by anybody, and shows nothing but the caller's own list.
        for after in [
            json!(u64::MAX),
            json!({ "number": u64::MAX, "filter": {} }),
            json!({ "number": 0, "filter": { "from": i64::MIN, "to": i64::MAX } }),
            json!({ "number": 9, "filter": { "actor": "contoso/cyd" } }),
            json!({ "at": i64::MAX, "id": "~" }),
            json!({ "at": i64::MIN, "id": "" }),
        ] {
            let mut forged = decoded.clone();
            forged["after"] = after;
            let reply = ask(&URL_SAFE_NO_PAD.encode(forged.to_string())).await;
            assert!([200, 400].contains(&reply.status), "{path} {forged}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_tenant_shows_ones_own_list() {
    let house = busy().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let path = "/v1/consents?view=pending";
    let foreign = walk(&dee, path, 1).await.1.swap_remove(0);
    let (own, _) = walk(&cyd, path, 200).await;
    let page = is(&cyd.get(&format!("{path}&cursor={foreign}")).await, 200);
    for item in page["items"].as_array().unwrap() {
        assert!(own.contains(item), "{item}");
    }
}
