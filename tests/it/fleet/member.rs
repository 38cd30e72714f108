//! Processes of the fleet: the product's program, or this test's own as one, with something about it that is wrong.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use consentry::clock::{BootTime, Clock, SystemClock};
use consentry::config::{Config, Overrides};
use consentry::identity::development::DevelopmentKey;
use consentry::model::Timestamp;
use consentry::replica::{Granted, Leases, MakeLeases, SoundLeases};
use consentry::store::Seq;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::proxy::Line;
use crate::support::process::{Sidecar, Site};
use crate::support::{Person, settings};

/// What a process of the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Authority,
    Sidecar,
}

/// What is wrong with a process, or unusual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Nature {
    /// The product's program, with settings that it takes.
    Product,
    /// The product's protocol, with this patience for one call to etcd, which the product's settings would refuse.
    Patient { timeout_ms: u64 },
    /// Uses what it knows for ever.
    NoLease,
    /// Uses a lease although it is behind the head that its renewal named.
    BehindTheHead,
    /// Counts a lease from when the answer to its renewal came; this patient with a call.
    FromTheReply { timeout_ms: u64 },
    /// Waits for nobody who is to acknowledge.
    NoWaiting,
    /// Its clock runs at so many thousandths of the machine's.
    Rate { thousandths: u64 },
    /// Its clock jumps forward by what the file `jump` says, in milliseconds, as after a suspension.
    Jumps,
}

/// The times of a fleet, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub lease: u64,
    pub renew: u64,
    pub timeout: u64,
}

impl Times {
    /// Short ones, for a busy machine all the same.
    pub const SHORT: Self = Self { lease: 2_000, renew: 500, timeout: 750 };
    /// For runs in which they are waited out again and again.
    pub const BRIEF: Self = Self { lease: 1_000, renew: 300, timeout: 350 };

    /// How long a silent member is waited for.
    pub const fn wait(self) -> u64 {
        (self.lease * 5).div_ceil(4) + 100
    }
}

/// One process of the fleet with its own folder and its own line to etcd.
pub struct Process {
    pub name: String,
    pub role: Role,
    pub nature: Nature,
    pub line: Line,
    pub site: Site,
    pub running: Option<Sidecar>,
}

impl Process {
    /// A process that does not run yet. `more`: settings; without a scheme of their own endpoints are the line's.
    pub fn new(key: &Arc<DevelopmentKey>, name: &str, role: Role, nature: Nature, line: Line, times: Times) -> Self {
        let site = Site { folder: tempfile::TempDir::new().unwrap(), key: Arc::clone(key) };
        std::fs::write(site.file("jwks.json"), key.jwks()).unwrap();
        let process = Self { name: name.to_owned(), role, nature, line, site, running: None };
        let urls = process.line.urls().to_vec();
        process.configure(&urls, times, "");
        process
    }

    /// Writes the settings, with etcd at these URLs.
    pub fn configure(&self, urls: &[String], times: Times, more: &str) {
        let role = match self.role {
            Role::Authority => "authority",
            Role::Sidecar => "sidecar",
        };
        let more = format!(
            r#"
            server.unix_socket = "{socket}"
            fleet.role = "{role}"
            fleet.member = "{name}"
            fleet.lease_ms = {lease}
            fleet.renew_ms = {renew}
            fleet.wait_ms = {wait}
            fleet.etcd.endpoints = {urls:?}
            fleet.etcd.timeout_ms = {timeout}
            {more}
            "#,
            socket = self.socket().display(),
            name = self.name,
            lease = times.lease,
            renew = times.renew,
            wait = times.wait(),
            timeout = times.timeout,
        );
        self.site.settings(&settings(self.site.path(), &more));
    }

    /// Writes the settings with more of them.
    pub fn also(&self, times: Times, more: &str) {
        self.configure(self.line.urls(), times, more);
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        if let Some(mut sidecar) = self.running.take() {
            sidecar.signal(Signal::TERM);
            assert!(sidecar.end().success(), "{}: {:#?}", self.name, sidecar.log.lock());
        }
    }

    /// `consentry fleet status` with its settings: how it ends, and what it says.
    pub fn fleet_status(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let arguments = [&["fleet", "status", "--config", "consentry.toml"], arguments].concat();
        let output = self.site.command(&arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// Where it is asked for decisions.
    pub fn socket(&self) -> PathBuf {
        self.site.file("socket")
    }

    /// Starts it and waits until it serves.
    pub fn start(&mut self) -> &mut Sidecar {
        let _ = std::fs::remove_file(self.socket());
        let command = if self.nature == Nature::Product {
            self.site.command(&["serve", "--config", "consentry.toml"])
        } else {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["fleet::member::runs_when_told", "--exact", "--nocapture", "--test-threads=1"]);
            let told = Told { nature: self.nature };
            command.env(TOLD, serde_json::to_string(&told).unwrap()).current_dir(self.site.path());
            command.stdin(Stdio::null());
            command
        };
        self.running.insert(Sidecar::spawn(command))
    }

    pub fn process(&self) -> &Sidecar {
        self.running.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Ends it as a power switch would.
    pub fn kill(&mut self) {
        if let Some(sidecar) = self.running.take() {
            sidecar.kill();
        }
    }

    /// Somebody who calls it.
    pub fn person(&self, tenant: &str, object: &str, roles: &[&str], app_roles: &[&str]) -> Person {
        self.site.person(self.process(), tenant, object, roles, app_roles)
    }

    pub fn ticketing(&self) -> Person {
        self.person("vendor", "ticketing", &[], &["SupportRequests.Manage"])
    }

    pub fn tooling(&self) -> Person {
        self.person("vendor", "tooling", &[], &["Decisions.Evaluate"])
    }
}

/// The variable that tells this test's own process to be one of the fleet. It does not begin with `CONSENTRY_`: the
/// service takes whatever does for one of its settings.
const TOLD: &str = "TESTS_FLEET_MEMBER";

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    nature: Nature,
}

/// Not a test: what [`Process::start`] runs. It is killed when it is no longer needed.
#[test]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
fn runs_when_told() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let Told { nature } = serde_json::from_str(&told).unwrap();
    let mut config = Config::read(Some(std::path::Path::new("consentry.toml")), &Overrides::default()).unwrap();
    let fleet = config.fleet.as_mut().unwrap();
    let (mut leases, mut clock): (MakeLeases, Arc<dyn Clock>) = (SoundLeases::boxed, Arc::new(SystemClock::new()));
    match nature {
        Nature::Product => {}
        Nature::Patient { timeout_ms } => fleet.etcd.timeout_ms = timeout_ms,
        Nature::NoLease => leases = || Box::<NoLease>::default(),
        Nature::BehindTheHead => leases = || Box::<BehindTheHead>::default(),
        Nature::FromTheReply { timeout_ms } => {
            fleet.etcd.timeout_ms = timeout_ms;
            leases = || Box::<FromTheReply>::default();
        }
        Nature::NoWaiting => fleet.wait_ms = 1,
        Nature::Rate { thousandths } => clock = Arc::new(Rated { system: SystemClock::new(), thousandths }),
        Nature::Jumps => clock = Arc::new(Jumping(SystemClock::new())),
    }
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let app = Box::pin(consentry::app::App::start_under(&config, clock, leases)).await.unwrap();
        eprintln!("{}", serde_json::json!({ "message": "serving", "address": app.address() }));
        std::future::pending::<()>().await;
    });
}

/// What was allowed once is allowed for ever.
#[derive(Debug, Default)]
struct NoLease(bool);

impl Leases for NoLease {
    fn renewed(&mut self, _granted: Granted) {
        self.0 = true;
    }

    fn usable_until(&mut self, _applied: Seq) -> Option<BootTime> {
        self.0.then_some(BootTime::NEVER)
    }

    fn fenced(&mut self) {}
}

/// A lease counts from before its renewal was sent, whatever of the store has been seen.
#[derive(Debug, Default)]
struct BehindTheHead(Option<BootTime>);

impl Leases for BehindTheHead {
    fn renewed(&mut self, granted: Granted) {
        self.0 = Some(granted.sent_at.plus(granted.length));
    }

    fn usable_until(&mut self, _applied: Seq) -> Option<BootTime> {
        self.0
    }

    fn fenced(&mut self) {
        self.0 = None;
    }
}

/// The product's own, told that every renewal was sent when its answer came.
#[derive(Debug, Default)]
struct FromTheReply(SoundLeases);

impl Leases for FromTheReply {
    fn renewed(&mut self, granted: Granted) {
        self.0.renewed(Granted { sent_at: granted.answered_at, ..granted });
    }

    fn usable_until(&mut self, applied: Seq) -> Option<BootTime> {
        self.0.usable_until(applied)
    }

    fn fenced(&mut self) {
        self.0.fenced();
    }
}

/// A clock of which the uptime runs at another rate.
#[derive(Debug)]
struct Rated {
    system: SystemClock,
    thousandths: u64,
}

impl Clock for Rated {
    fn now(&self) -> Timestamp {
        self.system.now()
    }

    fn boot(&self) -> BootTime {
        BootTime(self.system.boot().0 / 1_000 * self.thousandths)
    }
}

/// A clock of which the uptime jumps, as after a suspension.
#[derive(Debug)]
struct Jumping(SystemClock);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn boot(&self) -> BootTime {
        let jump = std::fs::read_to_string("jump").ok().and_then(|text| text.trim().parse().ok());
        self.0.boot().plus(Duration::from_millis(jump.unwrap_or(0)))
    }
}
