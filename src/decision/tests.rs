//! Remembered answers against fresh ones (G2): facts, policies and the clock change in between, to the millisecond.

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::audit::DecisionIds;
use crate::clock::{BootTime, Clock, ManualClock};
use crate::effort::{effort, random};
use crate::model::{
    AccessRequest, CategorySet, Consent, ConsentStatus, Part, Scope, SubmittedIn, SupportRequest, Timestamp,
};
use crate::policy::{Bundle, BundleSource, Policies, SourceFile};
use crate::replica::{NotFresh, Replica};
use crate::store::{Change, Object, Seq, Write};

const CASES: usize = 3;
const TENANTS: [&str; 2] = ["contoso", "fabrikam"];
const ENGINEERS: [&str; 2] = ["vendor/ada", "vendor/bob"];
const VERBS: [&str; 4] = ["read", "list", "delete", "shred"];
/// End times lie this far apart at most, and the clock is turned about as far: they meet often.
const SOON_MS: i64 = 6;

fn one<T: Copy>(rng: &mut fastrand::Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}

fn bundle(more: &str) -> Bundle {
    let mut source = BundleSource::shipped();
    let head = "@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")";
    let text = if more.is_empty() { String::new() } else { format!("{head}\n{more}") };
    source.policies.push(SourceFile { name: "more.cedar".to_owned(), text });
    Bundle::load(&source).unwrap()
}

/// Bundles of which one forbids something, one reads the clock, and one fails now and then.
fn replacement(rng: &mut fastrand::Rng) -> (Bundle, bool) {
    let reads = "forbid (principal is SupportEngineer, action == Action::\"read\", resource is DiagnosticData)";
    match rng.u8(..5) {
        0 => (bundle(&format!("{reads} when {{ resource.tenant == Tenant::\"contoso\" }};")), false),
        // Whether the time is odd.
        1 => (bundle(&format!("{reads} when {{ {} }};", odd("context.now"))), true),
        2 => (bundle(&format!("{reads} when {{ context.now + 9223372036854774807 < 0 }};")), true),
        3 => (bundle(&format!("{reads} when {{ context has accessRequest && 9223372036854775807 + 1 > 0 }};")), false),
        _ => (bundle(""), false),
    }
}

/// Cedar has no remainder: the first milliseconds, one by one.
fn odd(now: &str) -> String {
    (0..100).map(|number| format!("{now} == {}", 1_000 + 2 * number + 1)).collect::<Vec<_>>().join(" || ")
}

/// A question in its own words, so that it can be asked again.
type Words = (&'static str, &'static str, String, Option<String>);

fn words(rng: &mut fastrand::Rng) -> Words {
    let category = one(rng, &["signInLogs", "auditLogs", "signInLogs/item"]);
    let support_request = (rng.u8(..16) != 0).then(|| format!("SR-{}", rng.usize(..=CASES)));
    let engineer = if rng.u8(..4) == 0 { ENGINEERS[1] } else { ENGINEERS[0] };
    let verb = if rng.u8(..4) == 0 { one(rng, &VERBS) } else { "read" };
    (engineer, verb, format!("{}/{category}", one(rng, &TENANTS)), support_request)
}

fn question((engineer, verb, resource, support_request): &Words) -> ReadQuestion<'_> {
    ReadQuestion::parse(engineer, verb, resource, support_request.as_deref()).unwrap()
}

fn support_request(rng: &mut fastrand::Rng, case: usize) -> SupportRequest {
    SupportRequest {
        id: format!("SR-{case}").parse().unwrap(),
        number: String::new(),
        summary: String::new(),
        tenant: "contoso".parse().unwrap(),
        submitted_in: if case == 0 { SubmittedIn::OtherPortal } else { SubmittedIn::AdminCenter },
        advanced_diagnostic_information: rng.bool(),
        assignee: (rng.u8(..8) != 0).then(|| ENGINEERS[usize::from(rng.u8(..4) == 0)].parse().unwrap()),
        open: rng.u8(..8) != 0,
        opened_at: Timestamp::from_millis(0),
        closed_at: None,
        version: 1,
    }
}

fn access_request(rng: &mut fastrand::Rng, case: usize, now: Timestamp) -> AccessRequest {
    let own = case == 0;
    let consent = |rng: &mut fastrand::Rng, tenant: &str, part| {
        let mut consent =
            Consent::pending(format!("co-{}", rng.u32(..)).parse().unwrap(), tenant.parse().unwrap(), part);
        consent.status = if rng.u8(..8) == 0 { ConsentStatus::Revoked } else { ConsentStatus::Approved };
        let until = rng.bool().then(|| now.plus_millis(rng.i64(-1..SOON_MS)));
        let categories =
            if rng.u8(..4) == 0 { ["signInLogs".parse().unwrap()].into_iter().collect() } else { CategorySet::ALL };
        consent.scope = Scope { categories, until };
        consent
    };
    AccessRequest {
        id: format!("ar-{case}").parse().unwrap(),
        support_request: format!("SR-{case}").parse().unwrap(),
        resource_tenant: if own { "contoso" } else { "fabrikam" }.parse().unwrap(),
        requested_by: "vendor/ada".parse().unwrap(),
        reason: String::new(),
        created_at: Timestamp::from_millis(0),
        resource_tenant_consent: if own {
            consent(rng, "contoso", Part::Only)
        } else {
            consent(rng, "fabrikam", Part::ResourceTenant)
        },
        task: None,
        support_request_tenant_consent: (!own).then(|| consent(rng, "contoso", Part::SupportRequestTenant)),
    }
}

/// One service twice: one that remembers, and one that asks the policies each time.
struct Twins {
    policies: Arc<Policies>,
    replica: Arc<Replica>,
    clock: ManualClock,
    remembering: Decisions,
    forgetting: Decisions,
    seq: Seq,
    reads_clock: bool,
}

#[derive(Debug, Default)]
struct Tally {
    hits: u64,
    allowed_hits: u64,
    last_moment: u64,
    first_moment_after: u64,
    held: u64,
    no_longer_held: u64,
    denied_by_failure: u64,
}

impl Twins {
    fn new() -> Self {
        let policies = Arc::new(Policies::new(bundle("")));
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let replica = Arc::new(Replica::new(Arc::new(clock.clone())));
        let decisions = |capacity| {
            let (policies, replica) = (Arc::clone(&policies), Arc::clone(&replica));
            Decisions::new(policies, replica, Arc::new(clock.clone()), Arc::new(DecisionIds::new()), capacity)
        };
        let (remembering, forgetting) = (decisions(10_000), decisions(0));
        let mut twins = Self { policies, replica, clock, remembering, forgetting, seq: Seq(0), reads_clock: false };
        twins.change(Vec::new());
        twins
    }

    fn change(&mut self, objects: Vec<Object>) {
        self.seq = self.seq.next();
        self.replica.follow_by_hand(Change {
            seq: self.seq,
            at: Timestamp::from_millis(0),
            writes: objects.into_iter().map(Write).collect(),
        });
    }

    /// Something else than a question.
    fn event(&mut self, rng: &mut fastrand::Rng) {
        let case = rng.usize(..CASES);
        match rng.u16(..400) {
            0..100 => {
                let request = Object::SupportRequest(support_request(rng, case));
                self.change(vec![request]);
            }
            100..250 => {
                let now = self.clock.now();
                let both = [
                    Object::SupportRequest(support_request(rng, case)),
                    Object::AccessRequest(access_request(rng, case, now)),
                ];
                self.change(both.into_iter().collect());
            }
            250..390 => self.clock.advance_millis(rng.i64(1..=2)),
            // Not the system's clock, but a clock of ours may (G2: an answer is not used before it was found, either).
            390..398 => self.clock.advance_millis(-rng.i64(1..SOON_MS)),
            _ => {
                let (bundle, reads_clock) = replacement(rng);
                self.policies.replace(bundle);
                self.reads_clock = reads_clock;
            }
        }
    }

    /// Asks both, and gives what the one that remembers said.
    fn ask(&self, words: &Words, tally: &mut Tally) -> Decided {
        let question = question(words);
        let (ours, fresh) = (self.remembering.decide(&question).unwrap(), self.forgetting.decide(&question).unwrap());
        assert!(!fresh.cached);
        assert_same(words, &ours, &fresh);
        tally.denied_by_failure += u64::from(fresh.answer.reason.code == "policy_failed");
        if ours.cached {
            assert_ne!(ours.answer.reason.code, "policy_failed", "errors are not remembered");
            tally.hits += 1;
            tally.allowed_hits += u64::from(ours.answer.allowed);
            tally.last_moment += u64::from(ours.at.plus_millis(1) == ours.answer.unchanged_until);
        }
        ours
    }
}

#[track_caller]
fn assert_same(words: &Words, ours: &Decided, fresh: &Decided) {
    let told = |decided: &Decided| {
        let Answer { allowed, reason, policies, policy_serial, facts_revision, access_request, consents, .. } =
            &*decided.answer;
        let (access_request, consents) = (access_request.clone(), consents.clone());
        (*allowed, reason.clone(), policies.clone(), *policy_serial, *facts_revision, access_request, consents)
    };
    assert_eq!(told(ours), told(fresh), "{words:?} at {:?}, found at {:?}", fresh.at, ours.answer.evaluated_at);
}

#[test]
fn a_remembered_answer_is_what_the_policies_would_say_now() {
    let mut rng = random("a_remembered_answer_is_what_the_policies_would_say_now");
    let mut tally = Tally::default();
    for _ in 0..effort(20) {
        let mut twins = Twins::new();
        // Decisions under way: some are remembered late, after what they rest on has changed.
        let mut under_way: Vec<(Words, Decided)> = Vec::new();
        for _ in 0..1_000 {
            if rng.u8(..3) == 0 {
                twins.event(&mut rng);
            }
            let words = words(&mut rng);
            let decided = twins.ask(&words, &mut tally);
            if rng.u8(..4) == 0 {
                under_way.push((words, decided));
            } else {
                twins.remembering.remember(&question(&words), &decided);
            }
            if under_way.len() > 8 {
                let (words, decided) = under_way.swap_remove(rng.usize(..under_way.len()));
                twins.remembering.remember(&question(&words), &decided);
                let fresh = twins.ask(&words, &mut tally);
                tally.first_moment_after += u64::from(fresh.at == decided.answer.unchanged_until);
                let holds = twins.remembering.still_holds(&question(&words), &decided);
                assert!(holds || !decided.answer.allowed || !twins.remembering.plainly_holds(&decided), "{words:?}");
                if holds {
                    tally.held += 1;
                    let earlier = decided.at > fresh.at;
                    assert!(
                        earlier || twins.reads_clock || fresh.answer.allowed == decided.answer.allowed,
                        "{words:?}"
                    );
                } else {
                    tally.no_longer_held += 1;
                }
            }
        }
    }
    println!("{tally:?}");
    let Tally { hits, allowed_hits, last_moment, first_moment_after, held, no_longer_held, denied_by_failure } = tally;
    assert!(hits > 2_000 && allowed_hits > 100 && last_moment > 10 && first_moment_after > 10, "looked at too little");
    assert!(held > 200 && no_longer_held > 200 && denied_by_failure > 0, "looked at too little");
}

/// What lets ada read fabrikam's logs under `SR-1` for five milliseconds.
fn granting(rng: &mut fastrand::Rng, now: Timestamp) -> Vec<Object> {
    let mut case = support_request(rng, 1);
    (case.open, case.assignee) = (true, Some("vendor/ada".parse().unwrap()));
    let mut request = access_request(rng, 1, now);
    for consent in request.consents_mut() {
        consent.status = ConsentStatus::Approved;
        consent.scope = Scope { categories: CategorySet::ALL, until: Some(now.plus_millis(5)) };
    }
    vec![Object::SupportRequest(case), Object::AccessRequest(request)]
}

/// A clock at which a change is taken in, the next time that somebody looks at it.
#[derive(Debug)]
struct Interrupting {
    clock: ManualClock,
    replica: Arc<Replica>,
    change: Mutex<Option<Change>>,
}

impl Clock for Interrupting {
    fn boot(&self) -> BootTime {
        BootTime(0)
    }

    fn now(&self) -> Timestamp {
        if let Some(change) = self.change.lock().take() {
            self.replica.follow_by_hand(change);
        }
        self.clock.now()
    }
}

#[test]
fn a_picture_that_may_be_out_of_date_answers_nothing_whatever_is_asked_of_it() {
    let policies = Arc::new(Policies::new(bundle("")));
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let replica = Arc::new(Replica::new(Arc::<ManualClock>::clone(&clock)));
    let decisions = Decisions::new(policies, replica, clock, Arc::new(DecisionIds::new()), 10);
    for support_request in [Some("SR-1".to_owned()), None] {
        let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), support_request);
        assert!(decisions.decide(&question(&words)).is_err(), "{words:?}");
    }
}

#[test]
fn a_bundle_does_not_outlive_its_reign_in_the_answers_that_it_gave() {
    let mut twins = Twins::new();
    twins.change(Vec::new());
    let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), Some("SR-1".to_owned()));
    let question = question(&words);
    twins.remembering.remember(&question, &twins.remembering.decide(&question).unwrap());
    assert!(twins.remembering.decide(&question).unwrap().cached);
    let before = Arc::downgrade(&twins.policies.current());
    twins.policies.replace(bundle(""));
    assert!(before.upgrade().is_none());
}

#[test]
fn a_change_in_the_midst_of_a_decision_is_noticed() {
    let mut rng = fastrand::Rng::with_seed(1);
    let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), Some("SR-1".to_owned()));
    let question = question(&words);
    let now = Timestamp::from_millis(1_000);
    let replica = Arc::new(Replica::new(Arc::new(ManualClock::at(now))));
    let change =
        |seq, objects: Vec<Object>| Change { seq: Seq(seq), at: now, writes: objects.into_iter().map(Write).collect() };
    replica.follow_by_hand(change(1, granting(&mut rng, now)));
    let clock = Interrupting { clock: ManualClock::at(now), replica: Arc::clone(&replica), change: Mutex::new(None) };
    let clock = Arc::new(clock);
    let policies = Arc::new(Policies::new(bundle("")));
    let decisions =
        Decisions::new(policies, replica, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(DecisionIds::new()), 10);
    decisions.remember(&question, &decisions.decide(&question).unwrap());
    assert!(decisions.plainly_holds(&decisions.decide(&question).unwrap()));
    let mut closed = support_request(&mut rng, 1);
    closed.open = false;
    *clock.change.lock() = Some(change(2, vec![Object::SupportRequest(closed)]));
    let decided = decisions.decide(&question).unwrap();
    assert!(decided.cached && decided.answer.allowed, "it was remembered of what was before");
    assert!(!decisions.plainly_holds(&decided) && !decisions.still_holds(&question, &decided));
}

#[test]
fn an_allow_holds_until_anything_that_it_rests_on_changes() {
    let mut rng = fastrand::Rng::with_seed(1);
    let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), Some("SR-1".to_owned()));
    let question = question(&words);
    let granted = |twins: &mut Twins, rng: &mut fastrand::Rng| {
        twins.change(granting(rng, twins.clock.now()));
        let found = twins.remembering.decide(&question).unwrap();
        assert!(!twins.remembering.plainly_holds(&found), "it is to be kept");
        twins.remembering.remember(&question, &found);
        let decided = twins.remembering.decide(&question).unwrap();
        assert!(decided.cached && decided.answer.allowed);
        assert!(twins.remembering.still_holds(&question, &decided) && twins.remembering.plainly_holds(&decided));
        decided
    };
    let mut twins = Twins::new();
    let decided = granted(&mut twins, &mut rng);
    twins.clock.advance_millis(4);
    assert!(twins.remembering.still_holds(&question, &decided));
    twins.clock.advance_millis(1);
    assert!(!twins.remembering.still_holds(&question, &decided), "its end time has come");
    assert!(!twins.remembering.plainly_holds(&decided));
    let decided = granted(&mut twins, &mut rng);
    twins.policies.replace(bundle(""));
    assert!(!twins.remembering.still_holds(&question, &decided), "another bundle is in force");
    assert!(!twins.remembering.plainly_holds(&decided));
    let decided = granted(&mut twins, &mut rng);
    let other = support_request(&mut rng, 2);
    twins.change(vec![Object::SupportRequest(other)]);
    assert!(twins.remembering.still_holds(&question, &decided), "another case has changed");
    assert!(!twins.remembering.plainly_holds(&decided), "which one, only a look at the facts can tell");
    let same = support_request(&mut rng, 1);
    twins.change(vec![Object::SupportRequest(same)]);
    assert!(!twins.remembering.still_holds(&question, &decided), "its facts have changed");
}

#[test]
fn what_was_found_holds_until_anything_that_it_rests_on_changes() {
    let mut rng = fastrand::Rng::with_seed(1);
    let sought = Sought::Resources { engineer: "vendor/ada", verb: "read" };
    let granted = |twins: &mut Twins, rng: &mut fastrand::Rng| {
        twins.change(granting(rng, twins.clock.now()));
        let searched = twins.remembering.search(sought, Some("SR-1")).unwrap();
        assert!(searched.found.contains(&"fabrikam/signInLogs".to_owned()), "{searched:?}");
        assert!(twins.remembering.search_holds(sought, Some("SR-1"), &searched));
        searched
    };
    let holds = |twins: &Twins, searched| twins.remembering.search_holds(sought, Some("SR-1"), searched);
    let mut twins = Twins::new();
    let searched = granted(&mut twins, &mut rng);
    twins.clock.advance_millis(4);
    assert!(holds(&twins, &searched));
    twins.clock.advance_millis(1);
    assert!(!holds(&twins, &searched), "an end time has come");
    let searched = granted(&mut twins, &mut rng);
    twins.policies.replace(bundle(""));
    assert!(!holds(&twins, &searched), "another bundle is in force");
    let searched = granted(&mut twins, &mut rng);
    let other = support_request(&mut rng, 2);
    twins.change(vec![Object::SupportRequest(other)]);
    assert!(holds(&twins, &searched), "another case has changed");
    let same = support_request(&mut rng, 1);
    twins.change(vec![Object::SupportRequest(same)]);
    assert!(!holds(&twins, &searched), "its facts have changed");
}

#[test]
fn an_allow_carries_the_deadline_under_which_its_facts_were_read_and_is_not_sent_past_it() {
    let mut rng = fastrand::Rng::with_seed(1);
    let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), Some("SR-1".to_owned()));
    let question = question(&words);
    let now = Timestamp::from_millis(1_000);
    let clock = ManualClock::at(now);
    let replica = Arc::new(Replica::new(Arc::new(clock.clone())));
    let granted = || Change { seq: Seq(1), at: now, writes: Vec::new() };
    let writes = granting(&mut rng, now.plus_millis(60_000)).into_iter().map(Write).collect();
    let until = clock.boot().plus(std::time::Duration::from_secs(4));
    replica.follow_by_hand_until(Change { writes, ..granted() }, until);
    let policies = Arc::new(Policies::new(bundle("")));
    let decisions =
        Decisions::new(policies, Arc::clone(&replica), Arc::new(clock.clone()), Arc::new(DecisionIds::new()), 10);
    let first = decisions.decide(&question).unwrap();
    decisions.remember(&question, &first);
    clock.advance_millis(1_500);
    let remembered = decisions.decide(&question).unwrap();
    assert!(first.answer.allowed && remembered.cached);
    for decided in [&first, &remembered] {
        assert_eq!(decided.valid_until, Some(until));
        assert!(decisions.still_holds(&question, decided));
        let told = decisions.validity(decided.valid_until).unwrap();
        assert_eq!((told.for_ms, told.until), (2_500, now.plus_millis(4_000)));
    }
    assert!(decisions.plainly_holds(&remembered));
    // The lease was renewed meanwhile. An answer still stands under the one by which it was found.
    replica.follow_by_hand_until(granted(), until.plus(std::time::Duration::from_secs(9)));
    clock.advance_millis(2_499);
    assert!(decisions.still_holds(&question, &first) && decisions.plainly_holds(&remembered));
    clock.advance_millis(1);
    assert!(!decisions.still_holds(&question, &first) && !decisions.plainly_holds(&remembered));
    assert!(decisions.decide(&question).unwrap().valid_until > Some(until), "it is decided anew");
    clock.advance_millis(9_000);
    assert_eq!(decisions.decide(&question).unwrap_err().to_string(), NotFresh::LeaseExpired.to_string());
}

#[test]
fn a_store_of_ones_own_makes_answers_without_a_deadline() {
    let mut twins = Twins::new();
    twins.change(Vec::new());
    let words = ("vendor/ada", "read", "fabrikam/signInLogs".to_owned(), Some("SR-1".to_owned()));
    let decided = twins.remembering.decide(&question(&words)).unwrap();
    assert_eq!((decided.valid_until, twins.remembering.validity(decided.valid_until)), (None, None));
}
