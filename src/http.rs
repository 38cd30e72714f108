//! The HTTP edge: who calls, what they say, one call into the house, and its answer rendered.
//!
//! What lives here: listeners, routes, JSON shapes, problem details. What does not: decisions of any kind.

mod access_requests;
mod aside;
mod audit_log;
mod authenticate;
mod body;
mod consents;
mod evaluation;
mod explanations;
mod ext_authz;
mod front;
mod guest;
mod health;
mod metrics;
mod openapi;
mod opening;
mod operator;
mod page;
mod precise;
mod problem;
mod quiet;
mod rest;
mod router;
mod search;
mod server;
mod support_requests;
mod tasks;
mod tenants;
mod views;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::audit::DecisionLog;
use crate::clock::Clock;
use crate::decision::{Decisions, Guest};
use crate::identity::{Caller, Identity, LastToken};
use crate::outbox::Outbox;
use crate::policy::{LoadError, Policies};
use crate::reference::References;
use crate::replica::Replica;
use crate::signing::TrustedKeys;
use crate::workflow::Workflow;

pub use body::Room;
pub use ext_authz::{CheckCounts, check_router};
pub use problem::Problem;
pub use router::router;
pub use server::{Listeners, Serving, serve};

/// The parts of the house that the edge calls.
#[derive(Debug)]
pub struct Edge {
    /// Tokens to callers.
    pub identity: Identity,
    /// Reads.
    pub decisions: Decisions,
    /// Decisions by another model instead, where one is served.
    pub guest: Option<Arc<Guest>>,
    /// Everything else.
    pub workflow: Workflow,
    /// Where decisions are recorded.
    pub log: Arc<DecisionLog>,
    /// What tenants are told.
    pub outbox: Arc<Outbox>,
    /// The keys by which receipts are verified.
    pub receipt_keys: TrustedKeys,
    /// What callers carry from a denial to an access request and on; none: the profile is not served.
    pub references: Option<References>,
    /// For readiness.
    pub replica: Arc<Replica>,
    /// For readiness and the bundle's version.
    pub policies: Arc<Policies>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What requests may be.
    pub limits: Limits,
    /// Room for the bodies that are being read or worked on.
    pub room: Room,
    /// How Envoy was answered.
    pub ext_authz: CheckCounts,
    /// The URL under which others reach us (AuthZEN 1.0, section 9).
    pub public_url: String,
    /// Everybody on this machine may ask for decisions over TCP.
    pub insecure_loopback: bool,
}

impl Edge {
    /// The version of what answers decisions: of the guest model, or of the bundle.
    #[must_use]
    pub fn policy_version(&self) -> String {
        let guest = self.guest.as_ref().map(|guest| guest.models().current().version().to_string());
        guest.unwrap_or_else(|| self.policies.current().version().to_string())
    }

    /// Why the last reload was refused: of the guest model, or else of the bundle.
    fn refused_policies(&self) -> Option<Arc<LoadError>> {
        let guest = self.guest.as_ref().and_then(|guest| guest.models().refused());
        guest.or_else(|| self.policies.refused())
    }
}

/// What requests may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The most questions in one batch.
    pub batch: usize,
    /// How long a client may take over a body.
    pub read_timeout: Duration,
}

/// Through which listener a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// TCP: callers bring a token.
    Tcp,
    /// The Unix domain socket: callers are known by file permission.
    UnixSocket,
}

/// What a handler knows: the edge, and how the request came.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The edge.
    pub edge: Arc<Edge>,
    /// How.
    pub via: Via,
    /// Who calls without a token, where that is possible: one caller per listener, so that what is known of it is kept.
    pub local: Option<Caller>,
    /// The token that the connection brought last, where it is known which connection it is.
    pub last_token: Option<Arc<LastToken>>,
}
