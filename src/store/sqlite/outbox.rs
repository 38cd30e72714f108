//! What outboxes read and keep: a tenant's streams from a number on, and an endpoint's letters.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;

use super::error::Trouble;
use super::objects::{decode, encode};
use crate::model::TenantId;
use crate::store::{
    Letter, LetterId, NumberedActivity, NumberedAnnouncement, NumberedTask, Outbox, OutboxChange, OutboxPlaces,
};

pub(super) fn activities_after(
    connection: &Connection,
    tenant: &TenantId,
    after: u64,
    limit: usize,
) -> Result<Vec<NumberedActivity>, Trouble> {
    let sql = "SELECT number, body FROM activity WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let found = numbered(connection, sql, "activity", tenant, after, limit)?;
    Ok(found.into_iter().map(|(number, activity)| NumberedActivity { number, activity }).collect())
}

pub(super) fn announcements_after(
    connection: &Connection,
    tenant: &TenantId,
    after: u64,
    limit: usize,
) -> Result<Vec<NumberedAnnouncement>, Trouble> {
    let sql = "SELECT number, body FROM announcement WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let found = numbered(connection, sql, "announcement", tenant, after, limit)?;
    Ok(found.into_iter().map(|(number, announcement)| NumberedAnnouncement { number, announcement }).collect())
}

fn numbered<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    kind: &str,
    tenant: &TenantId,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, T)>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![tenant.as_str(), sql_number(after), sql_number(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let number = u64::try_from(number).map_err(|error| Trouble::torn(format_args!("{kind}/{tenant}"), &error))?;
        found.push((number, decode(row.get_ref(1)?, format_args!("{kind}/{tenant}/{number}"))?));
    }
    Ok(found)
}

pub(super) fn task_ends_after(
    connection: &Connection,
    endpoint: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<NumberedTask>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT t.number, t.access_request, a.body FROM task_end t LEFT JOIN access_request a ON a.id = t.access_request
         WHERE t.endpoint = ?1 AND t.number > ?2 ORDER BY t.number LIMIT ?3",
    )?;
    let mut rows = statement.query(params![endpoint, sql_number(after), sql_number(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let number =
            u64::try_from(number).map_err(|error| Trouble::torn(format_args!("task-end/{endpoint}"), &error))?;
        let access_request = decode(row.get_ref(2)?, format_args!("access-request/{}", row.get_ref(1)?.as_str()?))?;
        found.push(NumberedTask { number, access_request });
    }
    Ok(found)
}

pub(super) fn outbox(connection: &Connection, endpoint: &str) -> Result<Option<Outbox>, Trouble> {
    let decoded = |places: ValueRef<'_>| decode(places, format_args!("outbox/{endpoint}"));
    let places: Option<Result<OutboxPlaces, Trouble>> = connection
        .prepare_cached("SELECT places FROM outbox WHERE endpoint = ?1")?
        .query_row([endpoint], |row| Ok(decoded(row.get_ref(0)?)))
        .optional()?;
    let Some(places) = places.transpose()? else { return Ok(None) };
    let sql = "SELECT body FROM letter WHERE endpoint = ?1 AND dead = 0 ORDER BY stream, number";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([endpoint])?;
    let mut waiting: Vec<Letter> = Vec::new();
    while let Some(row) = rows.next()? {
        waiting.push(decode(row.get_ref(0)?, format_args!("letter/{endpoint}"))?);
    }
    waiting.sort_by_key(|letter| (letter.at, letter.id));
    Ok(Some(Outbox { places, waiting }))
}

pub(super) fn keep(connection: &Connection, endpoint: &str, change: &OutboxChange) -> Result<(), Trouble> {
    connection
        .prepare_cached(
            "INSERT INTO outbox (endpoint, places) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET places = excluded.places",
        )?
        .execute(params![endpoint, encode(&change.places)?])?;
    for letter in &change.put {
        connection
            .prepare_cached(
                "INSERT INTO letter (endpoint, dead, stream, number, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET dead = excluded.dead, body = excluded.body",
            )?
            .execute(params![
                endpoint,
                letter.died.is_some(),
                letter.id.stream.as_str(),
                sql_number(letter.id.number),
                encode(letter)?
            ])?;
    }
    for LetterId { stream, number } in &change.done {
        connection
            .prepare_cached("DELETE FROM letter WHERE endpoint = ?1 AND stream = ?2 AND number = ?3")?
            .execute(params![endpoint, stream.as_str(), sql_number(*number)])?;
    }
    Ok(())
}

pub(super) fn dead_letters(
    connection: &Connection,
    endpoint: &str,
    after: Option<LetterId>,
    limit: usize,
) -> Result<Vec<Letter>, Trouble> {
    // Numbers begin with 1, and no stream's name is empty.
    let (stream, number) = after.map_or(("", 0), |after| (after.stream.as_str(), after.number));
    let mut statement = connection.prepare_cached(
        "SELECT body FROM letter WHERE endpoint = ?1 AND dead = 1 AND (stream, number) > (?2, ?3)
         ORDER BY stream, number LIMIT ?4",
    )?;
    let mut rows = statement.query(params![endpoint, stream, sql_number(number), sql_number(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row.get_ref(0)?, format_args!("letter/{endpoint}"))?);
    }
    Ok(found)
}

fn sql_number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
