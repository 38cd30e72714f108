//! Headers: idempotency keys, entity tags, request ids, content types, and whatever else stands there.

use axum::body::Body;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use serde_json::json;

use super::front::{Front, Reply, first_line, with_front};

/// The first line chooses the request; each further line is a header, `name: value`.
pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = first_line(bytes) else { return };
    let mut headers = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let value = value.strip_prefix(b": ").or(value.strip_prefix(b":")).unwrap_or_default();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    with_front(|front| {
        let Some(first) = send(front, choice, &headers) else { return };
        // A retry under a good key is given the same answer again.
        let mut keys = headers.get_all("idempotency-key").iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return };
        let good = key.to_str().is_ok_and(|key| (1..=128).contains(&key.trim().len()));
        let is_command = !["evaluation", "show"].contains(&choice);
        if is_command && first.status < 300 {
            assert!(good, "a key that is none: {key:?}");
            let again = send(front, choice, &headers).unwrap();
            assert_eq!((again.status, &again.text), (first.status, &first.text));
            // What changed nothing is not remembered: it is done again, and changes nothing again.
            let changed = ["approve", "narrow", "close", "reopen"].contains(&choice);
            assert!(!changed || again.headers["idempotency-replayed"] == "true", "{again:?}");
        }
    });
}

fn send(front: &Front, choice: &str, headers: &HeaderMap) -> Option<Reply> {
    let question = json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" }, "action": { "name": "read" },
        "resource": { "type": "DiagnosticData", "id": "fabrikam/signInLogs" }, "context": { "support_request": "SR-1" },
    });
    let (who, method, path, body) = match choice {
        "evaluation" => ("tooling", "POST", "/access/v1/evaluation", question.to_string()),
        "register" => ("ticketing", "PUT", "/v1/tenants/contoso", json!({ "display_name": "Contoso" }).to_string()),
        "update" => ("ticketing", "PATCH", "/v1/support-requests/SR-1", json!({ "summary": "it fails" }).to_string()),
        "approve" => ("cyd", "POST", "/v1/consents/{cyds}/approve", String::new()),
        "narrow" => {
            ("dee", "POST", "/v1/consents/{dees}/narrow", json!({ "until": "2030-01-01T00:00:00Z" }).to_string())
        }
        "close" => ("ticketing", "POST", "/v1/support-requests/SR-2/close", String::new()),
        "reopen" => ("ticketing", "POST", "/v1/support-requests/SR-2/reopen", String::new()),
        "show" => ("ada", "GET", "/v1/support-requests/SR-1", String::new()),
        _ => return None,
    };
    let mut request: Request<Body> = front.request(who, method, &front.fill(path), body.into_bytes())?;
    for name in headers.keys() {
        request.headers_mut().remove(name);
    }
    request.headers_mut().extend(headers.clone());
    Some(front.call(request))
}
