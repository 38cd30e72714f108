//! A diagnostic API behind a real Envoy: no request reaches it but those that are allowed.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::gate::{EXAMPLE, Gate, SIGN_IN, ext_authz};
use super::real::{Api, Configuration, Envoy};
use crate::support::process::{Sidecar, Site};
use crate::support::{Person, Reply};

/// A granted house behind an Envoy in front of the API.
struct Stage {
    envoy: Envoy,
    api: Api,
    gate: Gate,
}

impl Stage {
    async fn granted() -> Self {
        let gate = Gate::granted().await;
        let api = Api::start().await;
        let envoy = Envoy::start(&Configuration::of(&api, &gate.folder.path().join("envoy.sock"))).await;
        Self { envoy, api, gate }
    }

    /// An engineer who works under `SR-1` and asks the API through Envoy.
    fn engineer(&self, name: &str) -> Person {
        self.gate.house.engineer(name).at(&self.envoy.url()).with("x-support-request", "SR-1")
    }
}

#[tokio::test]
async fn what_is_allowed_reaches_the_api_and_nothing_else_does() {
    let Stage { envoy, api, gate } = &Stage::granted().await;
    let house = &gate.house;
    let engineer = |name: &str| house.engineer(name).at(&envoy.url()).with("x-support-request", "SR-1");
    let reply = engineer("ada").get(SIGN_IN).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "{\"signIns\":[]}"), "{reply:?}");
    let reached = api.reached();
    let decision = house.records().pop().unwrap();
    assert_eq!((reached.len(), reached[0].target.as_str()), (1, SIGN_IN));
    assert_eq!(reached[0].values("x-consentry-engineer"), ["vendor/ada"]);
    assert_eq!(reached[0].values("x-consentry-decision-id"), [decision["decision_id"].as_str().unwrap()]);
    assert_eq!(reply.header("x-consentry-decision-id"), decision["decision_id"].as_str());
    assert_eq!(decision["request_id"], reached[0].values("x-request-id")[0], "one id through all of them");

    let denial = engineer("bob").get(SIGN_IN).await;
    assert_eq!(denial.problem(), (403, "not_assigned", ""));
    assert_eq!(denial.header("x-consentry-reason"), Some("not_assigned"));
    assert_eq!(denial.header("cache-control"), Some("no-store"));
    let id = house.records().pop().unwrap()["decision_id"].clone();
    assert_eq!((&denial.json["decision_id"], denial.header("x-consentry-decision-id")), (&id, id.as_str()));
    let denial = engineer("ada").send(Method::DELETE, SIGN_IN, None).await;
    assert_eq!(denial.problem(), (403, "read_only", ""));
    let denial = engineer("ada").holding("").get(SIGN_IN).await;
    assert_eq!(denial.problem(), (401, "token_missing", ""));
    assert_eq!(denial.header("www-authenticate"), Some("Bearer realm=\"consentry\""));
    let denial = engineer("ada").get("/v1/everything").await;
    assert_eq!(denial.problem(), (403, "not_mapped", ""));
    assert!(api.reached().is_empty());

    assert_eq!(engineer("ada").holding("").get("/healthz").await.status, 200);
    assert_eq!(api.reached()[0].target, "/healthz");
    house.app().edge().log.close().unwrap();
    let denial = engineer("ada").get(SIGN_IN).await;
    assert_eq!((denial.problem(), denial.header("retry-after")), ((503, "log_closed", ""), Some("1")));
    assert!(api.reached().is_empty());
}

/// The status of a request that is sent as it is written here.
async fn sent(envoy: &Envoy, head: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(envoy.address).await.unwrap();
    stream.write_all(head.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer.split(' ').nth(1).unwrap_or("cut").to_owned()
}

#[tokio::test]
async fn a_client_cannot_make_the_api_read_another_request_or_believe_another_engineer() {
    let Stage { envoy, api, gate } = &Stage::granted().await;
    let token = gate.house.engineer("ada").token();
    let head = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\nhost: api\nauthorization: Bearer {token}\nx-support-request: SR-1\nconnection: close\n{more}\n"
        )
    };
    let line = format!("GET {SIGN_IN}");
    assert_eq!(sent(envoy, &head(&line, "")).await, "200");
    assert_eq!(api.reached().len(), 1);
    let forged = "x-consentry-engineer: vendor/eve\nX-Consentry-Engineer: vendor/eve\nx-consentry-decision-id: made-up\n\
                  x-consentry-reason: made-up\nX-CONSENTRY-Later: made-up\n";
    assert_eq!(sent(envoy, &head(&line, forged)).await, "200");
    let reached = api.reached().pop().unwrap();
    assert_eq!(reached.values("x-consentry-engineer"), ["vendor/ada"]);
    let decision = gate.house.records().pop().unwrap()["decision_id"].clone();
    assert_eq!(reached.values("x-consentry-decision-id"), [decision.as_str().unwrap()]);
    for name in ["x-consentry-reason", "x-consentry-later", "x_consentry_engineer"] {
        assert!(reached.values(name).is_empty(), "{name}");
    }
    assert_eq!(sent(envoy, &head("GET /healthz", forged)).await, "200");
    let reached = api.reached().pop().unwrap();
    assert!(!reached.headers.keys().any(|name| name.as_str().starts_with("x-consentry")), "{reached:?}");

    for target in [
        "//v1/tenants/fabrikam/sign-ins/42",
        "/v1/tenants//fabrikam/sign-ins/42",
        "/v1/tenants/contoso/../fabrikam/sign-ins/42",
        "/healthz/../v1/tenants/contoso/sign-ins/42",
        "/v1/tenants/fabrikam/sign-ins/..%2fcontoso",
        "/v1/tenants/fabrikam/sign-ins/..%5ccontoso",
        "/v1/tenants/fabrikam/sign-ins/%2e%2e/x",
        "/v1/tenants/fabrikam/sign-ins/..;/x",
        "/v1/tenants/fabrikam/sign-ins/42?tenant=contoso",
        "/v1/tenants/fabrikam/sign-ins/42#/healthz",
        "/v1/tenants/fabrikam/sign-ins\\42",
    ] {
        let status = sent(envoy, &head(&format!("GET {target}"), "")).await;
        assert!(["400", "403"].contains(&status.as_str()), "{target}: {status}");
    }
    for more in [
        "x-http-method-override: DELETE\n",
        "x-original-url: /v1/tenants/contoso/sign-ins/42\n",
        "authorization: Bearer other\n",
        "x-support-request: SR-2\n",
        "x_support_request: SR-2\n",
        "connection: upgrade\nupgrade: websocket\n",
    ] {
        let status = sent(envoy, &head(&line, more)).await;
        assert!(["400", "401", "403"].contains(&status.as_str()), "{more}: {status}");
    }
    assert!(api.reached().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_access_was_removed_no_request_reaches_the_api() {
    let stage = Stage::granted().await;
    let house = &stage.gate.house;
    let (removed, before, after) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (removed, before, after) = (&removed, &before, &after);
    let work = async |ada: Person| {
        // Until a few requests of each were sent after the removal was acknowledged.
        while after.load(Ordering::SeqCst) < 40 {
            let was_removed = removed.load(Ordering::SeqCst);
            let reply = ada.get(SIGN_IN).await;
            if was_removed {
                assert_eq!(reply.problem(), (403, "consent_revoked", ""));
                after.fetch_add(1, Ordering::SeqCst);
            } else {
                assert!(reply.status == 200 || reply.code() == "consent_revoked", "{reply:?}");
                before.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let revoke = async {
        let dee = house.admin("fabrikam", "dee");
        let id = dee.get("/v1/consents?view=approved").await.json["items"][0]["id"].as_str().unwrap().to_owned();
        while before.load(Ordering::SeqCst) < 40 {
            tokio::task::yield_now().await;
        }
        assert_eq!(dee.post(&format!("/v1/consents/{id}/revoke"), &json!({})).await.status, 200);
        removed.store(true, Ordering::SeqCst);
    };
    let ada = || stage.engineer("ada");
    tokio::join!(work(ada()), work(ada()), work(ada()), work(ada()), revoke);
    let reached = stage.api.reached().len();
    // Every request that reached the API has its allow in the log, and the log allows nothing behind the first denial.
    let records = house.records();
    let reads: Vec<&Value> = records.iter().filter(|record| record["read"] == true).collect();
    let allowed = reads.iter().filter(|record| record["decision"] == true).count();
    assert!(allowed >= reached && reached >= 30, "{allowed} allowed, {reached} reached the API");
    let first_denial = reads.iter().position(|record| record["code"] == "consent_revoked").unwrap();
    assert!(reads[first_denial..].iter().all(|record| record["decision"] == false));
}

/// What went well.
fn good(reply: Reply) -> Reply {
    assert!(reply.status < 300, "{reply:?}");
    reply
}

/// Makes it so that `vendor/ada` may read fabrikam's data.
async fn grant(site: &Site, sidecar: &Sidecar) {
    let person =
        |tenant: &str, name: &str, roles: &[&str], app: &[&str]| site.person(sidecar, tenant, name, roles, app);
    let ticketing = person("vendor", "ticketing", &[], &["SupportRequests.Manage"]);
    let open = json!({ "id": "SR-1", "number": "1", "summary": "s", "tenant": "contoso",
        "submitted_in": "admin_center", "assignee": "vendor/ada" });
    good(ticketing.post("/v1/support-requests", &open).await);
    let ada = person("vendor", "ada", &[], &["SupportEngineer"]);
    let ask = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "r" });
    good(ada.post("/v1/access-requests", &ask).await);
    for (tenant, name) in [("contoso", "cyd"), ("fabrikam", "dee")] {
        let admin = person(tenant, name, &["Global Administrator"], &[]);
        let pending = good(admin.get("/v1/consents?view=pending").await);
        let id = pending.json["items"][0]["id"].as_str().unwrap().to_owned();
        good(admin.post(&format!("/v1/consents/{id}/approve"), &json!({})).await);
    }
}

#[tokio::test]
async fn on_a_full_disk_nothing_reaches_the_api() {
    // G3: the record comes first, whoever asks.
    let site = Site::new("");
    site.settings(&crate::support::settings(site.path(), &ext_authz(site.path(), EXAMPLE)));
    // A write beyond the limit is to fail, as on a full disk, and not to kill the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" serve --config consentry.toml", env!("CARGO_BIN_EXE_consentry")]);
    command.current_dir(site.path()).env("NO_COLOR", "1");
    let sidecar = Sidecar::spawn(command);
    grant(&site, &sidecar).await;
    let api = Api::start().await;
    let envoy = Envoy::start(&Configuration::of(&api, &site.file("envoy.sock"))).await;
    let ada = site.person(&sidecar, "vendor", "ada", &[], &["SupportEngineer"]);
    let ada = ada.at(&envoy.url()).with("x-support-request", "SR-1");
    assert_eq!(ada.get(SIGN_IN).await.status, 200);
    let limit =
        |bytes| prlimit(Some(sidecar.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    limit(Some(16));
    api.reached();
    let reply = ada.get(SIGN_IN).await;
    assert_eq!((reply.status, reply.json["decision"].clone()), (503, json!(false)), "{reply:?}");
    // From then on Envoy knows by its health checks, and asks no more.
    envoy.until_sidecar_is_well(false).await;
    assert_eq!(ada.get(SIGN_IN).await.status, 503);
    assert!(api.reached().is_empty());
    limit(None);
    envoy.until(async || (ada.get(SIGN_IN).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn without_the_sidecar_nothing_reaches_the_api() {
    let site = Site::new("");
    site.settings(&crate::support::settings(site.path(), &ext_authz(site.path(), EXAMPLE)));
    let sidecar = site.start();
    grant(&site, &sidecar).await;
    let api = Api::start().await;
    let envoy = Envoy::start(&Configuration::of(&api, &site.file("envoy.sock"))).await;
    let ada = |sidecar: &Sidecar| {
        let ada = site.person(sidecar, "vendor", "ada", &[], &["SupportEngineer"]);
        ada.at(&envoy.url()).with("x-support-request", "SR-1")
    };
    let reader = ada(&sidecar);
    assert_eq!(reader.get(SIGN_IN).await.status, 200);
    assert_eq!(api.reached().len(), 1);
    sidecar.kill();
    // At once, while Envoy still takes it for well, and when it has noticed.
    for _ in 0..5 {
        assert_eq!(reader.get(SIGN_IN).await.status, 503);
    }
    envoy.until_sidecar_is_well(false).await;
    for path in [SIGN_IN, "/healthz", "/v1/everything"] {
        assert_eq!(reader.get(path).await.status, 503, "{path}");
    }
    assert!(api.reached().is_empty());
    let sidecar = site.start();
    let reader = ada(&sidecar);
    envoy.until_sidecar_is_well(true).await;
    envoy.until(async || (reader.get(SIGN_IN).await.status == 200).then_some(())).await;
    assert_eq!(api.reached().len(), 1);
}
