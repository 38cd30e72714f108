//! Those who give and take away, several on the same case at the same time.

use std::sync::Arc;

use consentry::clock::Clock as _;
use serde_json::{Value, json};

use super::history::{CATEGORIES, Consent, Register, Request, Span};
use super::stage::{ENGINEERS, Known, Stage};
use crate::support::{Person, Reply};

/// What a call did: it did it, it did nothing, or nobody can tell.
enum Did {
    Surely(Reply),
    Nothing,
    Perhaps,
}

/// Makes a call.
async fn call(stage: &Stage, by: &Person, method: &str, path: &str, body: &Value) -> (Did, Span) {
    let method = method.parse().unwrap();
    let sent = by.send(method, path, Some(body.to_string().into_bytes()));
    let (reply, span) = stage.timed(sent).await;
    let did = match reply.status {
        200 | 201 => Did::Surely(reply),
        // Somebody was first, or it is not for the caller to do now.
        403 | 404 | 409 => Did::Nothing,
        503 => Did::Perhaps,
        400 if reply.code() == "end_time_passed" => Did::Nothing,
        _ => panic!("{path}: {reply:?}"),
    };
    (did, span)
}

fn set<V>(register: &mut Register<V>, value: V, (did, span): &(Did, Span)) {
    match did {
        Did::Surely(_) => register.write(value, *span),
        Did::Perhaps => register.perhaps(value, *span),
        Did::Nothing => {}
    }
}

/// Asks for access and approves it; sometimes rejects.
pub async fn grant(stage: Arc<Stage>, case: usize, mut rng: fastrand::Rng, rounds: u64) {
    let tenants: &[&'static str] = if case == 2 { &["contoso"] } else { &["contoso", "fabrikam"] };
    for _ in 0..rounds {
        if !stage.pause(rng.u64(..200)).await {
            return;
        }
        let known = match ask(&stage, case, tenants, &mut rng).await {
            Some(known) => known,
            None => match stage.newest.lock()[case].clone() {
                Some(known) => known,
                None => continue,
            },
        };
        for (part, (tenant, consent)) in known.consents.iter().enumerate() {
            let admin = stage.house.admin(tenant, "admin");
            if rng.u8(..8) == 0 {
                let done = call(&stage, &admin, "POST", &format!("/v1/consents/{consent}/reject"), &json!({})).await;
                set(&mut stage.history.lock().requests[known.request].consents[part], Consent::Ended, &done);
                continue;
            }
            let (body, value) = scope(&stage, &mut rng, false);
            let done = call(&stage, &admin, "POST", &format!("/v1/consents/{consent}/approve"), &body).await;
            set(&mut stage.history.lock().requests[known.request].consents[part], value, &done);
        }
    }
}

async fn ask(stage: &Stage, case: usize, tenants: &[&'static str], rng: &mut fastrand::Rng) -> Option<Known> {
    let engineer = stage.house.engineer(rng.choice(ENGINEERS).unwrap());
    let resource_tenant = tenants.last().unwrap();
    let body = json!({ "support_request": format!("SR-{case}"), "resource_tenant": resource_tenant, "reason": "x" });
    let (did, asked) = call(stage, &engineer, "POST", "/v1/access-requests", &body).await;
    let Did::Surely(reply) = did else { return None };
    let access_request = reply.json["id"].as_str().unwrap().to_owned();
    let request = {
        let mut history = stage.history.lock();
        let consents = vec![Register::holding(Consent::Pending); tenants.len()];
        history.requests.push(Request { case, asked, consents });
        let request = history.requests.len() - 1;
        history.cases[case].request.write(Some(request), asked);
        request
    };
    let mut consents = Vec::new();
    for tenant in tenants {
        let pending = stage.house.admin(tenant, "admin").get("/v1/consents?view=pending&limit=200").await;
        let items = pending.json["items"].as_array().unwrap_or_else(|| panic!("{pending:?}")).clone();
        // It may be gone again already.
        let item = items.into_iter().find(|item| item["access_request"] == access_request.as_str())?;
        consents.push((*tenant, item["id"].as_str().unwrap().to_owned()));
    }
    let known = Known { request, access_request, consents };
    stage.newest.lock()[case] = Some(known.clone());
    Some(known)
}

/// A scope, as it is sent and as it counts.
fn scope(stage: &Stage, rng: &mut fastrand::Rng, narrowed: bool) -> (Value, Consent) {
    let mut body = json!({});
    let (mut categories, mut until_ms) = ([true; 2], None);
    if rng.u8(..4) == 0 {
        let one = rng.usize(..2);
        categories = [one == 0, one == 1];
        body["categories"] = json!([CATEGORIES[one]]);
    }
    if rng.u8(..3) == 0 || (narrowed && body == json!({})) {
        let until = stage.house.clock.now().plus_millis(rng.i64(1..3_000));
        until_ms = Some(until.as_millis());
        body["until"] = json!(until.to_string());
    }
    (body, Consent::Approved { categories, until_ms, narrowed })
}

/// Takes away: revokes, narrows, cancels, closes and opens again, or lets time pass.
pub async fn take(stage: Arc<Stage>, case: usize, mut rng: fastrand::Rng, rounds: u64) {
    let ticketing = stage.house.ticketing();
    for _ in 0..rounds {
        if !stage.pause(rng.u64(..400)).await {
            return;
        }
        let Some(known) = stage.newest.lock()[case].clone() else { continue };
        let last = known.consents.len() - 1;
        let (tenant, consent) = &known.consents[last];
        let admin = stage.house.admin(tenant, "other-admin");
        match rng.u8(..6) {
            0 | 1 => {
                let done = call(&stage, &admin, "POST", &format!("/v1/consents/{consent}/revoke"), &json!({})).await;
                set(&mut stage.history.lock().requests[known.request].consents[last], Consent::Ended, &done);
            }
            2 => narrow(&stage, &admin, &known, &mut rng).await,
            3 => {
                let engineer = stage.house.engineer(rng.choice(ENGINEERS).unwrap());
                let path = format!("/v1/access-requests/{}/cancel", known.access_request);
                let done = call(&stage, &engineer, "POST", &path, &json!({})).await;
                for consent in &mut stage.history.lock().requests[known.request].consents {
                    set(consent, Consent::Ended, &done);
                }
            }
            4 => {
                let done =
                    call(&stage, &ticketing, "POST", &format!("/v1/support-requests/SR-{case}/close"), &json!({}))
                        .await;
                {
                    let mut history = stage.history.lock();
                    let case = &mut history.cases[case];
                    set(&mut case.open, false, &done);
                    match done.0 {
                        Did::Surely(_) => case.closed.push((done.1, true)),
                        Did::Perhaps => case.closed.push((done.1, false)),
                        Did::Nothing => {}
                    }
                }
                stage.pause(rng.u64(..100)).await;
                let done =
                    call(&stage, &ticketing, "POST", &format!("/v1/support-requests/SR-{case}/reopen"), &json!({}))
                        .await;
                set(&mut stage.history.lock().cases[case].open, true, &done);
            }
            _ => stage.turn(rng.i64(1..2_000)),
        }
    }
}

/// Keeps one category, or sets an end time. Only where the whole is known to be approved: a narrowing keeps what it does
/// not name.
async fn narrow(stage: &Stage, admin: &Person, known: &Known, rng: &mut fastrand::Rng) {
    let last = known.consents.len() - 1;
    let reply = admin.get(&format!("/v1/consents/{}", known.consents[last].1)).await;
    let scope_now = &reply.json["scope"];
    let is_whole = scope_now["categories"].as_array().is_none_or(|all| all.len() > 2) && scope_now["until"].is_null();
    if reply.json["status"] != "approved" || !is_whole {
        return;
    }
    let (body, value) = scope(stage, rng, true);
    let done = call(stage, admin, "POST", &format!("/v1/consents/{}/narrow", known.consents[last].1), &body).await;
    set(&mut stage.history.lock().requests[known.request].consents[last], value, &done);
}

/// Gives the case to somebody else, and changes the customer's setting (R5). Two of them work on each case, and often
/// wish the same.
pub async fn assign(stage: Arc<Stage>, case: usize, mut rng: fastrand::Rng, rounds: u64) {
    let ticketing = stage.house.ticketing();
    for _ in 0..rounds {
        if !stage.pause(rng.u64(..400)).await {
            return;
        }
        if case != 2 && rng.bool() {
            let setting = rng.bool();
            let body = json!({ "advanced_diagnostic_information": setting });
            let done = call(&stage, &ticketing, "PATCH", &format!("/v1/support-requests/SR-{case}"), &body).await;
            set(stage.history.lock().cases[case].setting.as_mut().unwrap(), setting, &done);
        } else {
            let assignee =
                *rng.choice([Some("vendor/ada"), Some("vendor/ada"), Some("vendor/bob"), None]).as_ref().unwrap();
            let body = json!({ "assignee": assignee });
            let done =
                call(&stage, &ticketing, "PUT", &format!("/v1/support-requests/SR-{case}/assignee"), &body).await;
            set(&mut stage.history.lock().cases[case].assignee, assignee, &done);
        }
    }
}

/// Loads bundles with and without the lock, and broken ones.
pub async fn reload(stage: Arc<Stage>, mut rng: fastrand::Rng, rounds: u64) {
    for _ in 0..rounds {
        if !stage.pause(rng.u64(200..800)).await {
            return;
        }
        let (loading, locked, in_vain) = (Arc::clone(&stage), rng.bool(), rng.u8(..8) == 0);
        let loaded =
            tokio::task::spawn_blocking(
                move || if in_vain { loading.reload_in_vain() } else { loading.reload(locked) },
            );
        loaded.await.unwrap();
    }
}
