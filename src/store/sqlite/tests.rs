//! The store's contract over SQLite, and what is SQLite's own: files, damage, full disks, endings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::error::BatchFailure;
use super::schema::MIGRATIONS;
use super::writer::{Request, Writer};
use super::{KEPT_CHANGES, SqliteStore};
use crate::model::{Actor, Command};
use crate::store::contract::{
    Dice, at, commit, follow, live_randomly, open_command, snapshot, store_contract, support_request_id, take, tenant,
    tenant_id,
};
use crate::store::{
    ActivityFilter, CaseRef, CommitError, Epoch, MemberId, Object, OutboxChange, Seq, Store, StoreError, StoredCase,
};

store_contract!(empty());

fn empty() -> (Arc<dyn Store>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&path_in(&directory)).unwrap();
    (Arc::new(store), directory)
}

fn path_in(directory: &TempDir) -> PathBuf {
    directory.path().join("data/consentry.db")
}

fn reopen(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

fn ticketing() -> Actor {
    Actor::Service("ticketing".to_owned())
}

/// Does something to the closed file behind the store's back.
fn tamper(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Does something to the writer's connection before the next commit.
async fn disturb(store: &SqliteStore, sql: &'static str) {
    let disturb = move |writer: &mut Writer| writer.connection.as_ref().unwrap().execute_batch(sql).unwrap();
    store.request(Request::Disturb(Box::new(disturb))).await.unwrap();
}

async fn epoch(store: &SqliteStore) -> Epoch {
    store.renew(MemberId("test".to_owned()), Seq(0)).await.unwrap().epoch
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    live_randomly(&store, 5, 80).await;
    let before = (snapshot(&store).await, epoch(&store).await);
    let logs = |store: SqliteStore| async move {
        let mut logs = Vec::new();
        for n in 0..4 {
            logs.push(store.activities_of(tenant_id(n), ActivityFilter::default(), None, 999).await.unwrap());
        }
        (store, logs)
    };
    let (store, logs_before) = logs(store).await;
    assert!(logs_before.iter().map(Vec::len).sum::<usize>() > 5);
    drop(store);

    let store = reopen(&path);
    assert_eq!((snapshot(&store).await, epoch(&store).await), before);
    let (store, logs_after) = logs(store).await;
    assert_eq!(logs_after, logs_before);
    let next = store.commit(commit("after", [])).await.unwrap().seq;
    assert_eq!(next, before.0.0.next());
    // A retry from before the restart is still recognised, and old changes are still there for a follower.
    assert_eq!(store.commit(commit("5-tenant-0", [])).await.unwrap().seq, Seq(1));
    assert_eq!(follow(&store, Seq(0), next).await.len(), usize::try_from(next.0).unwrap());
}

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    store.commit(commit("one", [])).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let parent = path.parent().unwrap();
    assert_eq!(mode(parent), 0o700);
    for file in std::fs::read_dir(parent).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_store_in_use_is_refused_until_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(&refused, StoreError::InUse(named) if *named == path.display().to_string()), "{refused}");
    assert!(store.close());
    assert!(store.close(), "closing twice is no harm");
    reopen(&path).commit(commit("one", [])).await.unwrap();
    assert!(matches!(store.commit(commit("two", [])).await, Err(CommitError::Unavailable(_))));
    assert!(matches!(store.tenant(tenant_id(1)).await, Err(StoreError::Unavailable(_))));
    assert!(store.renew(MemberId("a".to_owned()), Seq(0)).await.is_err());
    assert!(store.health().is_err());
}

#[test]
fn a_file_that_is_no_store_is_damaged_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.db");
    let text = "this is not a database at all; ".repeat(400);
    std::fs::write(&garbage, &text).unwrap();
    let foreign = directory.path().join("foreign.db");
    tamper(&foreign, "CREATE TABLE recipes (name TEXT)");
    let foreign_bytes = std::fs::read(&foreign).unwrap();
    for path in [&garbage, &foreign] {
        let refused = SqliteStore::open(path).unwrap_err();
        let named = refused.to_string().contains(&path.display().to_string());
        assert!(matches!(refused, StoreError::Damaged(_)) && named, "{refused}");
    }
    assert_eq!(std::fs::read(&garbage).unwrap(), text.as_bytes());
    assert_eq!(std::fs::read(&foreign).unwrap(), foreign_bytes);
}

#[tokio::test]
async fn a_file_cut_short_is_never_taken_for_a_whole_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    live_randomly(&store, 3, 60).await;
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let mut dice = Dice::seeded(3);
    for _ in 0..40 {
        let kept = 1 + dice.below(whole.len() - 1);
        std::fs::write(&path, &whole[..kept]).unwrap();
        let outcome = match SqliteStore::open(&path) {
            Ok(store) => store.snapshot(&mut |_| {}).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(&outcome, Err(StoreError::Damaged(_))), "{kept} of {} bytes: {outcome:?}", whole.len());
    }
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    drop(reopen(&path));
    tamper(&path, "PRAGMA user_version = 7");
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 7, known: 5 }), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_reached_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    store.commit(commit("one", [Object::Tenant(tenant(1))])).await.unwrap();
    let old_epoch = epoch(&store).await;
    drop(store);

    let step = "ALTER TABLE tenant ADD COLUMN region TEXT; UPDATE tenant SET region = 'eu';";
    // A step that fails half-way leaves the version before it.
    let failing = format!("{step} SELECT no_such_function();");
    let more: Vec<&str> = MIGRATIONS.iter().copied().chain([failing.as_str()]).collect();
    assert!(SqliteStore::open_keeping(&path, KEPT_CHANGES, &more).is_err());
    drop(reopen(&path));

    let more: Vec<&str> = MIGRATIONS.iter().copied().chain([step]).collect();
    let store = SqliteStore::open_keeping(&path, KEPT_CHANGES, &more).unwrap();
    assert_eq!(epoch(&store).await, old_epoch);
    assert_eq!(store.tenant(tenant_id(1)).await.unwrap().unwrap().value, tenant(1));
    drop(store);
    drop(SqliteStore::open_keeping(&path, KEPT_CHANGES, &more).unwrap());
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 6, known: 5 }), "{refused}");
    let region: String =
        Connection::open(&path).unwrap().query_row("SELECT region FROM tenant", (), |row| row.get(0)).unwrap();
    assert_eq!(region, "eu");
}

#[tokio::test]
async fn a_store_of_the_first_version_becomes_one_of_this() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    drop(SqliteStore::open_keeping(&path, KEPT_CHANGES, &MIGRATIONS[..1]).unwrap());
    let store = reopen(&path);
    live_randomly(&store, 3, 40).await;
    let told = store.announcements_after(tenant_id(1), 0, 99).await.unwrap();
    assert!(!told.is_empty());
    store.keep_outbox("tenant-1/hooks".to_owned(), OutboxChange::default()).await.unwrap();
    assert!(store.outbox("tenant-1/hooks".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    live_randomly(&store, 2, 40).await;
    let before = snapshot(&store).await;

    // The smallest page count that SQLite accepts is the present one.
    disturb(&store, "PRAGMA max_page_count = 1").await;
    let big: Vec<Object> = (1_000..3_000).map(|n| Object::Tenant(tenant(n))).collect();
    let refused = store.commit(commit("big", big.clone())).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    assert!(store.health().unwrap_err().contains("full"));
    assert_eq!(snapshot(&store).await, before);

    disturb(&store, "PRAGMA max_page_count = 1000000").await;
    assert_eq!(store.commit(commit("big", big)).await.unwrap().seq, before.0.next());
    assert_eq!(store.health(), Ok(()));
    let whole = (snapshot(&store).await, drop(store)).0;
    assert_eq!(snapshot(&reopen(&path)).await, whole);
}

#[tokio::test]
async fn a_transaction_that_cannot_commit_fails_every_commit_in_it_and_none_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&path_in(&directory));
    store.commit(commit("one", [Object::Tenant(tenant(1))])).await.unwrap();
    // A reference that is checked at COMMIT, and does not hold.
    let trap = "PRAGMA foreign_keys = ON;
        CREATE TABLE trap (tenant TEXT REFERENCES tenant (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER spring AFTER INSERT ON change_log BEGIN INSERT INTO trap VALUES ('nobody'); END;";
    disturb(&store, trap).await;
    let (two, three) = tokio::join!(store.commit(commit("two", [])), store.commit(commit("three", [])));
    assert!(matches!((&two, &three), (Err(CommitError::Unavailable(_)), Err(CommitError::Unavailable(_)))));
    assert!(store.health().is_err());
    assert_eq!(store.renew(MemberId("a".to_owned()), Seq(1)).await.unwrap().head, Seq(1));

    disturb(&store, "DROP TRIGGER spring").await;
    assert_eq!(store.commit(commit("two", [])).await.unwrap().seq, Seq(2));
    assert_eq!(follow(&store, Seq(0), Seq(2)).await.len(), 2);
}

/// Lets the writer believe that its last transaction ended like this, without anybody knowing how.
async fn fail_to_sync(store: &SqliteStore, behind_its_back: &'static str) {
    disturb(store, behind_its_back).await;
    let fail = |writer: &mut Writer| {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        writer.recover(&BatchFailure::at_commit(rusqlite::Error::SqliteFailure(error, None)));
    };
    store.request(Request::Disturb(Box::new(fail))).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_got_through_without_a_word_is_found_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&path_in(&directory));
    store.commit(commit("one", [Object::Tenant(tenant(1))])).await.unwrap();
    let mut feed = store.changes(Seq(1)).unwrap();
    fail_to_sync(&store, "INSERT INTO change_log VALUES (2, 'two', 0, '[]')").await;
    assert_eq!(feed.next().await.unwrap().seq, Seq(2));
    assert!(store.health().is_err());
    // The retry of the one that nobody knew about, and one after it.
    assert_eq!(store.commit(commit("two", [])).await.unwrap().seq, Seq(2));
    assert_eq!(store.commit(commit("three", [])).await.unwrap().seq, Seq(3));
    assert_eq!((feed.next().await.unwrap().seq, store.health()), (Seq(3), Ok(())));
    assert_eq!(follow(&store, Seq(0), Seq(3)).await.len(), 3);
}

#[tokio::test]
async fn a_store_that_went_back_takes_no_more_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&path_in(&directory));
    store.commit(commit("one", [])).await.unwrap();
    store.commit(commit("two", [])).await.unwrap();
    fail_to_sync(&store, "DELETE FROM change_log WHERE seq = 2").await;
    let refused = store.commit(commit("three", [])).await;
    assert!(matches!(&refused, Err(CommitError::Unavailable(why)) if why.contains("change 2 is gone")), "{refused:?}");
    assert!(store.health().unwrap_err().contains("change 2 is gone"));
}

#[tokio::test]
async fn a_commit_that_cannot_be_stored_does_not_touch_the_others_of_its_batch() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&path_in(&directory));
    take(&store, "open", 1, &open_command(1, 1, 0), &ticketing(), at(0)).await.unwrap().unwrap();
    let engineer = Actor::Person("vendor/engineer-0".parse().unwrap());
    let ask = crate::store::contract::ask_command(1, 2);
    take(&store, "ask", 1, &ask, &engineer, at(1)).await.unwrap().unwrap();
    let StoredCase { case, .. } = store.case(CaseRef::SupportRequest(support_request_id(1))).await.unwrap().unwrap();
    let mut thief = case.access_requests[0].clone();
    thief.id = crate::model::AccessRequestId::new("ar-thief").unwrap();

    let stolen = store.commit(commit("steal", [Object::Tenant(tenant(8)), Object::AccessRequest(thief)]));
    let (stolen, honest) = tokio::join!(stolen, store.commit(commit("honest", [Object::Tenant(tenant(9))])));
    assert!(matches!(&stolen, Err(CommitError::Unavailable(why)) if why.contains("consent")), "{stolen:?}");
    assert_eq!(honest.unwrap().seq, Seq(3));
    assert_eq!(store.tenant(tenant_id(8)).await.unwrap(), None);
    assert!(store.tenant(tenant_id(9)).await.unwrap().is_some());
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test]
async fn a_torn_object_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    take(&store, "open", 1, &open_command(1, 1, 0), &ticketing(), at(0)).await.unwrap().unwrap();
    drop(store);
    tamper(&path, "UPDATE support_request SET body = substr(body, 1, 40)");
    let store = reopen(&path);
    let torn = store.snapshot(&mut |_| {}).await.unwrap_err();
    assert!(matches!(&torn, StoreError::Damaged(why) if why.contains("`support-request/sr-1`")), "{torn}");
    let torn = store.case(CaseRef::SupportRequest(support_request_id(1))).await.unwrap_err();
    assert!(matches!(&torn, StoreError::Damaged(why) if why.contains("`support-request/sr-1`")), "{torn}");
}

#[tokio::test]
async fn old_changes_are_trimmed_and_their_followers_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = SqliteStore::open_keeping(&path, 100, MIGRATIONS).unwrap();
    let mut slow = store.changes(Seq(0)).unwrap();
    let mut pending = Vec::new();
    for n in 0..2_500 {
        let objects = [Object::Tenant(tenant(n)), Object::Tenant(tenant(n + 1))];
        pending.push(store.enqueue(commit(&n.to_string(), objects)).await.unwrap());
    }
    for answered in pending {
        answered.await.unwrap().unwrap();
    }
    assert!(matches!(store.changes(Seq(0)), Err(StoreError::Compacted(Seq(0)))));
    assert!(matches!(slow.next().await, Err(StoreError::Compacted(Seq(0)))));
    let oldest = store.shared.log.oldest();
    assert!(oldest > Seq(1_000) && oldest <= Seq(2_401), "{oldest:?}");
    let from = Seq(oldest.0 - 1);
    assert_eq!(u64::try_from(follow(&store, from, Seq(2_500)).await.len()).unwrap(), 2_500 - from.0);
    drop(store);

    // Nothing is in memory after a restart: the table alone must answer, and say what it no longer has.
    let store = SqliteStore::open_keeping(&path, 100, MIGRATIONS).unwrap();
    assert!(matches!(store.changes(Seq(0)), Err(StoreError::Compacted(Seq(0)))));
    assert_eq!(follow(&store, Seq(2_400), Seq(2_500)).await.len(), 100);
}

#[tokio::test]
async fn a_feed_goes_over_from_the_table_to_memory_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = reopen(&path);
    for n in 0..150 {
        store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await.unwrap();
    }
    drop(store);
    let store = reopen(&path);
    let mut feed = store.changes(Seq(0)).unwrap();
    for n in 0..300 {
        if n >= 150 {
            store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await.unwrap();
        }
        let change = feed.next().await.unwrap();
        assert_eq!(change.seq.0, u64::try_from(n).unwrap() + 1);
        assert_eq!(change.writes[0].0, Object::Tenant(tenant(n)));
    }
    assert!(store.close());
    assert!(matches!(feed.next().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_in_the_middle_of_commits_keeps_what_was_acknowledged_and_answers_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = Arc::new(reopen(&path));
    let committers: Vec<_> = (0..8)
        .map(|committer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let number = committer * 100_000 + n;
                    match store.commit(commit(&number.to_string(), [Object::Tenant(tenant(number))])).await {
                        Ok(_) => acknowledged.push(number),
                        Err(CommitError::Unavailable(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut feed = store.changes(Seq(0)).unwrap();
    for _ in 0..50 {
        feed.next().await.unwrap();
    }
    // Given up by their committer, written nevertheless.
    let abandoned = store.enqueue(commit("abandoned", [Object::Tenant(tenant(7))])).await;
    drop(abandoned);
    assert!(store.close());
    let mut acknowledged = vec![7];
    for committer in committers {
        acknowledged.extend(committer.await.unwrap());
    }
    drop(store);
    let store = reopen(&path);
    for number in acknowledged {
        assert!(store.tenant(tenant_id(number)).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn a_bulk_load_is_ordinary_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&path_in(&directory));
    let seq = store.bulk_load((0..1_234).map(|n| Object::Tenant(tenant(n))), at(0)).await.unwrap();
    assert_eq!(seq, Seq(3));
    assert_eq!(store.bulk_load([], at(0)).await.unwrap(), seq);
    let (head, known) = snapshot(&store).await;
    assert_eq!((head, known.len()), (seq, 1_234));
    let followed: usize = follow(&store, Seq(0), seq).await.iter().map(|change| change.writes.len()).sum();
    assert_eq!(followed, 1_234);
    take(&store, "open", 1, &open_command(1, 1, 0), &ticketing(), at(0)).await.unwrap().unwrap();
    let closed = take(&store, "close", 1, &Command::Close, &ticketing(), at(1)).await.unwrap().unwrap();
    assert_eq!(closed.seq, Seq(5));
}
