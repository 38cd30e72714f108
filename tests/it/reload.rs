//! Reloads under load never mix versions (G6): two bundles that answer every question the other way round are swapped
//! while people ask, over HTTP and in batches, remembered and evaluated, about reads and about the workflow.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use consentry::policy::{Bundle, BundleSource};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::effort::effort;
use crate::support::{House, Person, Reply, question};

const CATEGORIES: [&str; 6] = [
    "directoryObjects",
    "serviceConfiguration",
    "signInLogs",
    "auditLogs",
    "deviceRegistrationLogs",
    "serviceHealthTelemetry",
];

/// A bundle in which this side permits reads and forbids approvals, or the other way round.
fn write(folder: &Path, name: &str, reads: bool) -> String {
    let policy = |kind: &str, permitted: bool, scope: &str| {
        let effect = if permitted { "permit" } else { "forbid" };
        format!("@id(\"{name}.{kind}\") @rule(\"R1\") @reason(\"{name}\") @code(\"{name}\")\n{effect} ({scope});\n")
    };
    let reading = "principal is SupportEngineer, action in Action::\"readDiagnosticData\", resource is DiagnosticData";
    let approving = "principal is User, action == Action::\"approveConsent\", resource is Consent";
    let asking = "principal, action in [Action::\"evaluate\", Action::\"evaluateAsEngineer\"], resource is Endpoint";
    let seeing = "principal is User, action == Action::\"viewConsent\", resource is Consent";
    let text = [
        policy("reads", reads, reading),
        policy("approvals", !reads, approving),
        policy("asking", true, asking),
        policy("seeing", true, seeing),
    ];
    let shipped = BundleSource::shipped();
    for (file, text) in [
        (shipped.schema.name, shipped.schema.text),
        (shipped.roles.name, shipped.roles.text),
        ("policies/all.cedar".to_owned(), text.concat()),
    ] {
        let path = folder.join(name).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Bundle::load(&BundleSource::read(&folder.join(name)).unwrap()).unwrap().version().to_string()
}

/// Which bundle is in force: state 0 is the first one, and each swap is the next state.
struct Swaps {
    versions: [String; 2],
    begun: AtomicUsize,
    done: AtomicUsize,
}

impl Swaps {
    /// Whether an answer of this version, asked for in this time, was given by a bundle that was in force in it.
    fn were_in_force(&self, version: &str, from: usize) {
        let until = self.begun.load(Ordering::SeqCst);
        let known = (from..=until).any(|state| self.versions[state % 2] == version);
        assert!(known, "{version} answered, and was not in force from state {from} to {until}: {:?}", self.versions);
    }

    /// Checks that an answer is the one of the version that it names, told by that version's policy.
    fn belongs(&self, context: &Value, decision: bool, kind: &str) {
        let version = context["policy_version"].as_str().unwrap();
        let name = ["one", "two"][usize::from(version == self.versions[1])];
        assert!(self.versions.iter().any(|known| known == version), "{context}");
        let permits = (name == "one") == (kind == "reads");
        assert_eq!(decision, permits, "{name}: {context}");
        assert_eq!(context["policies"][0]["id"], format!("{name}.{kind}"), "{context}");
        assert_eq!(context["reason"]["code"], if permits { "permitted" } else { name }, "{context}");
    }
}

async fn ask_until_done(
    swaps: Arc<Swaps>,
    person: Person,
    path: &'static str,
    body: Value,
    kind: &'static str,
    last: usize,
) {
    while swaps.done.load(Ordering::SeqCst) < last {
        let from = swaps.done.load(Ordering::SeqCst);
        let reply: Reply = person.post(path, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let single = [reply.json.clone()];
        let answers = reply.json["evaluations"].as_array().map_or(&single[..], Vec::as_slice);
        for answer in answers {
            swaps.belongs(&answer["context"], answer["decision"].as_bool().unwrap(), kind);
            swaps.were_in_force(answer["context"]["policy_version"].as_str().unwrap(), from);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_that_of_the_version_it_names_which_was_in_force() {
    let folder = TempDir::new().unwrap();
    let versions = [write(folder.path(), "one", true), write(folder.path(), "two", false)];
    let link = |name: &str| {
        std::os::unix::fs::symlink(folder.path().join(name), folder.path().join("next")).unwrap();
        std::fs::rename(folder.path().join("next"), folder.path().join("current")).unwrap();
    };
    let root = folder.path().display();
    std::fs::create_dir(folder.path().join("shipped")).unwrap();
    for file in
        BundleSource::shipped().policies.iter().chain([&BundleSource::shipped().schema, &BundleSource::shipped().roles])
    {
        let path = folder.path().join("shipped").join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    link("shipped");
    let house = House::start_with(&format!("policy = {{ directory = \"{root}/current\", watch = false }}")).await;
    let (_, consent) = house.asked().await;
    link("one");
    house.app().reload_policies().unwrap();

    let last = usize::try_from(effort(200)).unwrap();
    let swaps = Arc::new(Swaps { versions, begun: AtomicUsize::new(0), done: AtomicUsize::new(0) });
    let read = |category: &str| question("vendor/ada", "read", &format!("fabrikam/{category}"), "SR-1");
    let batch = json!({ "evaluations": CATEGORIES.map(read) });
    let approve = json!({
        "subject": { "type": "User", "id": "fabrikam/dee" }, "action": { "name": "approveConsent" },
        "resource": { "type": "Consent", "id": consent },
    });
    let (single, several) = ("/access/v1/evaluation", "/access/v1/evaluations");
    let askers = [
        (house.tooling(), single, read(CATEGORIES[0]), "reads"),
        (house.tooling(), single, read(CATEGORIES[1]), "reads"),
        (house.tooling(), several, batch, "reads"),
        (house.admin("fabrikam", "dee"), single, approve, "approvals"),
    ];
    let asking: Vec<_> = askers
        .into_iter()
        .map(|(person, path, body, kind)| {
            tokio::spawn(ask_until_done(Arc::clone(&swaps), person, path, body, kind, last))
        })
        .collect();
    for state in 1..=last {
        swaps.begun.store(state, Ordering::SeqCst);
        link(["one", "two"][state % 2]);
        tokio::task::block_in_place(|| house.app().reload_policies()).unwrap();
        swaps.done.store(state, Ordering::SeqCst);
    }
    for asker in asking {
        asker.await.unwrap();
    }

    // The log says the same of every one of them.
    let mut seen = std::collections::BTreeMap::<_, usize>::new();
    for record in house.records() {
        let Some(state) = swaps.versions.iter().position(|version| record["policy_version"] == version.as_str()) else {
            continue;
        };
        let name = ["one", "two"][state];
        let kind = match record["action"].as_str() {
            Some("read") => "reads",
            Some("approveConsent") => "approvals",
            Some(_) | None => continue,
        };
        assert_eq!(record["decision"], (name == "one") == (kind == "reads"), "{record}");
        assert_eq!(record["policies"], json!([format!("{name}.{kind}")]), "{record}");
        *seen.entry((name, kind, record["cached"].as_bool().unwrap())).or_default() += 1;
    }
    for name in ["one", "two"] {
        for key in [(name, "reads", true), (name, "reads", false), (name, "approvals", false)] {
            assert!(seen.get(&key).is_some_and(|count| *count >= 20), "too few of {key:?}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_permission_to_ask_ends_with_the_bundle_that_gave_it() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "bundle", true);
    let bundle = folder.path().join("bundle");
    let house = House::start_with(&format!("policy.directory = \"{}\"\npolicy.watch = false", bundle.display())).await;
    let tooling = house.tooling();
    let held = tooling.holding(&tooling.token());
    let asked = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    let ask = async || held.post("/access/v1/evaluation", &asked).await.status;
    assert_eq!([ask().await, ask().await], [200, 200]);
    let head = "@id(\"nobody.asks\") @rule(\"R1\") @reason(\"closed\") @code(\"closed\")";
    let forbid = format!("{head}\nforbid (principal, action == Action::\"evaluate\", resource is Endpoint);\n");
    std::fs::write(bundle.join("policies/more.cedar"), forbid).unwrap();
    house.app().reload_policies().unwrap();
    assert_eq!(ask().await, 403);
}
