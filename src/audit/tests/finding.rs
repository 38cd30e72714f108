//! A tenant's read by its decision's id, near a time and without one (R22).

use super::super::DecisionId;
use super::*;

const READS: i64 = 4_500;

fn at(n: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + n * 10_000)
}

fn id(n: i64) -> DecisionId {
    format!("{n:032x}").parse().unwrap()
}

/// Reads of two tenants in turn, one in ten seconds.
fn log_of_reads(settings: &DecisionLogSettings) -> DecisionLog {
    let log = DecisionLog::open(settings, clock()).unwrap();
    let mut last = None;
    for n in 0..2 * READS {
        let of = ["busy", "other"][usize::try_from(n % 2).unwrap()];
        let text = format!(
            "{{\"type\":\"decision\",\"decision_id\":\"{}\",\"time\":\"{}\",\"decision\":true,\"read\":true,\
             \"resource_tenant\":\"{of}\"}}",
            id(n),
            at(n)
        );
        last = Some(log.append(text.as_bytes(), Some(&tenant(of))).unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.settled(last.unwrap())).unwrap();
    log
}

#[test]
fn a_tenants_read_is_found_by_its_id_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of_reads(&settings(folder.path(), LogMode::Written));
    let busy = tenant("busy");
    let found = |n: i64, near: Option<i64>| {
        let read = log.find_read(&busy, &id(n), near.map(at)).unwrap();
        read.map(|read| read.decision_id) == Some(id(n).to_string())
    };
    let newest = 2 * READS - 2;
    assert!(found(newest, None) && found(newest, Some(newest)) && found(newest - 100, None));
    // Too long ago to be looked through without a time.
    assert!(!found(0, None) && !found(800, None));
    for n in [0, 2, 800, 4_000, newest - 2] {
        assert!(found(n, Some(n)), "{n}");
        // Nor is it, from a time before it: the search goes back from there.
        assert!(!found(n + 2, Some(n)), "{n}");
    }
    // The other tenant's, where it stands.
    assert!(!found(801, Some(801)) && !found(newest + 1, None));
    let line = log.find(&id(801), None).unwrap().unwrap();
    assert!(line.contains("\"other\"") && line.contains(&id(801).to_string()));
}
