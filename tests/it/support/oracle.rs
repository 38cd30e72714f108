//! The oracle: rules R1-R23 as a small, slow, obviously right model of the whole service.
//!
//! It is a list of what happened, and every answer is a scan of that list from its beginning. It was written from
//! `policies/README.md` and `docs/`, shares no code with `src/` and knows no policy. Give it the commands, ask it anything,
//! and compare with what the service says.

#![expect(clippy::wildcard_enum_match_arm, reason = "each fact is about a few of the things that happen")]

mod commands;
mod facts;
mod may;
mod people;
mod reading;
mod views;

use serde_json::{Value, json};

pub use commands::Command;
pub use facts::{Opening, Portal, Scope, Status};
pub use may::May;
pub use people::{PEOPLE, Person, person};
pub use reading::{Answer, Question};
pub use views::{View, capitalized, name_of, name_of_request, name_of_support_request, reason};

/// Milliseconds since 1970, or a length of time in milliseconds.
pub type Millis = i64;

/// Every tenant there can be. The first two are registered from the beginning.
pub const TENANTS: [&str; 5] = ["contoso", "fabrikam", "northwind", "vendor", "tailspin"];

/// The categories of diagnostic data, in the order in which answers list them.
pub const CATEGORIES: [&str; 6] = [
    "directoryObjects",
    "serviceConfiguration",
    "signInLogs",
    "auditLogs",
    "deviceRegistrationLogs",
    "serviceHealthTelemetry",
];

/// A consent: one tenant's part of an access request. Access requests are numbered 1, 2, 3 ... as they are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Consent {
    pub request: usize,
    pub tenant: &'static str,
}

/// Something that happened.
#[derive(Debug, Clone)]
struct Event {
    at: Millis,
    by: &'static Person,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Registered(&'static str),
    Opened(Opening),
    /// The customer's setting was changed (R5).
    Allowed(usize, bool),
    Assigned(usize, Option<&'static Person>),
    Renamed(usize, String),
    Closed(usize),
    Reopened(usize),
    Asked {
        request: usize,
        support_request: usize,
        resource_tenant: &'static str,
    },
    Withdrawn(usize),
    Approved(Consent, Scope),
    Rejected(Consent),
    /// With the scope that remains.
    Narrowed(Consent, Scope),
    Revoked(Consent),
}

/// What the service says: the status, and what stands in the answer. Ids are `request 1` and `contoso of request 1`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    pub status: u16,
    /// Of a refusal.
    pub code: &'static str,
    /// The number in the `ETag`.
    pub version: Option<u64>,
    /// The whole body; of a refusal the members besides status, code and texts.
    pub body: Value,
}

impl Reply {
    /// All of it, to be compared.
    pub fn told(&self) -> Value {
        json!({ "status": self.status, "code": self.code, "version": self.version, "body": self.body })
    }

    fn is(body: Value) -> Self {
        Self { status: 200, body, ..Self::default() }
    }

    fn refused(status: u16, code: &'static str) -> Self {
        Self { status, code, ..Self::default() }
    }

    fn not_found() -> Self {
        Self::refused(404, "not_found")
    }
}

/// Everything that happened so far.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// The time it is.
    pub now: Millis,
    events: Vec<Event>,
    reads: Vec<reading::Read>,
}

impl Oracle {
    /// A new service: contoso and fabrikam are registered, and nothing has happened.
    pub fn new(now: Millis) -> Self {
        let registered = |tenant| Event { at: now, by: person("ticketing"), what: What::Registered(tenant) };
        Self { now, events: TENANTS[..2].iter().copied().map(registered).collect(), reads: Vec::new() }
    }

    fn happened(&mut self, by: &'static Person, what: What) {
        self.events.push(Event { at: self.now, by, what });
    }
}
