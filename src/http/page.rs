//! Lists in pages: a limit, and opaque cursors that hold nothing but the caller's own place in the caller's own list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{Object, ObjectBuilder, Type};

use super::problem::Problem;
use crate::model::Timestamp;
use crate::store::ListPosition;

/// Items on a page, unless the caller wants fewer or more.
const DEFAULT_LIMIT: usize = 50;
/// The most items on a page.
const MAX_LIMIT: usize = 200;
/// The longest cursor that is looked at, in bytes.
const MAX_CURSOR_BYTES: usize = 1_024;

/// The limit of a request.
///
/// # Errors
/// 400.
pub(super) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    limit_up_to(given, DEFAULT_LIMIT, MAX_LIMIT)
}

/// The limit of a request where another one is usual.
///
/// # Errors
/// 400.
pub(super) fn limit_up_to(given: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match given {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("limit", format!("must be between 1 and {most}"))),
    }
}

/// The limit as clients see it.
pub(super) fn limit_schema() -> Object {
    limit_schema_up_to(DEFAULT_LIMIT, MAX_LIMIT)
}

/// The same where another one is usual.
pub(super) fn limit_schema_up_to(usual: usize, most: usize) -> Object {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most));
    schema.default(Some(usual.into())).build()
}

/// A cursor as clients see it: opaque, but of characters that a URL takes as they are.
pub(super) fn cursor_schema() -> Object {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9A-Za-z_-]+$"));
    schema.max_length(Some(MAX_CURSOR_BYTES)).build()
}

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor<P> {
    /// Which list it belongs to.
    list: String,
    /// Where to go on.
    after: P,
}

#[derive(Serialize, Deserialize)]
struct Place {
    at: Timestamp,
    id: String,
}

/// A place in a list ordered by time, as a cursor.
pub(super) fn place(list: &str, position: &ListPosition) -> String {
    encode(list, &Place { at: position.at, id: position.id.clone() })
}

/// The place that a cursor names.
///
/// # Errors
/// 400 when it is not a cursor of this list.
pub(super) fn position(list: &str, cursor: Option<&str>) -> Result<Option<ListPosition>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let Place { at, id } = decode(list, cursor)?;
    Ok(Some(ListPosition { at: Timestamp::from_millis(at.as_millis()), id }))
}

/// A cursor of this list that holds this place.
pub(super) fn encode<P: Serialize>(list: &str, after: &P) -> String {
    let json = serde_json::to_vec(&Cursor { list: list.to_owned(), after }).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

/// The place that a cursor of this list holds.
///
/// # Errors
/// 400 when it is not a cursor of this list.
pub(super) fn decode<P: DeserializeOwned>(list: &str, cursor: &str) -> Result<P, Problem> {
    let invalid = || Problem::invalid("cursor", "is not a cursor of this list: take `next_cursor` of a page as it is");
    if cursor.len() > MAX_CURSOR_BYTES {
        return Err(invalid());
    }
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let cursor: Cursor<P> = serde_json::from_slice(&json).map_err(|_| invalid())?;
    if cursor.list == list { Ok(cursor.after) } else { Err(invalid()) }
}
