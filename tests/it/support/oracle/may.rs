//! "May I?": what a page asks about a person's own doings before it shows a button.

use super::{Answer, Command, Consent, Oracle, Person, Reply, Status};

/// A question of somebody about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    ViewConsent(Consent),
    ViewApprovedAccess(Consent),
    ApproveConsent(Consent),
    RejectConsent(Consent),
    NarrowConsent(Consent),
    RevokeConsent(Consent),
    ListConsents(&'static str),
    ReadAuditLog(&'static str),
    /// As an engineer, from here on.
    CreateAccessRequest(usize, &'static str),
    ViewSupportRequest(usize),
    ViewAccessRequest(usize),
    CancelAccessRequest(usize),
    ListOwnRequests,
}

fn answer(code: &'static str) -> Answer {
    Answer { decision: code == "permitted", code, missing_consents: Vec::new(), under: None }
}

fn answered(outcome: Result<(), Reply>) -> Answer {
    answer(outcome.err().map_or("permitted", |refused| refused.code))
}

impl Oracle {
    /// The answer to somebody who asks about themselves with their own token; who asks as an engineer is one.
    pub fn may(&self, who: &Person, question: May) -> Answer {
        match question {
            May::ListConsents(_) if !who.is_administrator() => answer("not_tenant_administrator"),
            May::ListConsents(tenant) => answer(if tenant == who.tenant { "permitted" } else { "not_permitted" }),
            May::ReadAuditLog(_) if !who.is_audit_reader() => answer("not_audit_reader"),
            May::ReadAuditLog(tenant) => answer(if tenant == who.tenant { "permitted" } else { "other_tenant" }),
            May::CreateAccessRequest(id, tenant) => answered(self.may_ask(who, id, tenant)),
            May::ViewSupportRequest(id) => answer(seen(self.sees_support_request(who, id))),
            May::ViewAccessRequest(number) => answer(seen(self.sees_request(who, number))),
            May::CancelAccessRequest(number) => answered(self.may_withdraw(who, number)),
            May::ListOwnRequests => answer("permitted"),
            May::ViewConsent(consent)
            | May::ViewApprovedAccess(consent)
            | May::ApproveConsent(consent)
            | May::RejectConsent(consent)
            | May::NarrowConsent(consent)
            | May::RevokeConsent(consent) => self.may_with_consent(who, question, consent),
        }
    }

    fn may_with_consent(&self, who: &Person, question: May, consent: Consent) -> Answer {
        if !self.sees_consent(who, consent) {
            return answer("not_found");
        }
        let life = self.life(consent);
        let if_allowed = |command: Command, then: &'static str| {
            answered(self.may_decide(who, consent, &command).and(match then {
                "permitted" => Ok(()),
                code => Err(Reply::refused(409, code)),
            }))
        };
        let is = |status, otherwise| if life.status == status { "permitted" } else { otherwise };
        let pending = is(Status::Pending, "consent_not_pending");
        let approved = is(Status::Approved, "consent_not_approved");
        match question {
            May::ViewApprovedAccess(_) if self.part(consent) == "support_request_tenant" => {
                answer("not_resource_tenant")
            }
            // R16
            May::ViewApprovedAccess(_) => answer(if self.is_listed(consent) { "permitted" } else { "not_permitted" }),
            May::ApproveConsent(_) => if_allowed(Command::Approve(consent, None, None), pending),
            May::RejectConsent(_) => if_allowed(Command::Reject(consent), pending),
            // What has expired leaves nothing to narrow it to.
            May::NarrowConsent(_) if approved == "permitted" && life.is_expired(self.now) => {
                if_allowed(Command::Narrow(consent, None, None), "end_time_passed")
            }
            May::NarrowConsent(_) => if_allowed(Command::Narrow(consent, None, None), approved),
            May::RevokeConsent(_) => if_allowed(Command::Revoke(consent), approved),
            _ => answer("permitted"),
        }
    }
}

fn seen(yes: bool) -> &'static str {
    if yes { "permitted" } else { "not_found" }
}
