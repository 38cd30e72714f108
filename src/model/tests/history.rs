//! Random histories: what may happen to a case, and who can read what by then, said anew in a few lines.

use proptest::prelude::*;

use crate::model::{
    AccessRequest, AccessRequestId, Actor, Case, Category, CategorySet, Command, ConsentId, ConsentStatus, Narrowing,
    NewAccessRequest, NewSupportRequest, PersonId, Scope, SubmittedIn, TenantId, Timestamp, decide,
};

/// How many tenants there are; the first one opened the support request.
pub(super) const TENANTS: usize = 3;

const OPENED_MS: i64 = 1_000_000;

/// Something that happens. Numbers choose among what there is by then.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) later_ms: i64,
    pub(super) wish: Wish,
}

#[derive(Debug, Clone)]
pub(super) enum Wish {
    Update(Option<String>, Option<bool>),
    Assign(Option<usize>),
    Close,
    Reopen,
    Ask(usize),
    Withdraw(usize),
    Approve(usize, CategorySet, Option<i64>),
    Reject(usize),
    Narrow(usize, Option<CategorySet>, Option<i64>),
    Revoke(usize),
}

pub(super) fn tenant(number: usize) -> TenantId {
    TenantId::new(&format!("tenant-{number}")).unwrap()
}

pub(super) fn engineer(number: usize) -> PersonId {
    format!("vendor/engineer-{number}").parse().unwrap()
}

/// A support request just opened.
pub(super) fn new_case() -> impl Strategy<Value = Case> {
    (any::<bool>(), any::<bool>(), prop::option::of(0..2_usize)).prop_map(|(admin_center, setting, assignee)| {
        let new = NewSupportRequest {
            id: "SR-1".parse().unwrap(),
            number: "N-1".to_owned(),
            summary: "first".to_owned(),
            tenant: tenant(0),
            submitted_in: if admin_center { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
            advanced_diagnostic_information: setting,
            assignee: assignee.map(engineer),
        };
        let at = Timestamp::from_millis(OPENED_MS);
        decide(None, &Command::OpenSupportRequest(new), &ticketing(), at).unwrap().case
    })
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let later = prop_oneof![2 => Just(0), 3 => 1..20_i64, 1 => 20..200_i64];
    let step = (later, wish()).prop_map(|(later_ms, wish)| Step { later_ms, wish });
    prop::collection::vec(step, 0..60)
}

fn wish() -> impl Strategy<Value = Wish> {
    let which = || 0..64_usize;
    let categories = || prop_oneof![1 => Just(CategorySet::ALL), 2 => some_categories()];
    let until = || prop::option::of(-5..60_i64);
    prop_oneof![
        1 => (prop::option::of("[a-c]"), any::<Option<bool>>()).prop_map(|(text, on)| Wish::Update(text, on)),
        1 => prop::option::of(0..2_usize).prop_map(Wish::Assign),
        1 => Just(Wish::Close),
        2 => Just(Wish::Reopen),
        6 => (0..TENANTS).prop_map(Wish::Ask),
        1 => which().prop_map(Wish::Withdraw),
        12 => (which(), categories(), until()).prop_map(|(id, what, until)| Wish::Approve(id, what, until)),
        1 => which().prop_map(Wish::Reject),
        3 => (which(), prop::option::of(categories()), until()).prop_map(|(id, to, until)| Wish::Narrow(id, to, until)),
        1 => which().prop_map(Wish::Revoke),
    ]
}

fn some_categories() -> impl Strategy<Value = CategorySet> {
    prop::collection::vec(prop::sample::select(&Category::ALL[..]), 0..6).prop_map(|some| some.into_iter().collect())
}

fn ticketing() -> Actor {
    Actor::Service("vendor/ticketing".to_owned())
}

/// A step as a command on the case as it is.
pub(super) fn command(case: &Case, step: &Step, number: usize, at: Timestamp) -> (Command, Actor) {
    let requests: Vec<_> = case.access_requests.iter().map(|request| request.id.clone()).collect();
    let consents = case.access_requests.iter().flat_map(AccessRequest::consents);
    let consents: Vec<_> = consents.map(|consent| (consent.id.clone(), consent.tenant.clone())).collect();
    // The newest ones are the interesting ones; a number beyond them all chooses what there is not.
    let nobody = (ConsentId::new("co-none").unwrap(), tenant(0));
    let consent =
        |which: usize| consents.iter().rev().nth(which % (consents.len() + 1)).cloned().unwrap_or(nobody.clone());
    let of = |tenant: &TenantId| Actor::Person(PersonId::new(tenant, "admin").unwrap());
    let until = |offset: Option<i64>| offset.map(|offset| at.plus_millis(offset));
    let asking = Actor::Person(engineer(0));
    match &step.wish {
        Wish::Update(summary, setting) => {
            let (summary, advanced_diagnostic_information) = (summary.clone(), *setting);
            (Command::UpdateSupportRequest { summary, advanced_diagnostic_information }, ticketing())
        }
        Wish::Assign(to) => (Command::Assign(to.map(engineer)), ticketing()),
        Wish::Close => (Command::Close, ticketing()),
        Wish::Reopen => (Command::Reopen, ticketing()),
        Wish::Ask(resource) => (Command::CreateAccessRequest(asked(number, *resource)), asking),
        Wish::Withdraw(which) => {
            let none = AccessRequestId::new("ar-none").unwrap();
            let id = requests.iter().rev().nth(which % (requests.len() + 1)).cloned().unwrap_or(none);
            (Command::CancelAccessRequest(id), asking)
        }
        Wish::Approve(which, categories, end) => {
            let (id, tenant) = consent(*which);
            (Command::ApproveConsent(id, Scope { categories: *categories, until: until(*end) }), of(&tenant))
        }
        Wish::Reject(which) => {
            let (id, tenant) = consent(*which);
            (Command::RejectConsent(id), of(&tenant))
        }
        Wish::Narrow(which, categories, end) => {
            let (id, tenant) = consent(*which);
            (Command::NarrowConsent(id, Narrowing { categories: *categories, until: until(*end) }), of(&tenant))
        }
        Wish::Revoke(which) => {
            let (id, tenant) = consent(*which);
            (Command::RevokeConsent(id), of(&tenant))
        }
    }
}

fn asked(number: usize, resource: usize) -> NewAccessRequest {
    let consent = |part: &str| ConsentId::new(&format!("co-{number}-{part}")).unwrap();
    NewAccessRequest {
        id: AccessRequestId::new(&format!("ar-{number}")).unwrap(),
        resource_tenant_consent: consent("resource"),
        support_request_tenant_consent: consent("support-request"),
        resource_tenant: tenant(resource),
        reason: "why".to_owned(),
        denial: None,
    }
}

/// Who can read this category of this tenant (R3-R9), if anybody can.
pub(super) fn can_read(case: &Case, number: usize, category: Category, at: Timestamp) -> Option<PersonId> {
    let support_request = &case.support_request;
    let engineer = support_request.assignee.clone().filter(|_| support_request.open)?;
    let own = number == 0;
    if own && support_request.submitted_in == SubmittedIn::AdminCenter {
        return support_request.advanced_diagnostic_information.then_some(engineer);
    }
    let newest = case.access_requests.iter().rfind(|request| request.resource_tenant == tenant(number))?;
    let needed = if own { 1 } else { 2 };
    let consents = newest.consents().filter(|consent| {
        let in_time = consent.scope.until.is_none_or(|until| at < until);
        consent.status == ConsentStatus::Approved && in_time && consent.scope.categories.contains(category)
    });
    (consents.count() == needed).then_some(engineer)
}
