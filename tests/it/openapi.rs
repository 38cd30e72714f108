//! The `OpenAPI` document: it tells of every route and every answer, and what is checked in is what is served.

mod document;
mod generated;
mod strict;
pub(crate) mod tools;

use serde_json::Value;

use crate::support::House;

/// The document that is checked in.
const CHECKED_IN: &str = "docs/openapi.json";

/// A service with all that can be there: the document tells of it.
async fn whole() -> (House, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().unwrap();
    let key = consentry::signing::SigningKey::generate().unwrap();
    std::fs::write(folder.path().join("requests.pem"), key.to_pem()).unwrap();
    let settings = format!(
        "server.public_url = \"https://pdp.example/base\"\n[access_requests]\nsigning_key = \"{}/requests.pem\"\n",
        folder.path().display()
    );
    (House::start_with(&settings).await, folder)
}

/// The document as it is served.
async fn served(house: &House) -> (String, Value) {
    let reply = house.tooling().holding("").get("/openapi.json").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    (reply.text, reply.json)
}
