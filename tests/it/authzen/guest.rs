//! Guest models: another Cedar model behind the same API. What is believed, bounded, recorded, reloaded, and not there.

mod search;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Connection, House, Reply, request};

/// Where the records model is.
fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/records"))
}

/// A service of the records model.
pub async fn records() -> House {
    House::start_with(&settings(directory())).await
}

fn settings(directory: &Path) -> String {
    format!("guest_model.directory = \"{}\"", directory.display())
}

/// The ids or names of all results.
pub fn found(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let results = reply.json["results"].as_array().unwrap();
    assert_eq!(reply.json["page"]["count"], results.len());
    results.iter().map(|one| one["id"].as_str().or(one["name"].as_str()).unwrap().to_owned()).collect()
}

const PATH: &str = "/access/v1/evaluation";

/// The records model in a folder of its own, to be changed.
fn copied() -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in ["model.toml", "entities.json", "schemas/records.cedarschema", "policies/records.cedar"] {
        let to = folder.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(directory().join(file), to).unwrap();
    }
    folder
}

/// Replaces a part of one of the model's files.
fn edit(folder: &TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn question(subject: &str, action: &str, resource: &str) -> Value {
    json!({
        "subject": { "type": "user", "id": subject }, "action": { "name": action },
        "resource": { "type": "record", "id": resource },
    })
}

/// The same with another value somewhere in it.
fn with(mut question: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    question.pointer_mut(parent).unwrap()[member] = value;
    question
}

async fn may(house: &House, question: &Value) -> bool {
    house.tooling().post(PATH, question).await.decision()
}

#[tokio::test]
async fn an_answer_says_why() {
    let house = records().await;
    let reply = house.tooling().post(PATH, &question("alice", "write", "record-2")).await;
    assert_eq!((reply.decision(), reply.code(), reply.policies()), (false, "archived", vec!["records.archived"]));
    assert_eq!(reply.json["context"]["reason"]["message"], "what is archived is written by administrators alone");
    assert_eq!(reply.json["context"]["policy_version"], house.app().edge().policy_version());
    for unknown in
        [question("alice", "fly", "record-1"), with(question("alice", "read", "1"), "/resource/type", json!("Car"))]
    {
        let reply = house.tooling().post(PATH, &unknown).await;
        assert_eq!((reply.decision(), reply.code(), reply.policies()), (false, "not_permitted", vec![]), "{unknown}");
    }
}

#[tokio::test]
async fn clients_that_want_nothing_but_the_decision_get_nothing_else() {
    let folder = copied();
    edit(&folder, "model.toml", "name = \"records\"", "name = \"records\"\nexplain = false");
    let house = House::start_with(&settings(folder.path())).await;
    let mut body = question("alice", "read", "record-1");
    body["evaluations"] = json!([{}, { "action": { "name": "write" } }, { "resource": { "type": "record" } }]);
    let reply = house.tooling().post("/access/v1/evaluations", &body).await;
    assert!(reply.text.starts_with("{\"evaluations\":[{\"decision\":true},{\"decision\":true},{"), "{reply:?}");
    // What is wrong with a question is said all the same.
    assert_eq!(reply.json["evaluations"][2]["context"]["error"]["field"], "resource.id");
    let reply = house.tooling().post(PATH, &question("bob", "write", "record-1")).await;
    assert_eq!(reply.text, "{\"decision\":false}");
}

#[tokio::test]
async fn a_request_is_believed_what_the_manifest_names_and_nothing_else() {
    let house = records().await;
    let bob = json!([{ "type": "user", "id": "bob" }]);
    let lies = [
        (question("bob", "write", "record-1"), "/resource/properties", json!({ "keepers": bob, "readers": bob })),
        (question("carol", "read", "record-1"), "/subject/properties", json!({ "id": "alice", "department": "Sales" })),
        (question("alice", "delete", "record-1"), "/context", json!({ "action": { "soft": true }, "soft": true })),
        (question("alice", "delete", "record-1"), "/subject/properties", json!({ "soft": true })),
    ];
    for (question, pointer, lie) in lies {
        assert!(!may(&house, &question).await, "{question}");
        assert!(!may(&house, &with(question, pointer, lie.clone())).await, "{lie}");
    }
    // What it names counts instead of what stands in the file, of known and of unknown entities.
    let archived = || json!({ "status": "archived" });
    let admin = with(question("carol", "write", "record-2"), "/subject/properties", json!({ "role": "admin" }));
    assert!(may(&house, &admin).await);
    let demoted = with(question("bob", "write", "record-2"), "/subject/properties", json!({ "role": "clerk" }));
    assert!(!may(&house, &demoted).await);
    assert!(may(&house, &question("alice", "write", "record-1")).await);
    assert!(!may(&house, &with(question("alice", "write", "record-1"), "/resource/properties", archived())).await);
    // Nobody has said who keeps this record: a policy that asks cannot be evaluated, and that denies.
    let unknown = with(question("bob", "write", "record-9"), "/resource/properties", archived());
    let reply = house.tooling().post(PATH, &unknown).await;
    assert_eq!((reply.decision(), reply.code()), (false, "policy_failed"), "{reply:?}");
}

/// What a request says of an entity adds to what the model knows of it: it stays in its groups, near and far.
#[tokio::test]
async fn who_is_told_of_stays_where_the_model_has_them() {
    let folder = copied();
    let schema = "schemas/records.cedarschema";
    edit(&folder, schema, "entity user = {", "entity team in [team];\nentity user in [team] = {");
    edit(&folder, schema, "entity record = {", "entity record in [team] = {");
    let policies = "policies/records.cedar";
    let more = "permit (principal in team::\"all\", action == Action::\"write\", resource) when { principal in team::\"near\" };\n\
                forbid (principal, action == Action::\"read\", resource in team::\"all\");\n";
    edit(&folder, policies, "@id(\"records.readers-read\")", &format!("{more}@id(\"records.readers-read\")"));
    let team = |id: &str| json!({ "type": "team", "id": id });
    let entities = json!([
        { "uid": team("all"), "attrs": {}, "parents": [] },
        { "uid": team("near"), "attrs": {}, "parents": [team("all")] },
        { "uid": { "type": "user", "id": "carol" }, "attrs": {}, "parents": [team("near")] },
        { "uid": { "type": "user", "id": "dan" }, "attrs": {}, "parents": [team("all")] },
        { "uid": { "type": "record", "id": "record-1" }, "attrs": { "keepers": [], "readers": [
            { "type": "user", "id": "carol" }] }, "parents": [team("near")] },
        { "uid": { "type": "record", "id": "record-2" }, "attrs": { "keepers": [], "readers": [
            { "type": "user", "id": "carol" }] }, "parents": [] },
    ]);
    std::fs::write(folder.path().join("entities.json"), entities.to_string()).unwrap();
    let house = House::start_with(&settings(folder.path())).await;
    for (subject, action, resource, expected) in [
        ("carol", "write", "record-1", true),
        ("dan", "write", "record-1", false),
        ("carol", "read", "record-1", false),
        ("carol", "read", "record-2", true),
    ] {
        let plain = question(subject, action, resource);
        let told = with(plain.clone(), "/subject/properties", json!({ "role": "clerk" }));
        let both = with(told.clone(), "/resource/properties", json!({ "status": "active" }));
        for question in [plain, told, both] {
            assert_eq!(may(&house, &question).await, expected, "{question}");
        }
    }
}

/// The schema may know more than the manifest names: nobody's word counts for that.
#[tokio::test]
async fn what_the_schema_knows_and_the_manifest_does_not_name_is_not_believed() {
    let folder = copied();
    let wider = "context: { \"network\"?: String, \"action\"?: { \"soft\"?: Bool, \"quick\"?: Bool } },";
    edit(&folder, "schemas/records.cedarschema", "context: { \"action\"?: { \"soft\"?: Bool } },", wider);
    let more = "permit (principal, action == Action::\"delete\", resource) when { context has network };\n\
                permit (principal, action == Action::\"delete\", resource) when { context has action && context.action has quick };\n\
                @id(\"records.readers-read\")";
    edit(&folder, "policies/records.cedar", "@id(\"records.readers-read\")", more);
    let manifest = [("", ""), ("action = [\"soft\"]", "action = [\"soft\", \"quick\"]\ncontext = [\"network\"]")];
    for (from, to) in manifest {
        edit(&folder, "model.toml", from, to);
        let house = House::start_with(&settings(folder.path())).await;
        let delete = question("carol", "delete", "record-1");
        assert!(!may(&house, &delete).await);
        for (pointer, said) in
            [("/context", json!({ "network": "10.0.0.0/8" })), ("/action/properties", json!({ "quick": true }))]
        {
            assert_eq!(may(&house, &with(delete.clone(), pointer, said)).await, !to.is_empty(), "{pointer} {to}");
        }
    }
}

#[tokio::test]
async fn what_is_believed_must_be_what_the_schema_wants() {
    let house = records().await;
    let wrong = [
        ("/resource/properties", json!({ "status": 7 }), "resource.properties.status"),
        ("/resource/properties", json!({ "status": ["archived"] }), "resource.properties.status"),
        (
            "/resource/properties",
            json!({ "status": { "__extn": { "fn": "unknown", "arg": "x" } } }),
            "resource.properties.status",
        ),
        (
            "/resource/properties",
            json!({ "status": { "__extn": { "fn": "ip", "arg": "::1" } } }),
            "resource.properties.status",
        ),
        (
            "/subject/properties",
            json!({ "role": { "__entity": { "type": "user", "id": "bob" } } }),
            "subject.properties.role",
        ),
        ("/subject/properties", json!([]), "subject.properties"),
        ("/action/properties", json!({ "soft": "yes" }), "action.properties"),
        ("/action/properties", json!({ "soft": { "__extn": { "fn": "unknown", "arg": "x" } } }), "action.properties"),
        ("/context", json!(["x"]), "context"),
        ("/subject/id", json!(""), "subject.id"),
        ("/subject/id", json!("x".repeat(1_025)), "subject.id"),
        ("/resource/type", json!(""), "resource.type"),
        ("/action/name", json!("x".repeat(1_025)), "action.name"),
        ("/resource/properties", json!({ "status": "x".repeat(70_000) }), "body"),
    ];
    for (pointer, value, field) in wrong {
        let bad = with(question("alice", "delete", "record-1"), pointer, value.clone());
        let reply = house.tooling().post(PATH, &bad).await;
        assert_eq!(reply.problem(), (400, "invalid_request", field), "{value}");
        let batch = json!({ "evaluations": [question("alice", "read", "record-1"), bad] });
        let reply = house.tooling().post("/access/v1/evaluations", &batch).await;
        let answers = reply.json["evaluations"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
        assert_eq!((&answers[0]["decision"], &answers[1]["decision"]), (&json!(true), &json!(false)), "{value}");
        assert_eq!(answers[1]["context"]["error"]["field"], field, "{value}");
    }
    let nothing = with(question("alice", "write", "record-1"), "/resource/properties", json!({ "status": null }));
    assert!(may(&house, &nothing).await, "null is nothing");
    // Of a name that stands there twice nobody can tell which one counts, however deep it stands.
    for twice in [r#"{"status":"active","status":"archived"}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
        let body = format!(
            r#"{{"subject":{{"type":"user","id":"alice"}},"action":{{"name":"write"}},
            "resource":{{"type":"record","id":"record-1","properties":{twice}}}}}"#
        );
        let reply = house.tooling().send(http::Method::POST, PATH, Some(body.into_bytes())).await;
        assert_eq!(reply.problem().0, 400, "{twice}");
    }
}

#[tokio::test]
async fn a_batch_stops_where_its_semantic_says_and_a_broken_item_is_a_denial() {
    let house = records().await;
    let item = |what: &str| match what {
        "yes" => question("alice", "read", "record-1"),
        "no" => question("bob", "write", "record-1"),
        _ => json!({ "subject": { "type": "user" } }),
    };
    let cases: [(&[&str], &str, &[bool]); 6] = [
        (&["yes", "no", "broken", "yes"], "execute_all", &[true, false, false, true]),
        (&["yes", "no", "yes"], "deny_on_first_deny", &[true, false]),
        (&["yes", "broken", "yes"], "deny_on_first_deny", &[true, false]),
        (&["no", "broken", "yes", "no"], "permit_on_first_permit", &[false, false, true]),
        (&["yes", "no"], "permit_on_first_permit", &[true]),
        (&["no", "broken"], "permit_on_first_permit", &[false, false]),
    ];
    for (items, semantic, expected) in cases {
        let items: Vec<_> = items.iter().map(|what| item(what)).collect();
        let body = json!({ "evaluations": items, "options": { "evaluations_semantic": semantic } });
        let reply = house.tooling().post("/access/v1/evaluations", &body).await;
        let answers = reply.json["evaluations"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
        let decisions: Vec<_> = answers.iter().map(|answer| answer["decision"].as_bool().unwrap()).collect();
        assert_eq!(decisions, expected, "{body}");
    }
    let too_many = json!({ "evaluations": vec![item("yes"); 1_001] });
    let reply = house.tooling().post("/access/v1/evaluations", &too_many).await;
    assert_eq!(reply.problem(), (400, "invalid_request", "evaluations"));
}

#[tokio::test]
async fn every_decision_is_in_the_log_before_it_is_told() {
    let mut house = records().await;
    let said = with(question("carol", "write", "record-2"), "/subject/properties", json!({ "role": "admin", "x": 1 }));
    let reply = house.tooling().with("x-request-id", "mine").post(PATH, &said).await;
    assert!(reply.decision());
    let version = house.app().edge().policy_version();
    let record = house.records().pop().unwrap();
    for (member, expected) in [
        ("type", json!("guest_decision")),
        ("decision_id", reply.json["context"]["decision_id"].clone()),
        ("caller", json!("vendor/tooling")),
        ("request_id", json!("mine")),
        ("model", json!("records")),
        ("subject_type", json!("user")),
        ("subject", json!("carol")),
        ("action", json!("write")),
        ("resource_type", json!("record")),
        ("resource", json!("record-2")),
        ("believed", json!({ "subject": { "role": "admin" } })),
        ("decision", json!(true)),
        ("code", json!("permitted")),
        ("policies", json!(["records.administrators-mend-the-archive"])),
        ("policy_version", json!(version)),
    ] {
        assert_eq!(record[member], expected, "{record:#}");
    }
    let is_told = |line: &Value| line["type"] == "guest_model" && line["policy_version"] == version;
    assert!(house.records().iter().any(is_told), "which model came into force");
    let batch = json!({ "evaluations": [said, question("bob", "read", "record-1")] });
    house.tooling().post("/access/v1/evaluations", &batch).await;
    assert_eq!(house.records().iter().filter(|line| line["type"] == "guest_decision").count(), 3);
    let search =
        json!({ "subject": { "type": "user", "id": "bob" }, "resource": { "type": "record", "id": "record-2" } });
    house.tooling().post("/access/v1/search/action", &search).await;
    let record = house.records().pop().unwrap();
    assert_eq!(
        (&record["type"], &record["found"], &record["asked"]),
        (&json!("guest_search"), &json!(["read", "write"]), &json!(3))
    );
    // A log that takes nothing tells nothing (G3).
    house.app().edge().log.close().unwrap();
    for (path, body) in [
        (PATH, question("alice", "read", "record-1")),
        ("/access/v1/evaluations", batch),
        ("/access/v1/search/action", search),
    ] {
        let reply = house.tooling().post(path, &body).await;
        assert_eq!(reply.problem(), (503, "log_closed", ""), "{path}");
    }
    house.app.take();
}

#[tokio::test]
async fn who_may_ask_is_what_it_is_elsewhere_and_support_access_is_not_there() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let more = format!("{}\nserver.unix_socket = \"{}\"", settings(directory()), socket.display());
    let house = House::start_with(&more).await;
    let read = question("alice", "read", "record-1");
    let search =
        json!({ "subject": { "type": "user", "id": "bob" }, "resource": { "type": "record", "id": "record-2" } });
    let callers = [
        (401, house.tooling().holding("")),
        (401, house.tooling().holding("made.up.token")),
        (403, house.service("other", &[])),
        (403, house.ticketing()),
        (403, house.engineer("ada")),
        (403, house.admin("contoso", "cyd")),
    ];
    for (status, caller) in callers {
        for (path, body) in [(PATH, &read), ("/access/v1/evaluations", &read), ("/access/v1/search/action", &search)] {
            assert_eq!(caller.post(path, body).await.problem().0, status, "{} {path}", caller.id);
        }
    }
    assert!(may(&house, &read).await);
    let asked = request("POST", PATH, &[("connection", "close")], &read.to_string());
    let answer = Connection::through(&socket).await.send(&asked).await.rest().await;
    assert!(answer.contains("\"decision\":true"), "{answer}");
    for path in ["/v1/consents", "/v1/audit-log", "/v1/support-requests", "/.well-known/consentry-receipt-keys"] {
        let reply = house.admin("contoso", "cyd").get(path).await;
        assert_eq!(reply.problem(), (404, "no_such_path", ""), "{path}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn a_reload_takes_a_good_model_whole_and_a_bad_one_never() {
    let folder = copied();
    let house = House::start_with(&format!("{}\npolicy.watch = false", settings(folder.path()))).await;
    let first = house.app().edge().policy_version();
    let asked = question("bob", "write", "record-1");
    assert!(!may(&house, &asked).await);
    // Entities are a part of the model.
    edit(&folder, "entities.json", "\"status\": \"active\"", "\"status\": \"archived\"");
    house.app().reload_policies().unwrap();
    let second = house.app().edge().policy_version();
    assert!(second != first && may(&house, &asked).await);
    for (file, from, to) in [
        ("entities.json", "\"role\": \"admin\"", "\"role\": 7"),
        ("policies/records.cedar", "resource.readers", "resource.readerz"),
        ("schemas/records.cedarschema", "Set<user>", "Set<usr>"),
        ("model.toml", "\"status\"", "\"state\""),
    ] {
        edit(&folder, file, from, to);
        let refused = house.app().reload_policies().unwrap_err().to_string();
        assert!(refused.contains(&format!("{file}:")), "{refused}");
        let ready = house.tooling().get("/readyz").await;
        assert_eq!((ready.status, &ready.json["policy_version"]), (200, &json!(second)), "{ready:?}");
        assert_eq!(ready.json["refused_policies"], json!(refused));
        assert!(may(&house, &asked).await, "the last good one serves");
        edit(&folder, file, to, from);
    }
    house.app().reload_policies().unwrap();
    assert_eq!(house.tooling().get("/readyz").await.json["refused_policies"], Value::Null);
}
