//! Policies that are rolled out through a fleet: in force with everybody before anybody says so, and never gone back on (G6).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::cluster::Cluster;
use super::history::up_ns;
use super::member::{Nature, Process, Role, Times};
use super::stage::{PATIENCE, Stage};
use crate::support::process::Site;

/// What an authority says when it has rolled policies out.
const EVERYWHERE: &str = "in force with every member of the fleet";
const REFUSED: &str = "the policies are not good";
const FREEZE: &str = "\n@id(\"test.freeze\")\n@rule(\"R1\")\n@code(\"frozen\")\n@reason(\"nothing is read today\")\n\
                      forbid (principal, action in Action::\"readDiagnosticData\", resource is DiagnosticData);\n";

/// Files count when somebody says so: how soon a change is noticed is another test's business.
const DIRECTORY: &str = "policy = { directory = \"bundle\", watch_quiet_ms = 60000 }";

/// The policies that a process is ready to decide by.
async fn version(process: &Process) -> String {
    process.tooling().get("/readyz").await.json["policy_version"].as_str().unwrap().to_owned()
}

/// Hands in what stands in the files of this process, and waits until it says that.
fn hands_in(process: &mut Process, what: &str) -> String {
    let seen = process.process().log.lock().len();
    process.process().signal(Signal::HUP);
    process.running.as_mut().unwrap().wait_for_line_after(seen, what)
}

/// Puts this text where a process looks, at one moment.
fn put(site: &Site, file: &str, text: &str) {
    let path = site.file(file);
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

/// How often policies were rolled out.
fn rollouts(stage: &Stage) -> u64 {
    stage.cluster.keys("/acc/v1/policies").first().map_or(0, |key| key.version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn policies_that_take_rights_away_are_in_force_everywhere_before_that_is_said() {
    let mut stage = Stage::bare(Cluster::of_one(), Times::BRIEF).await;
    for (name, role) in [("authority-0", Role::Authority), ("sidecar-0", Role::Sidecar), ("sidecar-1", Role::Sidecar)] {
        let place = stage.hire(name, role, Nature::Product);
        stage.processes[place].site.bundle("bundle");
        stage.processes[place].also(stage.times, DIRECTORY);
    }
    stage.begin().await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..3, PATIENCE).await);
    let shipped = version(&stage.processes[0]).await;
    assert_eq!(rollouts(&stage), 1, "a fleet decides by the same policies from its beginning");

    // A sidecar hears of nothing: it is waited out.
    stage.processes[1].line.stall(true);
    let reading = "bundle/policies/reading.cedar";
    let text = fs::read_to_string(stage.processes[0].site.file(reading)).unwrap();
    put(&stage.processes[0].site, reading, &format!("{text}{FREEZE}"));
    let began = up_ns();
    let said = hands_in(&mut stage.processes[0], EVERYWHERE);
    calls.was_taken(case, began);
    println!("rolled out after {:?}", Duration::from_nanos(up_ns() - began));
    let said: Value = serde_json::from_str(&said).unwrap();
    let frozen = said["policy.version"].as_str().unwrap().to_owned();
    assert_ne!(frozen, shipped);
    let closed = stage.answer(1, case).await;
    assert_eq!((closed.status, closed.code()), (503, "lease_expired"), "{closed:?}");
    stage.processes[1].line.heal();
    for place in 0..3 {
        let denied = stage.answers(place, case, |reply| reply.status == 200).await;
        assert_eq!((denied.decision(), denied.code()), (false, "frozen"), "{denied:?}");
        assert_eq!(denied.json["context"]["policy_version"], *frozen, "{denied:?}");
    }
    assert_eq!((rollouts(&stage), stage.barriers().1), (2, 1));

    // What is no good is told, and changes nothing.
    put(&stage.processes[0].site, reading, &format!("{text}\npermit (principal, action resource);\n"));
    let line = hands_in(&mut stage.processes[0], REFUSED);
    assert!(line.contains("reading.cedar:"), "{line}");
    let ready = stage.processes[0].tooling().get("/readyz").await;
    assert!(
        ready.status == 200 && ready.json["refused_policies"].as_str().unwrap().contains("reading.cedar:"),
        "{ready:?}"
    );
    assert_eq!(stage.answer(0, case).await.code(), "frozen");
    // Nor do a sidecar's own files.
    put(&stage.processes[2].site, reading, &format!("{text}\n// mine\n"));
    hands_in(&mut stage.processes[2], "hand others to one of its authorities");
    assert_eq!(rollouts(&stage), 2);

    // Who is started again with the older files goes by what was rolled out: first the sidecar, then the authority.
    for place in [2, 0] {
        stage.processes[place].stop();
        put(&stage.processes[place].site, reading, &text);
        stage.processes[place].start();
        let denied = stage.answers(place, case, |reply| reply.status == 200).await;
        assert_eq!((denied.code(), denied.json["context"]["policy_version"].as_str()), ("frozen", Some(&*frozen)));
        assert_eq!(version(&stage.processes[place]).await, frozen);
    }
    assert_eq!(rollouts(&stage), 2);
    let tally = stage.judged().await;
    println!("{}", tally.told("policies rolled out", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
    let allowed: Vec<_> = tally.versions.iter().filter(|(decision, _)| *decision).map(|(_, by)| by).collect();
    assert_eq!(allowed, [&shipped], "what allows was in force");
    assert!(tally.versions.iter().all(|(_, by)| *by == shipped || *by == frozen), "{tally:?}");

    // What somebody hands in after that counts.
    hands_in(&mut stage.processes[0], EVERYWHERE);
    for place in 0..3 {
        let allowed = stage.answer(place, case).await;
        assert_eq!((allowed.decision(), allowed.json["context"]["policy_version"].as_str()), (true, Some(&*shipped)));
    }
    let (code, said) = stage.processes[1].fleet_status(&["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["policy_version"], *shipped);
    for member in status["members"].as_array().unwrap() {
        assert_eq!(member["policy_version"], *shipped, "{said}");
    }
}

/// A bundle in the folder of a process, and keys to sign it with.
struct Packer<'a>(&'a Site);

impl Packer<'_> {
    fn run(&self, arguments: &[&str]) {
        let output = self.0.command(&[&["policy", "bundle"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn keys(&self) {
        for name in ["old", "new"] {
            self.run(&["keygen", "--private", &format!("{name}.key"), "--public", &format!("{name}.pub")]);
        }
        self.0.bundle("source");
        let tests = self.0.file("source/policies/tests");
        fs::create_dir(&tests).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests/audit.toml");
        fs::copy(shipped, tests.join("audit.toml")).unwrap();
        fs::create_dir(self.0.file("in")).unwrap();
    }

    /// Packs what is in the folder, signs it with this key, and gives it.
    fn packed(&self, key: &str) -> String {
        self.run(&["pack", "source", "--key", &format!("{key}.key"), "--out", "packed.json"]);
        fs::read_to_string(self.0.file("packed.json")).unwrap()
    }
}

fn signed(trusted: &str) -> String {
    format!("policy = {{ bundle = \"in/b.json\", trusted_keys = [{trusted}], watch_quiet_ms = 60000 }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_cannot_use_what_was_rolled_out_decides_nothing_and_everybody_else_does() {
    let mut stage = Stage::bare(Cluster::of_one(), Times::BRIEF).await;
    for (name, role) in [("authority-0", Role::Authority), ("sidecar-0", Role::Sidecar), ("sidecar-1", Role::Sidecar)] {
        stage.hire(name, role, Nature::Product);
    }
    Packer(&stage.processes[0].site).keys();
    let first = Packer(&stage.processes[0].site).packed("old");
    for place in 0..3 {
        let process = &stage.processes[place];
        if place > 0 {
            fs::create_dir(process.site.file("in")).unwrap();
            for key in ["old.pub", "new.pub"] {
                fs::copy(stage.processes[0].site.file(key), process.site.file(key)).unwrap();
            }
        }
        put(&process.site, "in/b.json", &first);
        // One has not been told of the new key.
        let trusted = if place == 2 { "\"old.pub\"" } else { "\"old.pub\", \"new.pub\"" };
        process.also(stage.times, &signed(trusted));
    }
    stage.begin().await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..3, PATIENCE).await);

    let reading = "source/policies/reading.cedar";
    let text = fs::read_to_string(stage.processes[0].site.file(reading)).unwrap();
    put(&stage.processes[0].site, reading, &format!("{text}{FREEZE}"));
    let second = Packer(&stage.processes[0].site).packed("new");
    put(&stage.processes[0].site, "in/b.json", &second);
    let began = up_ns();
    hands_in(&mut stage.processes[0], EVERYWHERE);
    calls.was_taken(case, began);
    for place in [0, 1] {
        assert_eq!(stage.answer(place, case).await.code(), "frozen");
    }
    let closed = stage.answer(2, case).await;
    assert_eq!((closed.status, closed.json["decision"].as_bool()), (503, Some(false)), "{closed:?}");
    let why = stage.processes[2].process().log.lock().iter().find(|line| line.contains("no trusted key")).cloned();
    assert!(why.is_some(), "it says why: {:#?}", stage.processes[2].process().log.lock());
    let (code, said) = stage.processes[0].fleet_status(&["--json"]);
    assert_eq!(code, Some(1), "{said}");
    let status: Value = serde_json::from_str(&said).unwrap();
    for member in status["members"].as_array().unwrap() {
        let is_well = member["member"] != "sidecar-1";
        assert_eq!(member["trouble"].is_null(), is_well, "{said}");
        assert_eq!(member["policy_version"] == status["policy_version"], is_well, "{said}");
    }

    // It is there, so whoever takes access away waits for it each time.
    let more = calls.give(0).await;
    calls.take(more, 0).await;
    assert_eq!(stage.barriers().1, 2, "the rollout, and this");

    // It waits for nothing but policies that it can use.
    put(&stage.processes[0].site, reading, &format!("{text}{FREEZE}// once more\n"));
    let third = Packer(&stage.processes[0].site).packed("old");
    put(&stage.processes[0].site, "in/b.json", &third);
    hands_in(&mut stage.processes[0], EVERYWHERE);
    let denied = stage.answers(2, case, |reply| reply.status == 200).await;
    assert_eq!(denied.code(), "frozen", "{denied:?}");
    let deadline = Instant::now() + PATIENCE;
    while stage.processes[0].fleet_status(&[]).0 != Some(0) {
        assert!(Instant::now() < deadline);
    }
    let tally = stage.judged().await;
    println!("{}", tally.told("a key that one does not trust", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}
