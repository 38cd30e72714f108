//! How often the other tenant's data is read: seen in that tenant's list alone (R22), wherever in a long log the reads stand.

use http::Method;

use super::observer::Look;
use super::plan::{Act, CONTOSO, Decision, FABRIKAM};
use super::world::World;

/// The support request of each tenant alone: a read under it is up to nobody else.
const ALONE: [(&str, &str); 2] = [(CONTOSO, "SR-4"), (FABRIKAM, "SR-5")];

/// Records that fill more than one block of the log, in which reads are found.
const A_BLOCK: usize = 150;

async fn read(world: &World, tenant: &str, times: usize) {
    let (_, support_request) = ALONE.into_iter().find(|(of, _)| *of == tenant).unwrap();
    for _ in 0..times {
        world.is_read(tenant, support_request).await;
    }
}

/// A history in which ours is read from at the same times, and theirs this often in between.
async fn play(world: &mut World, theirs: [usize; 4]) {
    let (observed, other) = (world.observed, world.other);
    for (tenant, support_request) in ALONE {
        world.act(&Act::AskAnew { engineer: "ada", support_request, resource: tenant }).await;
    }
    let approve = |tenant| Decision {
        who: 0,
        nth: ALONE.iter().position(|(of, _)| *of == tenant).unwrap(),
        command: "approve",
        body: serde_json::json!({}),
        if_match: None,
        key: None,
    };
    world.act(&Act::Decide(approve(observed))).await;
    world.other_decides(&approve(other)).await;
    let (who, mut ours) = (format!("{observed}/admin-0"), 0);
    for times in theirs {
        read(world, observed, 2).await;
        ours += 2;
        read(world, other, times).await;
        world.fill_the_log(A_BLOCK).await;
        let seen = world.look(&Look::new(&who, Method::GET, "/v1/audit-log/reads?limit=200")).await;
        assert_eq!(seen.json["items"].as_array().map(Vec::len), Some(ours), "{seen:?}");
        world.hear().await;
        for limit in [1, 3] {
            world.look_through(&who, &format!("/v1/audit-log/reads?limit={limit}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_often_the_other_tenant_is_read_from_does_not_show() {
    for observed in [CONTOSO, FABRIKAM] {
        let (mut one, mut two) = tokio::join!(World::begin(observed), World::begin(observed));
        tokio::join!(play(&mut one, [3, 0, 5, 1]), play(&mut two, [0; 4]));
        super::compare(&mut one, &mut two, &[]);
        tokio::join!(one.end(), two.end());
    }
}
