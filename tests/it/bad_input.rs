//! Input that no honest client sends: never an error of ours, never a broken service.

mod slow;

use http::Method;
use proptest::collection::vec;
use proptest::prelude::{Strategy as _, any, prop_oneof};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::effort::{effort, random};
use crate::support::{Connection, House, Person, Reply, question, request};

/// Every path that takes a body, with who may use it.
fn paths(house: &House, consent: &str) -> Vec<(Person, Method, String)> {
    let (tooling, ticketing) = (house.tooling(), house.ticketing());
    let (ada, cyd) = (house.engineer("ada"), house.admin("contoso", "cyd"));
    let consents = ["approve", "reject", "narrow", "revoke"];
    let mut paths = vec![
        (tooling.clone(), Method::POST, "/access/v1/evaluation".to_owned()),
        (tooling, Method::POST, "/access/v1/evaluations".to_owned()),
        (ticketing.clone(), Method::PUT, "/v1/tenants/contoso".to_owned()),
        (ticketing.clone(), Method::POST, "/v1/support-requests".to_owned()),
        (ticketing.clone(), Method::PATCH, "/v1/support-requests/SR-1".to_owned()),
        (ticketing, Method::PUT, "/v1/support-requests/SR-1/assignee".to_owned()),
        (ada, Method::POST, "/v1/access-requests".to_owned()),
    ];
    paths.extend(consents.map(|verb| (cyd.clone(), Method::POST, format!("/v1/consents/{consent}/{verb}"))));
    paths
}

/// An answer to a body that was no good: the caller's fault, and said so.
fn is_refusal(reply: &Reply, of: &str) {
    assert!((400..500).contains(&reply.status), "{of}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{of}: {reply:?}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_service_lives_on() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    for (caller, method, path) in paths(&house, &consent) {
        let largest = caller.send(method.clone(), &path, Some(vec![b' '; 1024 * 1024])).await;
        assert_eq!(largest.status, 400, "{path}: {largest:?}");
        let reply = caller.send(method, &path, Some(vec![b' '; 1024 * 1024 + 1])).await;
        assert_eq!(reply.problem(), (413, "body_too_large", ""), "{path}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let house = House::start_with("server.max_body_bytes = 1000").await;
    let authorization = format!("Bearer {}", house.tooling().token());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ];
    let mut connection = Connection::to(&house).await;
    connection.send(&request("POST", "/access/v1/evaluation", &headers, "")).await;
    for _ in 0..100 {
        connection.send(format!("64\r\n{}\r\n", " ".repeat(100)).as_bytes()).await;
    }
    let answer = connection.send(b"0\r\n\r\n").await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    house.is_well().await;
}

#[tokio::test]
async fn json_that_is_nested_too_deeply_is_refused() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let lists = "[".repeat(100_000);
    let closed = format!("{lists}{}", "]".repeat(100_000));
    let objects = "{\"a\":".repeat(100_000);
    for (caller, method, path) in paths(&house, &consent) {
        let member = format!("{{\"categories\":{closed},\"subject\":{closed},\"id\":{closed}}}");
        let items = format!("{{\"evaluations\":[{closed}]}}");
        for body in [&lists, &closed, &objects, &member, &items] {
            let reply = caller.send(method.clone(), &path, Some(body.clone().into_bytes())).await;
            let is_item = reply.status == 200 && path.ends_with("evaluations");
            assert!(is_item || (400..500).contains(&reply.status), "{path}: {reply:?}");
            assert!(!is_item || reply.json["evaluations"][0]["decision"] == false, "{reply:?}");
        }
    }
    // In a place that nobody looks at, depth does no harm.
    let mut deep = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").to_string();
    deep.insert_str(1, &format!("\"x\":{closed},"));
    let reply = house.tooling().send(Method::POST, "/access/v1/evaluation", Some(deep.into_bytes())).await;
    assert!((200..500).contains(&reply.status), "{reply:?}");
    house.is_well().await;
}

#[tokio::test]
async fn text_that_is_no_unicode_is_refused() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    for (caller, method, path) in paths(&house, &consent) {
        for bytes in [&b"\xff\xfe"[..], b"{\"summary\":\"\xc3\x28\"}", b"{\"\xed\xa0\x80\":1}", b"\xef\xbb\xbf{}"] {
            is_refusal(&caller.send(method.clone(), &path, Some(bytes.to_vec())).await, &path);
        }
    }
    let wrong = ["/v1/consents/%FF", "/v1/consents/%00", "/v1/consents/%E2%82", "/v1/access-requests/%ff%fe"];
    for path in wrong {
        is_refusal(&house.admin("contoso", "cyd").get(path).await, path);
    }
    for query in ["view=%FF", "view=pending&limit=%FF", "view=pending&cursor=%FF", "view=pending&view=approved", "=&&"]
    {
        is_refusal(&house.admin("contoso", "cyd").get(&format!("/v1/consents?{query}")).await, query);
    }
    house.is_well().await;
}

/// Random bytes, random JSON, and good bodies with something broken in them.
fn bodies() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::strategy::Just(json!("contoso")),
        proptest::strategy::Just(json!("9999-12-31T23:59:59.999Z")),
        proptest::strategy::Just(Value::Null),
    ];
    let names = proptest::sample::select(vec![
        "subject",
        "action",
        "resource",
        "context",
        "evaluations",
        "options",
        "type",
        "id",
        "name",
        "number",
        "summary",
        "tenant",
        "submitted_in",
        "assignee",
        "reason",
        "support_request",
        "resource_tenant",
        "categories",
        "until",
        "display_name",
        "advanced_diagnostic_information",
        "properties",
        "x",
    ]);
    let json = leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((names.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    });
    let good = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").to_string().into_bytes();
    let broken = (any::<proptest::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = good.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..200), json.prop_map(|value| value.to_string().into_bytes()), broken]
}

#[tokio::test]
async fn no_body_makes_an_error_of_ours() {
    let mut dice = random("no_body_makes_an_error_of_ours");
    let seed: [u8; 32] = std::array::from_fn(|_| dice.u8(..));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let strategy = bodies();
    for _ in 0..effort(120) {
        let body = strategy.new_tree(&mut runner).unwrap().current();
        for (caller, method, path) in paths(&house, &consent) {
            let reply = caller.send(method, &path, Some(body.clone())).await;
            let shown = String::from_utf8_lossy(&body);
            assert!(reply.status < 500, "{path} {shown}: {reply:?}");
            assert!(reply.json.is_object(), "{path} {shown}: {reply:?}");
            assert_ne!(reply.json["decision"], true, "{path} {shown}: {reply:?}");
        }
    }
    house.is_well().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let house = House::start().await;
    let long = "x".repeat(200_000);
    let many = "h: x\r\n".repeat(5_000);
    let heads = [
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nh: {long}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
    ];
    for head in heads {
        let answer = Connection::to(&house).await.send(head.as_bytes()).await.rest().await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(answer.is_empty() || ["400", "414", "431"].contains(&status), "{answer}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn bytes_that_are_no_http_end_the_connection() {
    let house = House::start().await;
    let noise =
        ["\x16\x03\x01\x02\x00\x01\x00\x01", "\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "P\0\0\0"];
    for bytes in noise {
        let mut connection = Connection::to(&house).await;
        let answer = connection.send(bytes.as_bytes()).await.send(b"\r\n\r\nx y z\r\n\r\n").await.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn who_sends_a_large_body_that_is_refused_is_told_so_and_can_go_on() {
    let house = House::start().await;
    let large = " ".repeat(7 * 1024 * 1024);
    let refused = request("POST", "/access/v1/evaluation", &[("authorization", "Bearer none")], &large);
    let mut connection = Connection::to(&house).await;
    for _ in 0..2 {
        assert_eq!(connection.send(&refused).await.answer().await.0, 401);
    }
    assert_eq!(connection.send(&request("GET", "/healthz", &[], "")).await.answer().await.0, 200);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let house = House::granted().await;
    let authorization = format!("Bearer {}", house.tooling().token());
    let mut bytes = Vec::new();
    for number in 0..20_u32 {
        let verb = if number % 3 == 0 { "read" } else { "write" };
        let id = number.to_string();
        let headers = [("authorization", authorization.as_str()), ("x-request-id", &id)];
        let body = question("vendor/ada", verb, "fabrikam/signInLogs", "SR-1").to_string();
        bytes.extend(request("POST", "/access/v1/evaluation", &headers, &body));
    }
    bytes.extend(request("GET", "/healthz", &[("connection", "close")], ""));
    let answer = Connection::to(&house).await.send(&bytes).await.rest().await;
    let answers: Vec<&str> = answer.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert_eq!(answers.len(), 21, "{answer}");
    for (number, answer) in answers[..20].iter().enumerate() {
        assert!(answer.contains(&format!("x-request-id: {number}\r\n")), "{number}: {answer}");
        assert_eq!(answer.contains("{\"decision\":true"), number % 3 == 0, "{number}: {answer}");
    }
}
