//! The entries of a tenant's lists, in the one shape in which they are shown, exported and sent: nothing in them that the
//! tenant may not know (R18, R19).

use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::{DecisionId, ReadRecord};
use crate::model::{
    ACTIVITY_CATEGORY, AccessRequestId, ActivityKind, Actor, Category, ConsentId, PersonId, ReceiptId,
    SupportRequestId, Timestamp,
};
use crate::store::{NumberedActivity, NumberedAnnouncement};

/// A request that waits for the tenant's decision (R23).
#[derive(Debug, Serialize)]
pub(crate) struct AnnouncementEntry<'a> {
    number: u64,
    time: String,
    consent: &'a str,
    part: &'static str,
    access_request: &'a str,
    support_request: SupportRequestLine<'a>,
    reason: &'a str,
    requested_by: &'a str,
}

#[derive(Debug, Serialize)]
struct SupportRequestLine<'a> {
    number: &'a str,
    summary: &'a str,
}

impl<'a> AnnouncementEntry<'a> {
    pub(crate) fn of(announced: &'a NumberedAnnouncement) -> Self {
        let announcement = &announced.announcement;
        Self {
            number: announced.number,
            time: announcement.at.to_string(),
            consent: announcement.consent.as_str(),
            part: announcement.part.as_str(),
            access_request: announcement.access_request.as_str(),
            support_request: SupportRequestLine { number: &announcement.number, summary: &announcement.summary },
            reason: &announcement.reason,
            requested_by: announcement.requested_by.as_str(),
        }
    }
}

/// An entry of a tenant's audit log (R21).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLogEntry)]
pub(crate) struct ActivityEntry<'a> {
    number: u64,
    #[schema(value_type = Timestamp)]
    time: String,
    category: &'static str,
    activity: ActivityKind,
    actor: ActorView<'a>,
    #[schema(value_type = SupportRequestId)]
    support_request: &'a str,
    #[schema(value_type = AccessRequestId)]
    access_request: &'a str,
    #[schema(value_type = ConsentId)]
    consent: &'a str,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = Actor)]
enum ActorView<'a> {
    Person { id: &'a str },
    Service { name: &'a str },
}

impl<'a> ActivityEntry<'a> {
    pub(crate) fn of(entry: &'a NumberedActivity) -> Self {
        let activity = &entry.activity;
        Self {
            number: entry.number,
            time: activity.at.to_string(),
            category: ACTIVITY_CATEGORY,
            activity: activity.kind,
            actor: match &activity.actor {
                Actor::Person(person) => ActorView::Person { id: person.as_str() },
                Actor::Service(name) => ActorView::Service { name },
            },
            support_request: activity.support_request.as_str(),
            access_request: activity.access_request.as_str(),
            consent: activity.consent.as_str(),
        }
    }
}

/// An allowed read, in its resource tenant's log (R22).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReadEntry)]
pub(crate) struct ReadEntry<'a> {
    #[schema(value_type = Timestamp)]
    time: &'a str,
    category: &'static str,
    activity: &'static str,
    #[schema(value_type = DecisionId)]
    decision_id: &'a str,
    #[schema(value_type = PersonId)]
    support_engineer: &'a str,
    action: &'a str,
    #[schema(value_type = Category)]
    data_category: &'a str,
    #[schema(required)]
    item: Option<&'a str>,
    #[schema(value_type = SupportRequestId)]
    support_request: &'a str,
    #[schema(value_type = Option<AccessRequestId>, required)]
    access_request: Option<&'a str>,
    #[schema(value_type = Vec<ConsentId>)]
    consents: &'a [String],
    #[schema(value_type = Vec<Option<ReceiptId>>)]
    receipts: &'a [Option<String>],
}

impl<'a> ReadEntry<'a> {
    pub(crate) fn of(record: &'a ReadRecord) -> Self {
        Self {
            time: &record.time,
            category: ACTIVITY_CATEGORY,
            activity: "Diagnostic data read",
            decision_id: &record.decision_id,
            support_engineer: &record.subject,
            action: &record.action,
            data_category: &record.category,
            item: record.item.as_deref(),
            support_request: &record.support_request,
            access_request: record.access_request.as_deref(),
            consents: &record.consents,
            receipts: &record.receipts,
        }
    }
}
