//! Access requests after denials, followed as tasks (AuthZEN Access Request and Approval Profile 1.0, Draft 1).

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, ResponseBuilder};

use super::super::tasks::{Cancellation, Submission, TaskView};
use super::operation::{Described, Head, delete, get, post, schemas_of};
use super::problems::{
    INVALID_REQUEST, INVALID_SUBMISSION, MAY_NOT_REQUEST, NOT_SERVED, SUBMISSION_CONFLICT, SUBMISSION_EXPIRED,
    TASK_CONFLICT, UNKNOWN_CASE, UNKNOWN_TASK, UNREAD, WRONG_CONTENT_TYPE,
};
use crate::model::AccessRequestId;
use crate::signing::jwks::KeySet;

pub(super) const TAG: &str = "Access requests after denials";

pub(super) fn operations() -> Vec<Described> {
    let submit = post("/access/v1/requests", "submitAccessRequest", "Asks for the access that was denied")
        .says(
            "By the engineer whom the denial is about, with their own token (R10). One denial leads to one access request. \
             Bundles (`items`) are not taken.",
        )
        .takes::<Submission>(submission())
        .once(&SUBMISSION_CONFLICT)
        .refuses(&[&INVALID_SUBMISSION, &MAY_NOT_REQUEST, &UNKNOWN_CASE, &SUBMISSION_EXPIRED, &WRONG_CONTENT_TYPE])
        .answers::<TaskView<'_>>(StatusCode::ACCEPTED, Head::Located, "It is created, and waits for others.", pending());
    let status = get("/access/v1/requests/{id}", "getTask", "What became of it")
        .says("For whoever asked for it, or is assigned now; who decided is not told (R20).")
        .at::<AccessRequestId>("Its id.")
        .refuses(&[&INVALID_REQUEST, &MAY_NOT_REQUEST, &UNKNOWN_TASK, &UNREAD])
        .answers::<TaskView<'_>>(StatusCode::OK, Head::Polled, "As it is.", approved());
    let path = "/access/v1/requests/{id}/cancel";
    let cancels =
        [post(path, "cancelTask", "Withdraws it"), delete(path, "withdrawTask", "The same, by another method")].map(
            |described| {
                described
                    .says("What is pending of it is canceled. A task that has ended stays as it ended.")
                    .at::<AccessRequestId>("Its id.")
                    .may_take::<Cancellation>(json!({ "reason": "the customer has sent the data" }))
                    .once(&TASK_CONFLICT)
                    .refuses(&[&INVALID_REQUEST, &MAY_NOT_REQUEST, &UNKNOWN_TASK, &WRONG_CONTENT_TYPE])
                    .answers::<TaskView<'_>>(StatusCode::OK, Head::Plain, "It has ended.", ended())
            },
        );
    let tasks = [submit, status].into_iter().chain(cancels).map(Described::authenticated);
    tasks.chain([keys(), schema()]).map(|described| described.tagged(TAG)).collect()
}

fn keys() -> Described {
    let set = ContentBuilder::new().schema(Some(Ref::from_schema_name("KeySet"))).example(Some(super::service::keys()));
    let response = ResponseBuilder::new().description("A JWK set.").content("application/jwk-set+json", set.build());
    let mut keys = get("/access/v1/jwks", "getTaskKeys", "The keys of what denials and approvals carry")
        .refuses(&[&NOT_SERVED])
        .responds_with(StatusCode::OK, response.build());
    keys.schemas.extend(schemas_of::<KeySet>());
    keys
}

fn schema() -> Described {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let content = ContentBuilder::new().schema(Some(object)).build();
    let response = ResponseBuilder::new().description("A JSON schema.").content("application/schema+json", content);
    get("/access/v1/request-schema", "getRequestSchema", "What a submission has to say beside the denied question")
        .refuses(&[&NOT_SERVED])
        .responds_with(StatusCode::OK, response.build())
}

const ID: &str = "ar-8d1807c09c114b0db2c7fb1917b922cd";

fn submission() -> Value {
    json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" },
        "action": { "name": "read" },
        "resource": { "type": "DiagnosticData", "id": "woodgrove/signInLogs" },
        "context": {
            "support_request": "SR-1",
            "business_justification": "The guest accounts live in Woodgrove; I need their sign-in logs.",
        },
        "denial": {
            "evaluation_id": "840cb7c824de243ef6b6d478debc8efd", "evaluated_at": "2026-11-22T05:58:57.102Z",
            "expires_at": "2026-11-22T06:13:57.102Z", "binding_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
        },
        "requested_access": { "requested_until": "2026-12-01T00:00:00Z" },
    })
}

fn task(status: &str) -> Value {
    let address = format!("https://consentry.example/access/v1/requests/{ID}");
    json!({ "id": ID, "status": status, "status_endpoint": address })
}

fn pending() -> Value {
    let address = format!("https://consentry.example/access/v1/requests/{ID}");
    json!({ "task": {
        "id": ID,
        "status": "pending",
        "status_endpoint": address,
        "progress": { "total_steps": 2, "awaiting": ["support_request_tenant", "resource_tenant"] },
        "links": { "cancel": format!("{address}/cancel") },
    } })
}

fn approved() -> Value {
    let approval = json!({
        "id": "ap-8d1807c09c114b0db2c7fb1917b922cd", "approved_at": "2026-11-22T06:00:12.001Z",
        "approved_until": "2026-11-23T06:01:00.000Z", "state": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
    });
    json!({ "task": task("approved"), "result": { "mode": "reevaluate", "approval": approval } })
}

fn ended() -> Value {
    json!({ "task": task("cancelled") })
}
