//! What was written is bound into the tree and signed, over segments that come and go, and a start finds what was altered.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::signing::{NotSigned, Signature, Signer, SigningKey, TrustedKey, TrustedKeys};
use crate::trail::{Folder, Report, hashes_path, heads_path, verify};

pub(super) fn keys(folder: &Path) -> TrustedKeys {
    let text = std::fs::read_to_string(folder.join("development-signing-key.pub.pem")).unwrap();
    TrustedKeys(vec![TrustedKey::from_pem(&text).unwrap()])
}

fn verified(settings: &DecisionLogSettings) -> Report {
    verify(&settings.path, &keys(&settings.path), &[]).unwrap()
}

/// Small segments, and heads as often as can be.
fn small(folder: &Path, mode: LogMode) -> DecisionLogSettings {
    DecisionLogSettings { segment_bytes: 1_500, head_interval_ms: 1, sync_interval_ms: 1, ..settings(folder, mode) }
}

fn a_read(number: usize) -> String {
    format!(
        "{{\"type\":\"decision\",\"decision_id\":\"{number:032x}\",\"time\":\"2026-11-22T10:00:00.000Z\",\
         \"decision\":true,\"read\":true,\"resource_tenant\":\"a\"}}"
    )
}

async fn read_by(log: &DecisionLog, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let ticket = log.append(a_read(number).as_bytes(), Some(&tenant("a"))).unwrap();
        log.settled(ticket).await.unwrap();
    }
}

fn found(log: &DecisionLog) -> Vec<String> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let (page, next) = log.read_back(&tenant("a"), before, 7, &|_| true).unwrap();
        found.extend(page.into_iter().map(|read| read.decision_id));
        match next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.rev().map(|number| format!("{number:032x}")).collect()
}

fn segments(settings: &DecisionLogSettings) -> Vec<(u64, bool)> {
    let folder = Folder::read(&settings.path).unwrap();
    folder.segments.into_iter().map(|segment| (segment.start, segment.packed)).collect()
}

#[tokio::test]
async fn whatever_was_recorded_is_signed_in_every_mode() {
    for mode in [LogMode::Written, LogMode::Synced, LogMode::BestEffort] {
        let folder = tempfile::tempdir().unwrap();
        let settings = DecisionLogSettings { head_interval_ms: 1, ..settings(folder.path(), mode) };
        for run in 0..3 {
            let log = DecisionLog::open(&settings, clock()).unwrap();
            read_by(&log, run * 10..run * 10 + 10).await;
            // While it is written, and not only at its end.
            until(|| log.trail().signed_size == run as u64 * 10 + 11).await;
            assert_eq!((log.trail().behind_bytes, log.trail().trouble), (0, None));
            log.close().unwrap();
            let report = verified(&settings);
            assert_eq!((report.findings.as_slice(), report.size), ([].as_slice(), run as u64 * 10 + 11));
            assert_eq!((report.signed_size, report.unfinished_bytes), (report.size, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_turn_over_are_compressed_and_are_read_as_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path(), LogMode::Written);
    let log = DecisionLog::open(&settings, clock()).unwrap();
    let mut recorded = 0;
    while segments(&settings).len() < 6 {
        read_by(&log, recorded..recorded + 1).await;
        recorded += 1;
        until(|| log.trail().size > recorded as u64).await;
    }
    assert_eq!(found(&log), ids(0..recorded));
    let near = Some(clock().now());
    for number in [0, recorded / 2, recorded - 1] {
        let id = format!("{number:032x}").parse().unwrap();
        for near in [None, near] {
            assert_eq!(log.find(&id, near).unwrap().as_deref(), Some(a_read(number).as_str()));
            assert!(log.find_read(&tenant("a"), &id, near).unwrap().is_some());
        }
    }
    log.close().unwrap();
    let expected: Vec<_> = (0..recorded).map(a_read).collect();
    assert_eq!(lines(&settings), expected);
    assert_eq!(verified(&settings).findings, []);

    // The next start finds segments that are closed, and compresses them.
    let log = DecisionLog::open(&settings, clock()).unwrap();
    until(|| segments(&settings).iter().rev().skip(1).all(|(_, packed)| *packed)).await;
    until(|| log.index().blocks().is_some()).await;
    assert_eq!(found(&log), ids(0..recorded));
    read_by(&log, recorded..recorded + 3).await;
    assert_eq!(found(&log), ids(0..recorded + 3));
    let live = log.index().blocks();
    log.close().unwrap();
    assert_eq!(lines(&settings).len(), recorded + 3);
    let report = verified(&settings);
    assert_eq!((report.findings.as_slice(), report.signed_size), ([].as_slice(), report.size));
    let again = DecisionLog::open(&settings, clock()).unwrap();
    until(|| again.index().blocks().is_some()).await;
    assert_eq!(again.index().blocks(), live, "the index is another after a start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_segments_are_removed_and_what_is_left_is_good_unless_there_is_a_hold() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DecisionLogSettings { compress: false, ..small(folder.path(), LogMode::Written) };
    let log = DecisionLog::open(&settings, clock()).unwrap();
    let mut recorded = 0;
    while segments(&settings).len() < 5 {
        read_by(&log, recorded..recorded + 1).await;
        recorded += 1;
        until(|| log.trail().size > recorded as u64).await;
    }
    log.close().unwrap();
    let before = segments(&settings);
    let few = DecisionLogSettings { keep_bytes: Some(4_000), ..settings.clone() };
    let held = DecisionLogSettings { keep_bytes: Some(1), compress: true, ..settings.clone() };
    let held = DecisionLogSettings { path: folder.path().join("held"), ..held };
    std::fs::create_dir(&held.path).unwrap();
    for entry in std::fs::read_dir(&settings.path).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, held.path.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(held.path.join("hold"), "case 4711").unwrap();
    let log = DecisionLog::open(&held, clock()).unwrap();
    until(|| log.trail().hold.as_deref() == Some("case 4711")).await;
    // What is to be removed goes before the rest is compressed.
    until(|| segments(&held).iter().rev().skip(1).all(|(_, packed)| *packed)).await;
    log.close().unwrap();
    let starts = |segments: Vec<(u64, bool)>| segments.into_iter().map(|(start, _)| start).collect::<Vec<_>>();
    assert!(starts(segments(&held)).starts_with(&starts(before.clone())), "a segment went although there is a hold");
    assert_eq!(verified(&held).findings, []);

    let log = DecisionLog::open(&few, clock()).unwrap();
    until(|| segments(&few).first() != before.first()).await;
    let left = found(&log);
    // A tenant's reads keep their numbers, also over a start.
    let numbers = |log: &DecisionLog| -> Vec<(String, u64)> {
        let (reads, _) = log.read_back(&tenant("a"), None, 1_000, &|_| true).unwrap();
        reads.into_iter().map(|read| (read.decision_id, read.position.as_u64())).collect()
    };
    let numbered = numbers(&log);
    assert!(numbered.iter().all(|(id, number)| u64::from_str_radix(id, 16).unwrap() + 1 == *number), "{numbered:?}");
    log.close().unwrap();
    let log = DecisionLog::open(&few, clock()).unwrap();
    until(|| log.index().blocks().is_some()).await;
    let again = numbers(&log);
    assert!(again.iter().all(|(id, number)| u64::from_str_radix(id, 16).unwrap() + 1 == *number), "{again:?}");
    assert!(!left.is_empty() && ids(0..recorded).starts_with(&left), "{left:?}");
    assert_eq!(log.find(&format!("{:032x}", 0).parse().unwrap(), None).unwrap(), None);
    read_by(&log, recorded..recorded + 1).await;
    log.close().unwrap();
    let report = verified(&few);
    assert!(report.first > 0 && report.is_good() && report.signed_size == report.size, "{report:?}");
    assert!(lines(&few).iter().any(|line| line.contains("\"type\":\"removed\"") && line.contains("keep_bytes")));

    // By age: the clock of this log has not moved, so that nothing is old; a later one finds that all of it is.
    let later: Arc<dyn Clock> = Arc::new(ManualClock::at(clock().now().plus_millis(3 * 86_400_000)));
    let by_age = DecisionLogSettings { keep_bytes: None, keep_days: Some(2), ..settings };
    let log = DecisionLog::open(&by_age, Arc::clone(&later)).unwrap();
    read_by(&log, 1_000..1_001).await;
    let first = segments(&by_age);
    until(|| segments(&by_age).first() != first.first() || segments(&by_age).len() == 1).await;
    log.close().unwrap();
    assert_eq!(verified(&by_age).findings, []);
}

#[tokio::test]
async fn a_start_refuses_a_log_that_is_not_as_it_was_signed_and_names_what() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let log = DecisionLog::open(&settings, clock()).unwrap();
    read_by(&log, 0..8).await;
    log.close().unwrap();
    let path = plain_path(&settings.path, 0);
    let text = std::fs::read_to_string(&path).unwrap();
    let heads = std::fs::read_to_string(heads_path(&settings.path, 0)).unwrap();
    let without_last = text.trim_end().rfind('\n').unwrap() + 1;
    let altered: [(&str, String, String, &str); 6] = [
        ("a record changed", text.replace("00003\"", "00009\""), heads.clone(), "line 4"),
        ("a record removed", text.replace(&format!("{}\n", a_read(3)), ""), heads.clone(), "line 4"),
        ("the end cut off", text[..without_last].to_owned(), heads.clone(), "lines 8 to 8"),
        ("within the last line", text[..text.len() - 1].to_owned(), heads.clone(), "lines 8 to 8"),
        ("all of it", text.lines().next().unwrap().to_owned() + "\n", heads.clone(), "lines 1 to 8"),
        ("a head changed", text.clone(), heads.replace("\n9\n", "\n8\n"), "the newest head"),
    ];
    for (what, altered, altered_heads, told) in altered {
        std::fs::write(&path, &altered).unwrap();
        std::fs::write(heads_path(&settings.path, 0), &altered_heads).unwrap();
        let refused = DecisionLog::open(&settings, clock()).unwrap_err();
        assert_eq!(refused.code(), "log_altered", "{what}: {refused}");
        assert!(refused.to_string().contains(told), "{what}: {refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), altered, "{what}: it was touched");
    }
    // Unless it is told to begin anew: then what was there is set aside.
    let anew = DecisionLogSettings { begin_anew: true, ..settings.clone() };
    let log = DecisionLog::open(&anew, clock()).unwrap();
    read_by(&log, 0..1).await;
    log.close().unwrap();
    assert_eq!((lines(&settings).len(), verified(&settings).findings), (1, vec![]));
    let aside = std::fs::read_dir(&settings.path).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<PathBuf> = aside.filter(|path| path.is_dir()).collect();
    assert_eq!(std::fs::read_to_string(plain_path(&aside[0], 0)).unwrap(), text);
    // A log that is as it was signed is not set aside.
    let log = DecisionLog::open(&anew, clock()).unwrap();
    assert_eq!(found(&log).len(), 1);
}

#[tokio::test]
async fn hashes_that_are_lost_or_damaged_are_made_anew_from_good_lines() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), LogMode::Written);
    let log = DecisionLog::open(&settings, clock()).unwrap();
    read_by(&log, 0..20).await;
    log.close().unwrap();
    let path = hashes_path(&settings.path, 0);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    for there in [None, Some(damaged), Some(whole[..50].to_vec()), Some([&whole[..], &[7; 40]].concat())] {
        match there {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let log = DecisionLog::open(&settings, clock()).unwrap();
        log.close().unwrap();
        assert!(std::fs::read(&path).unwrap() == whole, "they are others");
        assert_eq!(verified(&settings).findings, []);
    }
    // A head that a crash tore.
    let path = heads_path(&settings.path, 0);
    let heads = std::fs::read_to_string(&path).unwrap();
    for len in [1, 40, heads.len() - 1] {
        std::fs::write(&path, format!("{heads}{}", &heads[..len.min(heads.len() - 1)])).unwrap();
        DecisionLog::open(&settings, clock()).unwrap().close().unwrap();
        assert_eq!(verified(&settings).findings, []);
    }
}

#[tokio::test]
async fn a_head_that_is_torn_before_others_is_no_crash_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let often =
        DecisionLogSettings { head_interval_ms: 1, sync_interval_ms: 1, ..settings(folder.path(), LogMode::Written) };
    let log = DecisionLog::open(&often, clock()).unwrap();
    for number in 0..4 {
        read_by(&log, number..number + 1).await;
        until(|| log.trail().signed_size >= number as u64 + 2).await;
    }
    log.close().unwrap();
    let path = heads_path(&often.path, 0);
    let whole = std::fs::read(&path).unwrap();
    let starts: Vec<usize> =
        crate::trail::read_heads(&whole[..]).map(|head| usize::try_from(head.unwrap().0).unwrap()).collect();
    let (torn, next, last) = (starts[1], starts[2], *starts.last().unwrap());
    for (what, damaged) in [
        ("cut short", [&whole[..torn + 60], &whole[next..]].concat()),
        ("cut within its first line", [&whole[..torn + 5], &whole[next..]].concat()),
        ("its last byte gone", [&whole[..next - 1], &whole[next..]].concat()),
        ("never on the disk", [&whole[..torn], &vec![0; next - torn][..], &whole[next..]].concat()),
        ("with another torn one at the end", [&whole[..torn + 40], &whole[next..], &whole[..40]].concat()),
    ] {
        std::fs::write(&path, &damaged).unwrap();
        let refused = DecisionLog::open(&often, clock()).map(|_| what).unwrap_err();
        let told = format!("the head at byte {torn}");
        assert!(refused.code() == "log_altered" && refused.to_string().contains(&told), "{what}: {refused}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "{what}: it was touched");
    }
    // What nothing follows is what a crash leaves.
    for end in [last + 1, last + 40, whole.len() - 1] {
        std::fs::write(&path, &whole[..end]).unwrap();
        DecisionLog::open(&often, clock()).unwrap().close().unwrap();
        assert_eq!(verified(&often).findings, []);
    }
}

#[tokio::test]
async fn heads_of_a_key_that_was_in_use_before_count_when_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let first = settings(folder.path(), LogMode::Written);
    let log = DecisionLog::open(&first, clock()).unwrap();
    read_by(&log, 0..2).await;
    log.close().unwrap();
    let key = folder.path().join("new.pem");
    std::fs::write(&key, SigningKey::generate().unwrap().to_pem()).unwrap();
    let second = DecisionLogSettings { signing_key: Some(key), ..first.clone() };
    assert_eq!(DecisionLog::open(&second, clock()).unwrap_err().code(), "log_altered");
    let before = first.path.join("development-signing-key.pub.pem");
    let second = DecisionLogSettings { trusted_keys: vec![before], ..second };
    DecisionLog::open(&second, clock()).unwrap().close().unwrap();
    let missing = DecisionLogSettings { signing_key: Some(folder.path().join("none.pem")), ..second };
    assert_eq!(DecisionLog::open(&missing, clock()).unwrap_err().code(), "log_key");
}

#[tokio::test]
async fn heads_are_published_where_nothing_can_be_cut_off_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("heads");
    let settings =
        DecisionLogSettings { publish_file: Some(elsewhere.clone()), ..small(folder.path(), LogMode::Written) };
    let log = DecisionLog::open(&settings, clock()).unwrap();
    for number in 0..10 {
        read_by(&log, number..number + 1).await;
        until(|| log.trail().signed_size >= number as u64 + 2).await;
    }
    log.close().unwrap();
    let text = std::fs::read(&elsewhere).unwrap();
    let published: Vec<_> = crate::trail::read_heads(&text[..]).map(|head| head.unwrap().1.unwrap()).collect();
    assert!(published.len() >= 10);
    let report = verify(&settings.path, &keys(&settings.path), &published).unwrap();
    assert_eq!((report.findings.as_slice(), report.heads), ([].as_slice(), 2 * published.len() as u64));
}

/// A key service that is out of reach now and then.
#[derive(Debug)]
struct FarAway {
    key: SigningKey,
    is_reached: AtomicBool,
}

impl Signer for FarAway {
    fn public(&self) -> TrustedKey {
        self.key.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, NotSigned> {
        if self.is_reached.load(Ordering::SeqCst) {
            Ok(self.key.sign(message))
        } else {
            Err(NotSigned("the key service does not answer".to_owned()))
        }
    }
}

#[tokio::test]
async fn a_key_service_that_does_not_answer_delays_heads_and_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path(), LogMode::Written);
    let signer = Arc::new(FarAway { key: SigningKey::generate().unwrap(), is_reached: AtomicBool::new(false) });
    let keys = TrustedKeys(vec![signer.public()]);
    let log = DecisionLog::open_signed_by(&settings, clock(), Arc::<FarAway>::clone(&signer)).unwrap();
    read_by(&log, 0..30).await;
    until(|| log.trail().trouble.is_some_and(|trouble| trouble.contains("key service"))).await;
    until(|| log.trail().behind_bytes == 0).await;
    assert_eq!((log.trail().signed_size, log.health()), (0, Ok(())));
    signer.is_reached.store(true, Ordering::SeqCst);
    until(|| log.trail().trouble.is_none() && log.trail().signed_size >= 31).await;
    log.close().unwrap();
    let report = verify(&settings.path, &keys, &[]).unwrap();
    assert_eq!((report.findings.as_slice(), report.signed_size), ([].as_slice(), report.size));
}

/// Files of which those beside the segments are on a disk that is full now and then.
#[derive(Debug)]
struct BesideIsFull(Arc<AtomicBool>);

#[derive(Debug)]
struct FullNowAndThen(FileSink, Arc<AtomicBool>);

impl Files for BesideIsFull {
    fn sink(&self, path: &Path, file: Arc<File>) -> Arc<dyn Sink> {
        let sink = FileSink::new(file);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("hashes" | "heads") => Arc::new(FullNowAndThen(sink, Arc::clone(&self.0))),
            _ => Arc::new(sink),
        }
    }
}

impl Sink for FullNowAndThen {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.1.load(Ordering::SeqCst) {
            return self.0.write(bytes);
        }
        // A part goes through, as on a disk that becomes full.
        self.0.write(&bytes[..bytes.len() / 2])?;
        Err(io::Error::from_raw_os_error(ENOSPC))
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.0.cut(len)
    }

    fn begin_sync(&self) {}

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_and_heads_that_cannot_be_written_are_told_and_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path(), LogMode::Written);
    let full = Arc::new(AtomicBool::new(false));
    let files = Arc::new(BesideIsFull(Arc::clone(&full)));
    let log = DecisionLog::open_with(&settings, clock(), files, None).unwrap();
    for round in 0..5 {
        full.store(true, Ordering::SeqCst);
        read_by(&log, round * 10..round * 10 + 10).await;
        until(|| log.trail().trouble.is_some_and(|trouble| trouble.contains("No space"))).await;
        assert_eq!(log.health(), Ok(()), "records go on");
        full.store(false, Ordering::SeqCst);
        until(|| log.trail().trouble.is_none() && log.trail().signed_size >= log.trail().size).await;
    }
    tokio::time::timeout(Duration::from_secs(30), async { log.close() }).await.unwrap().unwrap();
    let report = verified(&settings);
    assert_eq!((report.findings.as_slice(), report.signed_size), ([].as_slice(), report.size));
    assert_eq!(lines(&settings).len(), 50);
}
