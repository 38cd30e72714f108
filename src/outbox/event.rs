//! Events as they are sent: `CloudEvents` 1.0 in structured JSON mode, and callbacks as the AuthZEN Access Request and Approval
//! Profile has them. The same thing always makes the same bytes.

use bytes::Bytes;
use serde::Serialize;

use super::entry::{ActivityEntry, AnnouncementEntry, ReadEntry};
use crate::audit::ReadRecord;
use crate::model::{TaskStatus, TenantId, Timestamp};
use crate::store::{NumberedActivity, NumberedAnnouncement};

/// An event: its id, by which receivers tell that they have it already, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: Bytes,
}

/// A `CloudEvents` 1.0 envelope.
#[derive(Serialize)]
struct CloudEvent<'a, D> {
    specversion: &'static str,
    id: &'a str,
    /// With the id, unique.
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'static str,
    data: &'a D,
}

impl Event {
    /// A request waits for the tenant (R23).
    pub(super) fn announced(announced: &NumberedAnnouncement) -> Self {
        let NumberedAnnouncement { number, announcement } = announced;
        let id = format!("announcement-{number}");
        let (about, at) = (announcement.support_request.as_str(), announcement.at);
        let data = AnnouncementEntry::of(announced);
        Self::new(id, "consentry.support_access.pending", &announcement.tenant, about, &at.to_string(), &data)
    }

    /// An entry of the tenant's audit log (R21).
    pub(super) fn logged(logged: &NumberedActivity) -> Self {
        let NumberedActivity { number, activity } = logged;
        let id = format!("activity-{number}");
        let (about, at) = (activity.support_request.as_str(), activity.at);
        let data = ActivityEntry::of(logged);
        Self::new(id, "consentry.support_access.activity", &activity.tenant, about, &at.to_string(), &data)
    }

    /// A read of the tenant's data (R22).
    pub(super) fn read(tenant: &TenantId, read: &ReadRecord) -> Self {
        let id = format!("read-{}", read.decision_id);
        let data = ReadEntry::of(read);
        Self::new(id, "consentry.support_access.read", tenant, &read.support_request, &read.time, &data)
    }

    /// A task has ended (section 10 of the profile). A notification: the approval is fetched from the task, by whoever may.
    pub(super) fn of_task(id: &str, status: TaskStatus, address: &str, state: Option<&str>) -> Self {
        #[derive(Serialize)]
        struct Callback<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            state: Option<&'a str>,
            task: Task<'a>,
        }
        #[derive(Serialize)]
        struct Task<'a> {
            id: &'a str,
            status: &'static str,
            status_endpoint: &'a str,
        }
        let callback = Callback { state, task: Task { id, status: status.as_str(), status_endpoint: address } };
        // Strings: they serialise.
        Self { id: format!("task-{id}"), body: serde_json::to_vec(&callback).unwrap_or_default().into() }
    }

    fn new<D: Serialize>(
        id: String,
        kind: &'static str,
        tenant: &TenantId,
        subject: &str,
        time: &str,
        data: &D,
    ) -> Self {
        let event = CloudEvent {
            specversion: "1.0",
            id: &id,
            // Letters, digits and `-._:@` stand in a URN as they are.
            source: format!("urn:consentry:tenant:{tenant}"),
            kind,
            subject,
            time,
            datacontenttype: "application/json",
            data,
        };
        // Strings, numbers and lists of ours: they serialise.
        let body = serde_json::to_vec(&event).unwrap_or_default().into();
        Self { id, body }
    }
}

/// An event with what its letter needs to know of it.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) number: u64,
    pub(super) about: String,
    pub(super) at: Timestamp,
    pub(super) event: Event,
}
