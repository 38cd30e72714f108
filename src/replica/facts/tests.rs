//! The picture by itself: when it may be used, and what a snapshot makes of it.

use super::*;
use crate::clock::ManualClock;
use crate::model::{Consent, Part, SubmittedIn, Timestamp};

fn picture() -> (Replica, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_millis(10_000));
    (Replica::new(Arc::new(clock.clone())), clock)
}

#[test]
fn what_cannot_be_vouched_for_has_a_word_for_programs() {
    let replica = picture().0;
    assert_eq!(replica.fresh().map_err(|why| why.code()), Err("bootstrapping"));
    replica.stop(NotFresh::Lost("the store is gone".to_owned()));
    assert_eq!(replica.fresh().map_err(|why| why.code()), Err("replica_behind"));
    replica.stop(NotFresh::Fenced);
    assert_eq!(replica.fresh().map_err(|why| why.code()), Err("fenced"));
    replica.stop(NotFresh::Regressed("it has lost changes".to_owned()));
    assert_eq!(replica.fresh().map_err(|why| why.code()), Err("store_regressed"));
    replica.use_until(Some(BootTime(1)));
    assert_eq!(replica.fresh().map_err(|why| why.code()), Err("lease_expired"));
}

#[test]
fn under_a_lease_a_picture_is_used_before_its_deadline_and_not_at_it() {
    let (replica, clock) = picture();
    let usable = || (replica.fresh().is_ok(), replica.facts("SR-1").is_ok(), replica.at_rest().is_some());
    let until = clock.boot().plus(std::time::Duration::from_secs(5));
    replica.use_until(Some(until));
    assert_eq!(replica.fresh().unwrap().valid_until(), Some(until));
    for (passed_ms, expected) in [(0, true), (4_999, true), (1, false), (60_000, false)] {
        clock.advance_millis(passed_ms);
        assert_eq!(usable(), (expected, expected, expected), "{:?}", clock.boot());
        assert_eq!(replica.is_before(until), expected);
    }
    replica.use_until(Some(BootTime::NEVER));
    assert_eq!(usable(), (true, true, true));
    assert_eq!(replica.fresh().unwrap().valid_until(), None);
}

#[test]
fn a_picture_is_used_from_its_start_to_its_stop() {
    let replica = picture().0;
    let usable = || (replica.fresh().is_ok(), replica.facts("SR-1").is_ok(), replica.at_rest().is_some());
    assert_eq!(usable(), (false, false, false));
    replica.use_until(Some(BootTime::NEVER));
    assert_eq!(usable(), (true, true, true));
    replica.stop(NotFresh::Lost("the store is gone".to_owned()));
    assert_eq!(usable(), (false, false, false));
    replica.use_until(Some(BootTime::NEVER));
    assert_eq!(usable(), (true, true, true));
    replica.begun.store(3, Ordering::SeqCst);
    assert_eq!(usable(), (true, true, false), "a commit is being taken in");
}

#[test]
fn a_case_of_a_snapshot_has_the_revision_of_its_newest_part() {
    let replica = picture().0;
    let opened = SupportRequest {
        id: "SR-1".parse().unwrap(),
        number: String::new(),
        summary: String::new(),
        tenant: "contoso".parse().unwrap(),
        submitted_in: SubmittedIn::OtherPortal,
        advanced_diagnostic_information: false,
        assignee: None,
        open: true,
        opened_at: Timestamp::from_millis(0),
        closed_at: None,
        version: 1,
    };
    let asked = AccessRequest {
        id: "ar-1".parse().unwrap(),
        support_request: opened.id.clone(),
        resource_tenant: opened.tenant.clone(),
        requested_by: "vendor/ada".parse().unwrap(),
        reason: String::new(),
        created_at: Timestamp::from_millis(0),
        resource_tenant_consent: Consent::pending("co-1".parse().unwrap(), opened.tenant.clone(), Part::Only),
        task: None,
        support_request_tenant_consent: None,
    };
    let mut snapshot = Snapshot::of(&replica);
    let revision = |snapshot: &Snapshot<'_>| {
        snapshot.shards.iter().find_map(|shard| shard.get(&opened.id)).map(|case| case.revision)
    };
    let early = snapshot.load(SnapshotItem { seq: Seq(5), object: Object::AccessRequest(asked) }).unwrap();
    assert_eq!((early.seq, revision(&snapshot)), (Seq(5), None));
    assert!(snapshot.load(SnapshotItem { seq: Seq(3), object: Object::SupportRequest(opened.clone()) }).is_none());
    assert_eq!(revision(&snapshot), Some(Seq(3)));
    assert!(snapshot.load(early).is_none());
    assert_eq!(revision(&snapshot), Some(Seq(5)));
    assert!(replica.case(&opened.id).is_none(), "nobody reads a part of it");
    replica.install(snapshot, Seq(7));
    assert_eq!(replica.case(&opened.id).map(|case| case.revision), Some(Seq(5)));
    assert_eq!((replica.applied(), replica.at_rest()), (Seq(7), None), "and it is not used before it may be");
}
