//! Consents: administrators see and decide their own tenant's.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::consents::{Limits, Listing};
use super::super::views::ConsentView;
use super::operation::{Described, Head, get, post};
use super::problems::{DENIED, INVALID_REQUEST, INVALID_SCOPE, NOT_FOUND, UNREAD, WRONG_CONTENT_TYPE};
use super::schema::{ConsentPage, NoScope, ReceiptEnvelope};
use crate::model::ConsentId;

pub(super) const TAG: &str = "Consents";

pub(super) fn operations() -> Vec<Described> {
    let scope = || json!({ "categories": ["signInLogs"], "until": "2026-12-01T00:00:00Z" });
    vec![
        consents(get("/v1/consents", "listConsents", "A tenant's consents"))
            .says(
                "`pending`: what waits for a decision. `approved`: what no longer waits, in the resource tenant alone, while \
                 it is in force and for 30 days after (R16).",
            )
            .query::<Listing>(&[], Vec::new())
            .refuses(&[&INVALID_REQUEST, &NOT_FOUND, &UNREAD])
            .answers::<ConsentPage>(StatusCode::OK, Head::Plain, "Newest first.", json!({ "pending_count": 0, "items": [consent()] })),
        one(get("/v1/consents/{id}", "getConsent", "A consent"))
            .refuses(&[&INVALID_REQUEST, &UNREAD])
            .answers::<ConsentView<'_>>(StatusCode::OK, Head::Versioned, "As it is.", consent()),
        one(get("/v1/consents/{id}/receipt", "getReceipt", "The receipt of an approval"))
            .refuses(&[&INVALID_REQUEST, &UNREAD])
            .answers::<ReceiptEnvelope>(
                StatusCode::OK,
                Head::Plain,
                "A signed statement that can be verified offline.",
                json!({
                    "payloadType": "application/vnd.in-toto+json", "payload": "eyJfdHlwZSI6Li4ufQ==",
                    "signatures": [{ "keyid": "9f86d081884c7d65", "sig": "MEUCIQ==" }],
                }),
            ),
        decided(post("/v1/consents/{id}/approve", "approveConsent", "Approves it"))
            .says("Without a scope: everything, until the support request closes.")
            .refuses(&[&INVALID_SCOPE])
            .may_take::<Limits>(scope()),
        decided(post("/v1/consents/{id}/reject", "rejectConsent", "Rejects it"))
            .says("The answer has advice for the customer (R12).")
            .refuses(&[&INVALID_REQUEST])
            .may_take::<NoScope>(json!({})),
        decided(post("/v1/consents/{id}/narrow", "narrowConsent", "Takes a part of an approval away"))
            .says("Names `categories`, `until` or both, and nothing beyond what was approved.")
            .refuses(&[&INVALID_SCOPE])
            .takes::<Limits>(scope()),
        decided(post("/v1/consents/{id}/revoke", "revokeConsent", "Removes access"))
            .says("Takes effect at once (R13).")
            .refuses(&[&INVALID_REQUEST])
            .may_take::<NoScope>(json!({})),
    ]
}

fn consents(described: Described) -> Described {
    described.tagged(TAG).authenticated().refuses(&[&DENIED])
}

fn one(described: Described) -> Described {
    consents(described).at::<ConsentId>("Its id.").refuses(&[&NOT_FOUND])
}

fn decided(described: Described) -> Described {
    one(described).precise(true).refuses(&[&WRONG_CONTENT_TYPE]).answers::<ConsentView<'_>>(
        StatusCode::OK,
        Head::Versioned,
        "As it is now; no process decides by what was before.",
        consent(),
    )
}

fn consent() -> Value {
    json!({
        "id": "co-000ecd8b111a479385a3854db5812053", "part": "resource_tenant", "status": "approved", "in_force": true,
        "access_request": "ar-8d1807c09c114b0db2c7fb1917b922cd",
        "support_request": { "number": "2611220040001", "summary": "Guests cannot sign in" },
        "reason": "The guest accounts live in Woodgrove; I need their sign-in logs.", "requested_by": "vendor/ada",
        "requested_at": "2026-11-22T05:58:57.364Z",
        "scope": { "categories": ["signInLogs"], "until": "2026-12-01T00:00:00.000Z" },
        "decided_by": "woodgrove/dee", "decided_at": "2026-11-22T05:58:57.599Z", "ended_at": null,
    })
}
