//! The tables of the embedded store, and how an older file becomes a newer one.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use uuid::Uuid;

use super::error::Trouble;
use crate::store::{Epoch, StoreError};

/// Marks a file as ours: `Cons` in ASCII.
const APPLICATION_ID: u32 = 0x436f_6e73;

/// The steps from an empty file to the newest schema. Step n leads to version n. Steps that were released never change;
/// a new version is a new step at the end.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

/// Bodies are the model's types as JSON; the columns beside them are what lists are found and ordered by. `seq` is the
/// commit that wrote the row last, and so the object's revision.
const VERSION_1: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE tenant (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

    CREATE TABLE support_request (
        id TEXT PRIMARY KEY, seq INTEGER NOT NULL, assignee TEXT, opened_at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX support_request_by_assignee ON support_request (assignee, opened_at, id) WHERE assignee IS NOT NULL;

    -- `inserted` tells which of two access requests of the same millisecond is the older one.
    CREATE TABLE access_request (
        inserted INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, support_request TEXT NOT NULL,
        requested_by TEXT NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX access_request_by_support_request ON access_request (support_request, created_at, inserted);
    CREATE INDEX access_request_by_engineer ON access_request (requested_by, created_at, id);

    -- An index over the consents inside the access requests' bodies.
    CREATE TABLE consent (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, pending INTEGER NOT NULL, created_at INTEGER NOT NULL,
        access_request TEXT NOT NULL, support_request TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX consent_by_tenant ON consent (tenant, pending, created_at, id);

    CREATE TABLE slot (
        support_request TEXT NOT NULL, resource_tenant TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (support_request, resource_tenant)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE remembered_answer (
        caller_and_key TEXT PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX remembered_answer_by_time ON remembered_answer (at);

    CREATE TABLE activity (
        tenant TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, actor TEXT,
        support_request TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX activity_by_support_request ON activity (tenant, support_request, number);

    -- The newest commits with what they wrote, so that a follower sees each commit as it was, not as it became.
    CREATE TABLE change_log (
        seq INTEGER PRIMARY KEY, txn_id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, writes TEXT NOT NULL
    ) STRICT;
";

/// What leaves the house for tenants: announcements (R23), and what the webhooks' outboxes still have to do.
const VERSION_2: &str = "
    CREATE TABLE announcement (
        tenant TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outbox (endpoint TEXT PRIMARY KEY, places TEXT NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE letter (
        endpoint TEXT NOT NULL, dead INTEGER NOT NULL, stream TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (endpoint, stream, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX letter_by_state ON letter (endpoint, dead, stream, number);
";

/// Receipts of approvals.
const VERSION_3: &str = "
    CREATE TABLE receipt (consent TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// Ends of tasks that somebody is to be called back about: an index over the tasks inside the access requests' bodies.
const VERSION_4: &str = "
    CREATE TABLE task_end (
        endpoint TEXT NOT NULL, number INTEGER NOT NULL, access_request TEXT NOT NULL UNIQUE,
        PRIMARY KEY (endpoint, number)
    ) STRICT, WITHOUT ROWID;
";

/// The policies that were rolled out to a fleet; and, where the file is a copy of a store that a fleet shares, in which
/// revision of that store each commit was made.
const VERSION_5: &str = "
    CREATE TABLE rollout (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1), seq INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;

    CREATE TABLE copied_commit (seq INTEGER PRIMARY KEY, revision INTEGER NOT NULL UNIQUE) STRICT;
";

/// Whose copy the file is: the epoch of that store. None: it is a store of its own.
///
/// # Errors
/// [`StoreError::Unavailable`] when the operating system refuses.
pub(super) fn copy_of(connection: &Connection, path: &str) -> Result<Option<Epoch>, StoreError> {
    let read = connection.query_row("SELECT value FROM meta WHERE name = 'copy_of'", (), |row| row.get(0)).optional();
    read.map(|epoch| epoch.map(Epoch)).map_err(|error| Trouble::of(error).reading(path))
}

/// Which schema version the file has; 0 when it is empty. Reads only: a file that is not ours stays as it is.
///
/// # Errors
/// [`StoreError::NewerSchema`], or [`StoreError::Damaged`] for a file that is no store of ours.
pub(super) fn check(connection: &Connection, path: &str, migrations: &[&str]) -> Result<u32, StoreError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found = version(connection, path).map_err(|error| Trouble::of(error).reading(path))??;
    if found > known { Err(StoreError::NewerSchema { found, known }) } else { Ok(found) }
}

/// Takes the steps that the file has not seen, and tells its epoch.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &str,
    found: u32,
    migrations: &[&str],
) -> Result<Epoch, StoreError> {
    for (version, step) in (1_u32..).zip(migrations).skip_while(|(version, _)| *version <= found) {
        take_step(connection, version, step).map_err(|error| Trouble::of(error).reading(path))?;
        tracing::info!(store.path = path, store.schema_version = version, "brought the store to a newer schema");
    }
    let epoch = connection.query_row("SELECT value FROM meta WHERE name = 'epoch'", (), |row| row.get(0));
    match epoch {
        Ok(epoch) => Ok(Epoch(epoch)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(StoreError::Damaged(format!("`{path}` names no epoch"))),
        Err(error) => Err(Trouble::of(error).reading(path)),
    }
}

fn take_step(connection: &mut Connection, version: u32, step: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(step)?;
    if version == 1 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        let epoch = Uuid::new_v4().to_string();
        transaction.execute("INSERT INTO meta (name, value) VALUES ('epoch', ?1)", [epoch])?;
    }
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

fn version(connection: &Connection, path: &str) -> rusqlite::Result<Result<u32, StoreError>> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if application == i64::from(APPLICATION_ID) {
        return Ok(u32::try_from(version).map_err(|_| {
            StoreError::Damaged(format!("`{path}` has schema version {version}, which no program ever wrote"))
        }));
    }
    // Creating is one transaction: a crash in the middle of it leaves a file without tables, which is made again.
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Ok(0));
    }
    Ok(Err(StoreError::Damaged(format!("`{path}` is a database of another program"))))
}
