//! Who sees what, and what it looks like (R16, R18-R23). Ids are names such as `request 1`.

use serde_json::{Value, json};

use super::facts::Life;
use super::{Consent, Event, Millis, Oracle, Person, Portal, Reply, Status, What};

/// Something to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Pending,
    Approved,
    Consent(Consent),
    SupportRequests,
    SupportRequest(usize),
    AccessRequests,
    AccessRequestsUnder(usize),
    AccessRequest(usize),
    AuditLog,
    /// So many of the newest, at least.
    Reads(usize),
}

const LISTED_AFTER_END: Millis = 30 * 24 * 60 * 60 * 1_000;

const ADVICE: &str =
    "Solving the support request may take longer: the support engineer will ask you for the data instead.";

fn time(at: Millis) -> Value {
    let at = jiff::Timestamp::from_millisecond(at).unwrap();
    json!(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// A registered tenant: its display name is its id with a capital letter.
pub(super) fn tenant(id: &str) -> Value {
    json!({ "id": id, "display_name": capitalized(id) })
}

/// The display name that a tenant is registered with.
pub fn capitalized(id: &str) -> String {
    id[..1].to_uppercase() + &id[1..]
}

impl Oracle {
    /// What somebody sees there.
    pub fn view(&self, who: &Person, view: View) -> Reply {
        match view {
            View::Pending | View::Approved => self.consents_of(who, view),
            View::Consent(consent) if self.sees_consent(who, consent) => {
                let version = Some(self.life(consent).version);
                Reply { version, ..Reply::is(self.consent_view(consent)) }
            }
            View::SupportRequest(id) if self.sees_support_request(who, id) => {
                let version = Some(self.version_of_support_request(id));
                Reply { version, ..Reply::is(self.support_request_view(id)) }
            }
            View::AccessRequest(number) if self.sees_request(who, number) => Reply::is(self.request_view(number)),
            View::AccessRequestsUnder(id) if self.sees_support_request(who, id) => {
                let under = self.requests().into_iter().rev().filter(|request| request.under == id);
                list(under.map(|request| self.request_view(request.number)))
            }
            View::Consent(_) | View::SupportRequest(_) | View::AccessRequest(_) | View::AccessRequestsUnder(_) => {
                Reply::not_found()
            }
            View::SupportRequests | View::AccessRequests if !who.is_engineer() => {
                Reply::refused(403, "not_support_engineer")
            }
            View::SupportRequests => {
                let mine = self.support_requests().into_iter().rev().filter(|id| self.is_assigned(*id, who));
                list(mine.map(|id| self.support_request_view(id)))
            }
            View::AccessRequests => {
                let mine = self.requests().into_iter().rev().filter(|request| request.by.id() == who.id());
                list(mine.map(|request| self.request_view(request.number)))
            }
            // R21, R22
            View::AuditLog | View::Reads(_) if !who.is_audit_reader() => Reply::refused(403, "not_audit_reader"),
            View::AuditLog => list(self.audit_log(who.tenant).into_iter().rev()),
            View::Reads(count) => list(self.reads_of(who.tenant).into_iter().take(count).map(|(number, read)| {
                let request = read.consents.first().map(|consent| name_of_request(consent.request));
                json!({
                    "time": time(read.at), "category": "MicrosoftSupportAccessManagement",
                    "activity": "Diagnostic data read", "decision_id": format!("read {number}"),
                    "support_engineer": read.question.engineer.id(), "action": read.question.verb,
                    "data_category": read.question.category, "item": null,
                    "support_request": name_of_support_request(read.question.support_request),
                    "access_request": request,
                    "consents": read.consents.iter().map(|consent| name_of(*consent)).collect::<Vec<_>>(),
                    // No key signs receipts here.
                    "receipts": vec![Value::Null; read.consents.len()],
                })
            })),
        }
    }

    /// R11, R18: an administrator of its tenant.
    pub(super) fn sees_consent(&self, who: &Person, consent: Consent) -> bool {
        who.is_administrator() && who.tenant == consent.tenant && self.request_of(consent).is_some()
    }

    pub(super) fn sees_support_request(&self, who: &Person, id: usize) -> bool {
        let is_there = self.opening(id).is_some();
        is_there && (who.is_ticketing() || (who.is_engineer() && self.is_assigned(id, who)))
    }

    /// R20: the engineer who created it, or is assigned now.
    pub(super) fn sees_request(&self, who: &Person, number: usize) -> bool {
        let Some(request) = self.request(number) else { return false };
        who.is_engineer() && (request.by.id() == who.id() || self.is_assigned(request.under, who))
    }

    /// R16: listed while in force, and for 30 days after its end; the resource tenant's alone (R19).
    pub(super) fn is_listed(&self, consent: Consent) -> bool {
        let ended_long_ago = self.end_of(consent).is_some_and(|end| end + LISTED_AFTER_END <= self.now);
        self.life(consent).status != Status::Pending
            && self.part(consent) != "support_request_tenant"
            && !ended_long_ago
    }

    fn consents_of(&self, who: &Person, view: View) -> Reply {
        if !who.is_administrator() {
            return Reply::refused(403, "not_tenant_administrator");
        }
        let own: Vec<Consent> =
            self.all_consents().into_iter().filter(|consent| consent.tenant == who.tenant).collect();
        let pending: Vec<Consent> =
            own.iter().copied().filter(|consent| self.life(*consent).status == Status::Pending).collect();
        let pending_count = pending.len();
        let shown = match view {
            View::Pending => pending,
            _ => own.into_iter().filter(|consent| self.is_listed(*consent)).collect(),
        };
        let items: Vec<Value> = shown.into_iter().map(|consent| self.consent_view(consent)).collect();
        // R23
        Reply::is(json!({ "pending_count": pending_count, "items": items }))
    }

    /// R18: the tenant's own consent, and what the engineer said.
    pub(super) fn consent_view(&self, consent: Consent) -> Value {
        let (life, request) = (self.life(consent), self.request(consent.request).unwrap());
        let mut view = json!({
            "id": name_of(consent), "part": self.part(consent), "status": life.status.name(),
            "in_force": life.status == Status::Approved && !life.is_expired(self.now),
            "access_request": name_of_request(consent.request),
            "support_request": {
                "number": format!("N-{}", request.under),
                "summary": self.summary(request.under),
            },
            "reason": reason(request.number), "requested_by": request.by.id(), "requested_at": time(request.at),
            "decided_by": life.decided.map(|(by, _)| by.id()), "decided_at": life.decided.map(|(_, at)| time(at)),
            "ended_at": life.ended_at.map(time),
        });
        if matches!(life.status, Status::Approved | Status::Revoked | Status::Completed) {
            view["scope"] = scope(&life);
        }
        // R12
        if life.status == Status::Rejected {
            view["advice"] = json!(ADVICE);
        }
        view
    }

    pub(super) fn support_request_view(&self, id: usize) -> Value {
        let opening = self.opening(id).unwrap();
        let portal = match opening.portal {
            Portal::AdminCenter => "admin_center",
            Portal::Other => "other_portal",
        };
        json!({
            "id": name_of_support_request(id), "number": format!("N-{id}"), "summary": self.summary(id),
            "tenant": opening.tenant, "submitted_in": portal,
            "advanced_diagnostic_information": self.setting(id),
            "assignee": self.assignee(id).map(Person::id),
            "status": if self.is_open(id) { "open" } else { "closed" },
            "opened_at": time(self.opened_at(id)), "closed_at": self.closed_at(id).map(time),
        })
    }

    /// R20: which consents are missing, and not who decided.
    pub(super) fn request_view(&self, number: usize) -> Value {
        let request = self.request(number).unwrap();
        let lives: Vec<(Consent, Life)> =
            self.consents(&request).into_iter().map(|consent| (consent, self.life(consent))).collect();
        let missing: Vec<&str> = lives
            .iter()
            .filter(|(_, life)| life.status != Status::Approved)
            .map(|(consent, _)| match self.part(*consent) {
                "only" => "resource_tenant",
                part => part,
            })
            .collect();
        let consents: Vec<Value> = lives
            .iter()
            .map(|(consent, life)| {
                let mut view = json!({
                    "part": self.part(*consent), "tenant": consent.tenant, "status": life.status.name(),
                });
                if life.status == Status::Approved {
                    view["scope"] = scope(life);
                }
                view
            })
            .collect();
        let status = match (self.is_live(&request), missing.is_empty()) {
            (false, _) => "ended",
            (true, false) => "pending",
            (true, true) => "approved",
        };
        json!({
            "id": name_of_request(number), "support_request": name_of_support_request(request.under),
            "resource_tenant": request.resource_tenant, "requested_by": request.by.id(),
            "reason": reason(number), "created_at": time(request.at), "status": status,
            "missing_consents": missing, "consents": consents,
        })
    }

    /// R21: a tenant's entries, oldest first.
    fn audit_log(&self, tenant: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        for (number, event) in self.events.iter().enumerate() {
            for (consent, activity) in self.activities(number, event) {
                if consent.tenant != tenant {
                    continue;
                }
                let request = self.request(consent.request).unwrap();
                let actor = if event.by.is_program {
                    json!({ "type": "service", "name": event.by.id() })
                } else {
                    json!({ "type": "person", "id": event.by.id() })
                };
                entries.push(json!({
                    "number": entries.len() + 1, "time": time(event.at),
                    "category": "MicrosoftSupportAccessManagement", "activity": activity, "actor": actor,
                    "support_request": name_of_support_request(request.under),
                    "access_request": name_of_request(request.number), "consent": name_of(consent),
                }));
            }
        }
        entries
    }

    /// What an event is in the logs of the tenants: the support request tenant's speaks of the request, the resource
    /// tenant's of the approval; that of a tenant that is both speaks of both.
    fn activities(&self, number: usize, event: &Event) -> Vec<(Consent, &'static str)> {
        let is_request_tenants = |consent: Consent| self.part(consent) == "support_request_tenant";
        let named = |consent: Consent, request: &'static str, approval: &'static str| {
            vec![(consent, if is_request_tenants(consent) { request } else { approval })]
        };
        match &event.what {
            What::Asked { request, .. } => {
                let first = self.consents(&self.request(*request).unwrap())[0];
                let mut activities = self.canceled_by(number);
                activities.push((first, "Request created"));
                activities
            }
            What::Closed(_) | What::Withdrawn(_) => self.canceled_by(number),
            What::Approved(consent, _) => named(*consent, "Request approved", "Approval approved"),
            What::Rejected(consent) => named(*consent, "Request rejected", "Approval rejected"),
            What::Narrowed(consent, _) => vec![(*consent, "Approval narrowed")],
            What::Revoked(consent) => vec![(*consent, "Approval removed")],
            _ => Vec::new(),
        }
    }

    /// The consents of support request tenants that were pending before this event and are not after it.
    fn canceled_by(&self, number: usize) -> Vec<(Consent, &'static str)> {
        let until = |number: usize| Self { now: self.now, events: self.events[..number].to_vec(), reads: Vec::new() };
        let (before, after) = (until(number), until(number + 1));
        let mut consents = before.all_consents();
        consents.sort_by_key(|consent| consent.request);
        let was_pending = |consent: &Consent| before.life(*consent).status == Status::Pending;
        let is_canceled = |consent: &Consent| after.life(*consent).status == Status::Canceled;
        let own = |consent: &Consent| before.part(*consent) != "resource_tenant";
        let canceled = consents.into_iter().filter(was_pending).filter(is_canceled).filter(own);
        canceled.map(|consent| (consent, "Request canceled")).collect()
    }
}

fn list(items: impl Iterator<Item = Value>) -> Reply {
    Reply::is(json!({ "items": items.collect::<Vec<_>>() }))
}

fn scope(life: &Life) -> Value {
    let in_order = super::CATEGORIES.into_iter().filter(|category| life.scope.categories.contains(category));
    json!({ "categories": in_order.collect::<Vec<_>>(), "until": life.scope.until.map(time) })
}

pub fn reason(request: usize) -> String {
    format!("reason {request}")
}

pub fn name_of(consent: Consent) -> String {
    format!("{} of request {}", consent.tenant, consent.request)
}

pub fn name_of_request(number: usize) -> String {
    format!("request {number}")
}

pub fn name_of_support_request(number: usize) -> String {
    format!("SR-{number}")
}
