//! What holds of a case whatever happens to it: random histories, checked after each step (R4-R15, R19, R21).

mod history;
mod worlds;

use std::cell::RefCell;
use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::history::{Step, can_read, command, new_case, steps, tenant};
use super::{
    AccessFacts, AccessRequest, Actor, Case, CaseFacts, Category, Command, Consent, ConsentStatus, NewAccessRequest,
    Outcome, Part, Refusal, Scope, Timestamp, activities, decide,
};

/// A step that the case took, with the case before.
struct Taken<'a> {
    before: &'a Case,
    outcome: &'a Outcome,
    by: &'a Actor,
    at: Timestamp,
}

/// Plays the steps, checking each that is taken; gives every state that there was.
fn play(opened: &Case, steps: &[Step], check: impl Fn(&Taken<'_>) -> Result<(), TestCaseError>) -> TestResult {
    let mut case = opened.clone();
    let mut at = case.support_request.opened_at;
    for (number, step) in steps.iter().enumerate() {
        at = at.plus_millis(step.later_ms);
        let (command, by) = command(&case, step, number, at);
        let untouched = case.clone();
        let decided = decide(Some(&case), &command, &by, at);
        prop_assert_eq!(&untouched, &case);
        let Ok(outcome) = decided else { continue };
        check(&Taken { before: &case, outcome: &outcome, by: &by, at })?;
        case = outcome.case;
    }
    Ok(())
}

type TestResult = Result<(), TestCaseError>;

/// Every consent that was there before, with what it is now.
fn consents<'a>(taken: &'a Taken<'_>) -> impl Iterator<Item = (&'a Consent, &'a Consent)> {
    let before = taken.before.access_requests.iter().flat_map(AccessRequest::consents);
    before.filter_map(|before| taken.outcome.case.consent(&before.id).map(|(_, now)| (before, now)))
}

proptest! {
    #[test]
    fn final_consents_never_change_again_and_none_is_lost(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            let count = taken.before.access_requests.iter().flat_map(AccessRequest::consents).count();
            prop_assert_eq!(consents(taken).count(), count);
            for (before, now) in consents(taken).filter(|(before, _)| before.status.is_final()) {
                prop_assert_eq!(before, now);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_consent_goes_only_where_the_rules_let_it_go(opened in new_case(), steps in steps()) {
        use ConsentStatus::{Approved, Canceled, Completed, Pending, Rejected, Revoked};
        play(&opened, &steps, |taken| {
            for (before, now) in consents(taken).filter(|(before, now)| before.status != now.status) {
                let way = (before.status, now.status);
                let known = [(Pending, Approved), (Pending, Rejected), (Pending, Canceled), (Approved, Revoked),
                    (Approved, Completed)];
                prop_assert!(known.contains(&way), "{way:?}");
                prop_assert_eq!(now.ended_at, now.status.is_final().then_some(taken.at));
            }
            Ok(())
        })?;
    }

    #[test]
    fn under_a_closed_support_request_nothing_is_pending_or_approved(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            let case = &taken.outcome.case;
            let open = case.access_requests.iter().flat_map(AccessRequest::consents).any(|c| !c.status.is_final());
            prop_assert!(case.support_request.open || !open);
            Ok(())
        })?;
    }

    #[test]
    fn one_access_request_at_most_is_live_for_each_resource_tenant(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            for number in 0..history::TENANTS {
                let asked = taken.outcome.case.access_requests.iter().filter(|r| r.resource_tenant == tenant(number));
                let live: Vec<_> = asked.filter(|request| request.is_live(taken.at)).map(|request| &request.id).collect();
                let newest = taken.outcome.case.newest_access_request_for(&tenant(number)).map(|request| &request.id);
                prop_assert!(live.len() <= 1 && live.iter().all(|id| Some(*id) == newest), "{live:?} {newest:?}");
            }
            for request in &taken.outcome.case.access_requests {
                let can_grant = |consent: &Consent| {
                    let undone = matches!(consent.status, ConsentStatus::Pending | ConsentStatus::Approved);
                    undone && consent.scope.until.is_none_or(|until| taken.at < until)
                };
                prop_assert_eq!(request.is_live(taken.at), request.consents().all(can_grant));
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_approved_scope_only_ever_narrows(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            for (before, now) in consents(taken).filter(|(before, _)| before.status == ConsentStatus::Approved) {
                let (was, is) = (before.scope, now.scope);
                prop_assert!(is.categories.iter().all(|category| was.categories.contains(category)));
                prop_assert!(was.until.is_none_or(|was| is.until.is_some_and(|is| is <= was)));
                prop_assert!(!is.categories.is_empty());
            }
            for (before, now) in consents(taken).filter(|(before, _)| before.status == ConsentStatus::Pending) {
                prop_assert_eq!(before.scope, Scope::WHOLE);
                prop_assert!(now.status == ConsentStatus::Approved || now.scope == Scope::WHOLE);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_version_grows_by_one_with_each_change_of_its_own_object_alone(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            for (before, now) in consents(taken) {
                prop_assert_eq!(now.version, before.version + u32::from(before != now), "{:?} {:?}", before, now);
            }
            let (before, now) = (&taken.before.support_request, &taken.outcome.case.support_request);
            prop_assert_eq!(now.version, before.version + u32::from(before != now));
            Ok(())
        })?;
    }

    #[test]
    fn access_requests_are_created_one_after_the_other(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            let times: Vec<_> = taken.outcome.case.access_requests.iter().map(|request| request.created_at).collect();
            prop_assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
            Ok(())
        })?;
    }

    #[test]
    fn there_are_events_exactly_when_the_case_changed(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            prop_assert_eq!(taken.outcome.events.is_empty(), *taken.before == taken.outcome.case);
            Ok(())
        })?;
    }

    #[test]
    fn whatever_takes_access_away_says_so(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            for number in 0..history::TENANTS {
                for category in Category::ALL {
                    let reads = |case| can_read(case, number, category, taken.at);
                    let lost = reads(taken.before).is_some() && reads(taken.before) != reads(&taken.outcome.case);
                    prop_assert!(!lost || taken.outcome.takes_access_away(), "{:?}", taken.outcome.events);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_activity_belongs_to_the_tenant_of_its_consent(opened in new_case(), steps in steps()) {
        play(&opened, &steps, |taken| {
            let case = &taken.outcome.case;
            for activity in activities(taken.outcome, taken.by, taken.at) {
                let (request, consent) = case.consent(&activity.consent).unwrap();
                prop_assert_eq!(&activity.tenant, &consent.tenant);
                prop_assert_eq!(&activity.access_request, &request.id);
                let name = activity.kind.as_str();
                match consent.part {
                    Part::SupportRequestTenant => prop_assert!(name.starts_with("Request "), "{name}"),
                    Part::ResourceTenant => prop_assert!(name.starts_with("Approval "), "{name}"),
                    Part::Only => {}
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn facts_are_those_of_the_case_in_whatever_order_its_objects_come(
        opened in new_case(), steps in steps(), keys in prop::collection::vec(any::<u64>(), 80),
    ) {
        let followed = RefCell::new(CaseFacts::of(&opened.support_request));
        play(&opened, &steps, |taken| {
            let case = &taken.outcome.case;
            let mut objects: Vec<Option<&AccessRequest>> = case.access_requests.iter().map(Some).collect();
            objects.push(None);
            let mut order: Vec<_> = objects.iter().zip(&keys).collect();
            order.sort_by_key(|(_, key)| **key);
            // Everything at once, onto the facts as they were in the beginning; and what changed, onto those before.
            let mut at_once = CaseFacts::of(&opened.support_request);
            let mut facts = followed.borrow_mut();
            for (object, _) in order {
                let taken_in = |facts: &CaseFacts| match object {
                    Some(request) => facts.with_access_request(AccessFacts::of(request)),
                    None => facts.with_support_request(&case.support_request),
                };
                at_once = taken_in(&at_once);
                let changed = object.is_none_or(|request| taken.before.access_request(&request.id) != Some(request));
                if changed {
                    *facts = taken_in(&facts);
                }
            }
            prop_assert_eq!(sorted(&at_once), facts_of(case));
            prop_assert_eq!(sorted(&facts), facts_of(case));
            Ok(())
        })?;
    }
}

/// The properties above say nothing about what never happens: these histories reach every end and every loss.
#[test]
fn random_histories_get_everywhere() {
    let mut runner = TestRunner::deterministic();
    let reached = RefCell::new(HashSet::new());
    for _ in 0..512 {
        let (opened, steps) = (new_case(), steps()).new_tree(&mut runner).unwrap().current();
        let played = play(&opened, &steps, |taken| {
            let mut reached = reached.borrow_mut();
            let consents = taken.outcome.case.access_requests.iter().flat_map(AccessRequest::consents);
            reached.extend(consents.map(|consent| format!("{:?} {:?}", consent.part, consent.status)));
            for number in 0..history::TENANTS {
                let reads = |case| can_read(case, number, Category::SignInLogs, taken.at).is_some();
                if reads(taken.before) && !reads(&taken.outcome.case) {
                    reached.insert(format!("lost by {:?}", taken.outcome.events[0]));
                }
            }
            Ok(())
        });
        played.unwrap();
    }
    let reached = reached.into_inner();
    for part in [Part::SupportRequestTenant, Part::ResourceTenant, Part::Only] {
        for status in ["Pending", "Approved", "Rejected", "Revoked", "Completed", "Canceled"] {
            assert!(reached.contains(&format!("{part:?} {status}")), "{part:?} {status}: {reached:?}");
        }
    }
    for loss in ["SupportRequestUpdated", "Assigned", "SupportRequestClosed", "ConsentChanged"] {
        let lost = reached.iter().any(|what| what.starts_with(&format!("lost by {loss}")));
        assert!(lost, "nothing was lost by {loss}");
    }
}

#[test]
fn a_case_has_two_hundred_access_requests_and_no_more() {
    let mut runner = TestRunner::deterministic();
    let mut case = new_case().new_tree(&mut runner).unwrap().current();
    let at = Timestamp::from_millis(2_000_000);
    let mut ask = |number: usize| {
        let new = NewAccessRequest {
            id: format!("ar-{number}").parse().unwrap(),
            resource_tenant_consent: format!("co-{number}").parse().unwrap(),
            support_request_tenant_consent: format!("co-{number}-0").parse().unwrap(),
            resource_tenant: history::tenant(number),
            reason: "why".to_owned(),
            denial: None,
        };
        let by = Actor::Person(history::engineer(0));
        case = decide(Some(&case), &Command::CreateAccessRequest(new), &by, at)?.case;
        Ok(())
    };
    for number in 1..=200 {
        assert_eq!(ask(number), Ok(()), "{number}");
    }
    assert_eq!(ask(201), Err(Refusal::TooManyAccessRequests));
}

/// The facts, without relying on how they are folded.
fn facts_of(case: &Case) -> CaseFacts {
    let newest = |number| {
        let asked = case.access_requests.iter().filter(|request| request.resource_tenant == tenant(number));
        asked.max_by_key(|request| request.created_at).map(AccessFacts::of)
    };
    let access_requests = (0..history::TENANTS).filter_map(newest).collect();
    CaseFacts { access_requests, ..CaseFacts::of(&case.support_request) }
}

fn sorted(facts: &CaseFacts) -> CaseFacts {
    let mut access_requests = facts.access_requests.clone();
    access_requests.sort_by(|one, other| one.resource_tenant.cmp(&other.resource_tenant));
    CaseFacts { access_requests, ..facts.clone() }
}
