//! What is asked and looked at after a step, with what the oracle says to it.

use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;
use serde_json::{Value, json};

use super::site::persons;
use super::step::Step;
use crate::support::oracle::{
    Answer, CATEGORIES, Command, Consent, May, Oracle, Person, Question, TENANTS, View, name_of_support_request, person,
};

const ENGINEERS: [&str; 4] = ["ada", "bob", "eva", "roy"];

/// A support request that is never opened.
const UNKNOWN: usize = 9;

/// Everything to be asked, with the answers.
pub struct Plan {
    pub reads: Vec<(Question, Answer)>,
    /// Of the reads, those to be asked one by one as well: by the tooling, or by the engineer about themselves.
    pub singles: Vec<(&'static Person, Question, Answer)>,
    pub views: Vec<(&'static Person, View, Value)>,
    pub may: Vec<(&'static Person, Vec<(May, Answer)>)>,
}

/// Whom and what a plan is about.
struct Sight {
    persons: Vec<&'static Person>,
    support_requests: Vec<usize>,
    requests: Vec<usize>,
    consents: Vec<Consent>,
    /// Every question, and not only some of those that must have the same answer.
    everything: bool,
}

impl Plan {
    /// What to ask after this step: all around what it was about and some of the rest; or everything there is.
    pub fn after(step: &Step, oracle: &mut Oracle, everything: bool) -> Self {
        // The choice hangs on the step alone, so that a history with other steps taken out asks the same.
        let mut hasher = DefaultHasher::new();
        step.to_string().hash(&mut hasher);
        let mut random = Rng::with_seed(hasher.finish());
        let sight = if everything { Sight::everything(oracle) } else { Sight::around(step, oracle, &mut random) };
        let questions = sight.questions(oracle, &mut random);
        let mut reads: Vec<(Question, Answer)> =
            questions.into_iter().map(|question| (question, oracle.may_read(&question))).collect();
        // Not in any order that a cache could like.
        random.shuffle(&mut reads);
        let mut singles = Vec::new();
        for (question, answer) in random.choose_multiple(reads.clone(), 4) {
            let asks_alone = question.engineer.is_engineer() && random.bool();
            let by = if asks_alone { question.engineer } else { person("tooling") };
            singles.push((by, question, answer));
        }
        // As often as it will be asked: twice in a batch, and alone.
        let alone = singles.iter().map(|(_, question, answer)| (question, answer));
        for (question, answer) in reads.iter().chain(&reads).map(|(question, answer)| (question, answer)).chain(alone) {
            if answer.decision {
                oracle.was_read(*question, answer.under);
            }
        }
        let views = sight.views(oracle);
        let may = sight.may(oracle);
        Self { reads, singles, views, may }
    }

    /// How many questions and views it has.
    pub fn size(&self) -> usize {
        let may: usize = self.may.iter().map(|(_, questions)| questions.len()).sum();
        self.reads.len() * 2 + self.singles.len() + self.views.len() + may
    }
}

impl Sight {
    fn everything(oracle: &Oracle) -> Self {
        Self {
            persons: persons().collect(),
            support_requests: oracle.support_requests(),
            requests: oracle.requests().iter().map(|request| request.number).collect(),
            consents: oracle.all_consents(),
            everything: true,
        }
    }

    fn around(step: &Step, oracle: &Oracle, random: &mut Rng) -> Self {
        let requests = oracle.requests();
        let newest_of = |id: usize| requests.iter().rfind(|request| request.under == id);
        let about = match step {
            Step::Do(deed) => match &deed.command {
                Command::Approve(consent, ..)
                | Command::Reject(consent)
                | Command::Narrow(consent, ..)
                | Command::Revoke(consent) => oracle.request(consent.request),
                Command::Withdraw(number) => oracle.request(*number),
                Command::Ask { support_request: id, .. }
                | Command::Allow(id, _)
                | Command::Rename(id, _)
                | Command::Assign(id, _)
                | Command::Close(id)
                | Command::Reopen(id) => newest_of(*id).copied(),
                Command::Open(opening) => newest_of(opening.id).copied(),
                Command::Register(_) => None,
            },
            Step::Reach { consent, .. } => oracle.request(consent.request),
            Step::Pass(_) | Step::Reload | Step::Break | Step::Restart => None,
        };
        let about = about.or_else(|| random.choice(&requests).copied());
        let other = random.choice(&requests).copied();
        let mut seen: Vec<_> = about.iter().chain(other.iter()).copied().collect();
        seen.dedup_by_key(|request| request.number);
        let consents: Vec<Consent> = seen.iter().flat_map(|request| oracle.consents(request)).collect();
        let tenants: Vec<&str> = consents.iter().take(2).map(|consent| consent.tenant).collect();
        let assignee = about.and_then(|request| oracle.assignee(request.under));
        let concerned = |person: &Person| {
            tenants.contains(&person.tenant) || assignee.is_some_and(|assignee| assignee.id() == person.id())
        };
        let (concerned, others): (Vec<_>, Vec<_>) = persons().partition(|person| concerned(person));
        let mut persons = random.choose_multiple(concerned, 5);
        persons.extend(random.choose_multiple(others, 1));
        persons.extend(assignee.filter(|assignee| !persons.contains(assignee)));
        Self {
            persons,
            support_requests: about.map_or_else(|| oracle.support_requests(), |about| vec![about.under]),
            requests: seen.iter().map(|request| request.number).collect(),
            consents,
            everything: false,
        }
    }

    fn questions(&self, oracle: &Oracle, random: &mut Rng) -> Vec<Question> {
        let mut questions = Vec::new();
        let all = oracle.support_requests();
        for support_request in all.into_iter().chain([UNKNOWN]) {
            let near = self.support_requests.contains(&support_request);
            let assignee = oracle.assignee(support_request);
            for engineer in ENGINEERS.map(person) {
                let is_assigned = assignee == Some(engineer);
                for tenant in TENANTS {
                    for (verb, category) in self.ways(near, is_assigned, random) {
                        questions.push(Question { engineer, verb, tenant, category, support_request });
                    }
                }
            }
        }
        questions
    }

    /// Verbs and categories: all of them, or one of them where none can make a difference.
    fn ways(&self, near: bool, is_assigned: bool, random: &mut Rng) -> Vec<(&'static str, &'static str)> {
        let mut some = || CATEGORIES[random.usize(..CATEGORIES.len())];
        if self.everything && near {
            let of = |verb| CATEGORIES.map(|category| (verb, category));
            return ["read", "write", "delete", "copy"].into_iter().flat_map(of).collect();
        }
        if !(near && is_assigned) {
            return vec![("read", some())];
        }
        let mut ways: Vec<_> = CATEGORIES.map(|category| ("read", category)).to_vec();
        ways.extend([("write", some()), ("delete", some()), ("copy", some()), ("download", some())]);
        ways
    }

    fn views(&self, oracle: &Oracle) -> Vec<(&'static Person, View, Value)> {
        let reads = if self.everything { oracle.reads() } else { 20 };
        let (support_requests, requests) = (self.support_requests.iter(), self.requests.iter());
        let mut engineers = vec![View::SupportRequests, View::AccessRequests];
        engineers.extend(
            support_requests
                .chain(&[UNKNOWN])
                .flat_map(|id| [View::SupportRequest(*id), View::AccessRequestsUnder(*id)]),
        );
        engineers.extend(requests.map(|number| View::AccessRequest(*number)));
        let mut administrators = vec![View::Pending, View::Approved];
        administrators.extend(self.consents.iter().map(|consent| View::Consent(*consent)));
        let mut views = Vec::new();
        for (number, who) in self.persons.iter().enumerate() {
            // The first one tries what is not for them as well.
            let all = self.everything || number == 0;
            let mut look = |if_is: bool, at: &[View]| {
                views.extend(at.iter().filter(|_| all || if_is).map(|view| (*who, *view)));
            };
            look(who.is_engineer(), &engineers);
            look(who.is_administrator(), &administrators);
            look(who.is_audit_reader(), &[View::AuditLog, View::Reads(reads)]);
        }
        let ticketing = person("ticketing");
        views.extend(self.support_requests.iter().map(|id| (ticketing, View::SupportRequest(*id))));
        views.into_iter().map(|(who, view)| (who, view, oracle.view(who, view).told())).collect()
    }

    fn may(&self, oracle: &Oracle) -> Vec<(&'static Person, Vec<(May, Answer)>)> {
        let mut asked = Vec::new();
        for who in &self.persons {
            let tenants = TENANTS.into_iter().filter(|tenant| self.everything || *tenant == who.tenant);
            let mut questions: Vec<May> =
                tenants.flat_map(|tenant| [May::ListConsents(tenant), May::ReadAuditLog(tenant)]).collect();
            for consent in self.consents.iter().copied() {
                questions.extend([
                    May::ViewConsent(consent),
                    May::ViewApprovedAccess(consent),
                    May::ApproveConsent(consent),
                    May::RejectConsent(consent),
                    May::NarrowConsent(consent),
                    May::RevokeConsent(consent),
                ]);
            }
            if who.is_engineer() {
                questions.push(May::ListOwnRequests);
                for id in &self.support_requests {
                    questions.push(May::ViewSupportRequest(*id));
                    questions.extend(TENANTS.map(|tenant| May::CreateAccessRequest(*id, tenant)));
                }
                for number in &self.requests {
                    questions.extend([May::ViewAccessRequest(*number), May::CancelAccessRequest(*number)]);
                }
            }
            asked.push((*who, questions.into_iter().map(|question| (question, oracle.may(who, question))).collect()));
        }
        asked
    }
}

/// A question about oneself as the service takes it. `id` gives the ids of consents and access requests.
pub fn wire(who: &Person, question: May, site: &super::site::Site) -> Value {
    let about = |id: &usize| name_of_support_request(*id);
    let (subject, action, kind, id) = match &question {
        May::ViewConsent(consent) => ("User", "viewConsent", "Consent", site.consent(*consent)),
        May::ViewApprovedAccess(consent) => ("User", "viewApprovedAccess", "Consent", site.consent(*consent)),
        May::ApproveConsent(consent) => ("User", "approveConsent", "Consent", site.consent(*consent)),
        May::RejectConsent(consent) => ("User", "rejectConsent", "Consent", site.consent(*consent)),
        May::NarrowConsent(consent) => ("User", "narrowConsent", "Consent", site.consent(*consent)),
        May::RevokeConsent(consent) => ("User", "revokeConsent", "Consent", site.consent(*consent)),
        May::ListConsents(tenant) => ("User", "listConsents", "Tenant", (*tenant).to_owned()),
        May::ReadAuditLog(tenant) => ("User", "readAuditLog", "AuditLog", (*tenant).to_owned()),
        May::CreateAccessRequest(id, _) => ("SupportEngineer", "createAccessRequest", "SupportRequest", about(id)),
        May::ViewSupportRequest(id) => ("SupportEngineer", "viewSupportRequest", "SupportRequest", about(id)),
        May::ViewAccessRequest(number) => {
            ("SupportEngineer", "viewAccessRequest", "AccessRequest", site.request(*number))
        }
        May::CancelAccessRequest(number) => {
            ("SupportEngineer", "cancelAccessRequest", "AccessRequest", site.request(*number))
        }
        May::ListOwnRequests => ("SupportEngineer", "listOwnRequests", "Endpoint", "requests".to_owned()),
    };
    let mut wire = json!({
        "subject": { "type": subject, "id": who.id() }, "action": { "name": action },
        "resource": { "type": kind, "id": id },
    });
    if let May::CreateAccessRequest(_, tenant) = question {
        wire["context"] = json!({ "resource_tenant": tenant });
    }
    wire
}
