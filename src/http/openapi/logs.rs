//! The tenants' logs, and explanations of what stands in them.

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, ObjectBuilder};

use super::super::audit_log::{Format, Listing};
use super::super::explanations::{Asked, ExplanationView};
use super::operation::{Described, Head, Schemas, get, schemas_of};
use super::problems::{DENIED, INVALID_REQUEST, NOT_FOUND, UNREAD};
use crate::audit::DecisionId;
use crate::model::{ActivityKind, Category, PersonId, SupportRequestId, Timestamp};
use crate::outbox::entry::{ActivityEntry, ReadEntry};

pub(super) const AUDIT_LOG: &str = "Audit log";
pub(super) const EXPLANATIONS: &str = "Explanations";

const FILTERED: &str = "All filters must hold. A cursor keeps its filters: give it alone, or with the same ones. `limit` is at most 200 \
                        without a `format`. With one the answer is lines, and the last of them names a cursor where there is more.";

pub(super) fn operations() -> Vec<Described> {
    let activities = get("/v1/audit-log", "listAuditLog", "The tenant's audit log of support access")
        .query::<Listing>(&["data_category"], named_by_filters())
        .answers_page_or_lines::<ActivityEntry<'_>>(json!({ "items": [activity()] }), lines());
    let reads = get("/v1/audit-log/reads", "listReads", "Every allowed read of the tenant's data")
        .query::<Listing>(&["activity"], named_by_filters())
        .answers_page_or_lines::<ReadEntry<'_>>(json!({ "items": [read()] }), lines());
    let logs = [activities, reads].map(|described| {
        let described = described.tagged(AUDIT_LOG).authenticated().says(FILTERED);
        described.refuses(&[&INVALID_REQUEST, &DENIED, &NOT_FOUND, &UNREAD])
    });
    let explained = get("/v1/decisions/{id}/explanation", "explainDecision", "Why a read was decided so")
        .tagged(EXPLANATIONS)
        .authenticated()
        .says("`time` says when it was decided; without it the newest part of the log is looked through.")
        .at::<DecisionId>("The decision's id.")
        .query::<Asked>(&[], schemas_of::<Timestamp>())
        .refuses(&[&INVALID_REQUEST, &DENIED, &NOT_FOUND, &UNREAD])
        .answers::<ExplanationView>(
            StatusCode::OK,
            Head::Plain,
            "On the facts that the caller may know.",
            explanation(),
        );
    logs.into_iter().chain([explained]).collect()
}

fn named_by_filters() -> Schemas {
    let named = [
        schemas_of::<Timestamp>(),
        schemas_of::<ActivityKind>(),
        schemas_of::<PersonId>(),
        schemas_of::<SupportRequestId>(),
        schemas_of::<Category>(),
        schemas_of::<Format>(),
    ];
    named.into_iter().flatten().collect()
}

/// JSON lines: entries as in the list, or OCSF events.
fn lines() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build()
}

fn activity() -> Value {
    json!({
        "number": 4, "time": "2026-11-22T05:58:57.599Z", "category": "MicrosoftSupportAccessManagement",
        "activity": "Approval approved", "actor": { "type": "person", "id": "woodgrove/dee" }, "support_request": "SR-1",
        "access_request": "ar-8d1807c09c114b0db2c7fb1917b922cd", "consent": "co-000ecd8b111a479385a3854db5812053",
    })
}

fn read() -> Value {
    json!({
        "time": "2026-11-22T06:01:12.010Z", "category": "MicrosoftSupportAccessManagement",
        "activity": "Diagnostic data read", "decision_id": "840cb7c824de243ef6b6d478debc8efd",
        "support_engineer": "vendor/ada", "action": "read", "data_category": "signInLogs", "item": null,
        "support_request": "SR-1", "access_request": "ar-8d1807c09c114b0db2c7fb1917b922cd",
        "consents": ["co-3d1f0c2a9b8e47f6a5b4c3d2e1f00918", "co-000ecd8b111a479385a3854db5812053"],
        "receipts": [null, null],
    })
}

fn explanation() -> Value {
    json!({
        "decision_id": "840cb7c824de243ef6b6d478debc8efd", "time": "2026-11-22T06:01:12.010Z",
        "question": {
            "support_engineer": "vendor/ada", "action": "read", "resource": "woodgrove/signInLogs", "support_request": "SR-1",
        },
        "facts_told": "own_part", "facts": "recorded", "policy_version": "55d381eff1d4d3c1", "decision": true,
        "reason": { "code": "permitted", "message": "both tenants have approved, for this resource tenant" },
        "determining": [], "nearest_permits": [],
    })
}
