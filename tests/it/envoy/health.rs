//! `grpc.health.v1.Health` on the listener that Envoy asks.

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::gate::{EXAMPLE, Gate};

const AUTHORIZATION: &str = "envoy.service.auth.v3.Authorization";

async fn client(gate: &Gate) -> HealthClient<Channel> {
    let address = gate.house.app().ext_authz_address().unwrap();
    let endpoint = Endpoint::new(format!("http://{address}")).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> Result<i32, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(client.check(request).await?.into_inner().status)
}

/// Takes the log's folder away, and returns when that was noticed.
async fn lose_the_log(gate: &Gate) {
    let folder = gate.house.folder.path();
    std::fs::rename(folder.join("decisions"), folder.join("elsewhere")).unwrap();
    for _ in 0..2_000 {
        if gate.house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await.status == 503 {
            assert_eq!(gate.house.tooling().get("/readyz").await.status, 503);
            return;
        }
    }
    panic!("nobody notices");
}

#[tokio::test]
async fn health_is_what_readiness_is_at_that_moment() {
    let gate = Gate::with(EXAMPLE).await;
    // Without a token, over TCP too: whoever looks after the service need not be able to ask.
    let mut client = client(&gate).await;
    for service in ["", AUTHORIZATION] {
        assert_eq!(check(&mut client, service).await.unwrap(), ServingStatus::Serving as i32, "{service}");
    }
    assert_eq!(check(&mut client, "another.Service").await.unwrap_err().code(), Code::NotFound);
    lose_the_log(&gate).await;
    for service in ["", AUTHORIZATION] {
        assert_eq!(check(&mut client, service).await.unwrap(), ServingStatus::NotServing as i32, "{service}");
    }
}

#[tokio::test]
async fn whoever_watches_is_told_and_keeps_no_stop_waiting() {
    let mut gate = Gate::with(EXAMPLE).await;
    let mut client = client(&gate).await;
    let request = HealthCheckRequest { service: AUTHORIZATION.to_owned() };
    let mut watched = client.watch(request).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    lose_the_log(&gate).await;
    assert_eq!(watched.message().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
    let folder = gate.house.folder.path();
    std::fs::rename(folder.join("elsewhere"), folder.join("decisions")).unwrap();
    assert_eq!(watched.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    let stopping = tokio::spawn(async move { gate.house.stop().await });
    assert_eq!(watched.message().await.unwrap(), None, "the stream has an end");
    stopping.await.unwrap();
}
