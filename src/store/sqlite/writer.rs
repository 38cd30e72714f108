//! The one thread that writes: it puts the commits that wait together into one transaction and so into one sync.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::commit::{self, Applied};
use super::error::{BatchFailure, Trouble};
use super::feed::ChangeLog;
use super::file::{self, StoreLock};
use super::outbox;
use crate::model::Timestamp;
use crate::store::{Commit, CommitError, Committed, Member, OutboxChange, Seq};

/// How many commits share one transaction at most.
const BATCH: usize = 64;

/// The change log is trimmed when it is this much longer than it has to be: seldom, and not much at once.
const TRIM_STEP: u64 = 1_000;

/// How long closing may wait for a long read before the journal is left to the next start.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(500);

/// Where a committer waits for its outcome.
pub(super) type Answer = oneshot::Sender<Result<Committed, CommitError>>;

/// Something to be written.
pub(super) enum Request {
    Commit(Commit, Answer),
    /// Remembered answers given before this time are deleted.
    ForgetAnswers(Timestamp, oneshot::Sender<Result<u64, String>>),
    /// A change of an endpoint's outbox is kept.
    KeepOutbox(String, OutboxChange, oneshot::Sender<Result<(), String>>),
    /// Commits of the store that this one is a copy of are applied.
    #[cfg(feature = "etcd")]
    Replay(Vec<super::replay::Placed>, oneshot::Sender<Result<(), super::replay::NotReplayed>>),
    /// From here on this is a copy of the store with this epoch.
    #[cfg(feature = "etcd")]
    BecomeCopy(crate::store::Epoch, oneshot::Sender<Result<(), String>>),
    /// Finds out whether the store can be written again.
    Probe,
    /// Lets a test disturb the writer.
    #[cfg(test)]
    Disturb(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// What the writer tells the rest of the store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Arc<ChangeLog>,
    pub(super) members: watch::Sender<Vec<Member>>,
    /// Why the last attempt to write failed.
    pub(super) trouble: Mutex<Option<String>>,
    /// Since when a transaction has been under way.
    pub(super) writing_since: Mutex<Option<Instant>>,
}

/// After this long a transaction hangs with its disk, and so would whoever waited for it.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(15);

impl Shared {
    /// Why nothing should be sent to the writer now.
    pub(super) fn hangs(&self) -> Option<String> {
        let hangs = self.writing_since.lock().is_some_and(|since| since.elapsed() >= WRITE_PATIENCE);
        hangs.then(|| format!("a write has not returned for {} s: the disk hangs", WRITE_PATIENCE.as_secs()))
    }
}

/// The writer's state. Its fields are dropped in this order: the lock goes last.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) requests: mpsc::Receiver<Request>,
    /// None: it had trouble and is to be opened anew.
    pub(super) connection: Option<Connection>,
    /// The newest durable commit. Followers and renewals see it through the other end, which notices when this one ends.
    pub(super) head: watch::Sender<Seq>,
    pub(super) shared: Arc<Shared>,
    pub(super) path: PathBuf,
    /// How many changes are kept for followers that lag.
    pub(super) kept_changes: u64,
    pub(super) lock: StoreLock,
}

impl Writer {
    /// Writes until nobody can ask any more and everything asked for has been answered.
    pub(super) fn run(mut self) {
        let mut requests = Vec::with_capacity(BATCH);
        while self.requests.blocking_recv_many(&mut requests, BATCH) > 0 {
            let mut commits = Vec::with_capacity(requests.len());
            for request in requests.drain(..) {
                match request {
                    Request::Commit(commit, answer) => commits.push((commit, answer)),
                    Request::ForgetAnswers(before, answer) => drop(answer.send(self.forget_answers(before))),
                    Request::KeepOutbox(endpoint, change, answer) => {
                        drop(answer.send(self.keep_outbox(&endpoint, &change)));
                    }
                    #[cfg(feature = "etcd")]
                    Request::Replay(commits, answer) => drop(answer.send(self.replay(commits))),
                    #[cfg(feature = "etcd")]
                    Request::BecomeCopy(epoch, answer) => drop(answer.send(self.become_copy(&epoch))),
                    Request::Probe => self.probe(),
                    #[cfg(test)]
                    Request::Disturb(disturb) => disturb(&mut self),
                }
            }
            if !commits.is_empty() {
                self.commit(commits);
            }
        }
        self.checkpoint();
    }

    fn commit(&mut self, batch: Vec<(Commit, Answer)>) {
        let before = *self.head.borrow();
        let oldest = self.shared.log.oldest();
        let kept = self.kept_changes;
        let written = self.transaction(|connection| {
            let mut head = before;
            let mut outcomes = Vec::with_capacity(batch.len());
            for (commit, _) in &batch {
                let outcome = apply_alone(connection, head, commit)?;
                if let Ok(Applied::Written(change)) = &outcome {
                    head = change.seq;
                }
                outcomes.push(outcome);
            }
            Ok((outcomes, trim(connection, oldest, head, kept)?))
        });
        match written {
            Ok((outcomes, trimmed_to)) => {
                if let Some(oldest) = trimmed_to {
                    self.shared.log.trimmed_to(oldest);
                }
                self.publish(batch.into_iter().map(|(_, answer)| answer).zip(outcomes));
            }
            Err(failure) => {
                for (_, answer) in batch {
                    drop(answer.send(Err(failure.for_committer())));
                }
            }
        }
    }

    /// Tells followers and committers what has become durable.
    fn publish(&mut self, outcomes: impl Iterator<Item = (Answer, Result<Applied, CommitError>)>) {
        let mut answers = Vec::new();
        let mut head = *self.head.borrow();
        for (answer, outcome) in outcomes {
            let outcome = match outcome {
                Ok(Applied::Written(change)) => {
                    head = change.seq;
                    self.shared.log.push(change);
                    Ok(head)
                }
                Ok(Applied::Before(seq)) => Ok(seq),
                Ok(Applied::Conflict(key)) => Err(CommitError::Conflict { key }),
                Err(refused) => Err(refused),
            };
            answers.push((answer, outcome));
        }
        self.head.send_replace(head);
        // The head first, the members second; a renewal does it the other way round. So a member that this list misses
        // has been told a head that includes these commits (G1).
        let members = self.shared.members.borrow().clone();
        for (answer, outcome) in answers {
            drop(answer.send(outcome.map(|seq| Committed { seq, members: members.clone() })));
        }
    }

    fn forget_answers(&mut self, before: Timestamp) -> Result<u64, String> {
        let forgotten = self.transaction(|connection| {
            let mut statement = connection.prepare_cached("DELETE FROM remembered_answer WHERE at < ?1")?;
            Ok(statement.execute([before.as_millis()])?)
        });
        match forgotten {
            Ok(count) => Ok(u64::try_from(count).unwrap_or(u64::MAX)),
            Err(failure) => Err(failure.trouble.to_string()),
        }
    }

    fn keep_outbox(&mut self, endpoint: &str, change: &OutboxChange) -> Result<(), String> {
        let kept = self.transaction(|connection| outbox::keep(connection, endpoint, change));
        kept.map_err(|failure| failure.trouble.to_string())
    }

    /// Writes what is there already. Only a write shows that writing is possible again, and a process that says that it
    /// is not ready may not be sent one.
    fn probe(&mut self) {
        if self.shared.trouble.lock().is_none() {
            return;
        }
        // A failure is recorded as any other.
        let _ = self.transaction(|connection| {
            Ok(connection.execute("UPDATE meta SET value = value WHERE name = 'epoch'", ())?)
        });
    }

    /// Does the work in one transaction: when this returns, it is on disk; when it fails, nothing is, unless the failure
    /// says that nobody knows.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, BatchFailure> {
        *self.shared.writing_since.lock() = Some(Instant::now());
        let in_place = self.lock.place.check(&self.path);
        let connected = in_place.and_then(|()| self.connected()).map_err(BatchFailure::before_commit);
        let outcome = connected.and_then(|connection| {
            let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(Trouble::of);
            let done = begun.and_then(|()| work(connection)).map_err(BatchFailure::before_commit)?;
            connection.execute_batch("COMMIT").map_err(BatchFailure::at_commit)?;
            Ok(done)
        });
        match &outcome {
            Ok(_) => *self.shared.trouble.lock() = None,
            Err(failure) => self.recover(failure),
        }
        *self.shared.writing_since.lock() = None;
        outcome
    }

    /// Makes the connection usable again, if that is possible now. If not, the next write tries again.
    pub(super) fn recover(&mut self, failure: &BatchFailure) {
        tracing::error!(error = %failure.trouble, store.path = %self.path.display(), "the store cannot be written");
        *self.shared.trouble.lock() = Some(failure.trouble.to_string());
        let rolled_back = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok());
        // After an unknown outcome the file tells what it holds: followers must see what did get through.
        if !rolled_back || failure.outcome_unknown {
            self.connection = None;
            if let Err(trouble) = self.connected() {
                *self.shared.trouble.lock() = Some(trouble.to_string());
            }
        }
    }

    fn connected(&mut self) -> Result<&Connection, Trouble> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn reconnect(&self) -> Result<Connection, Trouble> {
        let connection = file::open_for_writing(&self.path)?;
        file::make_durable(&connection)?;
        let (_, found) = kept_range(&connection)?;
        let known = *self.head.borrow();
        if found < known {
            return Err(Trouble::Damaged(format!("change {} is gone, the last one is {}", known.0, found.0)));
        }
        if found > known {
            // It is in the journal, but its sync failed.
            file::write_journal_again(&self.path)?;
        }
        self.head.send_if_modified(|head| std::mem::replace(head, found) != found);
        Ok(connection)
    }

    /// Brings the journal into the file, so that the next start has nothing to do and a copy of the file is whole.
    fn checkpoint(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let checkpoint = connection
            .busy_timeout(CHECKPOINT_PATIENCE)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0)));
        match checkpoint {
            Ok(0) => {}
            Ok(_) => tracing::info!("the store was closed during a read: its journal stays until the next start"),
            Err(error) => tracing::warn!(%error, "the store's journal could not be brought into its file"),
        }
    }
}

/// Applies one commit so that its failure does not touch the others of its batch.
fn apply_alone(connection: &Connection, head: Seq, commit: &Commit) -> Result<Result<Applied, CommitError>, Trouble> {
    connection.prepare_cached("SAVEPOINT one_commit")?.execute(())?;
    let outcome = match commit::apply(connection, head, commit) {
        Ok(applied) => Ok(applied),
        Err(Trouble::Unstorable(why)) => {
            connection.prepare_cached("ROLLBACK TO one_commit")?.execute(())?;
            Err(CommitError::Unavailable(why))
        }
        Err(trouble @ (Trouble::Sqlite(_) | Trouble::Damaged(_))) => return Err(trouble),
    };
    connection.prepare_cached("RELEASE one_commit")?.execute(())?;
    Ok(outcome)
}

/// Deletes the changes that no longer have to be kept, when there are many of them. Returns the first one left.
pub(super) fn trim(connection: &Connection, oldest: Seq, head: Seq, kept: u64) -> Result<Option<Seq>, Trouble> {
    let first = Seq(head.0.saturating_sub(kept).saturating_add(1));
    if first.0 < oldest.0.saturating_add(TRIM_STEP) {
        return Ok(None);
    }
    connection.prepare_cached("DELETE FROM change_log WHERE seq < ?1")?.execute([first])?;
    Ok(Some(first))
}

/// When the last commit was made, as its committer said.
pub(super) fn last_commit_at(connection: &Connection) -> Result<Option<Timestamp>, Trouble> {
    let sql = "SELECT at FROM change_log ORDER BY seq DESC LIMIT 1";
    Ok(connection.query_row(sql, (), |row| row.get(0)).optional()?.map(Timestamp::from_millis))
}

/// The first change still kept, and the head. A store without changes keeps all there will be.
pub(super) fn kept_range(connection: &Connection) -> Result<(Seq, Seq), Trouble> {
    let min = connection.query_row("SELECT min(seq) FROM change_log", (), |row| row.get::<_, Option<Seq>>(0))?;
    let max = connection.query_row("SELECT max(seq) FROM change_log", (), |row| row.get::<_, Option<Seq>>(0))?;
    Ok((min.unwrap_or(Seq(1)), max.unwrap_or_default()))
}
