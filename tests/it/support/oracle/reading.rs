//! May this engineer read this? (R1-R9), and the list of what was read (R22).

use super::facts::{Life, Request};
use super::{Consent, Millis, Oracle, Person, Portal, Status};

/// A question about diagnostic data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub engineer: &'static Person,
    pub verb: &'static str,
    pub tenant: &'static str,
    pub category: &'static str,
    pub support_request: usize,
}

/// An answer with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub decision: bool,
    pub code: &'static str,
    pub missing_consents: Vec<&'static str>,
    /// The access request under which it is allowed; none where the customer's setting allows it (R5).
    pub under: Option<usize>,
}

/// A read that was allowed (R22).
#[derive(Debug, Clone)]
pub struct Read {
    pub at: Millis,
    pub question: Question,
    pub consents: Vec<Consent>,
}

const READING: [&str; 4] = ["read", "list", "search", "download"];
const WRITING: [&str; 4] = ["write", "create", "update", "delete"];

fn no(code: &'static str) -> Answer {
    Answer { decision: false, code, missing_consents: Vec::new(), under: None }
}

fn missing(code: &'static str, parts: &[(bool, &'static str)]) -> Answer {
    let missing_consents = parts.iter().filter(|part| part.0).map(|part| part.1).collect();
    Answer { decision: false, code, missing_consents, under: None }
}

fn yes(under: Option<usize>) -> Answer {
    Answer { decision: true, code: "permitted", missing_consents: Vec::new(), under }
}

impl Oracle {
    /// The answer to a read question. The order is that of the reason codes in `docs/decision-api.md`.
    pub fn may_read(&self, question: &Question) -> Answer {
        let (verb, tenant, support_request) = (question.verb, question.tenant, question.support_request);
        // R1: what no rule speaks of.
        if !READING.contains(&verb) && !WRITING.contains(&verb) {
            return no("not_permitted");
        }
        let opening = self.opening(support_request);
        // R3, R20: who is not assigned is told that alone.
        if opening.is_some() && !self.is_assigned(support_request, question.engineer) {
            return no("not_assigned");
        }
        // R2
        if WRITING.contains(&verb) {
            return no("read_only");
        }
        // R1
        let Some(opening) = opening else { return no("support_request_unknown") };
        // R4
        if !self.is_open(support_request) {
            return no("support_request_closed");
        }
        let newest = self.newest_request(support_request, tenant);
        if tenant != opening.tenant {
            let asked = self.requests().iter().any(|request| request.under == support_request);
            return match newest {
                // R6, R8
                Some(request) => self.under(&request, question.category),
                // R8
                None if asked => no("outside_granted_tenant"),
                // R6
                None => no("access_request_required"),
            };
        }
        match (opening.portal, newest) {
            // R5
            (Portal::AdminCenter, _) if self.setting(support_request) => yes(None),
            (Portal::AdminCenter, _) => no("advanced_diagnostics_not_allowed"),
            // R7
            (Portal::Other, Some(request)) => self.under(&request, question.category),
            (Portal::Other, None) => no("access_request_required"),
        }
    }

    /// Under an access request every consent of it must be approved, and cover this (R6, R7, R9).
    fn under(&self, request: &Request, category: &str) -> Answer {
        const RESOURCE: &str = "resource_tenant";
        const OWN: &str = "support_request_tenant";
        let consents = self.consents(request);
        let lives: Vec<Life> = consents.iter().map(|consent| self.life(*consent)).collect();
        let resource = lives.last().unwrap();
        let own = if lives.len() == 2 { lives.first() } else { None };
        let own_is = |wanted: &[Status]| own.is_some_and(|own| wanted.contains(&own.status));
        let resource_is = |wanted: &[Status]| wanted.contains(&resource.status);
        // R11
        let (own_waits, resource_waits) = (own_is(&[Status::Pending]), resource_is(&[Status::Pending]));
        if own_waits || resource_waits {
            return missing("awaiting_consent", &[(own_waits, OWN), (resource_waits, RESOURCE)]);
        }
        // R12, R14, R15
        let own_ended = own_is(&[Status::Rejected, Status::Revoked, Status::Completed, Status::Canceled]);
        let resource_ended = resource_is(&[Status::Completed, Status::Canceled]);
        if own_ended || resource_ended {
            return missing("consent_ended", &[(own_ended, OWN), (resource_ended, RESOURCE)]);
        }
        // R12
        if resource_is(&[Status::Rejected]) {
            return missing("consent_rejected", &[(true, RESOURCE)]);
        }
        // R13
        if resource_is(&[Status::Revoked]) {
            return missing("consent_revoked", &[(true, RESOURCE)]);
        }
        // R9
        if lives.iter().any(|life| life.is_expired(self.now)) {
            return no("consent_expired");
        }
        if !lives.iter().all(|life| life.scope.categories.contains(&category)) {
            return no("category_not_granted");
        }
        yes(Some(request.number))
    }

    /// Takes down that a read was allowed (R22).
    pub fn was_read(&mut self, question: Question, under: Option<usize>) {
        let request = under.and_then(|number| self.request(number));
        let consents = request.map(|request| self.consents(&request)).unwrap_or_default();
        self.reads.push(Read { at: self.now, question, consents });
    }

    /// Each read of a tenant's data that was allowed, newest first, with its number among all reads.
    pub(super) fn reads_of(&self, tenant: &str) -> Vec<(usize, &Read)> {
        self.reads.iter().enumerate().rev().filter(|(_, read)| read.question.tenant == tenant).collect()
    }

    /// How many reads were allowed so far, of whatever tenant.
    pub fn reads(&self) -> usize {
        self.reads.len()
    }
}
