//! Objects as rows: written with the columns that lists need, read back with their revision.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Trouble;
use crate::model::{AccessRequest, Consent, ConsentStatus, PersonId, SupportRequest};
use crate::store::{Key, Object, Revision, Seq, Versioned};

impl ToSql for Seq {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Seq {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let seq = value.as_i64()?;
        u64::try_from(seq).map(Self).map_err(|_| FromSqlError::OutOfRange(seq))
    }
}

impl From<Seq> for Revision {
    fn from(seq: Seq) -> Self {
        Self(seq.0)
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| Trouble::Unstorable(format!("cannot be written as JSON: {error}")))
}

/// Parses a body where it lies in SQLite's page. `key` is named when that fails.
pub(super) fn decode<T: DeserializeOwned>(body: ValueRef<'_>, key: fmt::Arguments<'_>) -> Result<T, Trouble> {
    let bytes = body.as_bytes().map_err(|error| Trouble::torn(key, &error))?;
    serde_json::from_slice(bytes).map_err(|error| Trouble::torn(key, &error))
}

/// Which commit wrote the object; none: there is no such object.
pub(super) fn revision(connection: &Connection, key: &Key) -> Result<Option<Revision>, Trouble> {
    let seq_of = |sql: &str, id: &str| connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional();
    let seq: Option<Seq> = match key {
        Key::Tenant(id) => seq_of("SELECT seq FROM tenant WHERE id = ?1", id.as_str()),
        Key::SupportRequest(id) => seq_of("SELECT seq FROM support_request WHERE id = ?1", id.as_str()),
        Key::AccessRequest(id) => seq_of("SELECT seq FROM access_request WHERE id = ?1", id.as_str()),
        Key::RememberedAnswer(key) => seq_of("SELECT seq FROM remembered_answer WHERE caller_and_key = ?1", key),
        Key::Receipt(consent) => seq_of("SELECT seq FROM receipt WHERE consent = ?1", consent.as_str()),
        Key::Slot(support_request, resource_tenant) => connection
            .prepare_cached("SELECT seq FROM slot WHERE support_request = ?1 AND resource_tenant = ?2")?
            .query_row([support_request.as_str(), resource_tenant.as_str()], |row| row.get(0))
            .optional(),
        Key::Rollout => {
            connection.prepare_cached("SELECT seq FROM rollout")?.query_row((), |row| row.get(0)).optional()
        }
    }?;
    Ok(seq.map(Revision::from))
}

/// Reads the object that the statement finds under this key: its seq and its body.
pub(super) fn read<T: DeserializeOwned>(
    connection: &Connection,
    key: &Key,
    sql: &str,
    params: impl Params,
) -> Result<Option<Versioned<T>>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let seq: Seq = row.get(0)?;
    Ok(Some(Versioned { revision: seq.into(), value: decode(row.get_ref(1)?, format_args!("{key}"))? }))
}

/// Writes the object as of commit `seq`.
pub(super) fn write(connection: &Connection, seq: Seq, object: &Object) -> Result<(), Trouble> {
    match object {
        Object::Tenant(tenant) => {
            connection
                .prepare_cached(
                    "INSERT INTO tenant (id, seq, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, body = excluded.body",
                )?
                .execute(params![tenant.id.as_str(), seq, encode(tenant)?])?;
        }
        Object::SupportRequest(request) => write_support_request(connection, seq, request)?,
        Object::AccessRequest(request) => write_access_request(connection, seq, request)?,
        Object::Slot(slot) => {
            connection
                .prepare_cached(
                    "INSERT INTO slot (support_request, resource_tenant, seq, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET seq = excluded.seq, body = excluded.body",
                )?
                .execute(params![slot.support_request.as_str(), slot.resource_tenant.as_str(), seq, encode(slot)?])?;
        }
        Object::RememberedAnswer(answer) => {
            connection
                .prepare_cached(
                    "INSERT INTO remembered_answer (caller_and_key, seq, at, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET seq = excluded.seq, at = excluded.at, body = excluded.body",
                )?
                .execute(params![answer.caller_and_key, seq, answer.at.as_millis(), encode(answer)?])?;
        }
        Object::Receipt(receipt) => {
            connection
                .prepare_cached(
                    "INSERT INTO receipt (consent, seq, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET seq = excluded.seq, body = excluded.body",
                )?
                .execute(params![receipt.consent.as_str(), seq, encode(receipt)?])?;
        }
        Object::Rollout(rollout) => {
            connection
                .prepare_cached(
                    "INSERT INTO rollout (only_one, seq, body) VALUES (1, ?1, ?2)
                     ON CONFLICT DO UPDATE SET seq = excluded.seq, body = excluded.body",
                )?
                .execute(params![seq, encode(rollout)?])?;
        }
    }
    Ok(())
}

// The columns beside a body hardly ever change. Where they stay, only the row is written, not its places in the indexes:
// that halves the pages that a commit has to bring to disk.

fn write_support_request(connection: &Connection, seq: Seq, request: &SupportRequest) -> Result<(), Trouble> {
    let assignee = request.assignee.as_ref().map(PersonId::as_str);
    let body = encode(request)?;
    let row = params![request.id.as_str(), seq, assignee, request.opened_at.as_millis(), body];
    let same_columns = connection
        .prepare_cached(
            "UPDATE support_request SET seq = ?2, body = ?5 WHERE id = ?1 AND assignee IS ?3 AND opened_at = ?4",
        )?
        .execute(row)?;
    if same_columns == 0 {
        connection
            .prepare_cached(
                "INSERT INTO support_request (id, seq, assignee, opened_at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, assignee = excluded.assignee,
                     opened_at = excluded.opened_at, body = excluded.body",
            )?
            .execute(row)?;
    }
    Ok(())
}

fn write_access_request(connection: &Connection, seq: Seq, request: &AccessRequest) -> Result<(), Trouble> {
    let (id, support_request) = (request.id.as_str(), request.support_request.as_str());
    let (requested_by, created_at) = (request.requested_by.as_str(), request.created_at.as_millis());
    let body = encode(request)?;
    let row = params![id, seq, support_request, requested_by, created_at, body];
    let same_columns = connection
        .prepare_cached(
            "UPDATE access_request SET seq = ?2, body = ?6
             WHERE id = ?1 AND support_request = ?3 AND requested_by = ?4 AND created_at = ?5",
        )?
        .execute(row)?;
    if same_columns == 0 {
        connection
            .prepare_cached(
                "INSERT INTO access_request (id, seq, support_request, requested_by, created_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, support_request = excluded.support_request,
                     requested_by = excluded.requested_by, created_at = excluded.created_at, body = excluded.body",
            )?
            .execute(row)?;
    }
    index_task_end(connection, request)?;
    request.consents().try_for_each(|consent| index_consent(connection, request, consent))
}

/// Whoever wished it is called back once, whatever becomes of the access request later.
fn index_task_end(connection: &Connection, request: &AccessRequest) -> Result<(), Trouble> {
    let Some(task) = &request.task else { return Ok(()) };
    let (Some(end), Some(callback)) = (task.ended, &task.denial.callback) else { return Ok(()) };
    if !callback.events.contains(&end.status) {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO task_end (endpoint, number, access_request)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM task_end WHERE endpoint = ?1), ?2)",
        )?
        .execute(params![callback.endpoint, request.id.as_str()])?;
    Ok(())
}

fn index_consent(connection: &Connection, request: &AccessRequest, consent: &Consent) -> Result<(), Trouble> {
    let (id, tenant) = (consent.id.as_str(), consent.tenant.as_str());
    let (pending, created_at) = (consent.status == ConsentStatus::Pending, request.created_at.as_millis());
    let row = params![id, tenant, pending, created_at, request.id.as_str(), request.support_request.as_str()];
    let same = connection
        .prepare_cached(
            "SELECT 1 FROM consent WHERE id = ?1 AND tenant = ?2 AND pending = ?3 AND created_at = ?4
                 AND access_request = ?5 AND support_request = ?6",
        )?
        .exists(row)?;
    if same {
        return Ok(());
    }
    let written = connection
        .prepare_cached(
            "INSERT INTO consent (id, tenant, pending, created_at, access_request, support_request)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, pending = excluded.pending,
                 created_at = excluded.created_at, support_request = excluded.support_request
             WHERE access_request = excluded.access_request",
        )?
        .execute(row)?;
    // A consent that two access requests claim would lead a decision about one of them to the other.
    if written == 0 {
        return Err(Trouble::Unstorable(format!("consent `{id}` belongs to another access request")));
    }
    Ok(())
}
