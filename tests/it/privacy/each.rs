//! Each thing that the other tenant can do with its part of an access request, at each stage of ours, beside a world in which
//! it does nothing: what chance may pass by.

use http::Method;
use serde_json::{Value, json};

use super::observer::Look;
use super::plan::{Act, CONTOSO, Decision, FABRIKAM};
use super::world::World;

/// What one tenant did with its consent, in order.
type Story = &'static [(&'static str, Option<&'static str>)];

/// Whole, or of one category alone.
const STORIES: [Story; 7] = [
    &[("approve", None)],
    &[("approve", Some("auditLogs"))],
    &[("approve", None), ("narrow", Some("auditLogs"))],
    &[("approve", None), ("revoke", None)],
    &[("reject", None)],
    &[("reject", None), ("approve", None)],
    &[("revoke", None)],
];

/// What we did before.
const STAGES: [Story; 3] = [&[], &[("approve", None)], &[("reject", None)]];

/// What we try afterwards: whatever can still be done, and what cannot.
const THEN: Story =
    &[("narrow", Some("signInLogs")), ("approve", Some("signInLogs")), ("revoke", None), ("reject", None)];

fn decision(nth: usize, (command, category): (&'static str, Option<&str>)) -> Decision {
    let body = category.map_or_else(|| json!({}), |category| json!({ "categories": [category] }));
    Decision { who: 0, nth, command, body, if_match: None, key: None }
}

async fn look(world: &mut World, who: &str, consent: &str) {
    for path in [
        "/v1/consents?view=pending&limit=200".to_owned(),
        "/v1/consents?view=approved&limit=200".to_owned(),
        "/v1/audit-log?limit=200".to_owned(),
        "/v1/audit-log/reads?limit=200".to_owned(),
        format!("/v1/consents/{consent}"),
    ] {
        world.look(&Look::new(who, Method::GET, &path)).await;
    }
    let actions =
        ["viewConsent", "viewApprovedAccess", "approveConsent", "rejectConsent", "narrowConsent", "revokeConsent"];
    let questions: Vec<Value> = actions
        .into_iter()
        .map(|name| json!({ "action": { "name": name }, "resource": { "type": "Consent", "id": consent } }))
        .collect();
    let batch = json!({ "subject": { "type": "User", "id": who }, "evaluations": questions });
    world.look(&Look::new(who, Method::POST, "/access/v1/evaluations").saying(batch.to_string())).await;
    world.hear().await;
}

/// One access request: ours to a stage, theirs in one of the worlds, ours again; and a look after each.
async fn play(world: &mut World, nth: usize, stage: Story, theirs: Option<Story>) {
    let (who, consent) = (format!("{}/admin-0", world.observed), format!("<co/{nth}/{}>", world.observed));
    world.act(&Act::AskAnew { engineer: "ada", support_request: "SR-1", resource: FABRIKAM }).await;
    for step in stage {
        world.act(&Act::Decide(decision(nth, *step))).await;
    }
    for step in theirs.unwrap_or_default() {
        world.other_decides(&decision(nth, *step)).await;
    }
    look(world, &who, &consent).await;
    for step in THEN {
        // Whichever version is theirs, ours alone counts.
        for version in 1..=3 {
            world.act(&Act::Decide(Decision { if_match: Some(version), ..decision(nth, *step) })).await;
        }
        world.act(&Act::Decide(decision(nth, *step))).await;
        look(world, &who, &consent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_other_tenant_can_do_shows_at_any_stage() {
    for observed in [CONTOSO, FABRIKAM] {
        for stage in STAGES {
            let (mut one, mut two) = tokio::join!(World::begin(observed), World::begin(observed));
            for (nth, theirs) in STORIES.into_iter().enumerate() {
                tokio::join!(play(&mut one, nth, stage, Some(theirs)), play(&mut two, nth, stage, None));
                super::compare(&mut one, &mut two, &[]);
            }
            tokio::join!(one.end(), two.end());
        }
    }
}
