//! A real etcd on addresses of its own: members that are stopped, frozen, killed, filled up and put back from a backup.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::peers::Peers;
use crate::support::process::pause;

/// A member that takes longer to come up, on a busy machine, does not come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// `nobody`: the members need no more rights than that.
const NOBODY: u32 = 65_534;

/// Several clusters of one process lie beside each other.
static CLUSTERS: AtomicU8 = AtomicU8::new(0);

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub members: usize,
    /// Clients have to show a certificate; its common name is the user that etcd takes them for.
    pub tls: bool,
    /// The most bytes of a member's data; 0: etcd's own choice.
    pub quota_bytes: u64,
    /// The data of the last member lies on a file system of so many bytes, if this machine allows that.
    pub small_disk_mb: Option<u64>,
    /// The members talk to each other over lines that can be cut.
    pub peer_lines: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { members: 3, tls: false, quota_bytes: 0, small_disk_mb: None, peer_lines: false }
    }
}

/// The members of one etcd.
pub struct Cluster {
    pub members: Vec<Member>,
    pub certificates: Option<Certificates>,
    peers: Option<Peers>,
    folder: TempDir,
    wanted: Wanted,
    token: String,
}

/// One member: its address, its data and, while it runs, its process.
pub struct Member {
    pub name: String,
    pub address: String,
    place: usize,
    data: PathBuf,
    child: Option<Child>,
    mounted: bool,
}

impl Cluster {
    /// Three members, without TLS.
    pub fn of_three() -> Self {
        Self::start(Wanted::default())
    }

    /// One member, without TLS.
    pub fn of_one() -> Self {
        Self::start(Wanted { members: 1, ..Wanted::default() })
    }

    pub fn start(wanted: Wanted) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let members: Vec<Member> = (0..wanted.members).map(|place| Member::new(folder.path(), number, place)).collect();
        let addresses: Vec<&str> = members.iter().map(|member| member.address.as_str()).collect();
        let certificates = wanted.tls.then(|| Certificates::make(&folder.path().join("tls"), &addresses));
        let token = format!("{}-{number}", std::process::id());
        let peers = wanted.peer_lines.then(|| Peers::between(&addresses));
        let mut cluster = Self { members, certificates, peers, folder, wanted, token };
        if let (Some(megabytes), Some(last)) = (cluster.wanted.small_disk_mb, cluster.members.last_mut()) {
            last.mounted = mount(&last.data, megabytes);
        }
        for place in 0..cluster.members.len() {
            cluster.run(place, "new");
        }
        cluster.wait_until_well();
        cluster
    }

    /// The URLs of all members.
    pub fn urls(&self) -> Vec<String> {
        (0..self.members.len()).map(|place| self.url(place)).collect()
    }

    pub fn url(&self, place: usize) -> String {
        let scheme = if self.wanted.tls { "https" } else { "http" };
        format!("{scheme}://{}:2379", self.members[place].address)
    }

    /// Ends a member as a power switch would.
    pub fn kill(&mut self, place: usize) {
        self.members[place].kill();
    }

    /// Runs a member that was ended on the data that it has.
    pub fn restart(&mut self, place: usize) {
        self.run(place, "existing");
    }

    /// Freezes a member: its connections stay, and nothing comes of them.
    pub fn freeze(&self, place: usize) {
        self.members[place].signal(Signal::STOP);
    }

    pub fn thaw(&self, place: usize) {
        self.members[place].signal(Signal::CONT);
    }

    /// The processes of the members that run.
    pub fn pids(&self) -> Vec<Pid> {
        self.members.iter().filter_map(|member| member.child.as_ref()).map(Pid::from_child).collect()
    }

    pub fn is_running(&self, place: usize) -> bool {
        self.members[place].child.is_some()
    }

    /// Cuts a member off from the others, and leaves it to those who ask it; none: from nobody.
    pub fn cut_off(&self, place: Option<usize>) {
        self.peers.as_ref().expect("made with lines between peers").cut_off(place.map(|place| (place, self.id(place))));
    }

    /// By which the members know this one.
    fn id(&self, place: usize) -> u64 {
        self.status(place)["header"]["member_id"].as_u64().unwrap()
    }

    fn status(&self, place: usize) -> Value {
        let output = self.try_ctl_at(&[place], &["endpoint", "status", "-w", "json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer[0]["Status"].clone()
    }

    /// Whether this member says that it leads.
    pub fn leads(&self, place: usize) -> bool {
        // Of a member that leads its own id is the leader's.
        let status = self.status(place);
        status["leader"] == status["header"]["member_id"] && status["leader"].as_u64().is_some_and(|id| id > 0)
    }

    /// Which member leads, as far as the running ones agree.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.leader_now() {
                return leader;
            }
            assert!(Instant::now() < deadline, "no member leads");
            pause();
        }
    }

    fn leader_now(&self) -> Option<usize> {
        (0..self.members.len()).filter(|place| self.is_running(*place)).find(|place| self.leads(*place))
    }

    /// `etcdctl`, at every member; panics when it fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `etcdctl`, at every member that runs.
    pub fn try_ctl(&self, arguments: &[&str]) -> Output {
        let running: Vec<usize> = (0..self.members.len()).filter(|place| self.is_running(*place)).collect();
        self.try_ctl_at(&running, arguments)
    }

    /// `etcdctl`, at these members alone.
    pub fn try_ctl_at(&self, places: &[usize], arguments: &[&str]) -> Output {
        self.ctl_as("root", places, arguments)
    }

    /// `etcdctl` with the certificate of this user.
    pub fn ctl_as(&self, user: &str, places: &[usize], arguments: &[&str]) -> Output {
        let endpoints: Vec<String> = places.iter().map(|place| self.url(*place)).collect();
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--command-timeout=3s", "--dial-timeout=2s", "--endpoints"]);
        command.arg(endpoints.join(","));
        if let Some(certificates) = &self.certificates {
            let own = certificates.of(user);
            command.arg("--cacert").arg(&certificates.ca);
            command.arg("--cert").arg(&own.certificate).arg("--key").arg(&own.key);
        }
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// The keys below this one, with how often each was written, and the store's revision.
    pub fn keys(&self, prefix: &str) -> Vec<Key> {
        let answer = self.ctl(&["get", "--prefix", prefix, "-w", "json"]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["kvs"].as_array().into_iter().flatten().map(Key::of).collect()
    }

    /// The revision that the store is at.
    pub fn revision(&self) -> u64 {
        let answer: Value = serde_json::from_str(&self.ctl(&["get", "/", "-w", "json"])).unwrap();
        answer["header"]["revision"].as_u64().unwrap()
    }

    /// Forgets every revision before the present one.
    pub fn compact(&self) {
        self.ctl(&["compaction", "--physical", &self.revision().to_string()]);
    }

    /// Keeps a backup of what the first member has.
    pub fn backup(&self) -> PathBuf {
        let file = self.folder.path().join("backup.db");
        let _ = std::fs::remove_file(&file);
        let output = self.try_ctl_at(&[0], &["snapshot", "save", &file.display().to_string()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }

    /// Ends every member, puts the backup in place of their data, and runs them.
    pub fn restore(&mut self, backup: &Path) {
        for member in &mut self.members {
            member.kill();
            std::fs::remove_dir_all(&member.data).unwrap();
        }
        self.token.push('r');
        for member in &self.members {
            let mut command = Command::new("etcdctl");
            command.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(backup);
            command.args(["--name", &member.name, "--initial-cluster", &self.initial()]);
            command.args([
                "--initial-cluster-token",
                &self.token,
                "--initial-advertise-peer-urls",
                &self.peer_url(member.place),
            ]);
            command.arg("--data-dir").arg(&member.data).stdin(Stdio::null());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            give_away(&member.data);
        }
        for place in 0..self.members.len() {
            self.run(place, "existing");
        }
        self.wait_until_well();
    }

    /// Waits until every member that runs takes writes.
    pub fn wait_until_well(&self) {
        let deadline = Instant::now() + PATIENCE;
        for place in 0..self.members.len() {
            if !self.is_running(place) {
                continue;
            }
            while !self.try_ctl_at(&[place], &["endpoint", "health"]).status.success() {
                assert!(Instant::now() < deadline, "{}", self.said(place));
                pause();
            }
        }
    }

    /// What a member has logged.
    pub fn said(&self, place: usize) -> String {
        std::fs::read_to_string(self.log(place)).unwrap_or_default()
    }

    /// Takes away the room on the small disk of the last member, or gives it back; `false`: there is no small disk.
    pub fn fill_disk(&self, full: bool) -> bool {
        let Some(member) = self.members.last().filter(|member| member.mounted) else { return false };
        let ballast = member.data.join("ballast");
        if full {
            // As much as there is room for; that it fails at the end is the point.
            let zeros = File::open("/dev/zero").unwrap();
            let _ = std::io::copy(&mut &zeros, &mut File::create(ballast).unwrap());
        } else {
            std::fs::remove_file(ballast).unwrap();
        }
        true
    }

    fn initial(&self) -> String {
        let each = self.members.iter().map(|member| format!("{}={}", member.name, self.peer_url(member.place)));
        each.collect::<Vec<_>>().join(",")
    }

    /// Where the others find a member.
    fn peer_url(&self, place: usize) -> String {
        self.peers.as_ref().map_or_else(|| self.members[place].peer_url(), |peers| peers.url(place))
    }

    fn log(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("{}.log", self.members[place].name))
    }

    fn run(&mut self, place: usize, state: &str) {
        let log = File::options().create(true).append(true).open(self.log(place)).unwrap();
        let (url, initial) = (self.url(place), self.initial());
        let member = &self.members[place];
        let mut command = Command::new("etcd");
        command.args(["--name", &member.name, "--data-dir"]).arg(&member.data);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &member.peer_url()]);
        command.args(["--initial-advertise-peer-urls", &self.peer_url(place), "--initial-cluster", &initial]);
        command.args(["--initial-cluster-token", &self.token, "--initial-cluster-state", state]);
        command.args(["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m"]);
        command.args(["--logger", "zap", "--log-level", "warn", "--log-outputs", "stderr"]);
        command.args(["--quota-backend-bytes", &self.wanted.quota_bytes.to_string()]);
        if let Some(certificates) = &self.certificates {
            let server = certificates.of("server");
            command.arg("--trusted-ca-file").arg(&certificates.ca).arg("--client-cert-auth");
            command.arg("--cert-file").arg(&server.certificate).arg("--key-file").arg(&server.key);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        self.members[place].child = Some(command.spawn().expect("this test needs etcd: ./test installs it"));
    }
}

impl Member {
    fn new(folder: &Path, cluster: u8, place: usize) -> Self {
        // Every address of 127/8 is this machine: one of its own needs no port of its own.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{high}.{low}", 16 + usize::from(cluster % 64) * 3 + place);
        let name = format!("m{place}");
        let data = folder.join(&name);
        std::fs::create_dir(&data).unwrap();
        give_away(&data);
        Self { name, address, place, data, child: None, mounted: false }
    }

    fn peer_url(&self) -> String {
        format!("http://{}:2380", self.address)
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if self.mounted {
            let _ = Command::new("umount").arg(&self.data).status();
        }
    }
}

/// A key as it is in the store.
#[derive(Debug, Clone)]
pub struct Key {
    pub name: String,
    pub value: String,
    pub version: u64,
}

impl Key {
    fn of(json: &Value) -> Self {
        use base64::Engine as _;
        let text = |name: &str| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(json[name].as_str().unwrap_or_default());
            String::from_utf8(bytes.unwrap()).unwrap()
        };
        let number = |name: &str| json[name].as_u64().unwrap();
        Self { name: text("key"), value: text("value"), version: number("version") }
    }
}

/// Everything in the folder belongs to whom the members run as.
fn give_away(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            give_away(&path);
        } else {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

/// Makes the folder a small file system; `false`: this machine does not allow it.
fn mount(folder: &Path, megabytes: u64) -> bool {
    let options = format!("size={megabytes}m,uid={NOBODY},gid={NOBODY},mode=0700");
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
