//! What the HTTP binding adds: request ids, methods, the metadata document.

use serde_json::json;

use super::{PATH, allowed, send, without};
use crate::support::House;

#[tokio::test]
async fn a_request_id_comes_back_with_every_answer() {
    let house = House::granted().await;
    let id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716";
    let tooling = house.tooling().with("x-request-id", id);
    let answers = [
        (200, tooling.post(PATH, &allowed()).await),
        (400, tooling.post(PATH, &without("/subject")).await),
        (401, tooling.holding("").post(PATH, &allowed()).await),
        (403, house.service("other", &[]).with("x-request-id", id).post(PATH, &allowed()).await),
        (405, tooling.get(PATH).await),
        (405, tooling.put("/access/v1/evaluations", &allowed()).await),
        (404, tooling.post("/access/v2/evaluation", &allowed()).await),
        (413, send(&tooling, &vec![b' '; 2 * 1024 * 1024]).await),
        (200, tooling.post("/access/v1/evaluations", &allowed()).await),
        (200, tooling.get("/.well-known/authzen-configuration").await),
        (404, tooling.get("/v1/consents/none").await),
    ];
    for (status, reply) in answers {
        assert_eq!((reply.status, reply.header("x-request-id")), (status, Some(id)), "{reply:?}");
    }
    let reply = house.tooling().post(PATH, &allowed()).await;
    assert_eq!((reply.decision(), reply.header("x-request-id")), (true, None));
}

#[tokio::test]
async fn another_method_is_told_which_one_to_use() {
    let house = House::start().await;
    for path in [PATH, "/access/v1/evaluations"] {
        for reply in [house.tooling().get(path).await, house.tooling().put(path, &allowed()).await] {
            assert_eq!(reply.problem(), (405, "method_not_allowed", ""));
            assert_eq!(reply.header("allow"), Some("POST"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn the_metadata_names_the_endpoints() {
    let house = House::start().await;
    let reply = house.tooling().holding("").get("/.well-known/authzen-configuration").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let url = &house.url;
    let expected = json!({
        "policy_decision_point": url,
        "access_evaluation_endpoint": format!("{url}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{url}/access/v1/evaluations"),
        "search_subject_endpoint": format!("{url}/access/v1/search/subject"),
        "search_resource_endpoint": format!("{url}/access/v1/search/resource"),
        "search_action_endpoint": format!("{url}/access/v1/search/action"),
    });
    assert_eq!((reply.status, reply.json), (200, expected));
    let house = House::start_with("server.public_url = \"https://pdp.example/base/\"").await;
    let reply = house.tooling().get("/.well-known/authzen-configuration").await;
    assert_eq!(reply.json["access_evaluation_endpoint"], "https://pdp.example/base/access/v1/evaluation");
    // Of a URL with a path, the metadata stands between host and path.
    let scoped = house.tooling().get("/.well-known/authzen-configuration/base").await;
    assert_eq!((scoped.status, &scoped.text), (200, &reply.text));
    for other in ["other", "base/more", "bas", "base/"] {
        let reply = house.tooling().get(&format!("/.well-known/authzen-configuration/{other}")).await;
        assert_eq!(reply.problem(), (404, "no_such_path", ""), "{other}");
    }
}
