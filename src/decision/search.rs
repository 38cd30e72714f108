//! What could be read, found by asking the policies about everything that it could be (AuthZEN 1.0, section 8).
//!
//! What it could be is known from the support request's facts, and so is how much is asked. Every result is one that an
//! evaluation allows at the same moment, on the same facts, by the same policies.

use std::sync::Arc;

use serde::Serialize;

use super::decide::{Decisions, Undecided};
use super::question::{InvalidQuestion, ReadQuestion};
use crate::audit::{Asked, DecisionId, push_json, write_head};
use crate::clock::BootTime;
use crate::model::{CaseFacts, Category, Timestamp};
use crate::policy::Bundle;
use crate::store::Seq;

/// What is searched for; the other parts of the question are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought<'a> {
    /// The engineers who may do this with this resource.
    Engineers {
        /// The verb.
        verb: &'a str,
        /// `<tenant>/<category>` or `<tenant>/<category>/<item>`.
        resource: &'a str,
    },
    /// The categories of data, as `<tenant>/<category>`, with which this engineer may do this.
    Resources {
        /// `<tenant>/<object id>`.
        engineer: &'a str,
        /// The verb.
        verb: &'a str,
    },
    /// What this engineer may do with this resource.
    Verbs {
        /// `<tenant>/<object id>`.
        engineer: &'a str,
        /// The resource.
        resource: &'a str,
    },
}

/// What a search has found. It is told only once its record is in the log (G3).
#[derive(Debug)]
pub struct Searched {
    /// Its id, as decisions have one.
    pub id: DecisionId,
    /// Engineers, resources or verbs, in the order of their names.
    pub found: Vec<String>,
    at: Timestamp,
    asked: usize,
    bundle: Arc<Bundle>,
    revision: Seq,
    unchanged_until: Timestamp,
    /// When the lease ends under which the facts were read; none: there is no lease.
    pub valid_until: Option<BootTime>,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSearched {
    /// A part that was given is malformed.
    #[error(transparent)]
    Invalid(#[from] InvalidQuestion),
    /// The facts may be out of date.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

impl<'a> Sought<'a> {
    /// The question about one thing that it could be.
    fn question(
        self,
        candidate: &'a str,
        support_request: Option<&'a str>,
    ) -> Result<ReadQuestion<'a>, InvalidQuestion> {
        let (engineer, verb, resource) = match self {
            Self::Engineers { verb, resource } => (candidate, verb, resource),
            Self::Resources { engineer, verb } => (engineer, verb, candidate),
            Self::Verbs { engineer, resource } => (engineer, candidate, resource),
        };
        ReadQuestion::parse(engineer, verb, resource, support_request)
    }

    /// Something well-formed that it could be: what is given can be checked with it where there is nothing to ask about.
    const fn example(self) -> &'static str {
        match self {
            Self::Engineers { .. } => "tenant/engineer",
            Self::Resources { .. } => "tenant/signInLogs",
            Self::Verbs { .. } => "read",
        }
    }

    /// Everything that it could be, in the order of names.
    fn candidates(self, bundle: &Bundle, case: &CaseFacts) -> Vec<String> {
        let mut candidates: Vec<String> = match self {
            Self::Engineers { .. } => case.assignee.iter().map(ToString::to_string).collect(),
            Self::Resources { .. } => {
                let asked_for = case.access_requests.iter().map(|request| &request.resource_tenant);
                let of = |tenant| Category::ALL.map(|category| format!("{tenant}/{category}"));
                std::iter::once(&case.tenant).chain(asked_for).flat_map(of).collect()
            }
            Self::Verbs { .. } => bundle.verbs().map(ToOwned::to_owned).collect(),
        };
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }
}

impl Decisions {
    /// Finds what may be read, or by whom, under this support request. Without one, or where it is not known, nothing
    /// may (R3).
    ///
    /// # Errors
    /// [`NotSearched`].
    pub fn search(&self, sought: Sought<'_>, support_request: Option<&str>) -> Result<Searched, NotSearched> {
        let example = sought.question(sought.example(), support_request)?;
        let bundle = self.policies().current();
        let valid_until = self.fresh()?.valid_until();
        let facts = self.facts(&example)?;
        let at = self.now();
        let case = facts.as_ref().map(|facts| &facts.facts);
        let candidates = case.map(|case| sought.candidates(&bundle, case)).unwrap_or_default();
        let mut found = Vec::new();
        let mut unchanged_until = Timestamp::LATEST;
        for candidate in &candidates {
            let question = sought.question(candidate, support_request)?;
            let verdict = question.to_policies(&bundle, case, at).map(|asked| bundle.evaluate(&asked));
            if let Some(request) = case.and_then(|case| case.access_request_for(question.tenant)) {
                unchanged_until = unchanged_until.min(request.unchanged_until(at));
            }
            if verdict.is_some_and(|verdict| verdict.allowed) {
                found.push(candidate.clone());
            }
        }
        let revision = facts.map_or(Seq(0), |facts| facts.revision);
        let (id, asked) = (self.next_id(), candidates.len());
        Ok(Searched { id, found, at, asked, bundle, revision, unchanged_until, valid_until })
    }

    /// Whether everything that a search rests on is still so: its results leave only while it is (G1).
    #[must_use]
    pub fn search_holds(&self, sought: Sought<'_>, support_request: Option<&str>, searched: &Searched) -> bool {
        let Ok(example) = sought.question(sought.example(), support_request) else { return false };
        let revision = self.facts(&example).map(|facts| facts.map_or(Seq(0), |facts| facts.revision));
        revision == Ok(searched.revision)
            && Arc::ptr_eq(&self.policies().current(), &searched.bundle)
            && self.now() < searched.unchanged_until
            && self.is_in_time(searched.valid_until)
    }
}

impl Searched {
    /// The record, as one line of JSON without its end: what was asked, and what was told.
    #[must_use]
    pub fn record(&self, sought: Sought<'_>, support_request: Option<&str>, asked: Asked<'_>) -> String {
        #[derive(Serialize)]
        struct Tail<'a> {
            subject: Option<&'a str>,
            action: Option<&'a str>,
            resource: Option<&'a str>,
            support_request: Option<&'a str>,
            asked: usize,
            found: &'a [String],
            policy_version: &'a str,
            facts_revision: u64,
        }
        let (subject, action, resource) = match sought {
            Sought::Engineers { verb, resource } => (None, Some(verb), Some(resource)),
            Sought::Resources { engineer, verb } => (Some(engineer), Some(verb), None),
            Sought::Verbs { engineer, resource } => (Some(engineer), None, Some(resource)),
        };
        let tail = Tail {
            subject,
            action,
            resource,
            support_request,
            asked: self.asked,
            found: &self.found,
            policy_version: self.bundle.version().as_str(),
            facts_revision: self.revision.0,
        };
        let mut line = String::new();
        write_head(&mut line, "search", &self.id, self.at, asked);
        line.push(',');
        let mut fields = String::new();
        push_json(&mut fields, &tail);
        line.push_str(fields.strip_prefix('{').unwrap_or("}"));
        line
    }
}
