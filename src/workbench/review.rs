//! The questions of a security reviewer, answered from the decision log alone: who could read what, who did, what was
//! approved and never used, and which policies were in force.
//!
//! A log is read once, line by line, from its beginning. What is kept of it meanwhile is what the answer is made of.

mod could_read;
mod reads;
mod reassess;
mod served;
mod unused;

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use crate::decision::{FactsLine, MaybeMasked, PoliciesLine};
use crate::model::{CaseFacts, Timestamp};

pub use could_read::{CouldRead, Moment, Reader, could_read};
pub use reads::{Approval, ConsentBehind, Read, ReadFilter, Reads, reads};
pub use reassess::{Reassessed, WouldBeDenied, reassess};
pub use served::{Served, Serving, served};
pub use unused::{Unused, UnusedConsent, unused};

/// A decision, as far as reviewers ask about it. A member that a line lacks is empty here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the log's own member names")]
struct Decision {
    decision_id: String,
    time: String,
    subject: String,
    action: String,
    resource: String,
    resource_tenant: Option<String>,
    support_request: Option<String>,
    decision: bool,
    read: bool,
    policies: Vec<String>,
    policy_version: String,
    access_request: Option<String>,
    consents: Vec<String>,
}

impl Decision {
    /// Whether it is a read of somebody's data that was allowed (R22).
    fn is_allowed_read(&self) -> bool {
        self.decision && self.read
    }
}

/// A line of the log.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Decision(Decision),
    Facts(FactsLine<MaybeMasked<CaseFacts>>),
    Policies(PoliciesLine),
    /// What the log says of itself.
    #[serde(other)]
    Other,
}

/// Goes through a log's lines.
///
/// # Errors
/// When it cannot be read to its end, with the number of the line.
fn each_line(log: impl BufRead, mut visit: impl FnMut(Line)) -> io::Result<()> {
    for (number, text) in (1_u64..).zip(log.lines()) {
        let wrong =
            |error: serde_json::Error| io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}"));
        visit(serde_json::from_str(&text?).map_err(wrong)?);
    }
    Ok(())
}

/// When the facts of a line came to be: the commit's time, or the line's where that is not known.
fn since<F>(line: &FactsLine<F>) -> Option<Timestamp> {
    line.at.as_ref().unwrap_or(&line.time).parse().ok()
}

/// How often something was seen, and when first and last, RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Seen {
    fn at(&mut self, time: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| time.to_owned());
        self.last = Some(time.to_owned());
    }
}
