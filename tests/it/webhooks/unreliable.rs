//! Random doings under several support requests, an endpoint that fails at random, restarts: at least once, in order for a
//! request, and no request waits for another.

use std::collections::HashMap;

use fastrand::Rng;
use serde_json::json;

use super::receiver::{Got, Manner, Receiver};
use super::{SETTINGS, fails, looked, told_in_time};
use crate::support::effort::{effort, random};
use crate::support::{House, Person};

const REQUESTS: usize = 4;

/// What fabrikam's lists show, as ids of events, in the order of each request.
async fn expected(house: &House, dee: &Person) -> HashMap<String, Vec<String>> {
    let mut events: Vec<(String, u8, u64, String, String)> = Vec::new();
    for entry in dee.get("/v1/audit-log?limit=200").await.json["items"].as_array().unwrap() {
        let number = entry["number"].as_u64().unwrap();
        let text = |member: &str| entry[member].as_str().unwrap().to_owned();
        events.push((text("time"), 1, number, text("support_request"), format!("activity-{number}")));
    }
    let reads = dee.get("/v1/audit-log/reads?limit=200").await.json["items"].as_array().unwrap().clone();
    for (number, entry) in (0..).zip(reads.iter().rev()) {
        let text = |member: &str| entry[member].as_str().unwrap().to_owned();
        events.push((text("time"), 2, number, text("support_request"), format!("read-{}", text("decision_id"))));
    }
    let store = house.app().store();
    let told = consentry::store::Store::announcements_after(&**store, "fabrikam".parse().unwrap(), 0, 1_000).await;
    for told in told.unwrap() {
        let announced = told.announcement;
        let (at, about) = (announced.at.to_string(), announced.support_request.to_string());
        events.push((at, 0, told.number, about, format!("announcement-{}", told.number)));
    }
    events.sort();
    let mut of_request: HashMap<String, Vec<String>> = HashMap::new();
    for (_, _, _, about, id) in events {
        of_request.entry(about).or_default().push(id);
    }
    of_request
}

async fn does_something(house: &House, dice: &mut Rng) {
    let (dee, cyd, ada) = (house.admin("fabrikam", "dee"), house.admin("contoso", "cyd"), house.engineer("ada"));
    let id = format!("SR-{}", dice.usize(..REQUESTS));
    match dice.u8(..8) {
        0 | 1 => {
            let body = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "why not" });
            ada.post("/v1/access-requests", &body).await;
        }
        2..=4 => {
            for admin in [cyd, dee] {
                let waiting = admin.get("/v1/consents?view=pending").await;
                let Some(consent) = waiting.json["items"][0]["id"].as_str() else { continue };
                let command = if dice.u8(..6) == 0 { "reject" } else { "approve" };
                admin.post(&format!("/v1/consents/{consent}/{command}"), &json!({})).await;
            }
        }
        5 => {
            let approved = dee.get("/v1/consents?view=approved").await;
            let Some(consent) = approved.json["items"][0]["id"].as_str() else { return };
            dee.post(&format!("/v1/consents/{consent}/revoke"), &json!({})).await;
        }
        _ => drop(house.may_read("vendor/ada", "fabrikam/signInLogs", &id).await),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_in_the_order_of_its_request_whatever_the_endpoint_does() {
    let mut dice = random("every_event_arrives_in_the_order_of_its_request");
    for _ in 0..effort(2) {
        let receiver = Receiver::open().await;
        let mut house = House::start_with(&format!("{SETTINGS}{}", receiver.settings("hooks", "fabrikam"))).await;
        for request in 0..REQUESTS {
            house.open(&format!("SR-{request}"), "contoso", "vendor/ada").await;
        }
        let mut whims = dice.fork();
        receiver.chooses(move |_| match whims.u8(..10) {
            0..=3 => *whims.choice(&Manner::BAD).unwrap(),
            4 => Manner::TakesWithGarbage,
            _ => Manner::Takes,
        });
        for _ in 0..80 {
            does_something(&house, &mut dice).await;
            house.clock.advance_millis(dice.i64(1..2_000));
            if dice.u8(..20) == 0 {
                house.restart().await;
            }
        }
        told_in_time(&house, "hooks").await;
        let expected = expected(&house, &house.admin("fabrikam", "dee")).await;
        assert!(expected.values().map(Vec::len).sum::<usize>() > 10, "{expected:?}");
        let mut arrived: HashMap<String, Vec<String>> = HashMap::new();
        let got = receiver.got();
        for got in receiver.taken() {
            arrived.entry(got.about().to_owned()).or_default().push(got.id);
        }
        assert_eq!(arrived, expected);
        // Nothing was tried before all that came before it in its request was taken.
        for (place, tried) in got.iter().enumerate() {
            let taken = |id: &String| got[..place].iter().any(|before| before.id == *id && before.manner.is_good());
            let earlier = expected[tried.about()].iter().take_while(|id| **id != tried.id);
            assert!(earlier.clone().all(taken), "{} came before one of {:?}", tried.id, earlier.collect::<Vec<_>>());
        }
        assert!(got.iter().any(|got| !got.manner.is_good()));
    }
}

#[tokio::test]
async fn a_request_that_fails_holds_back_no_other() {
    let receiver = Receiver::open().await;
    let house = House::start_with(&format!("{SETTINGS}{}", receiver.settings("hooks", "fabrikam"))).await;
    receiver.chooses(|got: &Got| if got.about() == "SR-1" { Manner::Fails(500) } else { Manner::Takes });
    house.grant().await;
    fails(&house, "hooks", 1).await;
    house.open("SR-2", "contoso", "vendor/ada").await;
    house.ask(&house.engineer("ada"), "SR-2", "fabrikam").await;
    house.approve(&house.admin("fabrikam", "dee")).await;
    let mut status = house.app().edge().outbox.watch("hooks").unwrap();
    status.wait_for(|status| status.delivered == 2).await.unwrap();
    assert_eq!(receiver.ids(), ["announcement-2", "activity-2"]);
    assert_eq!(receiver.got().iter().filter(|got| got.about() == "SR-1").count(), 1);
    looked(&house, "hooks").await;
}
