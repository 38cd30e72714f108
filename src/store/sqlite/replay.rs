//! A copy of another store: its commits applied in their order, each with the revision that it has there.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{oneshot, watch};

use super::commit::{self, Applied};
use super::error::Trouble;
use super::readers::closed;
use super::writer::{Request, Writer, trim};
use super::{KEPT_CHANGES, SqliteStore, schema};
use crate::model::{AccessRequestId, SupportRequestId, Timestamp};
use crate::store::{Commit, Epoch, Object, Precondition, Seq, StoreError, Write};

/// A commit of the store that is copied.
#[derive(Debug, Clone)]
pub(in crate::store) struct Placed {
    pub(in crate::store) seq: Seq,
    /// Its revision there.
    pub(in crate::store) revision: i64,
    pub(in crate::store) commit: Commit,
}

/// Why commits were not applied.
#[derive(Debug)]
pub(in crate::store) enum NotReplayed {
    /// They do not continue what the copy has.
    Astray(String),
    /// The copy could not be written now.
    Unwritten(String),
}

/// What a precondition means in the store that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Expected {
    /// The key does not exist.
    Absent,
    /// The key was written last at this revision.
    At(i64),
    /// Nothing is at the place that was named: it cannot hold.
    Impossible,
}

/// What is to be known about a commit before it is sent.
#[derive(Debug, Default)]
pub(in crate::store) struct Grounds {
    /// What each precondition means, in their order.
    pub(in crate::store) expected: Vec<Expected>,
    /// The support requests of the access requests that are named.
    pub(in crate::store) cases: BTreeMap<AccessRequestId, SupportRequestId>,
    /// Why no copy could apply it.
    pub(in crate::store) unstorable: Option<String>,
}

impl SqliteStore {
    /// Opens the file as a copy.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`StoreError::Damaged`] when it is a store of its own.
    pub(in crate::store) fn open_copy(path: &Path) -> Result<Self, StoreError> {
        let copy = Self::open_keeping(path, KEPT_CHANGES, schema::MIGRATIONS)?;
        if copy.copy_of.is_none() && *copy.head.borrow() > Seq(0) {
            let name = path.display();
            return Err(StoreError::Damaged(format!(
                "`{name}` is a store of its own and cannot become a fleet's copy"
            )));
        }
        Ok(copy)
    }

    /// Says which store this is a copy of, and tells the last place that it has, with the revision there.
    ///
    /// # Errors
    /// [`StoreError::Regressed`] when it is a copy of another one, [`StoreError::Damaged`] when it has commits that were
    /// never there.
    pub(in crate::store) async fn become_copy_of(&self, epoch: &Epoch) -> Result<(Seq, i64), StoreError> {
        match &self.copy_of {
            None => {
                let (answer, answered) = oneshot::channel();
                self.request(Request::BecomeCopy(epoch.clone(), answer)).await?;
                answered.await.map_err(|_| closed())?.map_err(StoreError::Unavailable)?;
            }
            Some(known) if known != epoch => {
                let other = format!("its epoch is {}, the copy was made of {}", epoch.0, known.0);
                return Err(StoreError::Regressed(other));
            }
            Some(_) => {}
        }
        let head = *self.head.borrow();
        let last = self.readers.read(|connection| -> Result<Option<(Seq, i64)>, Trouble> {
            let sql = "SELECT seq, revision FROM copied_commit ORDER BY seq DESC LIMIT 1";
            Ok(connection.prepare_cached(sql)?.query_row((), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        });
        let (seq, revision) = last.await?.unwrap_or_default();
        if seq != head {
            let own = format!("the copy has {} commits, of which the store knows {}", head.0, seq.0);
            return Err(StoreError::Damaged(own));
        }
        Ok((seq, revision))
    }

    /// The newest commit that is durable here, as it changes.
    pub(in crate::store) fn head(&self) -> watch::Receiver<Seq> {
        self.head.clone()
    }

    /// Applies commits that follow the last one; those that are here already are compared with what is here.
    pub(in crate::store) async fn replay(&self, commits: Vec<Placed>) -> Result<(), NotReplayed> {
        let gone = || NotReplayed::Unwritten(closed().to_string());
        let (answer, answered) = oneshot::channel();
        self.request(Request::Replay(commits, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Which commit has this revision in the store that is copied.
    pub(in crate::store) async fn seq_at(&self, revision: i64) -> Result<Option<Seq>, StoreError> {
        let sql = "SELECT seq FROM copied_commit WHERE revision = ?1";
        let find = move |connection: &Connection| {
            Ok(connection.prepare_cached(sql)?.query_row([revision], |row| row.get(0)).optional()?)
        };
        self.readers.read(find).await
    }

    /// What this commit's preconditions mean there, and where its objects belong.
    pub(in crate::store) async fn grounds(&self, commit: &Commit) -> Result<Grounds, StoreError> {
        let (preconditions, writes) = (commit.preconditions.clone(), commit.writes.clone());
        self.readers.read(move |connection| grounds(connection, &preconditions, &writes)).await
    }

    /// The remembered answers given before this time, with the revisions that they were written at.
    pub(in crate::store) async fn answers_before(&self, before: Timestamp) -> Result<Vec<(String, i64)>, StoreError> {
        let find = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT a.caller_and_key, p.revision FROM remembered_answer a JOIN copied_commit p ON p.seq = a.seq WHERE a.at < ?1",
            )?;
            let found = statement.query_map([before.as_millis()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        self.readers.read(find).await
    }
}

fn grounds(connection: &Connection, preconditions: &[Precondition], writes: &[Write]) -> Result<Grounds, Trouble> {
    let mut grounds = Grounds::default();
    for Precondition { key, revision } in preconditions {
        let expected = match revision {
            None => Expected::Absent,
            Some(seq) => revision_at(connection, Seq(seq.0))?.map_or(Expected::Impossible, Expected::At),
        };
        grounds.expected.push(expected);
        if let crate::store::Key::AccessRequest(id) = key
            && let Some(case) =
                text(connection, "SELECT support_request FROM access_request WHERE id = ?1", id.as_str())?
        {
            let case = SupportRequestId::new(&case)
                .map_err(|error| Trouble::torn(format_args!("support request of {id}"), &error))?;
            grounds.cases.insert(id.clone(), case);
        }
    }
    for Write(object) in writes {
        let Object::AccessRequest(request) = object else { continue };
        grounds.cases.insert(request.id.clone(), request.support_request.clone());
        for consent in request.consents() {
            let holder = text(connection, "SELECT access_request FROM consent WHERE id = ?1", consent.id.as_str())?;
            if holder.is_some_and(|holder| holder != request.id.as_str()) {
                grounds.unstorable = Some(format!("consent `{}` belongs to another access request", consent.id));
            }
        }
    }
    Ok(grounds)
}

fn text(connection: &Connection, sql: &str, id: &str) -> Result<Option<String>, Trouble> {
    Ok(connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?)
}

fn revision_at(connection: &Connection, seq: Seq) -> Result<Option<i64>, Trouble> {
    let mut statement = connection.prepare_cached("SELECT revision FROM copied_commit WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

impl Writer {
    pub(super) fn become_copy(&mut self, epoch: &Epoch) -> Result<(), String> {
        let sql = "INSERT INTO meta (name, value) VALUES ('copy_of', ?1)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let written = self.transaction(|connection| Ok(connection.execute(sql, [&epoch.0])?));
        written.map(drop).map_err(|failure| failure.trouble.to_string())
    }

    pub(super) fn replay(&mut self, commits: Vec<Placed>) -> Result<(), NotReplayed> {
        let before = *self.head.borrow();
        let (oldest, kept) = (self.shared.log.oldest(), self.kept_changes);
        let written = self.transaction(|connection| {
            let mut changes = Vec::with_capacity(commits.len());
            let mut head = before;
            for Placed { seq, revision, mut commit } in commits {
                if seq <= head {
                    if revision_at(connection, seq)? != Some(revision) {
                        return Err(Trouble::Damaged(format!(
                            "commit {} is another one than was applied before",
                            seq.0
                        )));
                    }
                    continue;
                }
                if seq != head.next() {
                    return Err(Trouble::Damaged(format!("commit {} does not follow {}", seq.0, head.0)));
                }
                // They held when it was committed.
                commit.preconditions.clear();
                match commit::apply(connection, head, &commit)? {
                    Applied::Written(change) => changes.push(change),
                    Applied::Before(_) | Applied::Conflict(_) => {
                        return Err(Trouble::Damaged(format!("transaction `{}` is there twice", commit.txn_id)));
                    }
                }
                connection
                    .prepare_cached("INSERT INTO copied_commit (seq, revision) VALUES (?1, ?2)")?
                    .execute(params![seq, revision])?;
                head = seq;
            }
            Ok((changes, trim(connection, oldest, head, kept)?))
        });
        let (changes, trimmed_to) = written.map_err(|failure| match failure.trouble {
            // Every further try would end like this one.
            Trouble::Damaged(why) | Trouble::Unstorable(why) => NotReplayed::Astray(why),
            trouble @ Trouble::Sqlite(_) => NotReplayed::Unwritten(trouble.to_string()),
        })?;
        if let Some(oldest) = trimmed_to {
            self.shared.log.trimmed_to(oldest);
        }
        let head = changes.last().map(|change| change.seq);
        for change in changes {
            self.shared.log.push(change);
        }
        if let Some(head) = head {
            self.head.send_replace(head);
        }
        Ok(())
    }
}
