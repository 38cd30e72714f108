//! A disk that is full: the service runs as a process of its own, whose files may not grow beyond a size (G3, G4).

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use consentry::clock::{Clock as _, ManualClock, SystemClock};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::EVALUATION;
use crate::support::{House, Person, question};

/// The service as a process.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    /// Starts the program on the house's folder, in which nobody else is at work any more.
    async fn start(house: &mut House) -> Self {
        house.app.take().unwrap().stop().await.unwrap();
        // People's tokens are minted by the process's time from now on.
        house.clock = ManualClock::at(SystemClock::new().now());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        // A write beyond the limit is to fail, as on a full disk, and not to kill the process.
        let child = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; exec \"$0\" serve --config \"$1\" --listen \"$2\"",
                env!("CARGO_BIN_EXE_consentry"),
            ])
            .arg(house.folder.path().join("consentry.toml"))
            .arg(&listen)
            // The house lives by a time of its own, the process by the machine's.
            .env("CONSENTRY_STORE__ACCEPT_EARLIER_CLOCK", "true")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        house.url = format!("http://{listen}");
        let process = Self { child, url: house.url.clone() };
        process.until_ready(true).await;
        process
    }

    /// Lets the process's files grow to this size at most.
    fn limit(&self, bytes: Option<u64>) {
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// What readiness says, once it says this.
    async fn until_ready(&self, ready: bool) -> serde_json::Value {
        for _ in 0..400 {
            if let Ok(reply) = reqwest::get(format!("{}/readyz", self.url)).await
                && reply.status().is_success() == ready
            {
                return reply.json().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("readiness does not become {ready}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_denies_says_so_and_recovers() {
    for mode in ["written", "synced"] {
        let mut house = House::start_with(&format!("decision_log.mode = \"{mode}\"")).await;
        house.grant().await;
        let process = Process::start(&mut house).await;
        let ask = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
        let fresh = house.tooling();
        let held: Person = fresh.holding(&fresh.token());
        assert!(held.post(EVALUATION, &ask).await.decision());

        let length =
            || std::fs::metadata(house.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap().len();
        let full = length();
        process.limit(Some(full));
        let mut batch = ask.clone();
        batch["evaluations"] = json!([{}, {}]);
        let admin = house.admin("fabrikam", "dee");
        let about_self = json!({
            "subject": { "type": "User", "id": "fabrikam/dee" },
            "action": { "name": "listConsents" },
            "resource": { "type": "Tenant", "id": "fabrikam" },
        });
        let answers = [
            held.post(EVALUATION, &ask).await,
            fresh.post(EVALUATION, &ask).await,
            held.post("/access/v1/evaluations", &batch).await,
            admin.post(EVALUATION, &about_self).await,
        ];
        for reply in answers {
            assert_eq!(reply.problem(), (503, "log_unavailable", ""), "{mode}");
            assert_eq!(reply.json["decision"], false, "{mode}: {reply:?}");
            assert!(!reply.text.contains("\"decision\":true"), "{reply:?}");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
        let listed = admin.get("/v1/consents?view=approved").await;
        assert_eq!(listed.problem(), (503, "log_unavailable", ""), "nothing follows from an unrecorded yes");
        let readiness = process.until_ready(false).await;
        assert_eq!(readiness["checks"]["store"], "ok");
        assert!(readiness["checks"]["decision_log"].as_str().unwrap().contains("large"), "{readiness}");
        assert_eq!(length(), full, "no part of a record stays");

        process.limit(None);
        process.until_ready(true).await;
        assert!(held.post(EVALUATION, &ask).await.decision());
        let records = house.records();
        let resumed = records.iter().find(|record| record["type"] == "resumed").unwrap();
        assert!(resumed["refused"].as_u64().unwrap() >= 5, "{resumed}");
    }
}

/// What is not there and what is another's leave a record alike, so that a log that takes none tells nobody which is which
/// (R19).
#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_tell_what_is_anothers_from_what_is_not_there() {
    let mut house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let process = Process::start(&mut house).await;
    let length = std::fs::metadata(house.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap().len();
    let admins = [(house.admin("contoso", "cyd"), &fabrikams), (house.admin("fabrikam", "dee"), &contosos)];
    process.limit(Some(length));
    for (admin, anothers) in admins {
        for id in ["co-absent", anothers] {
            let path = format!("/v1/consents/{id}");
            assert_eq!(admin.get(&path).await.problem(), (503, "log_unavailable", ""), "{id}");
            let reject = admin.post(&format!("{path}/reject"), &json!({})).await;
            assert_eq!(reject.problem(), (503, "log_unavailable", ""), "{id}");
        }
        for id in ["SR-absent", "SR-1"] {
            let found = admin.get(&format!("/v1/support-requests/{id}")).await;
            assert_eq!(found.problem(), (503, "log_unavailable", ""), "{id}");
            let ask = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "because" });
            assert_eq!(admin.post("/v1/access-requests", &ask).await.problem(), (503, "log_unavailable", ""), "{id}");
        }
    }
}
