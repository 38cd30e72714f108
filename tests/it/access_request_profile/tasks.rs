//! Tasks: who sees them, how they end, and that they end once.

use serde_json::{Value, json};

use super::{REQUESTS, Stage, delete, problem};
use crate::support::Person;

const ABSENT: &str = "ar-00000000000040008000000000000000";

impl Stage {
    async fn status(&self, task: &str) -> String {
        let seen = self.task(task).await;
        let is_approved = seen["task"]["status"] == "approved";
        assert_eq!(seen.get("result").is_some(), is_approved, "{seen}");
        assert_eq!(seen["task"].get("links").is_some(), seen["task"]["status"] == "pending", "{seen}");
        seen["task"]["status"].as_str().unwrap().to_owned()
    }

    async fn withdraw(&self, task: &str) {
        let reply = self.ada.post(&format!("/v1/access-requests/{task}/cancel"), &json!({})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// Does something, and says how the task stands then, and ever after.
#[tokio::test]
async fn a_task_ends_once_and_stays_as_it_ended() {
    type Step = (&'static str, &'static str, Value);
    let until = json!({ "until": "2026-11-22T10:05:00Z" });
    let stories: [(&[Step], &str); 10] = [
        (&[("contoso", "approve", json!({})), ("fabrikam", "approve", json!({}))], "approved"),
        (&[("contoso", "reject", json!({}))], "denied"),
        (&[("fabrikam", "reject", json!({})), ("contoso", "approve", json!({}))], "denied"),
        (&[("", "withdraw", json!({}))], "cancelled"),
        (&[("", "close", json!({}))], "cancelled"),
        (
            &[("fabrikam", "approve", json!({})), ("fabrikam", "revoke", json!({})), ("contoso", "approve", json!({}))],
            "cancelled",
        ),
        (
            &[("fabrikam", "approve", until.clone()), ("", "wait", json!({})), ("contoso", "approve", json!({}))],
            "expired",
        ),
        (
            &[("fabrikam", "approve", until.clone()), ("", "wait", json!({})), ("contoso", "reject", json!({}))],
            "expired",
        ),
        (&[("fabrikam", "approve", until.clone()), ("", "wait", json!({})), ("", "close", json!({}))], "expired"),
        (
            &[
                ("fabrikam", "approve", until),
                ("contoso", "approve", json!({})),
                ("", "wait", json!({})),
                ("fabrikam", "revoke", json!({})),
            ],
            "approved",
        ),
    ];
    for (steps, end) in stories {
        let stage = Stage::set().await;
        let task = stage.pending().await;
        assert_eq!(stage.status(&task).await, "pending");
        let mut ended = String::from("pending");
        for (who, what, body) in steps {
            match *what {
                "wait" => stage.house.clock.advance_millis(5 * 60_000),
                "withdraw" => stage.withdraw(&task).await,
                "close" => stage.house.close("SR-1").await,
                command => stage.decide(&stage.house.admin(who, "admin"), command, body.clone()).await,
            }
            let now = stage.status(&task).await;
            assert!(ended == "pending" || ended == now, "{steps:?}: {ended} became {now}");
            ended = now;
        }
        assert_eq!(ended, end, "{steps:?}");
        for _ in 0..2 {
            stage.house.clock.advance_millis(24 * 3_600_000);
            assert_eq!(stage.status(&task).await, end, "{steps:?}");
        }
        // There is nothing to cancel, and nothing was changed by trying.
        let before = stage.ada.get(&format!("/v1/access-requests/{task}")).await.text;
        let over = stage.ada.post(&format!("{REQUESTS}/{task}/cancel"), &json!({})).await;
        assert_eq!(problem(&over), (409, "invalid_task_state"), "{steps:?}");
        assert_eq!(over.json["present_status"], json!(null));
        assert_eq!(stage.ada.get(&format!("/v1/access-requests/{task}")).await.text, before, "{steps:?}");
    }
}

#[tokio::test]
async fn a_pending_task_is_cancelled_and_what_waited_with_it() {
    for by_delete in [false, true] {
        let stage = Stage::set().await;
        let task = stage.pending().await;
        stage.house.approve(&stage.house.admin("fabrikam", "dee")).await;
        let path = format!("{REQUESTS}/{task}/cancel");
        for (body, field) in [
            (json!({ "comment": 7 }), "comment"),
            (json!({ "reason": "" }), "reason"),
            (json!({ "coment": "x" }), "coment"),
            (json!({ "comment": "x".repeat(2_001) }), "comment"),
        ] {
            assert_eq!(stage.ada.post(&path, &body).await.problem(), (400, "invalid_request", field));
        }
        let keyed = stage.ada.with("idempotency-key", "cancel-1");
        let cancel = async || {
            if by_delete { delete(&keyed, &path).await } else { keyed.post(&path, &json!({ "reason": "done" })).await }
        };
        let cancelled = cancel().await;
        let expected = json!({
            "task": { "id": task, "status": "cancelled", "status_endpoint": format!("{}{REQUESTS}/{task}", stage.house.url) },
        });
        assert_eq!((cancelled.status, &cancelled.json), (200, &expected));
        assert_eq!(stage.task(&task).await, expected);
        assert_eq!(cancel().await.header("idempotency-replayed"), Some("true"));
        assert_eq!(problem(&stage.ada.post(&path, &json!({})).await), (409, "invalid_task_state"));
        let pending = stage.house.admin("contoso", "cyd").get("/v1/consents?view=pending").await;
        assert_eq!(pending.json["items"], json!([]));
    }
}

#[tokio::test]
async fn cancelling_takes_nothing_away_that_was_given() {
    let stage = Stage::set().await;
    let (task, _) = stage.approved().await;
    assert_eq!(problem(&stage.ada.post(&format!("{REQUESTS}/{task}/cancel"), &json!({})).await).0, 409);
    stage.house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
}

#[tokio::test]
async fn who_may_not_know_of_a_task_is_told_what_everybody_is_told_of_none() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let task = stage.pending().await;
    let plain = house.ask(&stage.ada, "SR-2", "fabrikam").await;
    let strangers = [
        house.engineer("bob"),
        house.tooling(),
        house.ticketing(),
        house.admin("contoso", "cyd"),
        house.admin("fabrikam", "dee"),
        house.person("contoso", "ada", &[], &["SupportEngineer"]),
        house.service("ada", &["SupportEngineer"]),
        house.person("vendor", "ada", &[], &[]),
    ];
    let look = async |who: &Person, id: &str| {
        let status = who.get(&format!("{REQUESTS}/{id}")).await;
        let cancelled = who.post(&format!("{REQUESTS}/{id}/cancel"), &json!({})).await;
        assert_eq!(problem(&status), (404, "unknown_task"), "{} {id}", who.id);
        assert_eq!(problem(&cancelled), (404, "unknown_task"), "{} {id}", who.id);
        assert_eq!(status.text, cancelled.text);
        status.text
    };
    let none = look(&stage.ada, ABSENT).await;
    for who in strangers {
        for id in [&task, &plain, ABSENT, "x", "%20", "..%2f.."] {
            assert_eq!(look(&who, id).await, none, "{} {id}", who.id);
        }
    }
    // An access request that nobody follows is no task, for its own engineer neither.
    assert_eq!(look(&stage.ada, &plain).await, none);
    assert_eq!(stage.ada.holding("").get(&format!("{REQUESTS}/{task}")).await.problem(), (401, "token_missing", ""));
    assert_eq!(stage.status(&task).await, "pending");
}

#[tokio::test]
async fn a_task_outlives_its_process_and_goes_on_with_whoever_is_assigned() {
    let mut stage = Stage::set_with("").await;
    let url = stage.house.url.clone();
    let task = stage.pending().await;
    let settings = format!(
        "server.public_url = \"{url}\"\n[access_requests]\nsigning_key = \"{}/requests.pem\"\n",
        stage.folder.path().display()
    );
    stage.house.config = crate::support::config(stage.house.folder.path(), &settings);
    stage.house.restart().await;
    stage.ada = stage.house.engineer("ada");
    assert_eq!(stage.status(&task).await, "pending");
    let waiting = stage.ada.get(&format!("{REQUESTS}/{task}")).await;
    assert_eq!(waiting.header("retry-after"), Some("5"));
    let handed = json!({ "assignee": "vendor/bob" });
    assert_eq!(stage.house.ticketing().put("/v1/support-requests/SR-1/assignee", &handed).await.status, 200);
    let bob = stage.house.engineer("bob");
    assert_eq!(bob.get(&format!("{REQUESTS}/{task}")).await.json["task"]["status"], "pending");
    // Ada has asked, and sees it still (R20).
    assert_eq!(stage.status(&task).await, "pending");
    let cancelled = bob.post(&format!("{REQUESTS}/{task}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json["task"]["status"], "cancelled", "{cancelled:?}");
}

// R18, R19: whether a denial was requestable depends on what the other tenant did before.
#[tokio::test]
async fn what_tenants_see_does_not_tell_by_which_way_access_was_asked_for() {
    let mut worlds = Vec::new();
    for after_a_denial in [true, false] {
        let stage = Stage::set().await;
        let task =
            if after_a_denial { stage.pending().await } else { stage.house.ask(&stage.ada, "SR-1", "fabrikam").await };
        let mut seen = Vec::new();
        for (tenant, admin) in [("contoso", "cyd"), ("fabrikam", "dee")] {
            let admin = stage.house.admin(tenant, admin);
            let consent = stage.house.pending(&admin).await;
            let masked = |text: String| text.replace(&task, "<request>").replace(&consent, "<consent>");
            let mut paths = vec!["/v1/consents?view=pending".to_owned(), format!("/v1/consents/{consent}")];
            for _ in 0..2 {
                paths.extend(["/v1/audit-log", "/v1/consents?view=approved"].map(ToOwned::to_owned));
                for path in std::mem::take(&mut paths) {
                    let reply = admin.get(&path).await;
                    seen.push((
                        masked(path),
                        reply.status,
                        masked(reply.text),
                        reply.headers.get("content-length").cloned(),
                    ));
                }
                admin.post(&format!("/v1/consents/{consent}/approve"), &json!({})).await;
            }
        }
        worlds.push(seen);
    }
    assert_eq!(worlds[0], worlds[1]);
}
