//! `grpc.health.v1.Health`: what `/readyz` says, for whoever asks by gRPC once (`Check`) or all the time (`Watch`).

use std::sync::Arc;
use std::time::Duration;

use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use parking_lot::Mutex;
use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::Door;
use crate::http::Edge;

/// How often is looked for those who watch.
const PERIOD: Duration = Duration::from_millis(250);

/// The health of the service, as gRPC tells of it.
#[derive(Debug, Clone)]
pub(in crate::http) struct Pulse {
    edge: Arc<Edge>,
    reporter: HealthReporter,
    told: Arc<Mutex<Option<bool>>>,
    pub(super) service: HealthServer<HealthService>,
}

impl Pulse {
    pub(in crate::http) fn of(edge: Arc<Edge>) -> Self {
        let reporter = HealthReporter::new();
        let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        Self { edge, reporter, told: Arc::default(), service }
    }

    /// The services that have a health: the whole server, and the one that Envoy asks.
    fn services() -> [&'static str; 2] {
        ["", AuthorizationServer::<Door>::NAME]
    }

    /// Looks, and tells when it has changed.
    pub(super) async fn beat(&self) {
        let ready = self.edge.is_ready();
        if self.told.lock().replace(ready) == Some(ready) {
            return;
        }
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in Self::services() {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Looks again and again for those who watch. When it is dropped nobody is told any more.
    pub(in crate::http) async fn go_on(self) {
        loop {
            self.beat().await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Ends the streams of those who watch: they are no requests that a stop waits for.
    pub(in crate::http) async fn end(mut self) {
        for service in Self::services() {
            self.reporter.clear_service_status(service).await;
        }
    }
}
