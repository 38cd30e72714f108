//! Which policies were in force when, and how many decisions each version made.

use std::collections::HashMap;
use std::io::{self, BufRead};

use serde::Serialize;

use super::{Line, Seen, each_line};

/// A time in which a version was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The version.
    pub policy_version: String,
    /// Since when, RFC 3339.
    pub from: String,
    /// Until another one came into force; none: it still is, as far as the log goes.
    pub to: Option<String>,
}

/// What a log says of policy versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// One after the other. A start of the service with the same version is no new time.
    pub times: Vec<Serving>,
    /// The decisions of each version, by version.
    pub decisions: Vec<VersionDecisions>,
}

/// The decisions of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionDecisions {
    /// The version.
    pub policy_version: String,
    /// Its decisions.
    #[serde(flatten)]
    pub decisions: Seen,
}

/// Which versions of the policies a log tells of.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn served(log: impl BufRead) -> io::Result<Served> {
    let mut times: Vec<Serving> = Vec::new();
    let mut decisions: HashMap<String, Seen> = HashMap::new();
    each_line(log, |line| match line {
        Line::Policies(line) => match times.last_mut() {
            Some(last) if last.policy_version == line.policy_version => {}
            last => {
                if let Some(last) = last {
                    last.to = Some(line.time.clone());
                }
                times.push(Serving { policy_version: line.policy_version, from: line.time, to: None });
            }
        },
        Line::Decision(decision) => decisions.entry(decision.policy_version).or_default().at(&decision.time),
        Line::Facts(_) | Line::Other => {}
    })?;
    let of = |(policy_version, decisions)| VersionDecisions { policy_version, decisions };
    let mut decisions: Vec<_> = decisions.into_iter().map(of).collect();
    decisions.sort_by(|one, other| one.policy_version.cmp(&other.policy_version));
    Ok(Served { times, decisions })
}
