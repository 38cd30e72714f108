//! Every allow that a bundle would deny on the same facts: what today's policies no longer stand behind.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Serialize;

use crate::policy::Bundle;
use crate::workbench::recorded::Log;
use crate::workbench::run::{Given, ask};
use crate::workbench::suite::Expected;

/// An allow that would be a denial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldBeDenied {
    /// The decision's id.
    pub decision_id: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// What was asked.
    pub asked: String,
    /// The policies that allowed it.
    pub policies: Vec<String>,
    /// Their bundle.
    pub policy_version: String,
    /// The bundle's answer now.
    pub answer: Given,
}

/// What a bundle says of a log's allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reassessed {
    /// The bundle that was asked.
    pub policy_version: String,
    /// How many allows the log holds.
    pub allows: u64,
    /// Those that would be denied, in the order of the log.
    pub would_be_denied: Vec<WouldBeDenied>,
    /// Those that cannot be asked again, by why.
    pub unasked: BTreeMap<String, u64>,
}

/// Asks a bundle every decision of a log that was an allow.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn reassess(bundle: &Bundle, log: impl BufRead) -> io::Result<Reassessed> {
    let mut found = Reassessed { policy_version: bundle.version().to_string(), ..Reassessed::default() };
    for decision in Log::new(log) {
        let decision = decision?;
        if decision.decision != Expected::Allow {
            continue;
        }
        found.allows += 1;
        match decision.question.as_ref().map_err(Clone::clone).and_then(|wanted| ask(bundle, wanted)) {
            Ok((verdict, _)) if verdict.allowed => {}
            Ok((verdict, _)) => found.would_be_denied.push(WouldBeDenied {
                decision_id: decision.id,
                time: decision.time.to_string(),
                asked: decision.told,
                policies: decision.policies,
                policy_version: decision.policy_version,
                answer: Given::of(bundle, &verdict),
            }),
            Err(why) => *found.unasked.entry(why).or_default() += 1,
        }
    }
    Ok(found)
}
