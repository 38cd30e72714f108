//! A call that finds its wish done by a call that is still waited for: it waits as well (G1).

use consentry::store::MemberId;
use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn success_is_not_told_of_a_change_that_is_not_yet_in_force() {
    let house = House::granted().await;
    let store = house.app().store();
    // A member that is there, and does not move.
    let member = MemberId("slow".to_owned());
    let head = store.watch_members().borrow()[0].applied;
    store.renew(member.clone(), head).await.unwrap();
    let nobody = json!({ "assignee": null });
    let path = "/v1/support-requests/SR-1/assignee";
    let ticketing = house.ticketing();
    let setting = json!({ "advanced_diagnostic_information": false });
    let retry = async {
        // The engineer is no longer assigned, for all that the store says; the slow member still allows.
        let _ = store.watch_members().wait_for(|members| members[0].applied > head).await.unwrap();
        tokio::join!(ticketing.put(path, &nobody), ticketing.patch("/v1/support-requests/SR-1", &setting))
    };
    let (first, (again, unchanged)) = tokio::join!(ticketing.put(path, &nobody), retry);
    for reply in [first, again, unchanged] {
        assert_eq!(reply.problem(), (503, "unconfirmed", ""));
    }
    let mut members = store.watch_members();
    let head = members.borrow_and_update()[0].applied;
    store.renew(member, head).await.unwrap();
    // Every commit moves the head: the member keeps up now.
    let (reply, ()) = tokio::join!(ticketing.put(path, &nobody), keeps_up(&house));
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn keeps_up(house: &House) {
    let store = house.app().store();
    let mut members = store.watch_members();
    let before = members.borrow_and_update()[0].applied;
    let now = members.wait_for(|members| members[0].applied > before).await.unwrap()[0].applied;
    store.renew(MemberId("slow".to_owned()), now).await.unwrap();
}
