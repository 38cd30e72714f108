//! The store's journal: cut anywhere, brought into the file, written anew after a sync that failed, and the power gone meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use consentry::store::Store as _;
use consentry::store::sqlite::SqliteStore;

use super::super::case::{Case, People};
use super::{
    CASES, DURABLE, History, LIFE, Run, commits_of, cut_at, cut_at_any_moment, lay_out, run, run_with, site, unsure,
};
use crate::support::effort::{effort, random};
use crate::support::process::Sidecar;
use crate::support::trace::{Did, Disk, Left, read, traced};

/// So many syncs does the thread that starts the service need at most, for the log and the store with each version of its
/// schema. The store's writer is another thread, with a count of its own, and needs more in these runs.
const OPENING: u8 = 13;

/// So many large changes, and the journal has been brought into the file once before the end.
const SUMMARIES: u64 = 450;

/// The moments before and after each call that brings the journal into the file or begins it anew, once somebody has been
/// answered.
fn while_written_through(run: &Run, history: &History) -> Vec<usize> {
    let (file, journal) = (run.site.file("store.db"), run.site.file("store.db-wal"));
    let first_answer = history.answered[0].0;
    let calls = run.calls.iter().filter(|call| call.began > first_answer);
    let counts = |did: &Did| match did {
        Did::Wrote(path, at, _) => *path == file || *path == journal && *at == Some(0),
        Did::Cut(path, _) => *path == file || *path == journal,
        Did::Synced(path) | Did::NotSynced(path) => *path == file,
        Did::Made(_) | Did::Removed(_) | Did::Said(_) => false,
    };
    let moments = calls.filter(|call| counts(&call.did)).flat_map(|call| [call.began, call.returned + 1]);
    moments.collect::<BTreeSet<_>>().into_iter().collect()
}

/// All of the moments if there are few, and else so many, the first and the last among them.
fn some_of(moments: Vec<usize>, at_most: u64, dice: &mut fastrand::Rng) -> Vec<usize> {
    let most = usize::try_from(at_most).unwrap();
    let ends = [*moments.first().unwrap(), *moments.last().unwrap()];
    let mut some: Vec<usize> = dice.choose_multiple(moments, most).into_iter().chain(ends).collect();
    some.sort_unstable();
    some.dedup();
    some
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_the_journal_is_brought_into_the_file_takes_nothing_that_was_answered() {
    let mut dice = random("a_power_cut_while_the_journal_is_brought_into_the_file_takes_nothing_that_was_answered");
    let run = run_with("synced", 2, SUMMARIES, None).await;
    let history = History::of(&run);
    let journal = run.site.file("store.db-wal");
    let begun_anew = |did: &Did| matches!(did, Did::Wrote(path, Some(0), _) if *path == journal);
    let begun_anew = run.calls.iter().filter(|call| begun_anew(&call.did)).count();
    assert!(begun_anew > 1, "the journal never came to be long enough to be brought into the file at work");
    let moments = while_written_through(&run, &history);
    println!("{} moments while the journal was brought into the file", moments.len());
    let moments = some_of(moments, effort(60), &mut dice);
    cut_at(moments, "synced", &run, &history, &mut dice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_after_a_commit_of_unknown_outcome_takes_nothing_that_was_answered() {
    let mut dice = random("a_power_cut_after_a_commit_of_unknown_outcome_takes_nothing_that_was_answered");
    for _ in 0..effort(2) {
        let fault = format!("fsync:error=EIO:when={}", OPENING + dice.u8(1..4));
        let run = run("synced", CASES, Some(&fault)).await;
        assert!(!unsure(&run).is_empty(), "no sync failed");
        cut_at_any_moment("synced", &run, &mut dice).await;
        let history = History::of(&run);
        let moments = some_of(while_written_through(&run, &history), effort(60), &mut dice);
        cut_at(moments, "synced", &run, &history, &mut dice).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_cut_at_any_byte_leads_to_an_older_state_or_to_a_clear_error() {
    let mut dice = random("a_journal_cut_at_any_byte_leads_to_an_older_state_or_to_a_clear_error");
    let run = run("written", 2, None).await;
    let history = History::of(&run);
    // Just before the stop began to bring the journal into the file.
    let last = history.answered.last().unwrap().0;
    let mut disk = Disk::default();
    run.calls.iter().filter(|call| call.returned < last).for_each(|call| disk.apply(call));
    let whole = disk.cut(Left::Everything, &mut dice);
    let file = |suffix: &str| whole.iter().find(|(path, _)| path.to_string_lossy().ends_with(suffix)).unwrap();
    let ((&journal_path, journal), (&store_path, store)) = (file("store.db-wal"), file("store.db"));
    let (header, frame) = (32, 24 + 4096);
    assert_eq!((journal.len() - header) % frame, 0);
    let frames = (journal.len() - header) / frame;
    let ends = (0..=frames).map(|number| header + number * frame);
    let inside = (0..effort(20)).map(|_| dice.usize(..journal.len())).collect::<Vec<_>>();
    let (mut newest, mut states) = (None, BTreeSet::new());
    for kept in ends.chain(inside) {
        let files = BTreeMap::from([(journal_path, journal[..kept].to_vec()), (store_path, store.clone())]);
        let folder = lay_out(&files, &DURABLE);
        let found = history.check_store(folder.path(), 0, &format!("{kept} bytes of the journal")).await;
        states.insert(found);
        newest = newest.max(found);
    }
    assert!(states.len() > 8, "the cuts led to {} states", states.len());
    assert!(newest >= Some(history.answered.last().unwrap().1 - 1), "the whole journal has every commit");

    // The end of the run: the journal is in the file. A page of it is torn.
    let stored = std::fs::read(run.site.file("store.db")).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    for _ in 0..effort(30) {
        let mut torn = stored.clone();
        let sector = dice.usize(..torn.len() / 512) * 512;
        let end = dice.usize(1..=8) * 512;
        let until = (sector + end).min(torn.len());
        torn[sector..until].fill(0);
        let files = BTreeMap::from([(store_path, torn)]);
        let folder = lay_out(&files, &DURABLE);
        let path = folder.path().join("store.db");
        let outcome = match SqliteStore::open(&path) {
            Ok(store) => store.snapshot(&mut |_| {}).await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) => {
                assert!(error.to_string().contains("store.db"), "{error}");
                refused += 1;
            }
            Ok(()) => unharmed += 1,
        }
    }
    println!("{frames} frames; torn pages: {refused} refused, {unharmed} in places that the facts do not stand in");
    assert!(refused > 0);
}

/// Works on one case after the other; gives the one in whose midst the process went.
async fn until_it_is_gone(people: &People) -> Case {
    for number in 0..10 {
        let mut case = Case::new(format!("SR-{number}"));
        for act in LIFE {
            if case.carry_out(people, act).await.is_err() {
                return case;
            }
        }
    }
    panic!("it is still there");
}

/// A process is killed when it has written a change and not synced it yet; the next one finds it, and tells of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_start_finds_in_the_journal_stays_once_anybody_is_told_of_it() {
    let mut dice = random("what_a_start_finds_in_the_journal_stays_once_anybody_is_told_of_it");
    for _ in 0..effort(2) {
        let site = site("synced");
        let start = |name: &str, fault| {
            let trace = site.file(name);
            (Sidecar::spawn(traced(&site.command(&["serve", "--config", "consentry.toml"]), &trace, fault)), trace)
        };
        let fault = format!("fsync:signal=KILL:when={}", OPENING + dice.u8(1..7));
        let (mut sidecar, first) = start("first", Some(&fault));
        let people = People::of(&site, &sidecar);
        let mut case = until_it_is_gone(&people).await;
        assert!(!sidecar.end().success());
        let mut calls = read(&first, sidecar.child.id());
        let (mut sidecar, second) = start("second", None);
        assert_eq!(case.survived(&People::of(&site, &sidecar)).await, Some(true), "the sync was not the change's");
        sidecar.child.kill().unwrap();
        sidecar.end();
        let later = read(&second, sidecar.child.id());
        let told = |did: &Did| matches!(did, Did::Said(bytes) if bytes.windows(20).any(|said| said == b"idempotency-replayed"));
        let told = later.iter().find(|call| told(&call.did)).expect("the answer that was given again").began;
        calls.extend(later.into_iter().filter(|call| call.returned < told));
        let mut disk = Disk::default();
        for call in &calls {
            disk.apply(call);
        }
        let commits = commits_of(&site.file("store.db"));
        for left in [Left::Nothing, Left::Pieces] {
            let folder = lay_out(&disk.cut(left, &mut dice), &DURABLE);
            assert_eq!(commits_of(&folder.path().join("store.db")), commits, "{left:?} was left");
        }
    }
}
