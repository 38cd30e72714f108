//! The decision API: AuthZEN 1.0, sections 6, 7 and 8.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::search::Search;
use super::super::wire;
use super::operation::{Described, Head, post};
use super::problems::{INVALID_QUESTION, MAY_NOT_ASK, UNDECIDED};
use super::schema::{EvaluationAnswer, EvaluationsAnswer, SearchAnswer};

pub(super) const TAG: &str = "Decisions";

pub(super) fn operations() -> Vec<Described> {
    let question = json!({
        "subject": engineer(), "action": { "name": "read" }, "resource": data("woodgrove/signInLogs"),
        "context": { "support_request": "SR-1" },
    });
    let batch = json!({
        "subject": engineer(), "action": { "name": "read" }, "context": { "support_request": "SR-1" },
        "evaluations": [{ "resource": data("woodgrove/signInLogs") }, { "resource": data("woodgrove/auditLogs") }],
        "options": { "evaluations_semantic": "execute_all" },
    });
    let one = post("/access/v1/evaluation", "evaluate", "May this engineer read this data?")
        .says("One question, one answer, with a reason. `action`, `subject` and `resource` can also be those of a workflow question.");
    let many = post("/access/v1/evaluations", "evaluateBatch", "A batch of questions").says(
        "What a question leaves out is taken from the batch. A question that is malformed is answered in its place with \
         `\"decision\": false` and `context.error`. `server.max_batch` (1,000) bounds the questions.",
    );
    let found = |result: Value| json!({ "page": { "next_token": "", "count": 1, "total": 1 }, "results": [result] });
    let resources = json!({
        "subject": engineer(), "action": { "name": "read" }, "resource": { "type": "DiagnosticData" },
        "context": { "support_request": "SR-1" }, "page": { "limit": 4 },
    });
    let actions = json!({
        "subject": engineer(), "resource": data("woodgrove/signInLogs"), "context": { "support_request": "SR-1" },
    });
    let subjects = json!({
        "subject": { "type": "SupportEngineer" }, "action": { "name": "read" }, "resource": data("woodgrove/signInLogs"),
        "context": { "support_request": "SR-1" },
    });
    vec![
        decided(one).takes::<wire::Evaluation<'_>>(question).answers::<EvaluationAnswer>(
            StatusCode::OK,
            Head::Plain,
            "The decision.",
            answer(),
        ),
        decided(many).takes::<wire::Evaluations<'_>>(batch).answers::<EvaluationsAnswer>(
            StatusCode::OK,
            Head::Plain,
            "The decisions, in the order of the questions.",
            json!({ "evaluations": [answer(), { "decision": false, "context": { "error": {
                "status": 400, "message": "missing field `resource`", "field": "resource",
            } } }] }),
        ),
        search(
            post("/access/v1/search/subject", "searchSubjects", "Who may do this with this resource?"),
            subjects,
            found(engineer()),
        ),
        search(
            post("/access/v1/search/resource", "searchResources", "With which data may this engineer do this?"),
            resources,
            found(data("woodgrove/signInLogs")),
        ),
        search(
            post("/access/v1/search/action", "searchActions", "What may this engineer do with this resource?"),
            actions,
            found(json!({ "name": "read" })),
        ),
    ]
}

fn decided(described: Described) -> Described {
    described.tagged(TAG).authenticated().refuses(&[&INVALID_QUESTION, &MAY_NOT_ASK, &UNDECIDED])
}

fn search(described: Described, request: Value, answer: Value) -> Described {
    decided(described).takes::<Search<'_>>(request).answers::<SearchAnswer>(
        StatusCode::OK,
        Head::Plain,
        "What was found, on one state of the facts.",
        answer,
    )
}

fn engineer() -> Value {
    json!({ "type": "SupportEngineer", "id": "vendor/ada" })
}

fn data(id: &str) -> Value {
    json!({ "type": "DiagnosticData", "id": id })
}

fn answer() -> Value {
    json!({
        "decision": true,
        "context": {
            "decision_id": "840cb7c824de243ef6b6d478debc8efd",
            "reason": { "code": "permitted", "message": "both tenants have approved, for this resource tenant" },
            "policies": [{ "id": "reading.cross-tenant.both-consents", "rules": ["R6", "R8"], "effect": "permit" }],
            "policy_version": "55d381eff1d4d3c1",
            "facts_revision": 6,
        },
    })
}
