//! A disk that is full or broken: nothing is acknowledged that is not there, nothing stays that was refused.

use super::*;

/// The records in the file, without what the log says about itself.
fn records(settings: &DecisionLogSettings) -> Vec<String> {
    lines(settings).into_iter().filter(|line| !line.contains("\"type\":\"resumed\"")).collect()
}

fn small_log() -> Vec<String> {
    (0..12).map(|number| format!("{{\"number\":{number},\"pad\":\"{}\"}}", "x".repeat(number))).collect()
}

/// Records in groups that share a write, on a disk that is full after `room` bytes and later is not.
async fn record_until_full(mode: LogMode, group: usize, room: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..settings(folder.path(), mode) };
    let (log, disk) = open_on_disk(&settings);
    disk.has_room_for(room);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for group in small_log().chunks(group) {
        let tickets: Vec<_> = group.iter().map(|line| (line, log.append(line.as_bytes(), None).unwrap())).collect();
        for (line, ticket) in tickets {
            match log.settled(ticket).await {
                Ok(()) => acknowledged.push(line.clone()),
                Err(error) => {
                    assert_eq!(error.code(), "log_unavailable");
                    refused += 1;
                }
            }
        }
        assert_eq!(records(&settings), acknowledged, "room {room}");
    }
    assert_eq!(log.health().is_err(), refused > 0, "room {room}");
    disk.has_room();
    record(&log, "{\"healed\":true}").await.unwrap();
    log.health().unwrap();
    acknowledged.push("{\"healed\":true}".to_owned());
    assert_eq!(records(&settings), acknowledged, "room {room}");
    let marks: Vec<_> = lines(&settings).into_iter().filter(|line| line.contains("resumed")).collect();
    assert_eq!(marks.len(), usize::from(refused > 0));
    assert!(marks.iter().all(|mark| mark.contains(&format!("\"refused\":{refused},"))), "{marks:?}");
    log.close().unwrap();
    let live = log.index().blocks();
    let reopened = DecisionLog::open(&settings, clock()).unwrap();
    assert_eq!(reopened.index().blocks(), live);
    refused > 0
}

#[tokio::test]
async fn a_disk_that_fills_up_at_any_byte_keeps_what_was_acknowledged_and_nothing_else() {
    let all: usize = small_log().iter().map(|line| line.len() + 1).sum();
    for room in 0..=all as u64 {
        for group in [1, 5] {
            let refused = record_until_full(LogMode::Written, group, room).await;
            assert_eq!(refused, room < all as u64);
        }
    }
}

#[tokio::test]
async fn a_synced_log_survives_a_full_disk_too() {
    for room in (0..300).step_by(23) {
        record_until_full(LogMode::Synced, 1, room).await;
    }
}

#[tokio::test]
async fn a_failed_batch_that_cannot_be_cut_off_refuses_everything_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let base = settings(folder.path(), LogMode::Written);
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..base };
    let (log, disk) = open_on_disk(&settings);
    record(&log, "\"first\"").await.unwrap();
    disk.has_room_for(4);
    disk.cut_fails.store(true, Ordering::SeqCst);
    record(&log, "\"torn\"").await.unwrap_err();
    disk.has_room();
    record(&log, "\"behind the torn one\"").await.unwrap_err();
    assert!(log.health().is_err());
    disk.cut_fails.store(false, Ordering::SeqCst);
    record(&log, "\"last\"").await.unwrap();
    assert_eq!(records(&settings), ["\"first\"", "\"last\""]);
}

#[tokio::test]
async fn a_failed_sync_refuses_synced_records_and_takes_them_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..settings(folder.path(), LogMode::Synced) };
    let (log, disk) = open_on_disk(&settings);
    record(&log, "1").await.unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    record(&log, "2").await.unwrap_err();
    assert_eq!(records(&settings), ["1"]);
    disk.sync_fails.store(false, Ordering::SeqCst);
    record(&log, "3").await.unwrap();
    assert_eq!(records(&settings), ["1", "3"]);
}

#[tokio::test]
async fn a_written_log_that_cannot_be_synced_refuses_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let base = settings(folder.path(), LogMode::Written);
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..base };
    let (log, disk) = open_on_disk(&settings);
    record(&log, "1").await.unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(log.flush().await.unwrap_err().code(), "log_unavailable");
    record(&log, "2").await.unwrap_err();
    disk.sync_fails.store(false, Ordering::SeqCst);
    record(&log, "3").await.unwrap();
    assert_eq!(records(&settings), ["1", "3"]);
}

#[tokio::test]
async fn readiness_comes_back_without_a_request() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [LogMode::Written, LogMode::Synced, LogMode::BestEffort] {
        let settings =
            DecisionLogSettings { sync_interval_ms: 1, ..settings(&folder.path().join(mode.as_str()), mode) };
        let (log, disk) = open_on_disk(&settings);
        disk.has_room_for(0);
        let _ = log.append(b"{}", None).unwrap();
        until(|| log.health().is_err()).await;
        disk.has_room();
        until(|| log.health().is_ok()).await;
    }
}

#[tokio::test]
async fn best_effort_counts_what_it_loses_and_says_so_where_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let base = settings(folder.path(), LogMode::BestEffort);
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, best_effort_buffer_bytes: 20, ..base };
    let (log, disk) = open_on_disk(&settings);
    disk.has_room_for(3);
    for _ in 0..2 {
        record(&log, "\"a\"").await.unwrap();
        log.flush().await.unwrap_err();
    }
    // What could not be written waits, and takes room: 8 bytes.
    record(&log, "\"ccccccccc\"").await.unwrap();
    record(&log, "\"lost\"").await.unwrap();
    record(&log, "\"lost\"").await.unwrap();
    assert_eq!(log.lost(), 2);
    disk.has_room();
    log.flush().await.unwrap();
    record(&log, "\"d\"").await.unwrap();
    log.close().unwrap();
    let time = "2026-11-22T10:00:00.000Z";
    let gap = format!("{{\"type\":\"gap\",\"lost\":2,\"since\":\"{time}\",\"time\":\"{time}\"}}");
    assert_eq!(records(&settings), ["\"a\"", "\"a\"", "\"ccccccccc\"", &gap, "\"d\""]);
    assert_eq!(log.lost(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_comes_and_goes_under_many_tasks_never_contradicts_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: 1, ..settings(folder.path(), LogMode::Written) };
    let (log, disk) = open_on_disk(&settings);
    let log = Arc::new(log);
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let log = Arc::clone(&log);
            let disk = Arc::clone(&disk);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..500 {
                    if task == 0 {
                        disk.has_room_for(if number % 3 == 0 { u64::MAX } else { number * 7 });
                    }
                    let line = format!("\"{task} {number}\"");
                    if record(&log, &line).await.is_ok() {
                        acknowledged.push(line);
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    disk.has_room();
    log.flush().await.unwrap();
    let mut found = records(&settings);
    found.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(found, acknowledged);
    assert!(acknowledged.len() < 16 * 500, "nothing failed");
}
