//! How things stand by what happened: each fact is found by going through the events from the beginning.

use super::{CATEGORIES, Consent, Event, Millis, Oracle, Person, What};

/// Where the customer opened a support request (R5, R7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portal {
    AdminCenter,
    Other,
}

/// A support request as the ticketing system opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    pub id: usize,
    pub tenant: &'static str,
    pub portal: Portal,
    /// The customer's setting (R5).
    pub allows: bool,
    pub assignee: Option<&'static Person>,
}

/// What a consent covers (R9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub categories: Vec<&'static str>,
    /// The first moment at which it no longer counts.
    pub until: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Approved,
    Rejected,
    Revoked,
    Completed,
    Canceled,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }

    /// R15.
    fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved)
    }
}

/// An access request as it was created.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub number: usize,
    /// The support request.
    pub under: usize,
    pub resource_tenant: &'static str,
    pub by: &'static Person,
    pub at: Millis,
}

/// What has become of a consent.
#[derive(Debug, Clone)]
pub struct Life {
    pub status: Status,
    pub scope: Scope,
    /// Who decided last, and when.
    pub decided: Option<(&'static Person, Millis)>,
    pub ended_at: Option<Millis>,
    /// Counts its own changes (R19).
    pub version: u64,
}

impl Life {
    /// R9.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.scope.until.is_some_and(|until| until <= now)
    }

    fn decided(&mut self, event: &Event, status: Status) {
        self.status = status;
        self.decided = Some((event.by, event.at));
        self.version += 1;
        if status.is_final() {
            self.ended_at = Some(event.at);
        }
    }

    /// R14: approved becomes completed, pending canceled. R15: the others stay.
    fn ended(&mut self, at: Millis) {
        self.status = match self.status {
            Status::Pending => Status::Canceled,
            Status::Approved => Status::Completed,
            _ => return,
        };
        self.ended_at = Some(at);
        self.version += 1;
    }
}

impl Oracle {
    pub(super) fn is_registered(&self, tenant: &str) -> bool {
        self.events.iter().any(|event| matches!(event.what, What::Registered(known) if known == tenant))
    }

    /// The support requests there are, oldest first, each with the time at which it was opened.
    fn openings(&self) -> impl Iterator<Item = (Millis, Opening)> {
        self.events.iter().filter_map(|event| match event.what {
            What::Opened(opening) => Some((event.at, opening)),
            _ => None,
        })
    }

    /// Their numbers, oldest first.
    pub fn support_requests(&self) -> Vec<usize> {
        self.openings().map(|(_, opening)| opening.id).collect()
    }

    pub(super) fn opening(&self, wanted: usize) -> Option<Opening> {
        self.openings().map(|(_, opening)| opening).find(|opening| opening.id == wanted)
    }

    pub(super) fn opened_at(&self, wanted: usize) -> Millis {
        self.openings().find(|(_, opening)| opening.id == wanted).unwrap().0
    }

    pub fn tenant_of(&self, support_request: usize) -> &'static str {
        self.opening(support_request).unwrap().tenant
    }

    pub fn is_open(&self, wanted: usize) -> bool {
        let mut open = self.opening(wanted).is_some();
        for event in &self.events {
            match event.what {
                What::Closed(support_request) if support_request == wanted => open = false,
                What::Reopened(support_request) if support_request == wanted => open = true,
                _ => {}
            }
        }
        open
    }

    pub(super) fn closed_at(&self, wanted: usize) -> Option<Millis> {
        let closed = |event: &&Event| matches!(event.what, What::Closed(closed) if closed == wanted);
        self.events.iter().rfind(closed).map(|event| event.at)
    }

    pub fn assignee(&self, wanted: usize) -> Option<&'static Person> {
        let mut now = self.opening(wanted).and_then(|opening| opening.assignee);
        for event in &self.events {
            match event.what {
                What::Assigned(support_request, engineer) if support_request == wanted => now = engineer,
                _ => {}
            }
        }
        now
    }

    pub(super) fn is_assigned(&self, support_request: usize, person: &Person) -> bool {
        self.assignee(support_request).is_some_and(|assignee| assignee.id() == person.id())
    }

    pub(super) fn setting(&self, wanted: usize) -> bool {
        let mut now = self.opening(wanted).is_some_and(|opening| opening.allows);
        for event in &self.events {
            match event.what {
                What::Allowed(support_request, allowed) if support_request == wanted => now = allowed,
                _ => {}
            }
        }
        now
    }

    pub(super) fn summary(&self, wanted: usize) -> String {
        let mut now = format!("summary of SR-{wanted}");
        for event in &self.events {
            match &event.what {
                What::Renamed(support_request, summary) if *support_request == wanted => now.clone_from(summary),
                _ => {}
            }
        }
        now
    }

    /// Counts what happened to a support request.
    pub(super) fn version_of_support_request(&self, wanted: usize) -> u64 {
        let changed = |event: &&Event| match event.what {
            What::Opened(opening) => opening.id == wanted,
            What::Allowed(changed, _)
            | What::Assigned(changed, _)
            | What::Renamed(changed, _)
            | What::Closed(changed)
            | What::Reopened(changed) => changed == wanted,
            _ => false,
        };
        self.events.iter().filter(changed).count() as u64
    }

    /// Every access request, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        let created = |event: &Event| match event.what {
            What::Asked { request, support_request, resource_tenant } => {
                Some(Request { number: request, under: support_request, resource_tenant, by: event.by, at: event.at })
            }
            _ => None,
        };
        self.events.iter().filter_map(created).collect()
    }

    pub fn request(&self, number: usize) -> Option<Request> {
        self.requests().into_iter().find(|request| request.number == number)
    }

    /// The newest access request for this tenant: it speaks for it, live or ended.
    pub(super) fn newest_request(&self, support_request: usize, resource_tenant: &str) -> Option<Request> {
        let wanted = |request: &Request| request.under == support_request && request.resource_tenant == resource_tenant;
        self.requests().into_iter().rfind(wanted)
    }

    /// The consents of an access request, the support request tenant's first. One if the tenants are the same (R7).
    pub fn consents(&self, request: &Request) -> Vec<Consent> {
        let own = Consent { request: request.number, tenant: self.tenant_of(request.under) };
        let resource = Consent { request: request.number, tenant: request.resource_tenant };
        if own == resource { vec![resource] } else { vec![own, resource] }
    }

    /// Every consent, the newest request's first.
    pub fn all_consents(&self) -> Vec<Consent> {
        self.requests().iter().rev().flat_map(|request| self.consents(request)).collect()
    }

    /// The request of a consent, if there is such a consent.
    pub(super) fn request_of(&self, consent: Consent) -> Option<Request> {
        self.request(consent.request).filter(|request| self.consents(request).contains(&consent))
    }

    /// Which part a consent is: `only`, `support_request_tenant` or `resource_tenant`.
    pub(super) fn part(&self, consent: Consent) -> &'static str {
        let request = self.request(consent.request).unwrap();
        match (self.consents(&request).len(), consent.tenant == request.resource_tenant) {
            (1, _) => "only",
            (_, true) => "resource_tenant",
            (_, false) => "support_request_tenant",
        }
    }

    /// What has become of a consent, from its beginning until now (R11-R15).
    pub fn life(&self, consent: Consent) -> Life {
        let mine = self.request(consent.request).unwrap();
        let everything = Scope { categories: CATEGORIES.to_vec(), until: None };
        let mut life = Life { status: Status::Pending, scope: everything, decided: None, ended_at: None, version: 1 };
        let created = |event: &&Event| !matches!(event.what, What::Asked { request, .. } if request == mine.number);
        for event in self.events.iter().skip_while(created).skip(1) {
            match &event.what {
                What::Approved(decided, scope) if *decided == consent => {
                    life.decided(event, Status::Approved);
                    life.scope = scope.clone();
                }
                What::Rejected(decided) if *decided == consent => life.decided(event, Status::Rejected),
                What::Narrowed(decided, scope) if *decided == consent => {
                    life.decided(event, Status::Approved);
                    life.scope = scope.clone();
                }
                What::Revoked(decided) if *decided == consent => life.decided(event, Status::Revoked),
                What::Closed(closed) if *closed == mine.under => life.ended(event.at),
                What::Withdrawn(withdrawn) if *withdrawn == mine.number => life.ended(event.at),
                // A new one takes the place of an ended one: what is still pending of the old one is canceled.
                What::Asked { support_request, resource_tenant, .. }
                    if *support_request == mine.under
                        && *resource_tenant == mine.resource_tenant
                        && life.status == Status::Pending =>
                {
                    life.ended(event.at);
                }
                _ => {}
            }
        }
        life
    }

    /// Whether it grants, or can still come to grant, anything: no consent is final or expired (R10).
    pub(super) fn is_live(&self, request: &Request) -> bool {
        self.consents(request)
            .into_iter()
            .map(|consent| self.life(consent))
            .all(|life| !life.status.is_final() && !life.is_expired(self.now))
    }

    /// When a consent ends, or ended: the earlier of its end and its end time (R9, R16).
    pub fn end_of(&self, consent: Consent) -> Option<Millis> {
        let life = self.request_of(consent).map(|_| self.life(consent))?;
        [life.ended_at, life.scope.until].into_iter().flatten().min()
    }
}
