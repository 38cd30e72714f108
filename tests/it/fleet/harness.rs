//! The harness itself: what it calls a fault is one.

use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, PutOptions, Txn, TxnOp};

use super::cluster::{Cluster, Wanted};
use super::proxy::{Line, Part};

/// Long enough for everything that is not held up, also on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// Long enough to see that something does not come.
const A_WHILE: Duration = Duration::from_millis(150);

async fn write(client: &Client, key: &str) {
    let put = Txn::new().and_then([TxnOp::put(key, "x", None::<PutOptions>)]);
    client.kv_client().txn(put).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_holds_up_what_it_is_told_and_nothing_else() {
    let cluster = Cluster::of_one();
    let line = Line::to(&cluster);
    let client = Client::connect(line.urls(), Some(ConnectOptions::new())).await.unwrap();
    let mut changes = client.watch_client().watch("/a", None).await.unwrap();
    write(&client, "/a").await;
    let one = async |changes: &mut etcd_client::WatchStream| {
        loop {
            let message = changes.message().await.unwrap().unwrap();
            if let Some(event) = message.events().first() {
                break event.kv().unwrap().version();
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, one(&mut changes)).await.unwrap(), 1);

    // The watch alone stands still.
    line.hold(Part::Watch, true);
    tokio::time::timeout(SOON, write(&client, "/a")).await.unwrap();
    tokio::time::timeout(SOON, line.holds_one(Part::Watch)).await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, one(&mut changes)).await.is_err());
    line.hold(Part::Watch, false);
    assert_eq!(tokio::time::timeout(SOON, one(&mut changes)).await.unwrap(), 2, "none was lost");

    // The replies to writes alone stand still: what was written is there, and is heard of.
    line.hold(Part::Write, true);
    let writing = {
        let client = client.clone();
        tokio::spawn(async move { write(&client, "/a").await })
    };
    assert_eq!(tokio::time::timeout(SOON, one(&mut changes)).await.unwrap(), 3);
    tokio::time::timeout(SOON, line.holds_one(Part::Write)).await.unwrap();
    assert_eq!(client.kv_client().get("/a", None).await.unwrap().kvs()[0].version(), 3);
    assert!(!writing.is_finished());
    line.hold(Part::Write, false);
    tokio::time::timeout(SOON, writing).await.unwrap().unwrap();

    // A delay is one.
    line.delay(Part::Write, A_WHILE);
    let began = Instant::now();
    write(&client, "/a").await;
    assert!(began.elapsed() >= A_WHILE);
    line.heal();

    // Nothing moves, then all goes on.
    line.stall(true);
    assert!(tokio::time::timeout(A_WHILE, write(&client, "/b")).await.is_err());
    line.stall(false);
    tokio::time::timeout(SOON, write(&client, "/b")).await.unwrap();

    // Cut, every call fails at once; afterwards there is a new connection.
    line.cut(true);
    let put = Txn::new().and_then([TxnOp::put("/c", "x", None::<PutOptions>)]);
    assert!(tokio::time::timeout(SOON, client.kv_client().txn(put)).await.unwrap().is_err());
    line.cut(false);
    let client = Client::connect(line.urls(), None).await.unwrap();
    tokio::time::timeout(SOON, write(&client, "/c")).await.unwrap();
    let keys = cluster.keys("/");
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["/a", "/b", "/c"]);
}

#[test]
fn a_cluster_outlives_its_leader_and_goes_back_to_its_backup() {
    let mut cluster = Cluster::of_three();
    cluster.ctl(&["put", "/a", "1"]);
    let backup = cluster.backup();
    let leader = cluster.leader();
    cluster.kill(leader);
    let next = cluster.leader();
    assert_ne!(leader, next);
    cluster.ctl(&["put", "/a", "2"]);
    cluster.restart(leader);
    cluster.wait_until_well();
    cluster.freeze(next);
    cluster.thaw(next);
    cluster.wait_until_well();
    assert_eq!(cluster.keys("/a")[0].value, "2");
    cluster.compact();
    cluster.restore(&backup);
    let key = &cluster.keys("/a")[0];
    assert_eq!((key.value.as_str(), key.version), ("1", 1));
}

#[test]
fn who_shows_no_certificate_is_nobody() {
    let cluster = Cluster::start(Wanted { members: 1, tls: true, ..Wanted::default() });
    cluster.ctl(&["put", "/a", "1"]);
    let mut stranger = std::process::Command::new("etcdctl");
    stranger.env("ETCDCTL_API", "3").args([
        "--command-timeout=1s",
        "--dial-timeout=1s",
        "--endpoints",
        &cluster.url(0),
    ]);
    stranger.arg("--cacert").arg(&cluster.certificates.as_ref().unwrap().ca).args(["get", "/a"]);
    assert!(!stranger.output().unwrap().status.success());
}
