//! An authority that is killed in the middle of its commits.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::Fleet;
use crate::store::contract::{commit, follow, snapshot, tenant, tenant_id};
use crate::store::{Object, Seq, Store};

const ENDPOINT: &str = "CONSENTRY_TEST_KILLED_ENDPOINT";
const PREFIX: &str = "CONSENTRY_TEST_KILLED_PREFIX";
const FOLDER: &str = "CONSENTRY_TEST_KILLED_FOLDER";

/// Commits until it is killed, and says what was acknowledged.
async fn commit_on(store: &dyn Store) {
    for n in 0.. {
        let made = commit(&format!("killed-{n}"), [Object::Tenant(tenant(n))]);
        let (one, two) = (store.commit(made), store.commit(commit(&format!("beside-{n}"), [])));
        let (one, two) = tokio::join!(one, two);
        println!("acknowledged {n} {}", one.unwrap().seq.0.max(two.unwrap().seq.0));
    }
}

/// Plays both parts: it starts itself once more, to be killed.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the process that is killed is told by its environment where to write")]
async fn a_killed_authority_loses_nothing_that_it_acknowledged() {
    if let (Ok(endpoint), Ok(prefix), Ok(folder)) =
        (std::env::var(ENDPOINT), std::env::var(PREFIX), std::env::var(FOLDER))
    {
        let copy = std::path::Path::new(&folder).join("killed.db");
        let store = super::open(super::settings(endpoint, prefix), super::Role::Authority { copy: &copy }, "killed")
            .await
            .unwrap();
        commit_on(&store).await;
    }
    let fleet = Fleet::new();
    let witness = fleet.authority("witness").await;
    let mut acknowledged = 0;
    for kill_after in [3, 17] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "store::etcd::tests::killed::a_killed_authority_loses_nothing_that_it_acknowledged",
            ])
            .env(ENDPOINT, &fleet.settings.endpoints[0])
            .env(PREFIX, fleet.root())
            .env(FOLDER, fleet.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).filter(|line| line.contains("acknowledged "));
        let last = said.take(kill_after).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = last.rsplit(' ').next().unwrap().parse().unwrap();
        // Its transactions begin at nothing again: what is there already is told its first place.
    }
    let copy = fleet.authority("killed").await;
    let (head, known) = snapshot(&copy).await;
    assert!(head >= Seq(acknowledged), "{head:?} is before {acknowledged}");
    for n in 0..17 {
        assert!(copy.tenant(tenant_id(n)).await.unwrap().is_some(), "{n}");
    }
    assert_eq!((head, known), snapshot(&witness).await);
    assert_eq!(follow(&copy, Seq(0), head).await.len(), usize::try_from(head.0).unwrap());
}
