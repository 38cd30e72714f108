//! Calls at the same moment: one decision per consent, and the two tenants do not get in each other's way (R11, R19).

use serde_json::json;

use super::is;
use crate::support::{House, Reply};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_decisions_at_once_exactly_one_counts() {
    for _ in 0..5 {
        let house = House::start().await;
        let (_, consent) = house.asked().await;
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let admin = house.admin("fabrikam", &format!("admin{number}"));
                let verb = if number % 2 == 0 { "approve" } else { "reject" };
                let path = format!("/v1/consents/{consent}/{verb}");
                tokio::spawn(async move { admin.post(&path, &json!({})).await })
            })
            .collect();
        let mut replies: Vec<Reply> = Vec::new();
        for call in calls {
            replies.push(call.await.unwrap());
        }
        let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
        let [winner] = won[..] else { panic!("{} decisions counted", won.len()) };
        let status = &is(winner, 200)["status"];
        for reply in lost {
            assert_eq!(reply.problem(), (409, "consent_not_pending", ""));
            assert_eq!(&reply.json["present_status"], status, "{reply:?}");
        }
        let now = is(&house.admin("fabrikam", "dee").get(&format!("/v1/consents/{consent}")).await, 200);
        assert_eq!((&now["status"], &now["decided_by"]), (status, &winner.json["decided_by"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_tenants_may_decide_at_the_same_moment() {
    for _ in 0..10 {
        let house = House::start().await;
        let (contosos, fabrikams) = house.asked().await;
        let approve = |tenant: &str, consent: &str| {
            let (admin, path) = (house.admin(tenant, "admin"), format!("/v1/consents/{consent}/approve"));
            tokio::spawn(async move { admin.post(&path, &json!({})).await })
        };
        let (one, other) = (approve("contoso", &contosos), approve("fabrikam", &fabrikams));
        for reply in [one.await.unwrap(), other.await.unwrap()] {
            assert_eq!(is(&reply, 200)["status"], "approved");
            assert_eq!(reply.header("etag"), Some("\"2\""));
        }
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_access_requests_at_once_one_is_created() {
    let house = House::start().await;
    for round in 1..=10 {
        creates_one(&house, &format!("SR-{round}")).await;
        let list = is(&house.admin("fabrikam", "dee").get("/v1/consents?view=pending").await, 200);
        assert_eq!(list["pending_count"], round);
    }
}

/// Twenty times the same access request at once.
async fn creates_one(house: &House, support_request: &str) {
    house.open(support_request, "contoso", "vendor/ada").await;
    let body = json!({ "support_request": support_request, "resource_tenant": "fabrikam", "reason": "x" });
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (ada, body) = (house.engineer("ada"), body.clone());
            tokio::spawn(async move { ada.post("/v1/access-requests", &body).await })
        })
        .collect();
    let mut created = 0;
    for call in calls {
        let reply = call.await.unwrap();
        if reply.status == 201 {
            created += 1;
        } else {
            assert_eq!(reply.problem(), (409, "access_request_live", ""));
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_pending_under_a_support_request_that_closes_meanwhile() {
    let house = House::start().await;
    let mut created = 0;
    for round in 0..60 {
        let id = format!("SR-{round}");
        house.open(&id, "contoso", "vendor/ada").await;
        let (ada, ticketing) = (house.engineer("ada"), house.ticketing());
        let body = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "x" });
        let asking = tokio::spawn(async move { ada.post("/v1/access-requests", &body).await });
        let path = format!("/v1/support-requests/{id}/close");
        let closing = tokio::spawn(async move { ticketing.post(&path, &json!({})).await });
        is(&closing.await.unwrap(), 200);
        let asked = asking.await.unwrap();
        if asked.status == 201 {
            created += 1;
        } else {
            assert!([403, 409].contains(&asked.status) && asked.code() == "support_request_closed", "{asked:?}");
        }
    }
    let list = is(&house.admin("fabrikam", "dee").get("/v1/consents?view=pending").await, 200);
    assert_eq!(list["pending_count"], 0, "of {created} that were created in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_support_requests_with_one_id_one_is_opened() {
    let house = House::start().await;
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let ticketing = house.ticketing();
            let body = json!({
                "id": "SR-1", "number": number.to_string(), "summary": "x", "tenant": "contoso",
                "submitted_in": "admin_center",
            });
            tokio::spawn(async move { ticketing.post("/v1/support-requests", &body).await })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[409; 19][..]));
}
