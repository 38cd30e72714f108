//! `kill -9` while webhooks are on their way, and their endpoint fails: every event arrives all the same, in the order of
//! its request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::Person;
use crate::support::effort::{effort, random};
use crate::support::process::{Sidecar, Site, pause};
use crate::webhooks::receiver::{Manner, Receiver};

const KILLS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

struct People {
    ticketing: Person,
    tooling: Person,
    ada: Person,
    cyd: Person,
    dee: Person,
}

impl People {
    fn at(site: &Site, sidecar: &Sidecar) -> Self {
        let admin: &[&str] = &["Global Administrator"];
        Self {
            ticketing: site.person(sidecar, "vendor", "ticketing", &[], &["SupportRequests.Manage"]),
            tooling: site.person(sidecar, "vendor", "tooling", &[], &["Decisions.Evaluate"]),
            ada: site.person(sidecar, "vendor", "ada", &[], &["SupportEngineer"]),
            cyd: site.person(sidecar, "contoso", "cyd", admin, &[]),
            dee: site.person(sidecar, "fabrikam", "dee", admin, &[]),
        }
    }

    /// The life of one case, up to wherever the sidecar is gone.
    async fn live(&self, id: &str) -> reqwest::Result<()> {
        let post = async |who: &Person, path: &str, body: Value| {
            who.try_send(http::Method::POST, path, Some(body.to_string().into_bytes())).await
        };
        let case = json!({ "id": id, "number": id, "summary": "s", "tenant": "contoso", "submitted_in": "admin_center",
                           "assignee": "vendor/ada" });
        post(&self.ticketing, "/v1/support-requests", case).await?;
        let ask = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "why not" });
        post(&self.ada, "/v1/access-requests", ask).await?;
        for admin in [&self.cyd, &self.dee] {
            let waiting = admin.try_send(http::Method::GET, "/v1/consents?view=pending", None).await?;
            let consent = waiting.json["items"][0]["id"].as_str().unwrap_or("co-none").to_owned();
            post(admin, &format!("/v1/consents/{consent}/approve"), json!({})).await?;
        }
        for _ in 0..3 {
            let question = crate::support::question("vendor/ada", "read", "fabrikam/signInLogs", id);
            post(&self.tooling, "/access/v1/evaluation", question).await?;
        }
        post(&self.ticketing, &format!("/v1/support-requests/{id}/close"), json!({})).await?;
        Ok(())
    }
}

async fn whole(who: &Person, list: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), format!("{list}limit=200"));
    loop {
        let page = who.get(&next).await;
        assert_eq!(page.status, 200, "{page:?}");
        items.extend(page.json["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page.json["next_cursor"].as_str() else { return items };
        next = format!("{list}limit=200&cursor={cursor}");
    }
}

/// The events that fabrikam's lists speak of; announcements by their consent.
async fn expected(dee: &Person) -> (Vec<String>, Vec<String>) {
    let mut events: Vec<String> = Vec::new();
    events.extend(whole(dee, "/v1/audit-log?").await.iter().map(|entry| format!("activity-{}", entry["number"])));
    let reads = whole(dee, "/v1/audit-log/reads?").await;
    events.extend(reads.iter().map(|entry| format!("read-{}", entry["decision_id"].as_str().unwrap())));
    let mut consents = whole(dee, "/v1/consents?view=pending&").await;
    consents.extend(whole(dee, "/v1/consents?view=approved&").await);
    let consents = consents.iter().map(|consent| consent["id"].as_str().unwrap().to_owned()).collect();
    (events, consents)
}

fn check_order(receiver: &Receiver) {
    let mut last: HashMap<(String, String), u64> = HashMap::new();
    for got in receiver.taken() {
        let Some(number) = got.event["data"]["number"].as_u64() else { continue };
        let lane = (got.about().to_owned(), got.event["type"].as_str().unwrap().to_owned());
        let before = last.insert(lane.clone(), number);
        assert!(before.is_none_or(|before| before < number), "{lane:?}: {number} after {before:?}");
    }
    for got in receiver.taken() {
        if got.id.starts_with("announcement") {
            let first = receiver.taken().into_iter().find(|other| other.about() == got.about()).unwrap();
            assert_eq!(first.id, got.id, "the announcement comes first");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_though_the_sidecar_is_killed_and_the_endpoint_fails() {
    let mut dice = random("every_event_arrives_though_the_sidecar_is_killed");
    let receiver = Receiver::open().await;
    let settings = "[webhooks]\nlook_every_ms = 5\ntimeout_ms = 200\nfirst_retry_ms = 10\nlongest_retry_ms = 100\n";
    let site = Site::new(&format!("{settings}{}", receiver.settings("hooks", "fabrikam")));
    let mut whims = dice.fork();
    let bad = [Manner::Fails(500), Manner::BreaksOff, Manner::Redirects, Manner::Hangs];
    receiver.chooses(move |_| if whims.u8(..3) == 0 { *whims.choice(&bad).unwrap() } else { Manner::Takes });
    for kill in 0..effort(KILLS) {
        let sidecar = site.start();
        let people = People::at(&site, &sidecar);
        let lives = tokio::spawn(async move {
            for case in 0.. {
                if people.live(&format!("SR-{kill}-{case}")).await.is_err() {
                    return;
                }
            }
        });
        let arrived = receiver.got().len() + wait_for(&mut dice);
        wait_until(|| receiver.got().len() >= arrived);
        sidecar.kill();
        lives.await.unwrap();
    }
    let sidecar = site.start();
    let (events, consents) = expected(&People::at(&site, &sidecar).dee).await;
    assert!(events.len() > 10, "{events:?}");
    wait_until(|| {
        let taken = receiver.taken();
        let has = |id: &String| taken.iter().any(|got| got.id == *id);
        let announced = |id: &String| {
            taken.iter().any(|got| got.event["data"]["consent"] == id.as_str() && got.id.starts_with("ann"))
        };
        events.iter().all(has) && consents.iter().all(announced)
    });
    let announcements = receiver.ids().into_iter().filter(|id| id.starts_with("announcement")).count();
    assert!(receiver.ids().len() - announcements == events.len(), "nothing is told that no list shows");
    check_order(&receiver);
}

/// After how many more letters it is killed.
fn wait_for(dice: &mut Rng) -> usize {
    dice.usize(1..25)
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come to pass");
        pause();
    }
}
