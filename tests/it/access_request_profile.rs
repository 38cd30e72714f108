//! The AuthZEN Access Request and Approval Profile (Draft 1) over HTTP: from a denial to an access request, its task, and back
//! to a decision. The attacks that its section 15 lists are tests here.

mod approvals;
mod callbacks;
mod denials;
mod flow;
mod submissions;
mod tasks;

use consentry::signing::SigningKey;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{House, Person, Reply, question};

const REQUESTS: &str = "/access/v1/requests";
const ERROR: &str = "urn:openid:authzen:access-request:error:";

/// A house that serves the profile: `SR-1` of contoso is `vendor/ada`'s, and so is `SR-2`.
struct Stage {
    house: House,
    ada: Person,
    folder: TempDir,
    key: SigningKey,
}

/// A folder with a key, and settings that name it.
fn key() -> (TempDir, SigningKey, String) {
    let folder = TempDir::new().unwrap();
    let key = SigningKey::generate().unwrap();
    std::fs::write(folder.path().join("requests.pem"), key.to_pem()).unwrap();
    let settings = format!("[access_requests]\nsigning_key = \"{}/requests.pem\"\n", folder.path().display());
    (folder, key, settings)
}

impl Stage {
    async fn set() -> Self {
        Self::set_with("").await
    }

    async fn set_with(more: &str) -> Self {
        let (folder, key, settings) = key();
        let house = House::start_with(&format!("{settings}{more}")).await;
        house.open("SR-1", "contoso", "vendor/ada").await;
        house.open("SR-2", "contoso", "vendor/ada").await;
        let ada = house.engineer("ada");
        Self { house, ada, folder, key }
    }

    /// Ada's denied question about fabrikam's sign-ins, and the denial that the tooling is given.
    async fn denied(&self) -> (Value, Reply) {
        let question = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
        let denial = self.house.tooling().post("/access/v1/evaluation", &question).await;
        (question, requestable(denial))
    }

    /// What Ada submits after a denial.
    async fn submission(&self) -> Value {
        let (question, denial) = self.denied().await;
        submission(&question, &denial)
    }

    async fn submit(&self, submission: &Value) -> Reply {
        self.ada.post(REQUESTS, submission).await
    }

    /// A pending task.
    async fn pending(&self) -> String {
        let reply = self.submit(&self.submission().await).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json["task"]["id"].as_str().unwrap().to_owned()
    }

    /// An approved task, with its approval.
    async fn approved(&self) -> (String, Value) {
        let task = self.pending().await;
        self.house.approve(&self.house.admin("contoso", "cyd")).await;
        self.house.approve(&self.house.admin("fabrikam", "dee")).await;
        (task.clone(), self.task(&task).await["result"]["approval"].clone())
    }

    async fn task(&self, id: &str) -> Value {
        let reply = self.ada.get(&format!("{REQUESTS}/{id}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json
    }

    /// Ada's read with an approval brought along, as the tooling asks.
    async fn read_with(&self, approval: &Value) -> Reply {
        let question = with_approval(question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1"), approval);
        self.house.tooling().post("/access/v1/evaluation", &question).await
    }

    async fn decide(&self, admin: &Person, command: &str, body: Value) {
        let view = if matches!(command, "approve" | "reject") { "pending" } else { "approved" };
        let list = admin.get(&format!("/v1/consents?view={view}")).await;
        let consent = list.json["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{list:?}")).to_owned();
        let reply = admin.post(&format!("/v1/consents/{consent}/{command}"), &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn with_approval(mut question: Value, approval: &Value) -> Value {
    question["context"]["approval"] = approval.clone();
    question
}

#[track_caller]
fn requestable(denial: Reply) -> Reply {
    assert_eq!((denial.status, denial.decision()), (200, false), "{denial:?}");
    assert!(denial.json["context"]["access_request"]["binding_token"].is_string(), "{denial:?}");
    denial
}

/// What a PEP makes of a denial, as section 8.1 has it.
pub(crate) fn submission(question: &Value, denial: &Reply) -> Value {
    let told = &denial.json["context"];
    let mut submission = question.clone();
    submission["context"]["business_justification"] = "sign-in fails".into();
    submission["denial"] = json!({
        "evaluation_id": told["evaluation_id"], "evaluated_at": told["evaluated_at"], "reason": told["reason"],
        "expires_at": told["access_request"]["expires_at"],
        "binding_token": told["access_request"]["binding_token"],
    });
    submission
}

/// Status, and the last part of a problem's type, which must be one of the profile's.
#[track_caller]
fn problem(reply: &Reply) -> (u16, &str) {
    reply.problem();
    let kind = reply.json["type"].as_str().unwrap();
    (reply.status, kind.strip_prefix(ERROR).unwrap_or_else(|| panic!("not one of the profile's: {reply:?}")))
}

async fn delete(who: &Person, path: &str) -> Reply {
    who.send(Method::DELETE, path, None).await
}
