//! Identifiers in paths and bodies: what is one is taken as it is, what is none is refused by name.

use consentry::model::{AccessRequestId, ConsentId, PersonId, RoleId, SupportRequestId, TenantId};
use serde_json::json;

use super::front::{Front, percent, with_front};

/// The bytes are an identifier, or what should have been one.
pub fn run(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    if let Some(text) = text {
        come_back_unchanged(text);
    }
    with_front(|front| {
        for (who, list) in [("ada", "support-requests"), ("ada", "access-requests"), ("cyd", "consents")] {
            in_a_path(front, who, &format!("/v1/{list}/"), bytes);
        }
        let body = json!({ "display_name": "Somebody" }).to_string().into_bytes();
        if let Some(request) = front.request("ticketing", "PUT", &format!("/v1/tenants/{}", percent(bytes)), body) {
            let reply = front.call(request);
            match bytes {
                [] => assert_eq!(reply.status, 404, "{reply:?}"),
                _ if is_id(bytes) => assert!(reply.status < 300 && reply.json["id"] == text.unwrap(), "{reply:?}"),
                _ => assert_eq!((reply.status, reply.field()), (400, "id"), "{reply:?}"),
            }
        }
        if let Some(text) = text {
            in_a_body(front, text);
        }
    });
}

/// What an identifier is, said anew.
fn is_id(bytes: &[u8]) -> bool {
    let dots = matches!(bytes, b"." | b"..");
    !dots
        && (1..=128).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:@".contains(byte))
}

fn come_back_unchanged(text: &str) {
    let good = is_id(text.as_bytes());
    macro_rules! comes_back {
        ($kind:ty) => {
            let parsed = <$kind>::new(text);
            assert_eq!(parsed.is_ok(), good, "{text:?}");
            if let Ok(id) = parsed {
                assert_eq!(id.to_string(), text);
                let json = serde_json::to_string(&id).unwrap();
                assert_eq!(serde_json::from_str::<$kind>(&json).unwrap(), id);
            }
        };
    }
    comes_back!(TenantId);
    comes_back!(SupportRequestId);
    comes_back!(AccessRequestId);
    comes_back!(ConsentId);
    comes_back!(RoleId);
    let parts = text.split_once('/').filter(|(tenant, object)| is_id(tenant.as_bytes()) && is_id(object.as_bytes()));
    let person = text.parse::<PersonId>();
    assert_eq!(person.as_ref().ok().map(PersonId::tenant), parts.map(|(tenant, _)| tenant), "{text:?}");
    assert_eq!(person.as_ref().map_or(text, PersonId::as_str), text);
}

fn in_a_path(front: &Front, who: &str, list: &str, bytes: &[u8]) {
    if let Some(request) = front.request(who, "GET", &format!("{list}{}", percent(bytes)), Vec::new()) {
        let reply = front.call(request);
        match reply.status {
            200 => {
                assert!(bytes.is_empty() || reply.json["id"].as_str().map(str::as_bytes) == Some(bytes), "{reply:?}");
            }
            400 => assert!(reply.field() == "id" && !is_id(bytes), "{reply:?}"),
            404 => assert!(bytes.is_empty() || is_id(bytes), "{reply:?}"),
            other => panic!("{other}: {reply:?}"),
        }
    }
    // As it is, wherever it leads.
    if let Ok(text) = std::str::from_utf8(bytes) {
        for path in [format!("{list}{text}"), format!("/{text}"), text.to_owned()] {
            front.request(who, "GET", &path, Vec::new()).map(|request| front.call(request));
        }
    }
}

fn in_a_body(front: &Front, text: &str) {
    let person = text.parse::<PersonId>().is_ok();
    let question = |subject: &str, resource: &str, support_request: &str| {
        let body = json!({
            "subject": { "type": "SupportEngineer", "id": subject }, "action": { "name": "read" },
            "resource": { "type": "DiagnosticData", "id": resource }, "context": { "support_request": support_request },
        });
        let request = front.request("tooling", "POST", "/access/v1/evaluation", body.to_string().into_bytes());
        front.call(request.unwrap())
    };
    let reply = question(text, "fabrikam/signInLogs", "SR-1");
    assert_eq!(reply.status, if person { 200 } else { 400 }, "{reply:?}");
    assert_eq!(reply.json["decision"] == true, text == "vendor/ada", "{reply:?}");
    let reply = question("vendor/ada", "fabrikam/signInLogs", text);
    assert_eq!(reply.status, if is_id(text.as_bytes()) { 200 } else { 400 }, "{reply:?}");
    assert_eq!(reply.json["decision"] == true, text == "SR-1", "{reply:?}");
    let reply = question("vendor/ada", text, "SR-1");
    assert!(reply.json["decision"] != true || text.starts_with("fabrikam/"), "{reply:?}");
    let reply = question("vendor/ada", &format!("fabrikam/signInLogs/{text}"), "SR-1");
    let item = !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control);
    assert_eq!(reply.status, if item { 200 } else { 400 }, "{reply:?}");
}
