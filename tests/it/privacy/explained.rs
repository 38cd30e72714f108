//! Why a read across tenants was allowed, told to the tenant whose data it was: the same, however the other tenant came to
//! approve, and however far its consent goes.

use http::Method;
use serde_json::{Value, json};

use super::observer::Look;
use super::plan::{Act, Decision, FABRIKAM};
use super::world::World;

/// How the other tenant came to approve a read of the sign-in logs.
fn stories() -> Vec<Vec<(&'static str, Value)>> {
    let until = |text: &str| json!({ "until": text });
    vec![
        vec![("approve", json!({}))],
        vec![("approve", json!({ "categories": ["signInLogs"] }))],
        vec![("approve", json!({ "categories": ["signInLogs", "auditLogs"], "until": "2027-01-01T00:00:00Z" }))],
        vec![("approve", until("2026-12-01T00:00:00Z"))],
        vec![("revoke", json!({})), ("approve", json!({})), ("reject", json!({}))],
    ]
}

/// What happens to the support request tenant's setting, which is no business of the resource tenant's.
const SETTINGS: [bool; 2] = [true, false];

fn decision(nth: usize, (command, body): (&'static str, Value)) -> Decision {
    Decision { who: 0, nth, command, body, if_match: None, key: None }
}

async fn play(world: &mut World, nth: usize, story: Vec<(&'static str, Value)>, setting: bool) {
    world.act(&Act::AskAnew { engineer: "ada", support_request: "SR-1", resource: FABRIKAM }).await;
    world.act(&Act::Decide(decision(nth, ("approve", json!({}))))).await;
    let patch = json!({ "advanced_diagnostic_information": setting });
    world.act(&Act::Ticketing("PATCH", "/v1/support-requests/SR-1".to_owned(), patch)).await;
    for step in story {
        world.other_decides(&decision(nth, step)).await;
    }
    // Twice: the second is answered from memory.
    for _ in 0..2 {
        let read = Act::Read {
            by_tooling: true,
            engineer: "ada",
            verb: "read",
            resource: format!("{FABRIKAM}/signInLogs"),
            support_request: "SR-1".to_owned(),
        };
        world.act(&read).await;
    }
    look(world).await;
    world.act(&Act::Decide(decision(nth, ("revoke", json!({}))))).await;
    look(world).await;
}

async fn look(world: &mut World) {
    for who in ["admin-0", "admin-1", "reader", "nobody"] {
        let who = format!("{FABRIKAM}/{who}");
        for id in world.decisions() {
            let path = format!("/v1/decisions/{id}/explanation");
            let reply = world.look(&Look::new(&who, Method::GET, &path)).await;
            let reads_the_log = who.ends_with("admin-0") || who.ends_with("reader");
            assert_eq!(reply.status, if reads_the_log { 200 } else { 403 }, "{who} {reply:?}");
            if reads_the_log {
                assert_eq!((&reply.json["decision"], &reply.json["facts_told"]), (&json!(true), &json!("own_part")));
                let told = reply.json["determining"][0]["conditions"].to_string();
                assert!(told.contains("accessRequest.consents.resourceTenant.status"), "{told}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_tells_a_tenant_nothing_of_how_the_other_came_to_approve() {
    let (mut one, mut two) = tokio::join!(World::begin(FABRIKAM), World::begin(FABRIKAM));
    for (nth, story) in stories().into_iter().enumerate() {
        tokio::join!(
            play(&mut one, nth, story, SETTINGS[nth % 2]),
            play(&mut two, nth, vec![("approve", json!({}))], SETTINGS[0])
        );
        super::compare(&mut one, &mut two, &[]);
    }
    tokio::join!(one.end(), two.end());
}
