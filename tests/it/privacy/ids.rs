//! Ids tell nothing by themselves: no time, no order, no count of what others did.

use serde_json::json;

use crate::support::{House, question};

/// Ids without their prefix, in the order in which they were made.
fn assert_tell_nothing(ids: &[String], what: &str) {
    let bits: Vec<u128> = ids.iter().map(|id| u128::from_str_radix(id, 16).unwrap()).collect();
    let pairs = || bits.windows(2).map(|pair| (pair[0], pair[1]));
    // Each of these is a coin tossed some 100 times, or its mean: seven standard deviations on either side.
    let half = pairs().count() / 2;
    let ascending = pairs().filter(|(one, next)| one < next).count();
    assert!(ascending.abs_diff(half) < 36, "{what}: {ascending} of {} ids are greater than the one before", 2 * half);
    let differ: u32 = pairs().map(|(one, next)| (one ^ next).count_ones()).sum();
    let mean = f64::from(differ) / f64::from(u32::try_from(pairs().count()).unwrap());
    assert!((56.0..70.0).contains(&mean), "{what}: ids differ from the one before in {mean} bits");
    for byte in 0..16 {
        let values: std::collections::HashSet<u8> = bits.iter().map(|id| id.to_be_bytes()[byte]).collect();
        assert!(values.len() >= 12, "{what}: byte {byte} has {} values in {} ids", values.len(), ids.len());
    }
}

#[tokio::test]
async fn ids_tell_no_time_no_order_and_no_count() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let ada = house.engineer("ada");
    let cyd = house.admin("contoso", "cyd");
    let (mut requests, mut consents, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..104 {
        let request = house.ask(&ada, "SR-1", "fabrikam").await;
        consents.push(house.pending(&cyd).await.trim_start_matches("co-").to_owned());
        ada.post(&format!("/v1/access-requests/{request}/cancel"), &json!({})).await;
        requests.push(request.trim_start_matches("ar-").to_owned());
        let question = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
        let answer = ada.post("/access/v1/evaluation", &question).await;
        decisions.push(answer.json["context"]["decision_id"].as_str().unwrap().to_owned());
    }
    assert_tell_nothing(&requests, "access requests");
    assert_tell_nothing(&consents, "consents");
    assert_tell_nothing(&decisions, "decisions");
}
