//! Dead letters, as operators see them, and what they do about them.

use http::Method;
use serde_json::Value;

use super::receiver::Manner;
use super::{connected, fails, told, told_in_time};
use crate::support::{House, Person};

/// Whoever can reach the operator's listener.
fn operator(house: &House) -> Person {
    let url = format!("http://{}", house.app().metrics_address().unwrap());
    house.tooling().holding("").at(&url)
}

async fn dead(operator: &Person, query: &str) -> (Vec<Value>, Option<String>) {
    let page = operator.get(&format!("/webhooks/hooks/dead-letters{query}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    (page.json["items"].as_array().unwrap().clone(), page.json["next_cursor"].as_str().map(ToOwned::to_owned))
}

#[tokio::test]
async fn letters_that_are_given_up_are_listed_and_sent_again_when_an_operator_says_so() {
    let (mut house, _contoso, fabrikam) = connected().await;
    fabrikam.answers(Manner::Fails(500));
    house.grant().await;
    fails(&house, "hooks", 1).await;
    // An hour later they are as old as any may get; each is tried before it is given up.
    house.clock.advance_millis(3_600_000);
    told_in_time(&house, "hooks").await;
    assert!(fabrikam.got().iter().any(|got| got.id == "activity-1"));
    house.restart().await;
    let (first, next) = dead(&operator(&house), "?limit=1").await;
    let (rest, end) = dead(&operator(&house), &format!("?limit=1&cursor={}", next.unwrap())).await;
    assert_eq!(end, None);
    let letters: Vec<Value> = first.into_iter().chain(rest).collect();
    assert_eq!((&letters[0]["stream"], &letters[0]["number"]), (&"activities".into(), &1.into()));
    assert_eq!((&letters[1]["stream"], &letters[1]["number"]), (&"announcements".into(), &1.into()));
    for letter in &letters {
        assert_eq!((&letter["support_request"], &letter["failure"]), (&"SR-1".into(), &"status 500".into()));
        assert!(letter["attempts"].as_u64().unwrap() >= 1);
        assert!(letter["died_at"].as_str().unwrap() >= "2026-11-22T11:00:00");
    }
    let metrics = operator(&house).get("/metrics").await.text;
    assert!(metrics.contains("consentry_webhook_tries_total{outcome=\"died\"} 0"), "since this start: {metrics}");

    fabrikam.answers(Manner::Takes);
    let said = operator(&house).send(Method::POST, "/webhooks/hooks/redrive", None).await;
    assert_eq!(said.status, 202, "{said:?}");
    let mut status = house.app().edge().outbox.watch("hooks").unwrap();
    status.wait_for(|status| status.delivered == 2).await.unwrap();
    told_in_time(&house, "hooks").await;
    assert_eq!(fabrikam.ids(), ["announcement-1", "activity-1"]);
    house.restart().await;
    assert_eq!(dead(&operator(&house), "").await.0, Vec::<Value>::new());
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_gone_is_left_alone_until_an_operator_says_otherwise() {
    let (mut house, _contoso, fabrikam) = connected().await;
    fabrikam.answers(Manner::Fails(410));
    house.grant().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    // Nobody turns the clock: nothing is tried again.
    told(&house, "hooks").await;
    assert_eq!(fabrikam.got().len(), 1);
    let seen = operator(&house).get("/webhooks").await;
    let states: Vec<_> =
        seen.json["items"].as_array().unwrap().iter().map(|one| (&one["gone"], &one["died"])).collect();
    assert_eq!(states, [(&false.into(), &0.into()), (&true.into(), &3.into())], "{seen:?}");
    let metrics = operator(&house).get("/metrics").await.text;
    assert!(metrics.contains("consentry_webhook_gone{} 1"), "{metrics}");

    // A start asks once more: the address may be another one by now.
    house.restart().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    told(&house, "hooks").await;
    assert_eq!(fabrikam.got().len(), 2);
    house.restart().await;
    let (letters, _) = dead(&operator(&house), "").await;
    let why = |number: usize| (letters[number]["failure"].as_str().unwrap(), letters[number]["attempts"].as_u64());
    assert_eq!(letters.len(), 4);
    // The first that was tried at either start, and what was behind it.
    assert_eq!((0..4).filter(|at| why(*at) == ("status 410", Some(1))).count(), 2, "{letters:?}");
    assert_eq!((0..4).filter(|at| why(*at) == ("the endpoint is gone", Some(0))).count(), 2, "{letters:?}");

    fabrikam.answers(Manner::Takes);
    let said = operator(&house).send(Method::POST, "/webhooks/hooks/redrive", None).await;
    assert_eq!(said.status, 202, "{said:?}");
    let mut status = house.app().edge().outbox.watch("hooks").unwrap();
    status.wait_for(|status| status.delivered == 4 && !status.gone).await.unwrap();
    assert_eq!(fabrikam.ids().len(), 4);
    assert_eq!(dead(&operator(&house), "").await.0, Vec::<Value>::new());
}

#[tokio::test]
async fn operators_see_how_each_endpoint_does_and_nobody_else_does() {
    let (house, _, fabrikam) = connected().await;
    fabrikam.answers(Manner::Fails(503));
    house.grant().await;
    fails(&house, "hooks", 1).await;
    told_in_time(&house, "siem").await;
    let seen = operator(&house).get("/webhooks").await;
    let [siem, hooks] = seen.json["items"].as_array().unwrap().as_slice() else { panic!("{seen:?}") };
    assert_eq!((&siem["name"], &siem["delivered"], &siem["waiting"]), (&"siem".into(), &3.into(), &0.into()));
    assert_eq!((&hooks["tenant"], &hooks["last_failure"]), (&"fabrikam".into(), &"status 503".into()));
    let metrics = operator(&house).get("/metrics").await.text;
    assert!(metrics.contains("consentry_webhook_tries_total{outcome=\"delivered\"} 3"), "{metrics}");
    for (path, field) in [
        ("/webhooks/nobody/dead-letters", 404),
        ("/webhooks/hooks/dead-letters?limit=0", 400),
        ("/webhooks/hooks/dead-letters?cursor=x", 400),
    ] {
        assert_eq!(operator(&house).get(path).await.status, field, "{path}");
    }
    assert_eq!(operator(&house).send(Method::POST, "/webhooks/nobody/redrive", None).await.status, 404);
    // Not where tenants come in.
    for path in ["/webhooks", "/webhooks/hooks/dead-letters", "/webhooks/hooks/redrive"] {
        let reply = house.admin("fabrikam", "dee").get(path).await;
        assert_eq!(reply.problem(), (404, "no_such_path", ""), "{path}");
    }
}
