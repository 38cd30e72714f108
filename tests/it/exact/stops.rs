//! A batch that stops at its first denial, while what it asks about is taken away in the middle of it.

use http::Method;
use serde_json::{Value, json};

use super::readers::ends_where_it_must;
use crate::support::effort::{effort, random};
use crate::support::{House, question};

/// How often an answer that had been an allow must have become the denial that ends its batch.
const LATE: u64 = 10;
/// In at most so many batches.
const TRIES: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_stops_at_its_first_denial_also_where_that_was_an_allow_before() {
    let mut rng = random("a_batch_stops_at_its_first_denial_also_where_that_was_an_allow_before");
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let asked = question("vendor/ada", "read", "contoso/signInLogs", "SR-1");
    let (ticketing, tooling) = (house.ticketing(), house.tooling());
    let allow = async |yes: bool| {
        let body = json!({ "advanced_diagnostic_information": yes }).to_string().into_bytes();
        let reply = ticketing.send(Method::PATCH, "/v1/support-requests/SR-1", Some(body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let log = || std::fs::read_to_string(house.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap();
    let (mut late, mut tries) = (0, 0);
    while late < effort(LATE) {
        tries += 1;
        assert!(tries <= effort(TRIES), "{late} of {tries} batches were overtaken");
        allow(true).await;
        let before = log().len();
        let count = rng.usize(20..300);
        let batch = json!({
            "evaluations": vec![&asked; count], "options": { "evaluations_semantic": "deny_on_first_deny" },
        });
        let (reply, ()) = tokio::join!(tooling.post("/access/v1/evaluations", &batch), allow(false));
        if reply.status == 503 {
            assert_eq!(reply.code(), "facts_changing", "{reply:?}");
            continue;
        }
        let answers: &Vec<Value> = reply.json["evaluations"].as_array().unwrap();
        ends_where_it_must("deny_on_first_deny", count, answers);
        let recorded = log()[before..].lines().filter(|line| is_allowed_read(line)).count();
        let answered = answers.iter().filter(|answer| answer["decision"] == true).count();
        late += u64::from(recorded > answered && answered < count);
    }
}

fn is_allowed_read(line: &str) -> bool {
    let record: Value = serde_json::from_str(line).unwrap();
    record["decision"] == true && record["resource_type"] == "DiagnosticData"
}
