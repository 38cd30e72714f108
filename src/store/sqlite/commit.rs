//! One commit inside the writer's transaction: checked, applied and numbered.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::error::Trouble;
use super::objects;
use crate::model::{Activity, Actor, Announcement};
use crate::store::{Change, Commit, Key, Seq, Write};

/// What came of one commit, once the transaction around it is durable.
#[derive(Debug)]
pub(super) enum Applied {
    /// It was written at the place after the head.
    Written(Change),
    /// It had been written before, at this place.
    Before(Seq),
    /// This key had changed. Nothing was written.
    Conflict(Key),
}

/// Applies the commit as the one after `head`, or leaves everything as it was.
pub(super) fn apply(connection: &Connection, head: Seq, commit: &Commit) -> Result<Applied, Trouble> {
    if let Some(seq) = written_before(connection, &commit.txn_id)? {
        return Ok(Applied::Before(seq));
    }
    // Everything is checked before anything is written, so that a conflict has nothing to undo.
    for precondition in &commit.preconditions {
        if objects::revision(connection, &precondition.key)? != precondition.revision {
            return Ok(Applied::Conflict(precondition.key.clone()));
        }
    }
    let seq = head.next();
    for Write(object) in &commit.writes {
        objects::write(connection, seq, object)?;
    }
    for activity in &commit.activities {
        write_activity(connection, activity)?;
    }
    for announcement in &commit.announcements {
        write_announcement(connection, announcement)?;
    }
    let followed = commit.writes.iter().filter(|Write(object)| object.key().is_followed()).cloned().collect();
    let change = Change { seq, at: commit.at, writes: followed };
    connection
        .prepare_cached("INSERT INTO change_log (seq, txn_id, at, writes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, commit.txn_id, commit.at.as_millis(), objects::encode(&change.writes)?])?;
    Ok(Applied::Written(change))
}

fn written_before(connection: &Connection, txn_id: &str) -> Result<Option<Seq>, Trouble> {
    let mut statement = connection.prepare_cached("SELECT seq FROM change_log WHERE txn_id = ?1")?;
    Ok(statement.query_row([txn_id], |row| row.get(0)).optional()?)
}

fn write_activity(connection: &Connection, activity: &Activity) -> Result<(), Trouble> {
    let actor = match &activity.actor {
        Actor::Person(person) => Some(person.as_str()),
        Actor::Service(_) => None,
    };
    connection
        .prepare_cached(
            "INSERT INTO activity (tenant, number, at, kind, actor, support_request, body)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM activity WHERE tenant = ?1), ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            activity.tenant.as_str(),
            activity.at.as_millis(),
            activity.kind.as_str(),
            actor,
            activity.support_request.as_str(),
            objects::encode(activity)?
        ])?;
    Ok(())
}

fn write_announcement(connection: &Connection, announcement: &Announcement) -> Result<(), Trouble> {
    connection
        .prepare_cached(
            "INSERT INTO announcement (tenant, number, body)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM announcement WHERE tenant = ?1), ?2)",
        )?
        .execute(params![announcement.tenant.as_str(), objects::encode(announcement)?])?;
    Ok(())
}
