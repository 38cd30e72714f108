//! Calls that nobody wrote: schemathesis makes thousands of them from the document, sends them to the real server, and
//! compares what comes back with the document.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::strict::closed;
use super::tools;
use crate::access_request_profile::submission;
use crate::support::effort::{effort, random};
use crate::support::process::{Sidecar, Site};
use crate::support::{Person, question};

/// Calls of one operation by each way of making them up.
const USUAL: u64 = 8;

/// Which operations are called by whom, and what of theirs is in the path.
const CASTS: [Cast; 11] = [
    Cast("ticketing", "tenant", &["registerTenant"]),
    Cast("ticketing", "", &["openSupportRequest"]),
    Cast(
        "ticketing",
        "support_request",
        &[
            "getSupportRequest",
            "updateSupportRequest",
            "assignSupportRequest",
            "closeSupportRequest",
            "reopenSupportRequest",
        ],
    ),
    Cast("ada", "", &["listSupportRequests", "createAccessRequest", "listAccessRequests"]),
    Cast("ada", "access_request", &["getAccessRequest", "cancelAccessRequest"]),
    Cast("ada", "", &["submitAccessRequest"]),
    Cast("ada", "task", &["getTask", "cancelTask", "withdrawTask"]),
    Cast("dee", "", &["listConsents", "listAuditLog", "listReads"]),
    Cast(
        "dee",
        "consent",
        &["getConsent", "getReceipt", "approveConsent", "rejectConsent", "narrowConsent", "revokeConsent"],
    ),
    Cast("reviewer", "decision", &["explainDecision"]),
    Cast("tooling", "", &["evaluate", "evaluateBatch", "searchSubjects", "searchResources", "searchActions"]),
];

/// What the document cannot say of a request is found out by sending it: such as whether a tenant is known, a time has
/// passed, a cursor is of this list.
const WITH_MORE_TO_SAY: [&str; 22] = [
    "submitAccessRequest",
    "explainDecision",
    "openSupportRequest",
    "assignSupportRequest",
    "updateSupportRequest",
    "closeSupportRequest",
    "reopenSupportRequest",
    "registerTenant",
    "listSupportRequests",
    "listAccessRequests",
    "listConsents",
    "listAuditLog",
    "listReads",
    "approveConsent",
    "narrowConsent",
    "rejectConsent",
    "revokeConsent",
    "evaluate",
    "evaluateBatch",
    "searchSubjects",
    "searchResources",
    "searchActions",
];

/// Where the metadata of a service whose URL has a path is, mostly.
const BENEATH: &str = "[dictionaries.path]\nvalues = [\"base\", \"base/x\", \"x\"]\n\n[[operations]]\n\
    include-operation-id = \"getConfigurationBeneath\"\nparameters = { \"path.path\" = { dictionary = \"path\" } }\n\n";

struct Cast(&'static str, &'static str, &'static [&'static str]);

/// A site with people, and enough that happened for most calls to find something.
struct Stage {
    site: Site,
    sidecar: Sidecar,
    people: BTreeMap<&'static str, Person>,
    ids: BTreeMap<&'static str, Vec<String>>,
}

impl Stage {
    async fn set() -> Self {
        let site = Site::new(
            "receipts.signing_key = \"key.pem\"\naccess_requests.signing_key = \"key.pem\"\n\
             server.public_url = \"https://pdp.example/base\"",
        );
        let key = consentry::signing::SigningKey::generate().unwrap();
        std::fs::write(site.file("key.pem"), key.to_pem()).unwrap();
        let sidecar = site.start();
        let person = |tenant, object, roles: &[&str], app_roles: &[&str]| {
            let mut person = site.person(&sidecar, tenant, object, roles, app_roles);
            person.claims.lifetime_s = 3_600;
            person
        };
        let people = BTreeMap::from([
            ("ticketing", person("vendor", "ticketing", &[], &["SupportRequests.Manage"])),
            ("tooling", person("vendor", "tooling", &[], &["Decisions.Evaluate"])),
            ("ada", person("vendor", "ada", &[], &["SupportEngineer"])),
            ("cyd", person("contoso", "cyd", &["Global Administrator"], &[])),
            ("dee", person("fabrikam", "dee", &["Global Administrator"], &[])),
            ("nobody", person("fabrikam", "nobody", &[], &[])),
            ("reviewer", {
                let mut reviewer = person("vendor", "rae", &[], &["Decisions.Explain"]);
                reviewer.claims.service = false;
                reviewer
            }),
        ]);
        let mut stage = Self { site, sidecar, people, ids: BTreeMap::new() };
        stage.play().await;
        stage
    }

    fn note(&mut self, kind: &'static str, id: &Value) {
        self.ids.entry(kind).or_default().push(id.as_str().unwrap().to_owned());
    }

    async fn play(&mut self) {
        let people = self.people.clone();
        let [ticketing, ada, cyd, dee, tooling] =
            ["ticketing", "ada", "cyd", "dee", "tooling"].map(|name| &people[name]);
        for number in 1..=12 {
            let id = format!("SR-{number}");
            let body = json!({
                "id": id, "number": format!("N-{number}"), "summary": "Guests cannot sign in", "tenant": "contoso",
                "submitted_in": "admin_center", "assignee": "vendor/ada",
            });
            assert_eq!(ticketing.post("/v1/support-requests", &body).await.status, 201);
            let body = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "sign-in fails" });
            let asked = ada.post("/v1/access-requests", &body).await;
            self.note("support_request", &json!(id));
            self.note("access_request", &asked.json["id"]);
        }
        self.play_tasks(ticketing, ada, tooling).await;
        for admin in [cyd, dee] {
            let pending = admin.get("/v1/consents?view=pending").await;
            for (number, consent) in pending.json["items"].as_array().unwrap().iter().enumerate() {
                if admin.id == dee.id {
                    self.note("consent", &consent["id"]);
                }
                if number % 3 != 0 {
                    let path = format!("/v1/consents/{}/approve", consent["id"].as_str().unwrap());
                    assert_eq!(admin.post(&path, &json!({})).await.status, 200);
                }
            }
        }
        for number in 1..=4 {
            let asked = question("vendor/ada", "read", "fabrikam/signInLogs", &format!("SR-{number}"));
            let decided = tooling.post("/access/v1/evaluation", &asked).await;
            self.note("decision", &decided.json["context"]["decision_id"]);
        }
        self.ids.insert("tenant", vec!["contoso".to_owned(), "fabrikam".to_owned()]);
    }

    /// Denials after which the engineer asks for access.
    async fn play_tasks(&mut self, ticketing: &Person, ada: &Person, tooling: &Person) {
        for number in 13..=20 {
            let id = format!("SR-{number}");
            let body = json!({
                "id": id, "number": format!("N-{number}"), "summary": "Guests cannot sign in", "tenant": "contoso",
                "submitted_in": "admin_center", "assignee": "vendor/ada",
            });
            assert_eq!(ticketing.post("/v1/support-requests", &body).await.status, 201);
            let asked = question("vendor/ada", "read", "fabrikam/signInLogs", &id);
            let denial = tooling.post("/access/v1/evaluation", &asked).await;
            let submitted = ada.post("/access/v1/requests", &submission(&asked, &denial)).await;
            assert_eq!(submitted.status, 202, "{submitted:?}");
            self.note("task", &submitted.json["task"]["id"]);
        }
    }

    /// The tool's settings: who calls what, with which of the ids that there are.
    fn settings(&self) -> String {
        let mut text = "color = false\ncontinue-on-failure = true\nsuppress-health-check = [\"all\"]\n\n".to_owned();
        for (kind, ids) in &self.ids {
            writeln!(text, "[dictionaries.{kind}]\nvalues = {}\n", json!(ids)).unwrap();
        }
        text.push_str(BENEATH);
        for Cast(who, kind, operations) in CASTS {
            for operation in operations {
                let token = self.people[who].token();
                writeln!(text, "[[operations]]\ninclude-operation-id = \"{operation}\"").unwrap();
                writeln!(text, "headers = {{ Authorization = \"Bearer {token}\" }}").unwrap();
                if !kind.is_empty() {
                    writeln!(text, "parameters = {{ \"path.id\" = {{ dictionary = \"{kind}\" }} }}").unwrap();
                }
                let mut accepted = vec![200, 201, 403, 404, 409, 412, 422];
                accepted.extend(WITH_MORE_TO_SAY.contains(operation).then_some(400));
                writeln!(text, "checks.positive_data_acceptance.expected-statuses = {accepted:?}").unwrap();
                // An item that is malformed is answered in its place (AuthZEN 1.0, section 7.2.1).
                if *operation == "evaluateBatch" {
                    let refused = [200, 400, 401, 403];
                    writeln!(text, "checks.negative_data_rejection.expected-statuses = {refused:?}").unwrap();
                }
                text.push('\n');
            }
        }
        text
    }

    /// Runs the tool in the site's folder on the document, which is made stricter: an answer has no member that it does
    /// not tell of.
    fn run(&self, document: &Value, arguments: &[&str]) -> (Output, Value) {
        std::fs::write(self.site.file("openapi.json"), closed(document.clone()).to_string()).unwrap();
        let mut command = Command::new(tools::path("schemathesis"));
        command.current_dir(self.site.path()).args(["--config-file", "schemathesis.toml", "run", "openapi.json"]);
        command.args(["--url", &self.sidecar.url, "--request-timeout", "20", "--warnings", "off"]);
        command.args(["--report", "json,har", "--report-json-path", "run.json", "--report-har-path", "run.har"]);
        let output = command.args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", tools::MISSING));
        let report = std::fs::read_to_string(self.site.file("run.json")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output, serde_json::from_str(&report).unwrap_or_else(|_| panic!("no report: {said}")))
    }

    /// The answers of the last run: operation and status.
    fn answers(&self) -> BTreeSet<(String, u64)> {
        let har: Value = serde_json::from_str(&std::fs::read_to_string(self.site.file("run.har")).unwrap()).unwrap();
        let answer = |entry: &Value| {
            let (request, url) = (&entry["request"], entry["request"]["url"].as_str().unwrap());
            let path = url.strip_prefix(&self.sidecar.url).unwrap().split('?').next().unwrap();
            (format!("{} {path}", request["method"].as_str().unwrap()), entry["response"]["status"].as_u64().unwrap())
        };
        har["log"]["entries"].as_array().unwrap().iter().map(answer).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_made_up_from_the_document_gets_an_answer_that_it_does_not_tell_of() {
    let mut dice = random("nothing_that_is_made_up_from_the_document_gets_an_answer_that_it_does_not_tell_of");
    let stage = Stage::set().await;
    let document = stage.people["nobody"].get("/openapi.json").await.json;
    std::fs::write(stage.site.file("schemathesis.toml"), stage.settings()).unwrap();
    let (seed, count) = (dice.u32(..).to_string(), effort(USUAL).to_string());
    let phases = "examples,coverage,fuzzing";
    let (output, report) =
        stage.run(&document, &["--phases", phases, "--checks", "all", "--seed", &seed, "--max-examples", &count]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(report["test_cases"]["generated"].as_u64().unwrap() > 1_000, "{report}");
    assert_eq!(report["operations"]["tested"], operations(&document), "{report}");
    // The calls went where something was, and not only where nothing is.
    let answers = stage.answers();
    for kind in [
        "/v1/support-requests/",
        "/v1/access-requests/",
        "/v1/consents/",
        "/access/v1/requests/",
        "/.well-known/authzen-configuration/",
    ] {
        let place = format!("GET {kind}");
        let found = answers.iter().any(|(call, status)| call.starts_with(&place) && *status == 200);
        assert!(found, "nothing was found at {kind}: {answers:#?}");
    }

    // And by somebody who may do nothing.
    let nobody = format!("Authorization: Bearer {}", stage.people["nobody"].token());
    std::fs::write(stage.site.file("schemathesis.toml"), "color = false\nsuppress-health-check = [\"all\"]\n").unwrap();
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance";
    let more =
        ["--phases", "examples", "--checks", checks, "--seed", &seed, "--max-examples", "2", "--header", &nobody];
    let (output, _) = stage.run(&document, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(stage.answers().iter().any(|(_, status)| *status == 403));
    assert_eq!(stage.people["nobody"].get("/readyz").await.status, 200);
}

/// How many operations the document has, and all of them have a caller.
fn operations(document: &Value) -> usize {
    let items = document["paths"].as_object().unwrap().values();
    let all: Vec<&Value> = items.flat_map(|item| item.as_object().unwrap().values()).collect();
    for operation in &all {
        let name = operation["operationId"].as_str().unwrap();
        let is_called = CASTS.iter().any(|Cast(_, _, operations)| operations.contains(&name));
        assert_eq!(is_called, operation.get("security").is_some(), "say in `CASTS` who calls `{name}`");
    }
    all.len()
}
