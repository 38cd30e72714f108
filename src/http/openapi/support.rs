//! Tenants, support requests and access requests: what the ticketing system tells, and what engineers ask for.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::views::{AccessRequestView, SupportRequestView, TenantView};
use super::super::{access_requests, support_requests, tenants};
use super::operation::{Described, Head, get, patch, post, put, schemas_of};
use super::problems::{DENIED, INVALID_REQUEST, NOT_FOUND, UNREAD, WRONG_CONTENT_TYPE};
use crate::model::{AccessRequestId, SupportRequestId, TenantId};

pub(super) const TENANTS: &str = "Tenants";
pub(super) const SUPPORT_REQUESTS: &str = "Support requests";
pub(super) const ACCESS_REQUESTS: &str = "Access requests";

pub(super) fn operations() -> Vec<Described> {
    vec![
        register(),
        of_support_requests(post("/v1/support-requests", "openSupportRequest", "Opens a support request"))
            .precise(false)
            .takes::<support_requests::Opening>(json!({
                "id": "SR-1", "number": "2611220040001", "summary": "Guests cannot sign in", "tenant": "tailspin",
                "submitted_in": "admin_center", "advanced_diagnostic_information": false, "assignee": "vendor/ada",
            }))
            .refuses(&[&WRONG_CONTENT_TYPE])
            .answers::<SupportRequestView<'_>>(StatusCode::CREATED, Head::Both, "It is open.", support_request()),
        of_support_requests(get("/v1/support-requests", "listSupportRequests", "Those assigned to the caller"))
            .refuses(&[&NOT_FOUND, &UNREAD])
            .query::<support_requests::Listing>(&[], Vec::new())
            .answers_page::<SupportRequestView<'_>>(json!({ "items": [support_request()] })),
        of_support_requests(get("/v1/support-requests/{id}", "getSupportRequest", "A support request"))
            .at::<SupportRequestId>("The ticketing system's id.")
            .refuses(&[&NOT_FOUND, &UNREAD])
            .answers::<SupportRequestView<'_>>(StatusCode::OK, Head::Versioned, "As it is.", support_request()),
        changed(patch("/v1/support-requests/{id}", "updateSupportRequest", "Tells what the customer has changed"))
            .says("What is left out stays.")
            .takes::<support_requests::Update>(json!({ "summary": "Guests cannot sign in since Monday" }))
            .refuses(&[&WRONG_CONTENT_TYPE]),
        changed(put("/v1/support-requests/{id}/assignee", "assignSupportRequest", "Assigns it to somebody or nobody"))
            .says("Takes access from the one before, at once.")
            .takes::<support_requests::Assignment>(json!({ "assignee": "vendor/ben" }))
            .refuses(&[&WRONG_CONTENT_TYPE]),
        changed(post("/v1/support-requests/{id}/close", "closeSupportRequest", "Closes it"))
            .says("Ends every consent under it, at once (R14)."),
        changed(post("/v1/support-requests/{id}/reopen", "reopenSupportRequest", "Opens it again"))
            .says("Brings no access back (R15)."),
        of_access_requests(post("/v1/access-requests", "createAccessRequest", "Asks for access to a tenant's data"))
            .precise(false)
            .takes::<access_requests::Creation>(json!({
                "support_request": "SR-1", "resource_tenant": "woodgrove",
                "reason": "The guest accounts live in Woodgrove; I need their sign-in logs.",
            }))
            .refuses(&[&NOT_FOUND, &WRONG_CONTENT_TYPE])
            .answers::<AccessRequestView<'_>>(StatusCode::CREATED, Head::Located, "It is created.", access_request()),
        of_access_requests(get("/v1/access-requests", "listAccessRequests", "Those the caller created"))
            .says("Or all under one support request, on one page, which has no cursor.")
            .refuses(&[&NOT_FOUND, &UNREAD])
            .query::<access_requests::Listing>(&[], schemas_of::<SupportRequestId>())
            .answers_page::<AccessRequestView<'_>>(json!({ "items": [access_request()] })),
        of_access_requests(get("/v1/access-requests/{id}", "getAccessRequest", "An access request"))
            .at::<AccessRequestId>("Its id.")
            .refuses(&[&NOT_FOUND, &UNREAD])
            .answers::<AccessRequestView<'_>>(StatusCode::OK, Head::Plain, "As it is.", access_request()),
        of_access_requests(post("/v1/access-requests/{id}/cancel", "cancelAccessRequest", "Takes it back"))
            .says("What is pending of it is canceled, what is approved completed.")
            .at::<AccessRequestId>("Its id.")
            .precise(false)
            .refuses(&[&NOT_FOUND])
            .answers::<AccessRequestView<'_>>(StatusCode::OK, Head::Plain, "It has ended.", access_request()),
    ]
}

fn register() -> Described {
    let tenant = || json!({ "id": "tailspin", "display_name": "Tailspin" });
    put("/v1/tenants/{id}", "registerTenant", "Makes a tenant known")
        .tagged(TENANTS)
        .authenticated()
        .at::<TenantId>("The tenant's id.")
        .precise(true)
        .takes::<tenants::Registration>(json!({ "display_name": "Tailspin" }))
        .refuses(&[&INVALID_REQUEST, &DENIED, &WRONG_CONTENT_TYPE])
        .answers::<TenantView<'_>>(StatusCode::CREATED, Head::Versioned, "It is new.", tenant())
        .answers::<TenantView<'_>>(StatusCode::OK, Head::Versioned, "It was known.", tenant())
}

fn of_support_requests(described: Described) -> Described {
    described.tagged(SUPPORT_REQUESTS).authenticated().refuses(&[&INVALID_REQUEST, &DENIED])
}

fn of_access_requests(described: Described) -> Described {
    described.tagged(ACCESS_REQUESTS).authenticated().refuses(&[&INVALID_REQUEST, &DENIED])
}

fn changed(described: Described) -> Described {
    of_support_requests(described)
        .at::<SupportRequestId>("The ticketing system's id.")
        .precise(true)
        .refuses(&[&NOT_FOUND])
        .answers::<SupportRequestView<'_>>(StatusCode::OK, Head::Versioned, "As it is now.", support_request())
}

fn support_request() -> Value {
    json!({
        "id": "SR-1", "number": "2611220040001", "summary": "Guests cannot sign in", "tenant": "tailspin",
        "submitted_in": "admin_center", "advanced_diagnostic_information": false, "assignee": "vendor/ada",
        "status": "open", "opened_at": "2026-11-22T05:58:57.102Z", "closed_at": null,
    })
}

fn access_request() -> Value {
    json!({
        "id": "ar-8d1807c09c114b0db2c7fb1917b922cd", "support_request": "SR-1", "resource_tenant": "woodgrove",
        "requested_by": "vendor/ada", "reason": "The guest accounts live in Woodgrove; I need their sign-in logs.",
        "created_at": "2026-11-22T05:58:57.364Z", "status": "pending", "missing_consents": ["resource_tenant"],
        "consents": [
            {
                "part": "support_request_tenant", "tenant": "tailspin", "status": "approved",
                "scope": { "categories": ["signInLogs"], "until": null },
            },
            { "part": "resource_tenant", "tenant": "woodgrove", "status": "pending" },
        ],
    })
}
