//! `/healthz` and `/readyz`: is the process alive, and may it be sent work (G6: a bad reload shows here too).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{Edge, Entrance};

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
    let checks: serde_json::Map<String, serde_json::Value> =
        parts.iter().map(|(name, health)| ((*name).to_owned(), shown(health).into())).collect();
    let trail = edge.log.trail();
    let mut body = json!({
        "ready": ready,
        "checks": checks,
        "policy_version": edge.policy_version(),
        "refused_policies": refused,
        "lost_records": edge.log.lost(),
        // Why, and not how much: how long the log is tells what the whole service does (R19).
        "trail": trail.trouble.or(trail.publish_trouble).or(trail.post_trouble),
        "clock": edge.clock.trouble(),
    });
    // Not how far the store is: that tells what everybody does (R19).
    if let (Some(lease), Some(members)) = (edge.replica.lease(), body.as_object_mut()) {
        let remaining_ms = lease.remaining.map(|remaining| u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX));
        members.insert("lease".to_owned(), json!({ "remaining_ms": remaining_ms.unwrap_or(0) }));
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
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
