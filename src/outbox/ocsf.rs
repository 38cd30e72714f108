//! Entries of a tenant's logs as events of the Open Cybersecurity Schema Framework, version 1.8.0, which SIEMs read.
//!
//! An activity is Entity Management (3004): what is managed is the tenant's consent. It is no User Access Management: that
//! one names the privileges a user gets, and one consent of two gives none; whether it was the last one is nothing that this
//! tenant is told (R19). A read is API Activity (6003), Read: an engineer's call for the tenant's data. Datastore Activity
//! would have to name a database, bucket or table.

use serde_json::{Map, Value, json};

use crate::audit::ReadRecord;
use crate::model::{ACTIVITY_CATEGORY, ActivityKind, Actor, TenantId, Timestamp};
use crate::store::NumberedActivity;

/// The version of the schema.
pub const OCSF_VERSION: &str = "1.8.0";

/// A number of the schema's with its caption.
type Caption = (u32, &'static str);

/// What kind of event it is: category, class, activity.
type Kind = [Caption; 3];

/// An entry of the audit log (R21).
#[must_use]
pub fn activity(entry: &NumberedActivity) -> Value {
    let NumberedActivity { number, activity } = entry;
    let kind = [(3, "Identity & Access Management"), (3004, "Entity Management"), change(activity.kind)];
    let name = activity.kind.as_str();
    let (access_request, support_request) = (activity.access_request.as_str(), activity.support_request.as_str());
    let mut metadata = metadata(&format!("activity-{number}"), &activity.tenant, name);
    metadata.insert("sequence".to_owned(), json!(number));
    metadata.insert("correlation_uid".to_owned(), json!(access_request));
    let actor = match &activity.actor {
        Actor::Person(person) => json!({ "user": { "uid": person.as_str(), "type_id": 1, "type": "User" } }),
        Actor::Service(name) => json!({ "app_uid": name }),
    };
    let own = json!({
        "metadata": metadata,
        "message": format!("{name} for support request {support_request}"),
        "actor": actor,
        "entity": {
            "uid": activity.consent.as_str(), "type_id": 99, "type": "Support access consent",
            "data": { "access_request": access_request, "support_request": support_request },
        },
    });
    event(&kind, activity.at, own)
}

/// What becomes of the consent, in the schema's words; for some it has none.
const fn change(kind: ActivityKind) -> Caption {
    match kind {
        ActivityKind::RequestCreated => (1, "Create"),
        ActivityKind::ApprovalNarrowed => (3, "Update"),
        ActivityKind::RequestApproved | ActivityKind::ApprovalApproved => (10, "Activate"),
        ActivityKind::ApprovalRemoved => (11, "Deactivate"),
        ActivityKind::RequestRejected | ActivityKind::ApprovalRejected => (99, "Reject"),
        ActivityKind::RequestCanceled => (99, "Cancel"),
    }
}

/// An allowed read (R22).
#[must_use]
pub fn read(tenant: &TenantId, read: &ReadRecord) -> Value {
    let ReadRecord { category, support_request, access_request, .. } = read;
    let kind = [(6, "Application Activity"), (6003, "API Activity"), (2, "Read")];
    let mut metadata = metadata(&format!("read-{}", read.decision_id), tenant, "Diagnostic data read");
    metadata.extend(access_request.iter().map(|id| ("correlation_uid".to_owned(), json!(id))));
    let uid = match &read.item {
        Some(item) => format!("{tenant}/{category}/{item}"),
        None => format!("{tenant}/{category}"),
    };
    let own = json!({
        "metadata": metadata,
        "message": format!("{category} read for support request {support_request}"),
        "actor": { "user": { "uid": read.subject, "type_id": 1, "type": "User" } },
        "api": {
            "operation": read.action, "service": { "name": "diagnostic data" }, "request": { "uid": read.decision_id },
        },
        // The sidecar is asked by the vendor's tooling, which does not say from where it is used.
        "src_endpoint": { "svc_name": "diagnostic tooling" },
        "resources": [{ "uid": uid, "name": category, "type": "DiagnosticData" }],
        "unmapped": {
            "support_request": support_request, "access_request": access_request, "consents": read.consents,
            "receipts": read.receipts,
        },
    });
    event(&kind, read.time.parse().unwrap_or(Timestamp::from_millis(0)), own)
}

fn metadata(id: &str, tenant: &TenantId, code: &str) -> Map<String, Value> {
    [
        ("version", json!(OCSF_VERSION)),
        ("product", json!({ "name": "Consentry", "version": env!("CARGO_PKG_VERSION") })),
        ("uid", json!(id)),
        ("tenant_uid", json!(tenant.as_str())),
        ("log_name", json!(ACTIVITY_CATEGORY)),
        ("event_code", json!(code)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// What every event has, and what it has of its own.
fn event(kind: &Kind, at: Timestamp, own: Value) -> Value {
    let [category, class, activity] = kind;
    let mut event = json!({
        "category_uid": category.0, "category_name": category.1,
        "class_uid": class.0, "class_name": class.1,
        "activity_id": activity.0, "activity_name": activity.1,
        "type_uid": class.0 * 100 + activity.0, "type_name": format!("{}: {}", class.1, activity.1),
        "time": at.as_millis(),
        "severity_id": 1, "severity": "Informational",
        "status_id": 1, "status": "Success",
    });
    if let (Value::Object(event), Value::Object(own)) = (&mut event, own) {
        event.extend(own);
    }
    event
}
