//! Whole cases, and the snapshot of everything that followers know of.

use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;

use super::error::Trouble;
use super::objects::{decode, read};
use super::writer::kept_range;
use crate::model::{Case, SupportRequest, SupportRequestId};
use crate::store::{CaseRef, Key, Object, Revision, Seq, SnapshotItem, StoredCase, Versioned};

/// Snapshot items go from the reading thread to the visitor in portions of this size.
const PORTION: usize = 256;

/// Reads the case with the state of each of its objects.
pub(super) fn case(connection: &Connection, wanted: &CaseRef) -> Result<Option<StoredCase>, Trouble> {
    let Some(id) = support_request_of(connection, wanted)? else { return Ok(None) };
    let (key, sql) = (Key::SupportRequest(id.clone()), "SELECT seq, body FROM support_request WHERE id = ?1");
    let Some(found) = read::<SupportRequest>(connection, &key, sql, [id.as_str()])? else { return Ok(None) };
    let Versioned { revision: support_request_revision, value: support_request } = found;
    let mut access_requests = Vec::new();
    let mut access_request_revisions = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT seq, body, id FROM access_request WHERE support_request = ?1 ORDER BY created_at, inserted",
    )?;
    let mut rows = statement.query([id.as_str()])?;
    while let Some(row) = rows.next()? {
        let seq: Seq = row.get(0)?;
        access_requests.push(decode(row.get_ref(1)?, format_args!("access-request/{}", row.get_ref(2)?.as_str()?))?);
        access_request_revisions.push(Revision::from(seq));
    }
    let case = Case { support_request, access_requests };
    Ok(Some(StoredCase { case, support_request_revision, access_request_revisions }))
}

fn support_request_of(connection: &Connection, wanted: &CaseRef) -> Result<Option<SupportRequestId>, Trouble> {
    let (sql, id) = match wanted {
        CaseRef::SupportRequest(id) => return Ok(Some(id.clone())),
        CaseRef::AccessRequest(id) => ("SELECT support_request FROM access_request WHERE id = ?1", id.as_str()),
        CaseRef::Consent(id) => ("SELECT support_request FROM consent WHERE id = ?1", id.as_str()),
    };
    let found: Option<String> = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    let parsed = found.map(|found| SupportRequestId::new(&found)).transpose();
    parsed.map_err(|error| Trouble::torn(format_args!("support request of {id}"), &error))
}

/// Hands over every followed object, portion by portion, until `take` has had enough, and tells the head they are of.
pub(super) fn snapshot(
    connection: &Connection,
    mut take: impl FnMut(Vec<SnapshotItem>) -> bool,
) -> Result<Seq, Trouble> {
    let (_, head) = kept_range(connection)?;
    let sql = "SELECT seq, body, id FROM tenant";
    let more = hand_over(connection, sql, "tenant", Object::Tenant, &mut take)?;
    let sql = "SELECT seq, body, id FROM support_request";
    let more = more && hand_over(connection, sql, "support-request", Object::SupportRequest, &mut take)?;
    let sql = "SELECT seq, body, id FROM access_request";
    let more = more && hand_over(connection, sql, "access-request", Object::AccessRequest, &mut take)?;
    let sql = "SELECT seq, body, 'policies' FROM rollout";
    let _ = more && hand_over(connection, sql, "rollout", Object::Rollout, &mut take)?;
    Ok(head)
}

fn hand_over<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    kind: &str,
    object: fn(T) -> Object,
    take: &mut impl FnMut(Vec<SnapshotItem>) -> bool,
) -> Result<bool, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut portion = Vec::with_capacity(PORTION);
    while let Some(row) = rows.next()? {
        let value = decode(row.get_ref(1)?, format_args!("{kind}/{}", row.get_ref(2)?.as_str()?))?;
        portion.push(SnapshotItem { seq: row.get(0)?, object: object(value) });
        if portion.len() == PORTION && !take(std::mem::replace(&mut portion, Vec::with_capacity(PORTION))) {
            return Ok(false);
        }
    }
    Ok(take(portion))
}
