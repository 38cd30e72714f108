//! One allowed read as it is read back from the log (R22).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The number of a record among its tenant's allowed reads: 1, 2, 3 ... A later record has a greater number. Numbers of
/// one tenant tell nothing about other tenants, as a place in the file would (R19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// The position that [`Position::as_u64`] was taken from. Any number is harmless: it only says where to go on.
    #[must_use]
    pub const fn from_u64(offset: u64) -> Self {
        Self(offset)
    }

    /// The position as a number, for a cursor.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// An allowed read: who read what of which tenant, for which support request, by which consents (R22).
///
/// The fields have the names that they have in the log's lines. A field that a line lacks is empty here: the tenant
/// still sees that there was a read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ReadRecord {
    /// Where the record stands.
    #[serde(skip)]
    pub position: Position,
    /// The decision's id, as the answer named it.
    pub decision_id: String,
    /// When it was decided, RFC 3339.
    pub time: String,
    /// The support engineer's person id.
    pub subject: String,
    /// What the engineer did.
    pub action: String,
    /// Whose data was read.
    pub resource_tenant: String,
    /// The category of diagnostic data.
    pub category: String,
    /// The one item that was read, if the question named one.
    pub item: Option<String>,
    /// The support request under which it was read.
    pub support_request: String,
    /// The access request that allowed it; none under R5.
    pub access_request: Option<String>,
    /// The consents that allowed it; none under R5.
    pub consents: Vec<String>,
    /// The receipt of each of these consents, where one was made.
    pub receipts: Vec<Option<String>>,
}

/// What a line must say to be an allowed read.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    decision: bool,
    #[serde(default)]
    read: bool,
    #[serde(borrow)]
    resource_tenant: Cow<'a, str>,
}

/// The tenant whose data this line says was read, if it is an allowed read at all.
pub(super) fn tenant_read(line: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(line).ok()?;
    // Most lines that are no allowed reads need not be parsed.
    if !text.contains("\"read\":true") {
        return None;
    }
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    (head.kind == "decision" && head.decision && head.read).then_some(head.resource_tenant)
}

/// Whether this line is an allowed read of this tenant's data.
pub(super) fn is_read_of(tenant: &str, quoted_tenant: &str, line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| text.contains(quoted_tenant))
        && tenant_read(line).is_some_and(|read| read == tenant)
}

/// An allowed read, parsed.
pub(super) fn parse(line: &[u8], position: Position) -> Option<ReadRecord> {
    match serde_json::from_slice::<ReadRecord>(line) {
        Ok(record) => Some(ReadRecord { position, ..record }),
        Err(error) => {
            tracing::warn!(log.position = position.0, %error, "an allowed read in the decision log does not parse");
            None
        }
    }
}
