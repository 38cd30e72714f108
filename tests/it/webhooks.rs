//! Webhooks (R21-R23): every event arrives, signed, in the order of its request, whatever the endpoint does; and carries
//! what the tenant's own lists show.

mod operator;
pub mod receiver;
mod tls;
mod unreliable;

use std::time::Duration;

use consentry::outbox::EndpointStatus;
use http::Method;
use serde_json::{Value, json};

use self::receiver::{Manner, Receiver};
use crate::support::House;

/// Whoever waits for longer than this waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Retries are due by the clock that is turned by hand; the rest of these times is real.
pub const SETTINGS: &str = "[webhooks]\nlook_every_ms = 5\ntimeout_ms = 300\nfirst_retry_ms = 1000\n\
                            longest_retry_ms = 60000\ndead_after_ms = 3600000\n";

/// A house in which both tenants have an endpoint.
pub async fn connected() -> (House, Receiver, Receiver) {
    let (contoso, fabrikam) = (Receiver::open().await, Receiver::open().await);
    let settings =
        [SETTINGS, &contoso.settings("siem", "contoso"), &fabrikam.settings_with_key("hooks", "fabrikam")].concat();
    (House::start_with(&format!("server.metrics_listen = \"127.0.0.1:0\"\n{settings}")).await, contoso, fabrikam)
}

/// Waits until an endpoint has been told everything that there was when this was called.
pub async fn told(house: &House, endpoint: &str) {
    let looks = looks(house, endpoint);
    comes_to(house, endpoint, |status| status.looks >= looks + 2 && status.waiting == 0).await;
}

/// Waits until an endpoint's courier has looked at what there is, twice.
pub async fn looked(house: &House, endpoint: &str) {
    let looks = looks(house, endpoint);
    comes_to(house, endpoint, |status| status.looks >= looks + 2).await;
}

/// Waits until so many tries of an endpoint have failed.
pub async fn fails(house: &House, endpoint: &str, times: u64) {
    comes_to(house, endpoint, |status| status.failed >= times).await;
}

fn looks(house: &House, endpoint: &str) -> u64 {
    house.app().edge().outbox.watch(endpoint).unwrap().borrow().looks
}

async fn comes_to(house: &House, endpoint: &str, is_so: impl FnMut(&EndpointStatus) -> bool) {
    let mut status = house.app().edge().outbox.watch(endpoint).unwrap();
    let came = tokio::time::timeout(PATIENCE, status.wait_for(is_so)).await.is_ok();
    assert!(came, "{endpoint}: {:?}", *status.borrow());
}

/// Turns the clock until an endpoint has been told everything.
pub async fn told_in_time(house: &House, endpoint: &str) {
    let mut status = house.app().edge().outbox.watch(endpoint).unwrap();
    let looks = status.borrow().looks;
    while !{
        let now = status.borrow_and_update();
        now.looks >= looks + 2 && now.waiting == 0
    } {
        house.clock.advance_millis(1_000);
        status.changed().await.unwrap();
    }
}

#[tokio::test]
async fn each_tenant_is_told_what_its_own_lists_show() {
    let (house, contoso, fabrikam) = connected().await;
    house.grant().await;
    house.clock.advance_millis(1_000);
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.denies("advanced_diagnostics_not_allowed", "vendor/ada", "contoso/signInLogs", "SR-1").await;
    let dee = house.admin("fabrikam", "dee");
    let approved = dee.get("/v1/consents?view=approved").await;
    let consent = approved.json["items"][0]["id"].as_str().unwrap().to_owned();
    house.clock.advance_millis(1_000);
    assert_eq!(dee.post(&format!("/v1/consents/{consent}/revoke"), &json!({})).await.status, 200);
    told(&house, "siem").await;
    told(&house, "hooks").await;

    let reads = dee.get("/v1/audit-log/reads").await.json["items"].clone();
    let read = format!("read-{}", reads[0]["decision_id"].as_str().unwrap());
    assert_eq!(contoso.ids(), ["announcement-1", "activity-1", "activity-2"]);
    assert_eq!(fabrikam.ids(), ["announcement-1", "activity-1", &read, "activity-2"]);
    for (receiver, tenant, admin) in
        [(&contoso, "contoso", house.admin("contoso", "cyd")), (&fabrikam, "fabrikam", dee)]
    {
        let log = admin.get("/v1/audit-log").await.json["items"].clone();
        for got in receiver.taken() {
            let (kind, data) = (got.id.split('-').next().unwrap(), &got.event["data"]);
            let shown = |list: &Value, member: &str| {
                list.as_array().unwrap().iter().find(|entry| entry[member] == data[member]).cloned().unwrap()
            };
            let kind = match kind {
                "activity" => {
                    assert_eq!(*data, shown(&log, "number"));
                    "activity"
                }
                "read" => {
                    assert_eq!(*data, shown(&reads, "decision_id"));
                    "read"
                }
                _ => "pending",
            };
            let mut envelope = got.event.clone();
            envelope.as_object_mut().unwrap().remove("data");
            let expected = json!({
                "specversion": "1.0", "id": got.id, "source": format!("urn:consentry:tenant:{tenant}"),
                "type": format!("consentry.support_access.{kind}"), "subject": "SR-1", "time": data["time"],
                "datacontenttype": "application/json",
            });
            assert_eq!(envelope, expected);
            assert!((1_795_341_600..1_795_341_700).contains(&got.timestamp), "{}", got.timestamp);
        }
    }
    let announced = &fabrikam.taken()[0].event["data"];
    let expected = json!({
        "number": 1, "time": "2026-11-22T10:00:00.000Z", "consent": consent, "part": "resource_tenant",
        "access_request": approved.json["items"][0]["access_request"],
        "support_request": { "number": "N-SR-1", "summary": "summary of SR-1" },
        "reason": "sign-in fails", "requested_by": "vendor/ada",
    });
    assert_eq!(*announced, expected);
}

#[tokio::test]
async fn an_endpoint_gets_the_events_that_it_wants_from_when_it_is_there() {
    let receiver = Receiver::open().await;
    let mut house = House::start_with("").await;
    house.grant().await;
    let settings = format!("{SETTINGS}{}events = [\"reads\"]\n", receiver.settings("reads", "fabrikam"));
    house.config = crate::support::config(house.folder.path(), &settings);
    house.restart().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.close("SR-1").await;
    house.open("SR-2", "fabrikam", "vendor/ada").await;
    told(&house, "reads").await;
    let ids = receiver.ids();
    assert!(matches!(ids.as_slice(), [read] if read.starts_with("read-")), "{ids:?}");
}

#[tokio::test]
async fn an_announcement_gives_nobody_any_right() {
    let (house, _, fabrikam) = connected().await;
    let (_, consent) = house.asked().await;
    told(&house, "hooks").await;
    let announced = fabrikam.taken()[0].event["data"].clone();
    assert_eq!(announced["consent"], consent.as_str());
    // Whoever has got hold of it knows an id, and no more.
    for who in [house.person("fabrikam", "nobody", &[], &[]), house.admin("contoso", "cyd"), house.engineer("ada")] {
        for path in ["", "/approve"] {
            let path = format!("/v1/consents/{}{path}", announced["consent"].as_str().unwrap());
            let method = if path.ends_with("approve") { Method::POST } else { Method::GET };
            assert_eq!(who.send(method, &path, None).await.problem(), (404, "not_found", ""), "{} {path}", who.id);
        }
    }
    house.denies("awaiting_consent", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
}

#[tokio::test]
async fn a_failure_of_any_kind_is_tried_again_until_the_endpoint_is_back() {
    for manner in Manner::BAD {
        let (house, contoso, fabrikam) = connected().await;
        fabrikam.answers(manner);
        house.grant().await;
        fails(&house, "hooks", 1).await;
        told(&house, "siem").await;
        assert_eq!(contoso.ids().len(), 3, "what fabrikam's endpoint does is nothing to contoso's");
        // One of the two is tried, and it alone, until it is delivered.
        assert!(fabrikam.got().iter().all(|got| got.id == "announcement-1"), "{manner:?}");
        house.clock.advance_millis(1_000);
        if manner == Manner::AsksForTime {
            looked(&house, "hooks").await;
            assert_eq!(fabrikam.got().len(), 1, "a minute is not over yet");
            house.clock.advance_millis(60_000);
        }
        fails(&house, "hooks", 2).await;
        fabrikam.answers(Manner::TakesWithGarbage);
        told_in_time(&house, "hooks").await;
        assert_eq!(fabrikam.ids(), ["announcement-1", "activity-1"], "{manner:?}");
        assert_eq!(fabrikam.got().iter().filter(|got| got.manner.is_good()).count(), 2, "{manner:?}");
    }
}
