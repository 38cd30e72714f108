//! Heads of the log kept elsewhere: posted to a receiver, appended to a file. Whoever has one finds a log that was cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use consentry::trail::SignedHead;
use parking_lot::Mutex;

use super::{KEY, SEGMENT, audit};
use crate::support::House;
use crate::support::process::{Site, end_of};

/// Whoever keeps heads: what it was sent and took, and what it says.
struct Keeper {
    taken: Mutex<Vec<String>>,
    says: AtomicU16,
}

async fn take(State(keeper): State<Arc<Keeper>>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    let says = StatusCode::from_u16(keeper.says.load(Ordering::SeqCst)).unwrap();
    if says.is_success() {
        keeper.taken.lock().push(body);
    }
    says
}

async fn keeper() -> (Arc<Keeper>, String) {
    let keeper = Arc::new(Keeper { taken: Mutex::default(), says: AtomicU16::new(500) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/heads", listener.local_addr().unwrap());
    let router = Router::new().route("/heads", post(take)).with_state(Arc::clone(&keeper));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (keeper, url)
}

/// Waits until it holds; the house posts by itself.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never held");
}

#[tokio::test]
async fn heads_are_posted_until_they_are_taken_and_the_last_one_at_the_stop() {
    let (keeper, url) = keeper().await;
    let settings = format!("decision_log.publish_url = \"{url}\"\ndecision_log.head_interval_ms = 20");
    let mut house = House::start_with(&settings).await;
    house.grant().await;
    let trail = async || house.service("anybody", &[]).get("/readyz").await.json["trail"].clone();
    until(async || trail().await == "heads cannot be posted: status 500").await;
    assert!(keeper.taken.lock().is_empty());

    keeper.says.store(204, Ordering::SeqCst);
    until(async || !keeper.taken.lock().is_empty() && trail().await.is_null()).await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.stop().await;
    let folder = house.folder.path();
    let taken = keeper.taken.lock().clone();
    let sizes: Vec<u64> = taken.iter().map(|note| SignedHead::parse(note).unwrap().head().size).collect();
    assert!(sizes.is_sorted_by(|one, next| one < next), "{sizes:?}");
    assert_eq!(audit(folder, &["heads", "decisions", "--newest"]).1.trim(), taken.last().unwrap().trim());

    // Somebody takes the last record away, with every head that tells of it.
    std::fs::write(folder.join("head"), taken.last().unwrap()).unwrap();
    assert_eq!(audit(folder, &["verify", "decisions", "--key", KEY, "--head", "head"]).0, 0);
    let text = std::fs::read_to_string(folder.join(SEGMENT)).unwrap();
    let end = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(folder.join(SEGMENT), &text[..end]).unwrap();
    let (code, said) = audit(folder, &["verify", "decisions", "--key", KEY, "--head", "head"]);
    assert!(code == 1 && said.contains("truncated"), "{said}");
}

#[test]
fn heads_are_posted_where_nobody_else_can_read_them_in_production() {
    for (url, says) in [
        ("http://witness.example/heads", "it must be https"),
        ("https://user:secret@witness.example/heads", "no user, password"),
        ("heads", "no address"),
    ] {
        let site = Site::new(&format!("decision_log.publish_url = \"{url}\""));
        let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
        assert!(!status.success() && said.contains("decision_log.publish_url") && said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn a_published_head_that_a_crash_tore_is_cut_off_and_what_is_no_heads_is_left_alone() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (heads, other) = (elsewhere.path().join("heads"), elsewhere.path().join("notes"));
    let published = |path: &std::path::Path| format!("decision_log.publish_file = \"{}\"", path.display());
    let mut house = House::start_with(&published(&heads)).await;
    house.grant().await;
    house.stop().await;
    let whole = std::fs::read_to_string(&heads).unwrap();
    let last = whole.trim_end().len();
    for lost in [1, 2, 40, last - whole[..last].rfind("\n\n").unwrap(), 150] {
        std::fs::write(&heads, &whole[..last - lost]).unwrap();
        house.restart().await;
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        house.stop().await;
        let arguments = ["verify", "decisions", "--key", KEY, "--head", &heads.display().to_string()];
        let (code, said) = audit(house.folder.path(), &arguments);
        assert_eq!(code, 0, "{lost}: {said}");
    }
    // A name that was meant for something else.
    let text = "a line\n\n".repeat(4_000);
    std::fs::write(&other, &text).unwrap();
    let mut house = House::start_with(&published(&other)).await;
    house.stop().await;
    assert!(std::fs::read_to_string(&other).unwrap().starts_with(&text));
}
