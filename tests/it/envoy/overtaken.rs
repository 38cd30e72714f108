//! An allow that is taken back while it is being recorded: it does not leave (G1).

use http::Method;
use serde_json::json;

use super::gate::{EXAMPLE, Gate, Sent};
use crate::support::effort::effort;

/// How often an allow must have been recorded and its request refused.
const LATE: u64 = 3;
/// In at most so many rounds.
const TRIES: u64 = 200;
/// Contoso's own sign-ins, which contoso's setting decides on (R5).
const OWN: &str = "/v1/tenants/contoso/sign-ins/42";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_allow_that_is_overtaken_while_it_is_recorded_lets_nothing_through() {
    // Each record waits for the disk, and the change of the facts does so meanwhile.
    let gate = Gate::with_more(EXAMPLE, "decision_log.mode = \"synced\"").await;
    gate.house.open("SR-1", "contoso", "vendor/ada").await;
    let (ticketing, ada) = (gate.house.ticketing(), gate.house.engineer("ada"));
    let allow = async |yes: bool| {
        let body = json!({ "advanced_diagnostic_information": yes }).to_string().into_bytes();
        let reply = ticketing.send(Method::PATCH, "/v1/support-requests/SR-1", Some(body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let sent = Sent::get(OWN).by(&ada).under("SR-1");
    let ask = async || {
        let mut through = 0;
        for _ in 0..20 {
            through += usize::from(gate.ask(sent.clone()).await.is_through());
        }
        through
    };
    let recorded =
        || gate.house.records().iter().filter(|record| record["read"] == true && record["decision"] == true).count();
    let (mut late, mut tries) = (0, 0);
    while late < effort(LATE) {
        tries += 1;
        assert!(tries <= effort(TRIES), "{late} of {tries} rounds were overtaken");
        allow(true).await;
        assert!(gate.ask(sent.clone()).await.is_through());
        let before = recorded();
        let (a, b, c, d, ()) = tokio::join!(ask(), ask(), ask(), ask(), allow(false));
        let (allowed, through) = (recorded() - before, a + b + c + d);
        assert!(through <= allowed, "{through} went through by {allowed} records");
        assert!(!gate.ask(sent.clone()).await.is_through());
        late += u64::from(through < allowed);
    }
}
