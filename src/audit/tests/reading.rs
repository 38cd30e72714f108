//! Every allowed read of a tenant's data is found again, and nobody else's (R22).

use proptest::prelude::*;

use super::super::parts::Parts;
use super::super::reads::ReadIndex;
use super::super::{Position, ReadRecord};
use super::*;

/// One record as the decision's log line has it.
#[derive(Debug, Clone)]
struct Line {
    tenant: &'static str,
    allowed: bool,
    read: bool,
    pad: usize,
}

impl Line {
    fn text(&self, number: usize) -> String {
        let Self { tenant, allowed, read, pad } = self;
        format!(
            "{{\"type\":\"decision\",\"decision\":{allowed},\"decision_id\":\"d{number}\",\"read\":{read},\
             \"time\":\"2026-11-22T10:00:00.000Z\",\"subject\":\"vendor/ada\",\"action\":\"readDiagnosticData\",\
             \"resource_tenant\":\"{tenant}\",\"category\":\"signInLogs\",\"support_request\":\"c-1\",\
             \"consents\":[\"k1\",\"k2\"],\"support_request_tenant\":\"a\",\"pad\":\"{}\"}}",
            "x".repeat(*pad)
        )
    }

    fn read_of(&self) -> Option<TenantId> {
        (self.allowed && self.read).then(|| tenant(self.tenant))
    }
}

fn any_line() -> impl Strategy<Value = Line> {
    let tenant = prop_oneof![8 => Just("busy"), 1 => Just("a"), 1 => Just("b")];
    (tenant, prop::bool::weighted(0.7), prop::bool::weighted(0.9), 0..4_000_usize)
        .prop_map(|(tenant, allowed, read, pad)| Line { tenant, allowed, read, pad })
}

/// The tenant's allowed reads, newest first, found by looking at every line.
fn by_looking_at_all(settings: &DecisionLogSettings, tenant: &str) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for line in lines(settings) {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let is_allowed_read = value["type"] == "decision" && value["decision"] == true && value["read"] == true;
        if is_allowed_read && value["resource_tenant"] == tenant {
            found.push((found.len() as u64 + 1, value["decision_id"].as_str().unwrap().to_owned()));
        }
    }
    found.reverse();
    found
}

/// All pages one after the other.
fn by_pages(log: &DecisionLog, of: &str, limit: usize, matches: &dyn Fn(&ReadRecord) -> bool) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let (page, next) = log.read_back(&tenant(of), before, limit, matches).unwrap();
        assert!(page.len() <= limit);
        found.extend(page.into_iter().map(|read| (read.position.as_u64(), read.decision_id)));
        let Some(next) = next else { return found };
        before = Some(next);
    }
}

fn write(log: &DecisionLog, written: &[Line], group: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (at, group_of_lines) in written.chunks(group).enumerate() {
        let mut last = None;
        for (number, line) in group_of_lines.iter().enumerate() {
            let text = line.text(at * group + number);
            last = Some(log.append(text.as_bytes(), line.read_of().as_ref()).unwrap());
        }
        runtime.block_on(log.settled(last.unwrap())).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn paging_back_finds_what_looking_at_every_line_finds(
        written in prop::collection::vec(any_line(), 1..400),
        group in 1..100_usize,
        limit in 1..50_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), LogMode::Written);
        let (log, _disk) = open_on_disk(&settings);
        write(&log, &written, group);
        for of in ["a", "b", "busy", "nobody"] {
            let expected = by_looking_at_all(&settings, of);
            prop_assert_eq!(by_pages(&log, of, limit, &|_| true), expected.clone());
            let odd = |id: &str| id.ends_with(['1', '3', '5', '7', '9']);
            let expected_odd: Vec<_> = expected.into_iter().filter(|(_, id)| odd(id)).collect();
            prop_assert_eq!(by_pages(&log, of, limit, &|read| odd(&read.decision_id)), expected_odd);
        }
        log.close().unwrap();
        let live = log.index().blocks().unwrap();
        let (reopened, _disk) = open_on_disk(&settings);
        prop_assert_eq!(reopened.index().blocks().unwrap(), live);
    }
}

#[test]
fn a_read_is_read_back_with_all_that_the_tenant_may_know() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _disk) = open_on_disk(&settings(folder.path(), LogMode::Written));
    let line = Line { tenant: "a", allowed: true, read: true, pad: 0 };
    write(&log, std::slice::from_ref(&line), 1);
    let (reads, _) = log.read_back(&tenant("a"), None, 10, &|_| true).unwrap();
    let expected = ReadRecord {
        position: Position::from_u64(1),
        decision_id: "d0".to_owned(),
        time: "2026-11-22T10:00:00.000Z".to_owned(),
        subject: "vendor/ada".to_owned(),
        action: "readDiagnosticData".to_owned(),
        resource_tenant: "a".to_owned(),
        category: "signInLogs".to_owned(),
        item: None,
        support_request: "c-1".to_owned(),
        access_request: None,
        consents: vec!["k1".to_owned(), "k2".to_owned()],
        receipts: Vec::new(),
    };
    assert_eq!(reads, [expected]);
    // A number that no read has only says where to go on.
    assert_eq!(log.read_back(&tenant("a"), Some(Position::from_u64(7)), 10, &|_| true).unwrap().0.len(), 1);
    for number in [0, 1] {
        assert!(log.read_back(&tenant("a"), Some(Position::from_u64(number)), 10, &|_| true).unwrap().0.is_empty());
    }
}

#[test]
fn a_line_that_only_looks_like_an_allowed_read_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let read = Line { tenant: "b", allowed: true, read: true, pad: 0 }.text(1);
    let text = [
        // A denied read whose reason quotes an allowed one.
        &format!("{{\"type\":\"decision\",\"decision\":false,\"resource_tenant\":\"a\",\"why\":{read:?}}}"),
        "{\"type\":\"decision\",\"decision\":true,\"read\":true",
        "{\"type\":\"gap\",\"decision\":true,\"read\":true,\"resource_tenant\":\"a\"}",
        "{\"type\":\"decision\",\"decision\":true,\"read\":true,\"resource_tenant\":\"not/an/id\"}",
        "",
        &read.replace("\"b\"", "\"a\""),
        &read,
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    write_file(&settings, &text);
    let (log, _disk) = open_on_disk(&settings);
    for of in ["a", "b"] {
        let (reads, _) = log.read_back(&tenant(of), None, 10, &|_| true).unwrap();
        assert_eq!(reads.len(), 1, "{of}: {reads:?}");
    }
}

#[test]
fn what_has_failed_is_never_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { sync_interval_ms: NEVER_MS, ..settings(folder.path(), LogMode::Written) };
    let (log, disk) = open_on_disk(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let line = Line { tenant: "a", allowed: true, read: true, pad: 0 }.text(0);
    disk.has_room_for(line.len() as u64);
    disk.cut_fails.store(true, Ordering::SeqCst);
    let ticket = log.append(line.as_bytes(), Some(&tenant("a"))).unwrap();
    runtime.block_on(log.settled(ticket)).unwrap_err();
    assert!(log.read_back(&tenant("a"), None, 10, &|_| true).unwrap().0.is_empty());
}

#[tokio::test]
async fn until_the_file_is_indexed_reading_back_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    write_file(&settings, "");
    let (parts, _) = parts(&settings);
    let index = ReadIndex::new(settings.path.clone(), Arc::new(parts), 0);
    assert_eq!(index.read_back(&tenant("a"), None, 1, &|_| true).unwrap_err().code(), "log_index_building");
    index.build();
    assert!(index.read_back(&tenant("a"), None, 1, &|_| true).unwrap().0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_indexed_while_records_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let old: String = (0..4_000)
        .map(|number| Line { tenant: "a", allowed: true, read: number % 50 == 0, pad: 700 }.text(number) + "\n")
        .collect();
    write_file(&settings, &old);
    let (log, _disk) = open_on_disk(&settings);
    let fresh = Line { tenant: "b", allowed: true, read: true, pad: 700 };
    for number in 0..2_000 {
        let ticket = log.append(fresh.text(number).as_bytes(), fresh.read_of().as_ref()).unwrap();
        log.settled(ticket).await.unwrap();
    }
    until(|| log.index().blocks().is_some()).await;
    for of in ["a", "b"] {
        assert_eq!(by_pages(&log, of, 100, &|_| true), by_looking_at_all(&settings, of));
    }
    log.close().unwrap();
    let live = log.index().blocks();
    let (reopened, _disk) = open_on_disk(&settings);
    until(|| reopened.index().blocks().is_some()).await;
    assert_eq!(reopened.index().blocks(), live);
}

/// A log of one segment, as bytes.
fn parts(settings: &DecisionLogSettings) -> (Parts, u64) {
    let file = File::open(plain_path(&settings.path, 0)).unwrap();
    let len = file.metadata().unwrap().len();
    (Parts::of(file), len)
}

/// The index of a log in which this many reads of one tenant's stand, with so many bytes of others' in each line.
fn index_of(folder: &std::path::Path, reads: usize, pad: usize) -> ReadIndex {
    let settings = settings(folder, LogMode::Written);
    let line = Line { tenant: "a", allowed: true, read: true, pad: 0 };
    let others = Line { tenant: "b", allowed: true, read: true, pad };
    let between = if pad > 0 { others.text(0) + "\n" } else { String::new() };
    let text: String = (0..reads).map(|number| line.text(number) + "\n" + &between).collect();
    write_file(&settings, &text);
    let (parts, len) = parts(&settings);
    let index = ReadIndex::new(settings.path, Arc::new(parts), len);
    index.build();
    index
}

#[test]
fn one_call_looks_through_a_bounded_part_and_says_where_to_go_on() {
    use super::super::reads::READS_PER_CALL;
    let folder = tempfile::tempdir().unwrap();
    let index = index_of(folder.path(), READS_PER_CALL + 3, 65_536);
    let is_first = |read: &ReadRecord| read.decision_id == "d0";
    let (reads, next) = index.read_back(&tenant("a"), None, 10, &is_first).unwrap();
    assert!(reads.is_empty() && next.is_some());
    let (reads, next) = index.read_back(&tenant("a"), next, 10, &is_first).unwrap();
    assert_eq!((reads.len(), next), (1, None));
}

/// R19: how much others left in the log does not show.
#[test]
fn where_a_page_ends_depends_on_the_tenants_own_reads_alone() {
    use super::super::reads::READS_PER_CALL;
    let (alone, crowded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for reads in [3, READS_PER_CALL, READS_PER_CALL + 1] {
        let (alone, crowded) = (index_of(alone.path(), reads, 0), index_of(crowded.path(), reads, 65_536));
        for matches in [&|_: &ReadRecord| false, &|read: &ReadRecord| read.decision_id == "d1"]
            as [&dyn Fn(&ReadRecord) -> bool; 2]
        {
            let (mut before, mut pages) = (None, 0);
            loop {
                let page = alone.read_back(&tenant("a"), before, 10, matches).unwrap();
                assert_eq!(crowded.read_back(&tenant("a"), before, 10, matches).unwrap(), page, "{reads} reads");
                pages += 1;
                let Some(next) = page.1 else { break };
                before = Some(next);
            }
            assert_eq!(pages, reads.div_ceil(READS_PER_CALL), "{reads} reads");
        }
    }
}
