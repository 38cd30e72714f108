//! The rules R1-R23, told through the front door: each row of the tables says a rule in its words, what happens, what
//! somebody asks, and what the service answers. The closest thing that must fail stands beside what must work.

mod scene;
mod sight;
pub mod table;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::scene::Scene;
use self::table::{Line, Row};

const READING: &str = include_str!("rules/reading.txt");
const NARROWING: &str = include_str!("rules/narrowing.txt");
const REQUESTS: &str = include_str!("rules/requests.txt");
const CONSENTS: &str = include_str!("rules/consents.txt");
const SIGHT: &str = include_str!("rules/sight.txt");
const PRIVACY: &str = include_str!("rules/privacy.txt");
const LOGS: &str = include_str!("rules/logs.txt");

const TABLES: [&str; 7] = [READING, NARROWING, REQUESTS, CONSENTS, SIGHT, PRIVACY, LOGS];

/// How many rows are played at once, each in a house of its own.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn reading_diagnostic_data_r1_to_r8() {
    play_all(READING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn narrowed_consents_r9() {
    play_all(NARROWING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_requests_and_their_end_r10_r14_r15() {
    play_all(REQUESTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_consents_r11_r12_r13_r16_r17() {
    play_all(CONSENTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_what_r18_r20_r23() {
    play_all(SIGHT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_tenant_sees_what_the_other_does_r19() {
    play_all(PRIVACY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenants_audit_log_r21_r22() {
    play_all(LOGS).await;
}

#[test]
fn every_rule_has_a_row_that_keeps_it_and_a_row_beside_it() {
    let rows = all();
    for number in 1..=23 {
        let rule = format!("R{number}");
        let about = rows.iter().filter(|row| row.rules.contains(&rule)).count();
        assert!(about >= 2, "{rule} has {about} rows");
    }
    let checked = |row: &Row| row.lines.iter().any(|line| !matches!(line, Line::Steps(_) | Line::Either(_)));
    let idle: Vec<_> = rows.iter().filter(|row| !checked(row)).map(|row| &row.says).collect();
    assert!(idle.is_empty(), "rows that check nothing: {idle:?}");
}

/// Every row of every table.
pub fn all() -> Vec<Row> {
    TABLES.into_iter().flat_map(table::rows).collect()
}

/// Plays every row of a table, and tells of all that failed.
async fn play_all(text: &'static str) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut rows = JoinSet::new();
    for row in table::rows(text) {
        let places = Arc::clone(&places);
        rows.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            play(&row, "").await
        });
    }
    let mut failed = Vec::new();
    while let Some(played) = rows.join_next().await {
        failed.extend(played.unwrap().err());
    }
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}

/// Plays a row in each of its worlds, in a service with these settings; what somebody "sees the same" must be equal in
/// all of them. Says what failed.
pub async fn play(row: &Row, settings: &str) -> Result<(), String> {
    let mut views: Vec<Vec<String>> = Vec::new();
    for world in row.worlds() {
        let mut scene = Scene::start(row.name(), settings).await;
        let played = caught(scene.play(row, world)).await;
        // Also after a failure: services must not pile up.
        scene.end().await;
        views.push(played?);
    }
    let Some((first, others)) = views.split_first() else { return Ok(()) };
    for other in others {
        let differences: Vec<_> = first.iter().zip(other).filter(|(here, there)| here != there).collect();
        if !differences.is_empty() || first.len() != other.len() {
            return Err(format!("{}: {differences:#?}", row.name()));
        }
    }
    Ok(())
}

/// What the future gives, or what it said when it panicked.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    let words = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic without words").to_owned(),
    };
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(words(panic))),
    })
    .await
}
