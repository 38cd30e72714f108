//! Two worlds that differ only in what one tenant did: the other tenant's consents and audit log are the same in both
//! (R19).

use proptest::prelude::*;

use super::TestResult;
use super::history::{Step, command, new_case, steps};
use crate::model::{AccessRequest, Activity, Case, Command, Consent, Outcome, Part, Timestamp, activities, decide};

/// One world: the case, and what the observed tenants' logs say.
struct World {
    case: Case,
    activities: Vec<Activity>,
}

impl World {
    fn take(&mut self, outcome: Outcome, by: &crate::model::Actor, at: Timestamp) {
        self.activities.extend(activities(&outcome, by, at));
        self.case = outcome.case;
    }

    fn consents(&self, observed: Part) -> Vec<&Consent> {
        let consents = self.case.access_requests.iter().flat_map(AccessRequest::consents);
        consents.filter(|consent| consent.part == observed).collect()
    }

    fn log(&self, observed: Part) -> Vec<&Activity> {
        let of_observed = |activity: &&Activity| {
            self.case.consent(&activity.consent).is_some_and(|(_, consent)| consent.part == observed)
        };
        self.activities.iter().filter(of_observed).collect()
    }
}

/// The part whose consent a command decides on.
fn decides_on(case: &Case, command: &Command) -> Option<Part> {
    match command {
        Command::ApproveConsent(id, _)
        | Command::RejectConsent(id)
        | Command::NarrowConsent(id, _)
        | Command::RevokeConsent(id) => case.consent(id).map(|(_, consent)| consent.part),
        Command::OpenSupportRequest(_)
        | Command::UpdateSupportRequest { .. }
        | Command::Assign(_)
        | Command::Close
        | Command::Reopen
        | Command::CreateAccessRequest(_)
        | Command::CancelAccessRequest(_)
        | Command::CancelTask(_) => None,
    }
}

/// Plays the steps in a world where `hidden` decides and in one where it never does. What the engineer and the ticketing
/// system do happens in both, or, where only one of the two would take it, in none: they are told (R20).
fn observe(opened: &Case, steps: &[Step], hidden: Part, observed: Part) -> TestResult {
    let world = || World { case: opened.clone(), activities: Vec::new() };
    let (mut with, mut without) = (world(), world());
    let mut at = opened.support_request.opened_at;
    for (number, step) in steps.iter().enumerate() {
        at = at.plus_millis(step.later_ms);
        let (command, by) = command(&with.case, step, number, at);
        let decided = decide(Some(&with.case), &command, &by, at);
        let part = decides_on(&with.case, &command);
        if part == Some(hidden) {
            if let Ok(outcome) = decided {
                with.take(outcome, &by, at);
            }
        } else {
            let elsewhere = decide(Some(&without.case), &command, &by, at);
            if part == Some(observed) {
                prop_assert_eq!(decided.as_ref().err(), elsewhere.as_ref().err(), "{:?}", command);
            }
            if let (Ok(here), Ok(there)) = (decided, elsewhere) {
                with.take(here, &by, at);
                without.take(there, &by, at);
            }
        }
        prop_assert_eq!(with.consents(observed), without.consents(observed));
        prop_assert_eq!(with.log(observed), without.log(observed));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_support_request_tenant_cannot_tell_what_the_resource_tenant_did(opened in new_case(), steps in steps()) {
        observe(&opened, &steps, Part::ResourceTenant, Part::SupportRequestTenant)?;
    }

    #[test]
    fn the_resource_tenant_cannot_tell_what_the_support_request_tenant_did(opened in new_case(), steps in steps()) {
        observe(&opened, &steps, Part::SupportRequestTenant, Part::ResourceTenant)?;
    }
}
