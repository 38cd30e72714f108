//! What becomes of a command: it is done and something has happened, or it is refused and nothing has (R9-R17).

use super::facts::Opening;
use super::{CATEGORIES, Consent, Millis, Oracle, Person, Portal, Reply, Scope, Status, What};

/// Something that somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Register(&'static str),
    Open(Opening),
    /// The customer's setting (R5).
    Allow(usize, bool),
    Rename(usize, String),
    Assign(usize, Option<&'static Person>),
    Close(usize),
    Reopen(usize),
    Ask {
        support_request: usize,
        resource_tenant: &'static str,
    },
    Withdraw(usize),
    /// Categories, and an end time so long from now; `None` where nothing is said.
    Approve(Consent, Option<Vec<&'static str>>, Option<Millis>),
    Reject(Consent),
    Narrow(Consent, Option<Vec<&'static str>>, Option<Millis>),
    Revoke(Consent),
}

type Refused = Reply;

impl Oracle {
    /// Carries out a command, or refuses it. `if_version`: only if what it changes has this version.
    pub fn carry_out(&mut self, by: &'static Person, command: &Command, if_version: Option<u64>) -> Reply {
        self.decide(by, command, if_version).unwrap_or_else(|refused| refused)
    }

    fn decide(&mut self, by: &'static Person, command: &Command, if_version: Option<u64>) -> Result<Reply, Refused> {
        match command {
            Command::Register(tenant) => {
                Self::must_be_ticketing(by)?;
                must_have_version(if_version, u64::from(self.is_registered(tenant)))?;
                let status = if self.is_registered(tenant) { 200 } else { 201 };
                if !self.is_registered(tenant) {
                    self.happened(by, What::Registered(tenant));
                }
                Ok(Reply { status, version: Some(1), ..Reply::is(super::views::tenant(tenant)) })
            }
            Command::Open(opening) => self.open(by, *opening),
            Command::Allow(id, allow) => self.change(by, *id, if_version, |oracle| {
                Ok((oracle.setting(*id) != *allow).then_some(What::Allowed(*id, *allow)))
            }),
            Command::Rename(id, summary) => self.change(by, *id, if_version, |oracle| {
                Ok((oracle.summary(*id) != *summary).then(|| What::Renamed(*id, summary.clone())))
            }),
            Command::Assign(id, engineer) => {
                if engineer.is_some_and(|engineer| engineer.tenant != "vendor") {
                    return Err(invalid("assignee"));
                }
                self.change(by, *id, if_version, |oracle| {
                    Ok((oracle.assignee(*id) != *engineer).then_some(What::Assigned(*id, *engineer)))
                })
            }
            Command::Close(id) => self.change(by, *id, if_version, |oracle| {
                if oracle.is_open(*id) {
                    Ok(Some(What::Closed(*id)))
                } else {
                    Err(conflict("support_request_closed", "closed"))
                }
            }),
            Command::Reopen(id) => self.change(by, *id, if_version, |oracle| {
                if oracle.is_open(*id) {
                    Err(conflict("support_request_open", "open"))
                } else {
                    Ok(Some(What::Reopened(*id)))
                }
            }),
            Command::Ask { support_request, resource_tenant } => self.ask(by, *support_request, resource_tenant),
            Command::Withdraw(request) => self.withdraw(by, *request),
            Command::Approve(consent, ..)
            | Command::Reject(consent)
            | Command::Narrow(consent, ..)
            | Command::Revoke(consent) => {
                let happened = self.decision(by, *consent, command, if_version)?;
                self.happened(by, happened);
                let version = Some(self.life(*consent).version);
                Ok(Reply { version, ..Reply::is(self.consent_view(*consent)) })
            }
        }
    }

    /// Tenants and support requests are the ticketing system's, and nobody else's (R4, R10).
    fn must_be_ticketing(by: &Person) -> Result<(), Refused> {
        if by.is_ticketing() {
            return Ok(());
        }
        let code = if by.is_program && by.tenant != "vendor" { "not_vendor" } else { "not_permitted" };
        Err(Reply::refused(403, code))
    }

    fn open(&mut self, by: &'static Person, opening: Opening) -> Result<Reply, Refused> {
        if opening.assignee.is_some_and(|engineer| engineer.tenant != "vendor") {
            return Err(invalid("assignee"));
        }
        Self::must_be_ticketing(by)?;
        if !self.is_registered(opening.tenant) {
            return Err(invalid("tenant"));
        }
        if self.opening(opening.id).is_some() {
            return Err(Reply::refused(409, "support_request_exists"));
        }
        self.happened(by, What::Opened(opening));
        let body = self.support_request_view(opening.id);
        Ok(Reply { status: 201, version: Some(1), ..Reply::is(body) })
    }

    /// A change of a support request; what is so already is no change.
    fn change(
        &mut self,
        by: &'static Person,
        id: usize,
        if_version: Option<u64>,
        what: impl Fn(&Self) -> Result<Option<What>, Refused>,
    ) -> Result<Reply, Refused> {
        Self::must_be_ticketing(by)?;
        if self.opening(id).is_none() {
            return Err(Reply::not_found());
        }
        must_have_version(if_version, self.version_of_support_request(id))?;
        if let Some(what) = what(self)? {
            self.happened(by, what);
        }
        let version = Some(self.version_of_support_request(id));
        Ok(Reply { version, ..Reply::is(self.support_request_view(id)) })
    }

    fn ask(&mut self, by: &'static Person, id: usize, tenant: &'static str) -> Result<Reply, Refused> {
        self.may_ask(by, id, tenant)?;
        let number = self.requests().len() + 1;
        self.happened(by, What::Asked { request: number, support_request: id, resource_tenant: tenant });
        Ok(Reply { status: 201, ..Reply::is(self.request_view(number)) })
    }

    /// R10: who may ask for access, for what, and when.
    pub(super) fn may_ask(&self, by: &Person, id: usize, tenant: &str) -> Result<(), Refused> {
        if !self.sees_support_request(by, id) {
            return Err(Reply::not_found());
        }
        // The ticketing system sees it, and asks for nothing.
        if !by.is_engineer() {
            return Err(Reply::refused(403, "not_permitted"));
        }
        if !self.is_open(id) {
            return Err(Reply::refused(403, "support_request_closed"));
        }
        if !self.is_registered(tenant) {
            return Err(Reply::refused(403, "tenant_unknown"));
        }
        let opening = self.opening(id).unwrap();
        // R5, R7: in the admin centers the setting decides about the own tenant.
        if opening.tenant == tenant && opening.portal == Portal::AdminCenter {
            return Err(Reply::refused(403, "advanced_diagnostics_setting_decides"));
        }
        let earlier = self.newest_request(id, tenant);
        if earlier.is_some_and(|earlier| self.is_live(&earlier)) {
            return Err(Reply::refused(409, "access_request_live"));
        }
        Ok(())
    }

    fn withdraw(&mut self, by: &'static Person, number: usize) -> Result<Reply, Refused> {
        self.may_withdraw(by, number)?;
        self.happened(by, What::Withdrawn(number));
        Ok(Reply::is(self.request_view(number)))
    }

    /// Whoever asked, or is assigned now, while there is anything left to cancel (R10).
    pub(super) fn may_withdraw(&self, by: &Person, number: usize) -> Result<(), Refused> {
        if !self.sees_request(by, number) {
            return Err(Reply::not_found());
        }
        let left = |consent: &Consent| matches!(self.life(*consent).status, Status::Pending | Status::Approved);
        if self.consents(&self.request(number).unwrap()).iter().any(left) {
            return Ok(());
        }
        Err(Reply::refused(409, "access_request_ended"))
    }

    /// What happens to a consent by this command (R9, R11-R13, R15, R17).
    fn decision(
        &self,
        by: &Person,
        consent: Consent,
        command: &Command,
        if_version: Option<u64>,
    ) -> Result<What, Refused> {
        // R11, R18, R19: what is not one's own tenant's is not there.
        if !self.sees_consent(by, consent) {
            return Err(Reply::not_found());
        }
        let life = self.life(consent);
        let refused = |code| conflict(code, life.status.name());
        let must_be = |status: Status, code| if life.status == status { Ok(()) } else { Err(refused(code)) };
        self.may_decide(by, consent, command)?;
        must_have_version(if_version, life.version)?;
        match command {
            Command::Approve(_, categories, until) => {
                must_be(Status::Pending, "consent_not_pending")?;
                let categories = categories.clone().unwrap_or_else(|| CATEGORIES.to_vec());
                let scope = Scope { categories, until: until.map(|until| self.now + until) };
                self.must_cover_something(&scope)?;
                Ok(What::Approved(consent, scope))
            }
            Command::Reject(_) => must_be(Status::Pending, "consent_not_pending").map(|()| What::Rejected(consent)),
            Command::Narrow(_, categories, until) => {
                must_be(Status::Approved, "consent_not_approved")?;
                let before = life.scope.clone();
                let scope = Scope {
                    categories: categories.clone().unwrap_or_else(|| before.categories.clone()),
                    until: until.map(|until| self.now + until).or(before.until),
                };
                self.must_cover_something(&scope)?;
                let longer = before.until.is_some_and(|end| scope.until.is_some_and(|until| until > end));
                if longer || scope.categories.iter().any(|category| !before.categories.contains(category)) {
                    return Err(Reply::refused(409, "scope_wider"));
                }
                Ok(What::Narrowed(consent, scope))
            }
            _ => must_be(Status::Approved, "consent_not_approved").map(|()| What::Revoked(consent)),
        }
    }

    /// Who may, of the administrators who see the consent.
    pub(super) fn may_decide(&self, by: &Person, consent: Consent, command: &Command) -> Result<(), Refused> {
        let request = self.request_of(consent).unwrap();
        match command {
            // R17: who asked, or is assigned now.
            Command::Approve(..) if request.by.id() == by.id() || self.is_assigned(request.under, by) => {
                Err(Reply::refused(403, "separation_of_duties"))
            }
            // R13
            Command::Narrow(..) | Command::Revoke(_) if self.part(consent) == "support_request_tenant" => {
                Err(Reply::refused(403, "not_resource_tenant"))
            }
            _ => Ok(()),
        }
    }

    /// R9
    fn must_cover_something(&self, scope: &Scope) -> Result<(), Refused> {
        if scope.categories.is_empty() {
            return Err(wrong("no_category", "categories"));
        }
        if scope.until.is_some_and(|until| until <= self.now) {
            return Err(wrong("end_time_passed", "until"));
        }
        Ok(())
    }
}

fn must_have_version(wanted: Option<u64>, present: u64) -> Result<(), Refused> {
    if wanted.is_none_or(|wanted| wanted == present) { Ok(()) } else { Err(Reply::refused(412, "version_changed")) }
}

fn invalid(field: &str) -> Refused {
    wrong("invalid_request", field)
}

fn wrong(code: &'static str, field: &str) -> Refused {
    Reply { body: serde_json::json!({ "field": field }), ..Reply::refused(400, code) }
}

/// Refused, because of what it is at present.
fn conflict(code: &'static str, present_status: &str) -> Refused {
    Reply { body: serde_json::json!({ "present_status": present_status }), ..Reply::refused(409, code) }
}
