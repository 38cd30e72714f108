//! `/healthz` and `/readyz`: is the process alive, and may it be sent work (G6: a bad reload shows here too).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::router::reply;
use super::{Edge, Entrance};

/// Whether every part works.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// Each part: `ok`, or why not.
    checks: BTreeMap<&'static str, String>,
    policy_version: String,
    /// Why the newest policies were refused; those before serve on.
    #[schema(required)]
    refused_policies: Option<String>,
    lost_records: u64,
    /// Why the log's tree or its heads are behind. Not how much: how long the log is tells what the whole service does (R19).
    #[schema(required)]
    trail: Option<String>,
    /// What is wrong with the machine's clock.
    #[schema(required)]
    clock: Option<String>,
    /// Of a member of a fleet alone. Not how far the store is: that tells what everybody does (R19).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lease: Option<LeaseView>,
}

/// A lease on the facts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lease)]
struct LeaseView {
    /// For how long answers may still be made of them; 0 when it has run out.
    remaining_ms: u64,
}

impl LeaseView {
    fn of(remaining: Option<Duration>) -> Self {
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self { remaining_ms: remaining.map_or(0, millis) }
    }
}

/// `GET /healthz`
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 when every part works, 503 with the reasons when not.
pub(super) async fn readyz(State(entrance): State<Entrance>) -> Response {
    let edge = &entrance.edge;
    let parts = edge.parts();
    let ready = parts.iter().all(|(_, health)| health.is_ok());
    // A refused reload is told, and so is a clock that was set back. Neither is a reason to send no work: the good policies
    // serve on (G6), by the time before.
    let refused = edge.refused_policies().map(|error| error.to_string());
    let shown = |health: &Result<(), String>| match health {
        Ok(()) => "ok".to_owned(),
        Err(cause) => cause.clone(),
    };
    let checks = parts.iter().map(|(name, health)| (*name, shown(health))).collect();
    let trail = edge.log.trail();
    let readiness = Readiness {
        ready,
        checks,
        policy_version: edge.policy_version(),
        refused_policies: refused,
        lost_records: edge.log.lost(),
        // Why, and not how much: how long the log is tells what the whole service does (R19).
        trail: trail.trouble.or(trail.publish_trouble).or(trail.post_trouble),
        clock: edge.clock.trouble(),
        lease: edge.replica.lease().map(|lease| LeaseView::of(lease.remaining)),
    };
    reply(if ready { 200 } else { 503 }, None, &readiness)
}

impl Edge {
    /// The parts that must work, and what is wrong with those that do not.
    fn parts(&self) -> [(&'static str, Result<(), String>); 3] {
        [
            ("replica", self.replica.fresh().map(|_| ()).map_err(|cause| cause.to_string())),
            ("store", self.workflow.store_health()),
            ("decision_log", self.log.health()),
        ]
    }

    /// Whether it may be sent work.
    pub(super) fn is_ready(&self) -> bool {
        self.parts().iter().all(|(_, health)| health.is_ok())
    }
}
