//! The shadow bundle: what it would have decided otherwise, and that it decides nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use super::case::{Act, Case, People};
use super::watch::{FREEZE, metrics, ready};
use crate::support::process::{Site, end_of, pause};

#[tokio::test]
async fn a_shadow_bundle_is_asked_about_everything_and_decides_nothing() {
    let site = Site::new(
        "policy = { directory = \"bundle\", watch_quiet_ms = 50, \
         shadow = { directory = \"shadow\", report = \"reports/shadow.json\" } }\nserver.metrics_listen = \"127.0.0.1:0\"",
    );
    site.bundle("bundle");
    site.bundle("shadow");
    let reading = site.file("shadow/policies/reading.cedar");
    let shipped = fs::read_to_string(&reading).unwrap();
    fs::write(&reading, shipped.clone() + FREEZE).unwrap();
    let mut sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let mut case = Case::new("SR-1".to_owned());
    for act in [Act::Open, Act::Ask, Act::ContosoApproves, Act::FabrikamApproves] {
        case.carry_out(&people, act).await.unwrap();
    }
    // Evaluated once, then remembered; and denied for the same reason by both.
    for _ in 0..5 {
        assert!(people.may_read("SR-1").await.unwrap().decision());
        assert!(!people.may_read("SR-404").await.unwrap().decision());
    }
    loop {
        let text = metrics(&mut sidecar).await;
        if text.contains("consentry_shadow_decisions_total{outcome=\"newly_denied\"} 5") {
            assert!(text.contains("consentry_shadow_decisions_total{outcome=\"newly_allowed\"} 0"), "{text}");
            assert!(text.contains("consentry_decisions_total{decision=\"allow\"} 5"), "{text}");
            break;
        }
        pause();
    }
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.end().code(), Some(0));
    let file = site.file("reports/shadow.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it names people");

    #[cfg(feature = "workbench")]
    {
        use serde_json::Value;

        let run = |arguments: &[&str]| {
            let output = site.command(arguments).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let (code, said) = run(&["policy", "shadow", "reports/shadow.json", "--list"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("5 would be denied: permitted -> frozen") && said.contains("by test.freeze"), "{said}");
        // What it said of the present is what a replay says of the past.
        let (_, replayed) = run(&["policy", "replay", "--log", "decisions", "--bundle", "shadow", "--json"]);
        let replayed: Value = serde_json::from_str(&replayed).unwrap();
        let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(report["dropped"], 0);
        assert_eq!(report["shadow_version"], replayed["policy_version"]);
        let differing = |value: &Value| {
            let all = value["differences"].as_array().unwrap().iter();
            all.map(|one| (one["codes"].clone(), one["decisions"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(differing(&report), differing(&replayed));
        let unasked: u64 = replayed["unasked"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(report["same"].as_u64().unwrap(), replayed["same"].as_u64().unwrap() + unasked, "{replayed:#}");
    }

    // A shadow that is not good is told, and is no reason not to serve; but whoever asks before is told as well.
    let check = || end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    assert!(check().0.success());
    fs::write(&reading, "permit").unwrap();
    let (status, said) = check();
    assert!(
        !status.success() && said.contains("the shadow bundle is not good: shadow/policies/reading.cedar:1:"),
        "{said}"
    );
    let mut sidecar = site.start();
    sidecar.wait_for_line("the shadow bundle is not good");
    assert_eq!(ready(&sidecar).await["ready"], true);
    let seen = sidecar.log.lock().len();
    fs::write(&reading, shipped).unwrap();
    sidecar.wait_for_line_after(seen, "a shadow bundle is asked too");
}
