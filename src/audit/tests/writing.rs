//! What is acknowledged is in the file, whole and in order.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

const TASKS: usize = 64;
const RECORDS: usize = 1_000;

/// Many tasks record at once; what they were promised must be what the file holds.
async fn many_tasks_record(mode: LogMode, records: usize) -> (u64, usize) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), mode);
    let (log, disk) = open_on_disk(&settings);
    let log = Arc::new(log);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for number in 0..records {
                    let line =
                        format!("{{\"task\":{task},\"number\":{number},\"pad\":\"{}\"}}", "x".repeat(number % 300));
                    let ticket = log.append(line.as_bytes(), None).unwrap();
                    log.settled(ticket).await.unwrap();
                    taken.push((ticket.sequence(), line));
                }
                taken
            })
        })
        .collect();
    let mut expected = Vec::new();
    for task in tasks {
        expected.extend(task.await.unwrap());
    }
    // Before the log is closed: it was promised already.
    let found = lines(&settings);
    expected.sort_unstable();
    assert_eq!(expected.len(), TASKS * records);
    assert!(expected.iter().map(|(_, line)| line).eq(&found), "the file differs from what was acknowledged");
    log.close().unwrap();
    (disk.writes(), found.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_few_writes_and_every_record_is_there_in_order() {
    let (writes, records) = many_tasks_record(LogMode::Written, RECORDS).await;
    assert!(writes * 4 < records as u64, "{writes} writes for {records} records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn synced_records_share_syncs() {
    let (writes, records) = many_tasks_record(LogMode::Synced, 20).await;
    assert!(writes * 4 < records as u64, "{writes} writes for {records} records");
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [LogMode::Written, LogMode::Synced, LogMode::BestEffort] {
        let settings =
            DecisionLogSettings { sync_interval_ms: 1, ..settings(&folder.path().join(mode.as_str()), mode) };
        let (log, _disk) = open_on_disk(&settings);
        let _ = log.append(b"{}", None).unwrap();
        until(|| lines(&settings) == ["{}"]).await;
    }
}

#[tokio::test]
async fn a_flush_and_a_close_leave_nothing_waiting() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [LogMode::Written, LogMode::Synced, LogMode::BestEffort] {
        let base = settings(&folder.path().join(mode.as_str()), mode);
        let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..base };
        let (log, _disk) = open_on_disk(&settings);
        let first = log.append(b"1", None).unwrap();
        log.flush().await.unwrap();
        assert_eq!(lines(&settings), ["1"]);
        let second = log.append(b"2", None).unwrap();
        log.close().unwrap();
        log.close().unwrap();
        assert_eq!(lines(&settings), ["1", "2"]);
        log.settled(first).await.unwrap();
        log.settled(second).await.unwrap();
        assert_eq!(log.append(b"3", None).unwrap_err().code(), "log_closed");
        // The file is free although the closed log still stands.
        DecisionLog::open(&settings, clock()).unwrap().close().unwrap();
    }
}

#[tokio::test]
async fn a_log_that_is_dropped_lets_go_of_its_file_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [LogMode::Written, LogMode::Synced, LogMode::BestEffort] {
        let base = settings(&folder.path().join(mode.as_str()), mode);
        let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..base };
        let _ = DecisionLog::open(&settings, clock()).unwrap().append(b"{}", None).unwrap();
        until(|| DecisionLog::open(&settings, clock()).is_ok()).await;
        assert_eq!(lines(&settings), ["{}"]);
    }
}

#[tokio::test]
async fn a_second_log_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let (log, _disk) = open_on_disk(&settings);
    let refused = DecisionLog::open(&settings, clock()).unwrap_err();
    assert_eq!(refused.code(), "log_locked");
    assert!(refused.to_string().contains("decisions"), "{refused}");
    record(&log, "{}").await.unwrap();
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let endless = "x".repeat(200_000);
    for (before, whole) in [("", ""), ("{}\n", "{}\n"), ("{\"a", ""), ("{}\n{\"a", "{}\n"), (&endless, "")] {
        write_file(&settings, before);
        let log = DecisionLog::open(&settings, clock()).unwrap();
        record(&log, "{\"next\":1}").await.unwrap();
        log.close().unwrap();
        let mut expected: Vec<String> = whole.lines().map(str::to_owned).collect();
        let cut_bytes = before.len() - whole.len();
        if cut_bytes > 0 {
            let time = "2026-11-22T10:00:00.000Z";
            expected.push(format!("{{\"type\":\"healed\",\"cut_bytes\":{cut_bytes},\"time\":\"{time}\"}}"));
        }
        expected.push("{\"next\":1}".to_owned());
        assert_eq!(lines(&settings), expected);
    }
}

#[tokio::test]
async fn only_single_lines_of_bearable_length_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _disk) = open_on_disk(&settings(folder.path(), LogMode::Written));
    for line in [&b""[..], b"\n", b"a\n", b"a\nb"] {
        assert_eq!(log.append(line, None).unwrap_err().code(), "log_record_not_a_line");
    }
    let longest = vec![b'x'; super::super::MAX_LINE_BYTES];
    log.settled(log.append(&longest, None).unwrap()).await.unwrap();
    assert_eq!(log.append(&[&longest[..], b"x"].concat(), None).unwrap_err().code(), "log_record_too_long");
}

#[test]
fn the_files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder.path().join("made/on/the/way"), LogMode::Written);
    DecisionLog::open(&settings, clock()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&settings.path), mode(settings.path.parent().unwrap())), (0o700, 0o700));
    for file in std::fs::read_dir(&settings.path).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let not_a_file = DecisionLogSettings::at("/dev/null");
    assert_eq!(DecisionLog::open(&not_a_file, clock()).unwrap_err().code(), "log_not_opened");
}

#[test]
fn settings_have_defaults_and_know_their_keys() {
    let read = serde_json::from_str::<DecisionLogSettings>;
    assert_eq!(read(r#"{"path":"a"}"#).unwrap(), DecisionLogSettings::at("a"));
    assert_eq!(read(r#"{"path":"a","mode":"best_effort"}"#).unwrap().mode, LogMode::BestEffort);
    assert!(read(r#"{"path":"a","sync_intervall_ms":1}"#).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synced_record_waits_for_the_sync() {
    let folder = tempfile::tempdir().unwrap();
    let (log, disk) = open_on_disk(&settings(folder.path(), LogMode::Synced));
    let waiting = log.append(b"{}", None).unwrap();
    tokio::time::timeout(Duration::from_secs(10), log.settled(waiting)).await.unwrap().unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    record(&log, "{}").await.unwrap_err();
}
