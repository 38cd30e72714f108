//! Cross-tenant privacy (G5, R18, R19), as an adversary: pairs of worlds that differ only in what the other tenant did, and
//! everything that anybody of the observed tenant, or nobody of it, can look at, ask and try in both.

mod absent;
mod alike;
mod each;
mod explained;
mod ids;
mod observer;
mod plan;
mod reads;
pub(crate) mod routes;
mod world;

use fastrand::Rng;

use self::alike::assert_alike;
use self::observer::{glance, look_at_everything, try_everything};
use self::plan::{Act, CONTOSO, FABRIKAM, history};
use self::world::World;
use crate::support::effort::{effort, random};

/// Acts of the shared history.
const LENGTH: usize = 14;

#[test]
fn every_route_is_observed() {
    assert_eq!(
        routes::in_source(),
        routes::KNOWN,
        "teach the observers of `tests/it/privacy/observer.rs` the new route"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_support_request_tenant_cannot_tell_what_the_resource_tenant_does() {
    pairs("the_support_request_tenant_cannot_tell_what_the_resource_tenant_does", CONTOSO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_tenant_cannot_tell_what_the_support_request_tenant_does() {
    pairs("the_resource_tenant_cannot_tell_what_the_support_request_tenant_does", FABRIKAM).await;
}

async fn pairs(test: &str, observed: &'static str) {
    let mut random = random(test);
    for _ in 0..effort(2) {
        pair(&mut random, observed).await;
    }
}

/// Plays one shared history in two worlds, and looks after every act.
async fn pair(random: &mut Rng, observed: &'static str) {
    let acts = history(random, observed, LENGTH);
    let (mut one, mut two) = tokio::join!(World::begin(observed), World::begin(observed));
    let (mut first, mut second) = (random.fork(), random.fork());
    for (done, act) in acts.iter().enumerate() {
        // A world in which the other tenant does nothing is the other world of many a pair.
        let (busy, idle) = (random.u8(..5), random.u8(..3));
        for _ in 0..busy {
            one.other_does_something(&mut first).await;
        }
        for _ in 0..idle {
            two.other_does_something(&mut second).await;
        }
        let observer = format!("{observed}/{}", random.choice(["admin-0", "admin-0", "admin-1", "reader"]).unwrap());
        tokio::join!(
            async {
                one.act(act).await;
                one.hear().await;
                glance(&mut one, &observer).await;
            },
            async {
                two.act(act).await;
                two.hear().await;
                glance(&mut two, &observer).await;
            }
        );
        compare(&mut one, &mut two, &acts[..=done]);
    }
    let observers = ["admin-0", "admin-1", "reader", "nobody"].map(|name| format!("{observed}/{name}"));
    let strangers = ["northwind/admin-0", "northwind/nobody", "vendor/eve"].map(ToOwned::to_owned);
    for observer in observers.iter().chain(&strangers) {
        tokio::join!(look_at_everything(&mut one, observer), look_at_everything(&mut two, observer));
        compare(&mut one, &mut two, &acts);
    }
    for observer in strangers.iter().chain(observers.iter().rev()) {
        let seed = random.u64(..);
        let (mut ours, mut theirs) = (Rng::with_seed(seed), Rng::with_seed(seed));
        tokio::join!(try_everything(&mut one, observer, &mut ours), try_everything(&mut two, observer, &mut theirs));
        tokio::join!(one.hear(), two.hear());
        compare(&mut one, &mut two, &acts);
    }
    for observer in observers.iter().chain(&strangers) {
        tokio::join!(glance(&mut one, observer), glance(&mut two, observer));
        compare(&mut one, &mut two, &acts);
    }
    tokio::join!(one.end(), two.end());
}

fn compare(one: &mut World, two: &mut World, acts: &[Act]) {
    let story = || {
        format!(
            "both worlds: {acts:#?}\n  one, {} did:\n    {}\n  two, {} did:\n    {}",
            one.other,
            one.story(),
            two.other,
            two.story()
        )
    };
    assert_alike(&one.sight, &two.sight, &story);
    one.sight.seen.clear();
    two.sight.seen.clear();
}
