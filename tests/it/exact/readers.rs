//! Those who ask all the time: one question or many at once, over TCP with a token or through the Unix socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::history::{Asked, CATEGORIES, Read, Span};
use super::stage::Stage;
use crate::support::{Connection, request};

static BATCHES: AtomicU64 = AtomicU64::new(0);

/// A token is minted anew after so many requests: the clock is turned, and tokens end.
const TOKEN_REQUESTS: u64 = 20;

/// Asks until the history is over.
pub async fn read(stage: Arc<Stage>, mut rng: fastrand::Rng, through_socket: bool) {
    let house = &stage.house;
    let mut connection = if through_socket {
        Connection::through(&stage.files.path().join("socket")).await
    } else {
        Connection::to(house).await
    };
    let tooling = house.tooling();
    let (mut token, mut requests) = (String::new(), 0);
    while !stage.is_over() {
        if !through_socket && requests % TOKEN_REQUESTS == 0 {
            token = format!("Bearer {}", tooling.token());
        }
        requests += 1;
        let count = if rng.u8(..4) == 0 { rng.usize(2..30) } else { 1 };
        // A part of the batches is one question, again and again.
        let same = rng.bool().then(|| ask(&mut rng));
        let asked: Vec<Asked> = (0..count).map(|_| same.unwrap_or_else(|| ask(&mut rng))).collect();
        let semantics = ["execute_all", "execute_all", "deny_on_first_deny", "permit_on_first_permit"];
        let semantic = semantics[rng.usize(..semantics.len())];
        let (path, body) = if count == 1 {
            ("/access/v1/evaluation", question(asked[0]))
        } else {
            let questions: Vec<Value> = asked.iter().map(|asked| question(*asked)).collect();
            let options = json!({ "evaluations_semantic": semantic });
            ("/access/v1/evaluations", json!({ "evaluations": questions, "options": options }))
        };
        let headers = [("authorization", token.as_str())];
        let bytes = request("POST", path, if through_socket { &[] } else { &headers }, &body.to_string());
        let from = stage.now();
        let (status, answer) = connection.send(&bytes).await.answer().await;
        let span = Span { from, to: stage.now() };
        let json: Value = serde_json::from_slice(&answer).unwrap();
        if status == 503 && json["code"] == "facts_changing" {
            stage.undecided.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert_eq!(status, 200, "{json}");
        let batch = (count > 1).then(|| BATCHES.fetch_add(1, Ordering::Relaxed));
        let answers = if count > 1 { json["evaluations"].as_array().unwrap().clone() } else { vec![json] };
        if count > 1 {
            ends_where_it_must(semantic, count, &answers);
        }
        stage.record(asked.into_iter().zip(&answers).map(|(asked, answer)| seen(asked, span, batch, answer)).collect());
    }
}

fn ask(rng: &mut fastrand::Rng) -> Asked {
    let case = rng.usize(..3);
    // Under the support request of another portal nobody asks for another tenant's data.
    let tenant = if case == 2 || rng.u8(..4) == 0 { "contoso" } else { "fabrikam" };
    let engineer = if rng.u8(..4) == 0 { "vendor/bob" } else { "vendor/ada" };
    Asked { case, engineer, tenant, category: rng.usize(..2) }
}

fn question(asked: Asked) -> Value {
    let resource = format!("{}/{}", asked.tenant, CATEGORIES[asked.category]);
    crate::support::question(asked.engineer, "read", &resource, &format!("SR-{}", asked.case))
}

/// A batch ends with the first answer that its semantic waits for, and only there.
pub fn ends_where_it_must(semantic: &str, asked: usize, answers: &[Value]) {
    let ends = |answer: &Value| match semantic {
        "deny_on_first_deny" => answer["decision"] == false,
        "permit_on_first_permit" => answer["decision"] == true,
        _ => false,
    };
    let expected = answers.iter().position(ends).map_or(asked, |first| first + 1);
    assert_eq!(answers.len(), expected, "{semantic}: {answers:?}");
}

fn seen(asked: Asked, span: Span, batch: Option<u64>, answer: &Value) -> Read {
    let context = &answer["context"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    Read {
        decision_id: text(&context["decision_id"]),
        asked,
        span,
        batch,
        allowed: answer["decision"].as_bool().unwrap(),
        code: text(&context["reason"]["code"]),
        policies: context["policies"].as_array().unwrap().iter().map(|policy| text(&policy["id"])).collect(),
        version: text(&context["policy_version"]),
        revision: context["facts_revision"].as_u64(),
    }
}
