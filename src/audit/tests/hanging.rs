//! A disk that hangs: whoever waits is told, the log says so, and all is well once the disk answers.

use std::time::Instant;

use super::super::writer::PATIENCE;
use super::*;

/// A log of which a call to the disk hangs, for a while.
async fn hang(mode: LogMode, what_hangs: impl Fn(&Disk) -> &AtomicBool) {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: 5, ..settings(folder.path(), mode) };
    let (log, disk) = open_on_disk(&settings);
    let log = Arc::new(log);
    record(&log, "\"before\"").await.unwrap();

    what_hangs(&disk).store(true, Ordering::SeqCst);
    // In the mode `written` one of them has to write, and hangs with the disk; all others get an answer.
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let log = Arc::clone(&log);
            let line = format!("\"{number}\"");
            tokio::spawn(async move { (record(&log, &line).await, line) })
        })
        .collect();
    until(|| waiting.iter().filter(|waiting| waiting.is_finished()).count() >= waiting.len() - 1).await;
    assert!(log.health().unwrap_err().contains("hangs"), "{mode}");
    // From here on nobody waits.
    let asked = Instant::now();
    for _ in 0..20 {
        assert_eq!(record(&log, "\"refused\"").await.unwrap_err().code(), "log_unavailable");
    }
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    what_hangs(&disk).store(false, Ordering::SeqCst);

    let mut acknowledged = vec!["\"before\"".to_owned()];
    for waiting in waiting {
        match waiting.await.unwrap() {
            (Ok(()), line) => acknowledged.push(line),
            (Err(error), _) => assert_eq!(error.code(), "log_unavailable"),
        }
    }
    until(|| log.health().is_ok()).await;
    record(&log, "\"after\"").await.unwrap();
    acknowledged.push("\"after\"".to_owned());
    let found = lines(&settings);
    assert!(acknowledged.iter().all(|line| found.contains(line)), "{acknowledged:?} {found:?}");
    assert!(!found.contains(&"\"refused\"".to_owned()), "it was not taken in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_write_that_hangs_keeps_one_waiting_and_refuses_the_others() {
    hang(LogMode::Written, |disk| &disk.write_hangs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_sync_that_hangs_refuses_synced_records() {
    hang(LogMode::Synced, |disk| &disk.sync_hangs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_sync_in_the_background_that_hangs_refuses_written_records() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: 5, ..settings(folder.path(), LogMode::Written) };
    let (log, disk) = open_on_disk(&settings);
    disk.sync_hangs.store(true, Ordering::SeqCst);
    record(&log, "1").await.unwrap();
    until(|| log.health().is_err()).await;
    assert_eq!(record(&log, "2").await.unwrap_err().code(), "log_unavailable");
    disk.sync_hangs.store(false, Ordering::SeqCst);
    until(|| log.health().is_ok()).await;
    record(&log, "3").await.unwrap();
    assert!(lines(&settings).contains(&"3".to_owned()) && !lines(&settings).contains(&"2".to_owned()));
}
