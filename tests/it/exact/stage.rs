//! Where the history is made: a service, the shared record of what happened, and the pace between writers and readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use consentry::clock::Clock as _;
use consentry::policy::BundleSource;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::history::{Case, History, Loaded, Read, Register, Request, Span};
use crate::support::House;

pub const ENGINEERS: [&str; 2] = ["ada", "bob"];

/// A history that takes longer than this has no writers any more, and is judged as far as it got.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lock: a guardrail that a reload brings and another one takes away.
const LOCK: &str = r#"
@id("lock") @rule("R1") @code("locked") @reason("fabrikam's audit logs are locked")
forbid (principal, action, resource is DiagnosticData)
when { resource.tenant == Tenant::"fabrikam" && resource.category == "auditLogs" };
"#;

/// An access request and its consents, as they are named in calls.
#[derive(Debug, Clone)]
pub struct Known {
    pub request: usize,
    pub access_request: String,
    /// Tenant and consent, in the order of the request's consents.
    pub consents: Vec<(&'static str, String)>,
}

/// What everybody shares.
pub struct Stage {
    pub house: House,
    pub files: TempDir,
    pub history: parking_lot::Mutex<History>,
    /// The newest access request of each case, once it is known.
    pub newest: parking_lot::Mutex<Vec<Option<Known>>>,
    pub over: AtomicBool,
    pub undecided: AtomicU64,
    began: Instant,
    reads: watch::Sender<u64>,
}

impl Stage {
    /// A service with two cases from the admin centers and one from another portal, assigned to ada.
    pub async fn set() -> Arc<Self> {
        let files = TempDir::new().unwrap();
        write_bundle(&files, 0, false);
        let more = format!(
            "server.unix_socket = \"{0}/socket\"\npolicy.directory = \"{0}\"\npolicy.watch = false\ndecision.cache_capacity = 10000",
            files.path().display()
        );
        let house = House::start_with(&more).await;
        let mut cases = Vec::new();
        for (case, portal) in ["admin_center", "admin_center", "other_portal"].into_iter().enumerate() {
            let more = json!({ "assignee": "vendor/ada", "submitted_in": portal });
            house.open_with(&format!("SR-{case}"), "contoso", more).await;
            cases.push(Case {
                open: Register::holding(true),
                closed: Vec::new(),
                assignee: Register::holding(Some("vendor/ada")),
                setting: (portal == "admin_center").then(|| Register::holding(false)),
                request: Register::holding(None),
            });
        }
        let version = house.app().edge().policies.current().version().to_string();
        let newest = parking_lot::Mutex::new(vec![None; cases.len()]);
        let history = History {
            cases,
            requests: Vec::<Request>::new(),
            bundle: Register::holding(0),
            loaded: vec![Loaded { version, locked: false }],
            began_ms: house.clock.now().as_millis(),
            turns: Vec::new(),
            reads: Vec::new(),
        };
        Arc::new(Self {
            house,
            files,
            history: history.into(),
            newest,
            over: AtomicBool::new(false),
            undecided: AtomicU64::new(0),
            began: Instant::now(),
            reads: watch::Sender::new(0),
        })
    }

    pub fn now(&self) -> u64 {
        // Never 0: that is before everything.
        u64::try_from(self.began.elapsed().as_nanos()).unwrap() + 1
    }

    /// What came of a call, with its start and end.
    pub async fn timed<T>(&self, call: impl Future<Output = T>) -> (T, Span) {
        let from = self.now();
        let outcome = call.await;
        (outcome, Span { from, to: self.now() })
    }

    pub fn record(&self, reads: Vec<Read>) {
        let count = reads.len() as u64;
        self.history.lock().reads.extend(reads);
        self.reads.send_modify(|reads| *reads += count);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Lets this many questions be answered before the next change; `false` when the history has become long enough.
    pub async fn pause(&self, reads: u64) -> bool {
        let until = *self.reads.borrow() + reads;
        let left = PATIENCE.saturating_sub(self.began.elapsed());
        let paused = tokio::time::timeout(left, async {
            self.reads.subscribe().wait_for(|reads| *reads >= until).await.is_ok()
        });
        paused.await.unwrap_or(false)
    }

    /// Puts another bundle in place, and returns when the service says that it serves.
    pub fn reload(&self, locked: bool) {
        let place = self.history.lock().loaded.len();
        write_bundle(&self.files, place, locked);
        let from = self.now();
        self.house.app().reload_policies().unwrap();
        let span = Span { from, to: self.now() };
        let version = self.house.app().edge().policies.current().version().to_string();
        let mut history = self.history.lock();
        history.loaded.push(Loaded { version, locked });
        history.bundle.write(place, span);
    }

    /// A reload that is refused changes nothing.
    pub fn reload_in_vain(&self) {
        let path = self.files.path().join("policies/zz-lock.cedar");
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, "permit (principal, action, resource);").unwrap();
        self.house.app().reload_policies().unwrap_err();
        std::fs::write(&path, before).unwrap();
    }

    /// Turns the clock on: that it was turned is the acknowledgement of every end that this passes.
    pub fn turn(&self, millis: i64) {
        let from = self.now();
        self.house.clock.advance_millis(millis);
        let span = Span { from, to: self.now() };
        self.history.lock().turns.push((span, millis));
    }
}

/// The shipped bundle, and the lock if it is to be; no two of them have one version.
fn write_bundle(files: &TempDir, place: usize, locked: bool) {
    let source = BundleSource::shipped();
    for file in [&source.schema, &source.roles].into_iter().chain(&source.policies) {
        let path = files.path().join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    let lock = if locked { LOCK } else { "" };
    std::fs::write(files.path().join("policies/zz-lock.cedar"), format!("// Bundle {place}.\n{lock}")).unwrap();
}
