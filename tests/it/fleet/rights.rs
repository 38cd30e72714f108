//! Who may write what in etcd: a sidecar's certificate is good for its own key, and for no state.

use super::cluster::{Cluster, Wanted};
use super::member::{Nature, Role};
use super::stage::{Cast, PATIENCE, Stage};

/// The rights that a fleet needs, by its two kinds of processes.
fn give_rights(cluster: &Cluster) {
    let ctl = |line: &str| cluster.ctl(&line.split(' ').collect::<Vec<_>>());
    for name in ["root", "authority", "sidecar"] {
        ctl(&format!("user add {name} --no-password"));
        ctl(&format!("role add {name}"));
        ctl(&format!("user grant-role {name} {name}"));
    }
    ctl("role grant-permission authority readwrite /acc/ --prefix=true");
    ctl("role grant-permission authority readwrite /fleet/ --prefix=true");
    ctl("role grant-permission sidecar read /acc/v1/ --prefix=true");
    ctl("role grant-permission sidecar readwrite /fleet/v1/sidecar-0");
    ctl("auth enable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_with_its_certificate_can_change_nothing() {
    let cluster = Cluster::start(Wanted { members: 1, tls: true, ..Wanted::default() });
    give_rights(&cluster);
    let certificates = cluster.certificates.as_ref().unwrap();
    let settings = |name: &str| {
        let own = certificates.of(name);
        format!(
            "fleet.etcd.ca = {:?}\nfleet.etcd.certificate = {:?}\nfleet.etcd.key = {:?}",
            certificates.ca, own.certificate, own.key
        )
    };
    let settings = [settings("authority"), settings("sidecar")];
    let urls = cluster.urls();
    let mut stage = Stage::set(cluster, Cast::of(0, 0)).await;
    stage.hire("authority-0", Role::Authority, Nature::Product);
    stage.hire("sidecar-0", Role::Sidecar, Nature::Product);
    for (process, settings) in stage.processes.iter_mut().zip(&settings) {
        process.configure(&urls, stage.times, settings);
        process.start();
    }
    stage.is_well().await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..2, PATIENCE).await);

    let before = stage.cluster.keys("/");
    let head = before.iter().find(|key| key.name == "/acc/v1/head").unwrap();
    for arguments in [
        ["put", "/acc/v1/head", &head.value],
        ["put", "/acc/v1/policies", "{}"],
        ["put", "/acc/barrier/1", "{}"],
        ["put", "/fleet/v1/sidecar-1", "{}"],
        ["del", "/fleet/v1/authority-0", ""],
        ["del", "--prefix", "/acc/"],
    ] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.is_empty()).collect();
        let refused = stage.cluster.ctl_as("sidecar", &[0], &arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("permission denied"), "{arguments:?}: {said}");
    }
    let after = stage.cluster.keys("/acc/");
    assert_eq!(after.len(), before.iter().filter(|key| key.name.starts_with("/acc/")).count());

    calls.take(case, 0).await;
    let tally = stage.judged().await;
    let (acknowledged, waited) = stage.barriers();
    assert!(tally.violations == 0 && acknowledged > 0 && waited == 0, "{tally:?}");
}
