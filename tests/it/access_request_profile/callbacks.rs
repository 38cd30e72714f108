//! Callbacks: at addresses that the operator has named, signed, until they arrive, and with nothing but the status.

use serde_json::{Value, json};

use super::{REQUESTS, Stage, key};
use crate::support::config;
use crate::support::process::{Site, end_of};
use crate::webhooks::receiver::{Manner, Receiver};
use crate::webhooks::{SETTINGS, fails, told, told_in_time};

impl Stage {
    async fn calling(receiver: &Receiver) -> Self {
        Self::set_with(&format!("{SETTINGS}{}", receiver.callback_settings("pep"))).await
    }

    /// A task whose end is to be told at this address.
    async fn following(&self, callback: Value) -> String {
        let mut submission = self.submission().await;
        submission["callback"] = callback;
        let reply = self.submit(&submission).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json["task"]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_end_of_a_task_is_told_once_and_no_more_of_it_than_the_status() {
    type Step = (&'static str, &'static str);
    let stories: [(&[Step], &str); 3] = [
        (&[("contoso", "approve"), ("fabrikam", "approve"), ("fabrikam", "revoke")], "approved"),
        (&[("contoso", "approve"), ("fabrikam", "reject")], "denied"),
        (&[("contoso", "approve"), ("", "close")], "cancelled"),
    ];
    for (steps, end) in stories {
        let receiver = Receiver::open().await;
        let stage = Stage::calling(&receiver).await;
        let state = "b3Blbi1kb2N1bWVudC1mbG93 \u{fc}";
        let task = stage.following(json!({ "endpoint": receiver.url, "state": state })).await;
        told(&stage.house, "pep").await;
        assert_eq!(receiver.ids(), [] as [&str; 0], "a pending task is no news");
        for (tenant, command) in steps {
            match *command {
                "close" => stage.house.close("SR-1").await,
                command => stage.decide(&stage.house.admin(tenant, "admin"), command, json!({})).await,
            }
            told(&stage.house, "pep").await;
        }
        let taken = receiver.taken();
        let expected = json!({
            "state": state,
            "task": {
                "id": task, "status": end, "status_endpoint": format!("{}{REQUESTS}/{task}", stage.house.url),
            },
        });
        assert_eq!(taken.iter().map(|got| got.event.clone()).collect::<Vec<_>>(), [expected]);
        // It may be looked at there, by whoever may.
        let seen = stage.task(&task).await;
        assert_eq!((&seen["task"]["status"], seen.get("result").is_some()), (&json!(end), end == "approved"));
    }
}

#[tokio::test]
async fn an_end_by_time_is_told_when_it_comes_to_light() {
    let receiver = Receiver::open().await;
    let stage = Stage::calling(&receiver).await;
    stage.following(json!({ "endpoint": receiver.url })).await;
    let until = json!({ "until": "2026-11-22T10:05:00Z" });
    stage.decide(&stage.house.admin("contoso", "cyd"), "approve", until).await;
    stage.house.clock.advance_millis(5 * 60_000);
    stage.decide(&stage.house.admin("fabrikam", "dee"), "approve", json!({})).await;
    told(&stage.house, "pep").await;
    let taken = receiver.taken();
    assert_eq!((taken.len(), &taken[0].event["task"]["status"]), (1, &json!("expired")));
    assert!(taken[0].event.get("state").is_none());
}

#[tokio::test]
async fn only_what_was_wished_is_told_and_only_to_whom() {
    let (receiver, other) = (Receiver::open().await, Receiver::open().await);
    let settings = [SETTINGS, &receiver.callback_settings("pep"), &other.callback_settings("other")].concat();
    let stage = Stage::set_with(&settings).await;
    stage.following(json!({ "endpoint": receiver.url, "events": ["approved", "partial", "else"] })).await;
    stage.decide(&stage.house.admin("contoso", "cyd"), "reject", json!({})).await;
    let heard = stage.following(json!({ "endpoint": receiver.url, "events": ["cancelled"] })).await;
    stage.house.close("SR-1").await;
    told(&stage.house, "pep").await;
    told(&stage.house, "other").await;
    assert_eq!((receiver.ids(), other.ids()), (vec![format!("task-{heard}")], Vec::new()));
}

#[tokio::test]
async fn nobody_is_called_at_an_address_that_the_operator_has_not_named() {
    let receiver = Receiver::open().await;
    let stage = Stage::calling(&receiver).await;
    let mut submission = stage.submission().await;
    for endpoint in [
        format!("{}/", receiver.url),
        format!("{}?a=b", receiver.url),
        receiver.url.replace("/hook", "/other"),
        receiver.url.replace("http://", "http://user@"),
        receiver.url.to_uppercase(),
        "pep".to_owned(),
        "http://127.0.0.1/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://pep.example/callback".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        submission["callback"] = json!({ "endpoint": endpoint });
        let reply = stage.submit(&submission).await;
        assert_eq!(reply.problem(), (400, "invalid_request", "callback.endpoint"), "{endpoint}");
    }
    for (callback, field) in [
        (json!({ "endpoint": receiver.url, "state": "x".repeat(513) }), "callback.state"),
        (json!({ "endpoint": receiver.url, "state": 7 }), "callback.state"),
        (json!({ "endpoint": receiver.url, "events": "approved" }), "callback.events"),
        (json!({ "endpoint": receiver.url, "secret": "x" }), "callback.secret"),
    ] {
        submission["callback"] = callback;
        assert_eq!(stage.submit(&submission).await.problem(), (400, "invalid_request", field));
    }
    assert_eq!(receiver.got().len(), 0);
}

#[tokio::test]
async fn a_callback_arrives_whatever_becomes_of_the_endpoint_and_of_the_service() {
    let receiver = Receiver::open().await;
    receiver.answers(Manner::Fails(503));
    let mut stage = Stage::calling(&receiver).await;
    let task = stage.following(json!({ "endpoint": receiver.url, "state": "s" })).await;
    let (url, folder) = (stage.house.url.clone(), stage.folder.path().display().to_string());
    stage.decide(&stage.house.admin("contoso", "cyd"), "reject", json!({})).await;
    fails(&stage.house, "pep", 1).await;
    // The address of its task must be the one that it was told under.
    let settings = format!(
        "server.public_url = \"{url}\"\n[access_requests]\nsigning_key = \"{folder}/requests.pem\"\n{SETTINGS}{}",
        receiver.callback_settings("pep")
    );
    stage.house.config = config(stage.house.folder.path(), &settings);
    stage.house.restart().await;
    fails_or_waits(&stage).await;
    receiver.answers(Manner::Takes);
    told_in_time(&stage.house, "pep").await;
    let taken = receiver.taken();
    assert_eq!(receiver.ids(), [format!("task-{task}")]);
    assert!(receiver.got().iter().all(|got| got.text == taken[0].text), "always the same words");
    stage.house.restart().await;
    told(&stage.house, "pep").await;
    assert_eq!(receiver.got().iter().filter(|got| got.manner.is_good()).count(), 1);
}

/// What was not delivered before is known after a start.
async fn fails_or_waits(stage: &Stage) {
    let mut status = stage.house.app().edge().outbox.watch("pep").unwrap();
    status.wait_for(|status| status.waiting == 1 || status.failed > 0).await.unwrap();
}

#[test]
fn callback_endpoints_that_cannot_be_are_refused() {
    let (_folder, _, settings) = key();
    let endpoint = |name: &str, url: &str| {
        format!("[[webhooks.callbacks]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_files = [\"none\"]\n")
    };
    let twice = format!("{}{}", endpoint("pep", "https://pep.example/a"), endpoint("pep", "https://pep.example/b"));
    let same = format!("{}{}", endpoint("one", "https://pep.example/a"), endpoint("two", "https://pep.example/a"));
    let unsigned = "[[webhooks.callbacks]]\nname = \"pep\"\nurl = \"https://pep.example/\"\n".to_owned();
    for (callbacks, part) in [
        (endpoint("pep", "http://pep.example/"), "must be https"),
        (endpoint("pep", "https://10.0.0.7/"), "private network"),
        (endpoint("pep", "https://169.254.169.254/"), "private network"),
        (endpoint("p e p", "https://pep.example/"), "is no name"),
        (twice, "stands there twice"),
        (same, "stands there twice"),
        (unsigned, "needs one to four `secret_files`"),
    ] {
        let site = Site::new(&format!("{settings}{callbacks}"));
        let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
        assert!(!status.success() && said.contains("webhooks.callbacks") && said.contains(part), "{part}: {said}");
    }
    let tasks = "[[webhooks.endpoints]]\nname = \"x\"\ntenant = \"contoso\"\nurl = \"https://x.example/\"\nsecret_files = [\"none\"]\nevents = [\"tasks\"]\n";
    let site = Site::new(tasks);
    let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    assert!(!status.success() && said.contains("such as no tenant has"), "{said}");
}
