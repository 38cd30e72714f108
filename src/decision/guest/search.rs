//! What a guest model would allow, found by asking it about the entities of its file (AuthZEN 1.0, section 8).
//!
//! One request asks about so many of them at most; the next page goes on behind the last one. Every result is one that an
//! evaluation by the same model allows.

use std::sync::Arc;

use serde::Serialize;

use super::{Guest, believed, has_good_length, line};
use crate::audit::{Asked, DecisionId};
use crate::model::Timestamp;
use crate::policy::{GuestFacts, GuestModel, InvalidFact, Named, Said};

/// The most entities that one request asks about.
const MOST_ASKED: usize = 2_000;
/// The most policies that one request evaluates: with many policies fewer entities are asked about.
const MOST_EVALUATED: usize = 100_000;

/// What is searched for; the other parts of the question are given.
#[derive(Debug, Clone, Copy)]
pub enum GuestSought<'a> {
    /// The subjects of this type who may do this with this resource.
    Subjects {
        /// Their type.
        kind: &'a str,
        /// What they would do, with what the request says of it.
        action: (&'a str, &'a Said),
        /// With what.
        resource: Named<'a>,
    },
    /// The resources of this type with which this subject may do this.
    Resources {
        /// Who.
        subject: Named<'a>,
        /// What the subject would do, with what the request says of it.
        action: (&'a str, &'a Said),
        /// Their type.
        kind: &'a str,
    },
    /// What this subject may do with this resource.
    Actions {
        /// Who.
        subject: Named<'a>,
        /// With what.
        resource: Named<'a>,
    },
}

/// What a search has found. It is told only once its record is in the log (G3).
#[derive(Debug)]
pub struct GuestSearched {
    /// Its id, as decisions have one.
    pub id: DecisionId,
    /// Ids or names, in their order.
    pub found: Vec<String>,
    /// Behind which candidate the search goes on; none: nothing is left.
    pub next: Option<String>,
    at: Timestamp,
    asked: usize,
    model: Arc<GuestModel>,
    believed: serde_json::Value,
}

/// How far a search has got.
#[derive(Default)]
struct Progress {
    found: Vec<String>,
    next: Option<String>,
    asked: usize,
}

impl<'a> GuestSought<'a> {
    /// The parts that are given, which must be known for anything to be found.
    fn given(&self) -> Vec<Named<'a>> {
        match *self {
            Self::Subjects { resource, .. } => vec![resource],
            Self::Resources { subject, .. } => vec![subject],
            Self::Actions { subject, resource } => vec![subject, resource],
        }
    }

    fn check(&self) -> Result<(), InvalidFact> {
        for part in self.given() {
            let (kind, id) =
                if part.part == "subject" { ("subject.type", "subject.id") } else { ("resource.type", "resource.id") };
            has_good_length(kind, part.kind)?;
            has_good_length(id, part.id)?;
        }
        match self {
            Self::Subjects { kind, action, .. } => {
                has_good_length("subject.type", kind)?;
                has_good_length("action.name", action.0)
            }
            Self::Resources { kind, action, .. } => {
                has_good_length("resource.type", kind)?;
                has_good_length("action.name", action.0)
            }
            Self::Actions { .. } => Ok(()),
        }
    }
}

impl Guest {
    /// Finds up to `limit` things behind `after` that this model would allow. Of types, actions and entities that the model
    /// does not know nothing is found.
    ///
    /// # Errors
    /// [`InvalidFact`].
    pub fn search(
        &self,
        model: &Arc<GuestModel>,
        sought: &GuestSought<'_>,
        context: &Said,
        after: Option<&str>,
        limit: usize,
    ) -> Result<GuestSearched, InvalidFact> {
        sought.check()?;
        let facts = model.facts(&sought.given())?;
        let act = match *sought {
            GuestSought::Subjects { action: (name, properties), .. }
            | GuestSought::Resources { action: (name, properties), .. } => model.act(name, properties, context)?,
            GuestSought::Actions { .. } => None,
        };
        let said = act.as_ref().map_or_else(|| model.taken(context), |act| act.believed().clone());
        let believed = believed(&facts, Some(&said))?;
        let mut progress = Progress::default();
        if sought.given().iter().all(|part| facts.knows(part.kind, part.id)) {
            let budget = (MOST_EVALUATED / model.policies().len().max(1)).clamp(1, MOST_ASKED);
            match (*sought, &act) {
                (GuestSought::Actions { subject, resource }, _) => {
                    let actions = model.actions(subject.kind, resource.kind);
                    let behind = actions.filter(|name| after.is_none_or(|after| *name > after));
                    progress.ask(behind, after, limit, budget, |name| {
                        may(&facts, subject, name, resource, model, context)
                    })?;
                }
                (GuestSought::Subjects { kind, resource, .. }, Some(act)) => {
                    let ids = model.ids(kind, after);
                    let given = (resource.kind, resource.id);
                    progress.ask(ids, after, limit, budget, |id| Ok(facts.ask((kind, id), act, given).allowed))?;
                }
                (GuestSought::Resources { subject, kind, .. }, Some(act)) => {
                    let ids = model.ids(kind, after);
                    let given = (subject.kind, subject.id);
                    progress.ask(ids, after, limit, budget, |id| Ok(facts.ask(given, act, (kind, id)).allowed))?;
                }
                // There is no such action.
                (GuestSought::Subjects { .. } | GuestSought::Resources { .. }, None) => {}
            }
        }
        let Progress { found, next, asked } = progress;
        let (id, at) = (self.ids.next(), self.clock.now());
        Ok(GuestSearched { id, found, next, at, asked, model: Arc::clone(model), believed })
    }
}

/// Whether the subject may do this. An action whose context lacks something cannot be asked for, and so is none.
fn may(
    facts: &GuestFacts<'_>,
    subject: Named<'_>,
    action: &str,
    resource: Named<'_>,
    model: &GuestModel,
    context: &Said,
) -> Result<bool, InvalidFact> {
    let act = match model.act(action, &Said::new(), context) {
        Err(error) if error.missing => None,
        other => other?,
    };
    Ok(act.is_some_and(|act| facts.ask((subject.kind, subject.id), &act, (resource.kind, resource.id)).allowed))
}

impl Progress {
    /// Asks about one candidate after the other, until as many are found as are wanted and one more: then it is known that
    /// the next page has something.
    fn ask<'a>(
        &mut self,
        candidates: impl Iterator<Item = &'a str>,
        after: Option<&str>,
        limit: usize,
        budget: usize,
        mut allows: impl FnMut(&str) -> Result<bool, InvalidFact>,
    ) -> Result<(), InvalidFact> {
        let mut last = after.map(ToOwned::to_owned);
        for candidate in candidates {
            if self.asked == budget {
                self.next = last;
                return Ok(());
            }
            self.asked += 1;
            if allows(candidate)? {
                if self.found.len() == limit {
                    // Before the first candidate stands nothing: the empty text is before all of them.
                    self.next = Some(last.unwrap_or_default());
                    return Ok(());
                }
                self.found.push(candidate.to_owned());
            }
            last = Some(candidate.to_owned());
        }
        Ok(())
    }
}

impl GuestSearched {
    /// The record, as one line of JSON without its end: what was asked, and what was told.
    #[must_use]
    pub fn record(&self, sought: &GuestSought<'_>, asked: Asked<'_>) -> String {
        #[derive(Serialize)]
        struct Tail<'a> {
            model: &'a str,
            subject_type: &'a str,
            subject: Option<&'a str>,
            action: Option<&'a str>,
            resource_type: &'a str,
            resource: Option<&'a str>,
            believed: &'a serde_json::Value,
            asked: usize,
            found: &'a [String],
            policy_version: &'a str,
        }
        let (subject, action, resource) = match *sought {
            GuestSought::Subjects { kind, action, resource } => {
                ((kind, None), Some(action.0), (resource.kind, Some(resource.id)))
            }
            GuestSought::Resources { subject, action, kind } => {
                ((subject.kind, Some(subject.id)), Some(action.0), (kind, None))
            }
            GuestSought::Actions { subject, resource } => {
                ((subject.kind, Some(subject.id)), None, (resource.kind, Some(resource.id)))
            }
        };
        let tail = Tail {
            model: self.model.name(),
            subject_type: subject.0,
            subject: subject.1,
            action,
            resource_type: resource.0,
            resource: resource.1,
            believed: &self.believed,
            asked: self.asked,
            found: &self.found,
            policy_version: self.model.version().as_str(),
        };
        line("guest_search", &self.id, self.at, asked, &tail)
    }
}
