//! Where it happens: one etcd, its fleet, readers that ask every process all the time, and calls that give and take away.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use consentry::client::{Change, Client};
use consentry::identity::development::DevelopmentKey;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, watch};
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::history::{Allow, Case, History, Tally, up_ns};
use super::member::{Nature, Process, Role, Times};
use super::proxy::Line;
use crate::support::{Connection, Person, Reply, question, request};

/// A call that is tried for longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An authority that says nothing for so long is not the only one that is asked.
const HEDGE: Duration = Duration::from_secs(1);

/// How often a reader asks, about: what is to be measured is the protocol, not how busy this machine is.
const PACE: Duration = Duration::from_millis(3);

/// One fleet at a time: each fills the machine.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What a stage is set with.
#[derive(Debug, Clone)]
pub struct Cast {
    pub authorities: Vec<Nature>,
    pub sidecars: Vec<Nature>,
    pub times: Times,
}

impl Cast {
    /// So many processes of the product, with short leases.
    pub fn of(authorities: usize, sidecars: usize) -> Self {
        Self {
            authorities: vec![Nature::Product; authorities],
            sidecars: vec![Nature::Product; sidecars],
            times: Times::SHORT,
        }
    }
}

/// A fleet at work.
pub struct Stage {
    pub cluster: Cluster,
    /// The authorities first.
    pub processes: Vec<Process>,
    pub authorities: usize,
    pub times: Times,
    pub key: Arc<DevelopmentKey>,
    pub record: Arc<Record>,
    readers: Vec<JoinHandle<History>>,
    began: Instant,
    /// The commits of the start.
    begun_seq: u64,
    _alone: MutexGuard<'static, ()>,
}

/// What readers and revokers share.
#[derive(Debug, Default)]
pub struct Record {
    pub cases: Mutex<Vec<Case>>,
    /// The cases that readers ask about.
    asked: Mutex<Vec<usize>>,
    /// Which process has allowed which case.
    allowed: watch::Sender<HashSet<(usize, usize)>>,
    over: AtomicBool,
    next: AtomicUsize,
}

impl Stage {
    /// A fleet on this etcd, which serves.
    pub async fn set(cluster: Cluster, cast: Cast) -> Self {
        let mut stage = Self::bare(cluster, cast.times).await;
        for (place, nature) in cast.authorities.into_iter().enumerate() {
            stage.hire(&format!("authority-{place}"), Role::Authority, nature);
        }
        for (place, nature) in cast.sidecars.into_iter().enumerate() {
            stage.hire(&format!("sidecar-{place}"), Role::Sidecar, nature);
        }
        stage.begin().await;
        stage
    }

    /// This etcd, for a fleet that is hired one by one, the authorities first.
    pub async fn bare(cluster: Cluster, times: Times) -> Self {
        let alone = ALONE.lock().await;
        let key = Arc::new(DevelopmentKey::generate().unwrap());
        Self {
            cluster,
            processes: Vec::new(),
            authorities: 0,
            times,
            key,
            record: Arc::default(),
            readers: Vec::new(),
            began: Instant::now(),
            begun_seq: 0,
            _alone: alone,
        }
    }

    /// Runs everybody who was hired, and waits until they decide.
    pub async fn begin(&mut self) {
        std::thread::scope(|scope| {
            for process in &mut self.processes {
                scope.spawn(|| process.start());
            }
        });
        self.is_well().await;
        println!("{} processes are well after {:?}", self.processes.len(), self.began.elapsed());
    }

    /// Waits until every process decides. What is counted begins after it.
    pub async fn is_well(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        for process in &self.processes {
            let tooling = process.tooling();
            while tooling.get("/readyz").await.status != 200 {
                assert!(Instant::now() < deadline, "{}: {:#?}", process.name, process.process().log.lock());
                tokio::time::sleep(10 * PACE).await;
            }
        }
        self.begun_seq = self.cluster.keys("/acc/v1/head").first().map_or(0, |head| head.version);
    }

    /// One more process, which does not run yet.
    pub fn hire(&mut self, name: &str, role: Role, nature: Nature) -> usize {
        self.authorities += usize::from(role == Role::Authority);
        let line = Line::to(&self.cluster);
        self.processes.push(Process::new(&self.key, name, role, nature, line, self.times));
        self.processes.len() - 1
    }

    /// The places of the sidecars.
    pub fn sidecars(&self) -> std::ops::Range<usize> {
        self.authorities..self.processes.len()
    }

    /// Readers that ask every process from now on.
    pub fn read(&mut self) {
        for place in 0..self.processes.len() {
            self.read_from(place);
        }
    }

    pub fn read_from(&mut self, place: usize) {
        let (record, socket) = (Arc::clone(&self.record), self.processes[place].socket());
        self.readers.push(tokio::spawn(read(record, place, socket)));
    }

    /// Ends the readers and judges what they saw.
    pub async fn judged(&mut self) -> Tally {
        self.record.over.store(true, Ordering::Release);
        let mut history = History { cases: self.record.cases.lock().clone(), ..History::default() };
        for reader in self.readers.drain(..) {
            let seen = reader.await.unwrap();
            history.allows.extend(seen.allows);
            history.denials += seen.denials;
            history.dropped += seen.dropped;
            history.versions.extend(seen.versions);
            for (code, count) in seen.closed {
                *history.closed.entry(code).or_default() += count;
            }
        }
        self.record.over.store(false, Ordering::Release);
        history.tally()
    }

    /// Calls of the ticketing system, at every authority.
    pub fn calls(&self) -> Calls {
        let authorities: Vec<_> = self.processes[..self.authorities].iter().map(Process::ticketing).collect();
        let clients = (0..authorities.len()).map(|first| client(&authorities, first)).collect();
        Calls { authorities, clients, record: Arc::clone(&self.record) }
    }

    /// One answer of this process about this case.
    pub async fn answer(&self, place: usize, case: usize) -> Reply {
        let id = self.record.cases.lock()[case].id.clone();
        let body = about(&id).to_string().into_bytes();
        self.processes[place].tooling().send(Method::POST, "/access/v1/evaluation", Some(body)).await
    }

    /// Waits until this process allows what is asked about this case.
    pub async fn allows(&self, place: usize, case: usize) {
        self.answers(place, case, |reply| reply.status == 200 && reply.decision()).await;
    }

    /// Waits until this process gives such an answer about this case.
    pub async fn answers(&self, place: usize, case: usize, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.answer(place, case).await;
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "{}: {reply:?}", self.processes[place].name);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Whether every case that was taken away is closed at every authority: no acknowledged write is lost.
    pub async fn nothing_is_lost(&self) {
        let cases = self.record.cases.lock().clone();
        for authority in &self.processes[..self.authorities] {
            let ticketing = authority.ticketing();
            for case in cases.iter().filter(|case| case.taken_ns.is_some()) {
                let path = format!("/v1/support-requests/{}", case.id);
                let deadline = Instant::now() + PATIENCE;
                let reply = loop {
                    let reply = ticketing.send(Method::GET, &path, None).await;
                    if reply.status != 503 {
                        break reply;
                    }
                    assert!(Instant::now() < deadline, "{}: {reply:?}", authority.name);
                    tokio::time::sleep(PACE).await;
                };
                assert_eq!(reply.json["status"], "closed", "{} at {}: {reply:?}", case.id, authority.name);
            }
        }
    }

    /// Of how many revocations all members had acknowledged, and in how many some were waited out.
    pub fn barriers(&self) -> (usize, usize) {
        let notes = self.cluster.keys("/acc/barrier/").into_iter();
        let notes = notes.map(|note| serde_json::from_str::<Value>(&note.value).unwrap());
        let notes: Vec<_> = notes.filter(|note| note["seq"].as_u64().unwrap() > self.begun_seq).collect();
        let waited =
            notes.iter().filter(|note| note["waited_out"].as_array().is_some_and(|members| !members.is_empty()));
        let waited = waited.count();
        (notes.len() - waited, waited)
    }

    /// The names of the fleet's members as etcd has them.
    pub fn members(&self) -> Vec<String> {
        let keys = self.cluster.keys("/fleet/v1/");
        keys.iter().map(|key| key.name.trim_start_matches("/fleet/v1/").to_owned()).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        println!("the stage stood for {:?}", self.began.elapsed());
        // A test that fails shows what its processes had to say.
        let running = self.processes.iter().filter_map(|process| Some((process, process.running.as_ref()?)));
        for (process, sidecar) in running.filter(|_| std::thread::panicking()) {
            println!("{}: {:#?}", process.name, sidecar.log.lock());
        }
    }
}

/// Calls that give and take access away, tried until they succeed.
#[derive(Clone)]
pub struct Calls {
    pub authorities: Vec<Person>,
    /// Of all authorities, each with another one first.
    clients: Vec<Client>,
    record: Arc<Record>,
}

impl Calls {
    /// A new case under which Ada may read, of which readers ask from now on.
    pub async fn give(&self, first: usize) -> usize {
        let number = self.record.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("SR-{number}");
        let body = json!({
            "id": id, "number": id, "summary": "guests cannot sign in", "tenant": "contoso",
            "submitted_in": "admin_center", "advanced_diagnostic_information": true, "assignee": "vendor/ada",
        });
        self.insist(first, "/v1/support-requests", &format!("{id}-open"), &body).await;
        let mut cases = self.record.cases.lock();
        cases.push(Case { id, ..Case::default() });
        self.record.asked.lock().push(cases.len() - 1);
        cases.len() - 1
    }

    /// Waits until these processes have allowed it, for a while at most.
    pub async fn allowed_by(&self, case: usize, processes: impl IntoIterator<Item = usize>, at_most: Duration) -> bool {
        let wanted: Vec<_> = processes.into_iter().map(|process| (process, case)).collect();
        let mut allowed = self.record.allowed.subscribe();
        let all = allowed.wait_for(|allowed| wanted.iter().all(|pair| allowed.contains(pair)));
        tokio::time::timeout(at_most, all).await.is_ok()
    }

    /// Closes the case: nobody may read under it any more (R4). Readers go on asking.
    pub async fn take(&self, case: usize, first: usize) {
        let id = self.record.cases.lock()[case].id.clone();
        let began = up_ns();
        let client = &self.clients[first % self.clients.len()];
        let closed = client.close(&id.parse().unwrap(), &Change::under(format!("{id}-close"))).await;
        assert!(closed.is_ok(), "{id}: {closed:?}");
        self.was_taken(case, began);
    }

    /// One try to close the case, at this authority, under this key.
    pub async fn close(&self, case: usize, authority: usize, key: &str) -> reqwest::Result<Reply> {
        let id = self.record.cases.lock()[case].id.clone();
        let calling = self.authorities[authority].with("idempotency-key", key);
        calling.try_send(Method::POST, &format!("/v1/support-requests/{id}/close"), Some(b"{}".to_vec())).await
    }

    /// One try to take the case from its engineer (R3).
    pub async fn unassign(&self, case: usize, authority: usize, key: &str) -> reqwest::Result<Reply> {
        let id = self.record.cases.lock()[case].id.clone();
        let (calling, body) = (self.authorities[authority].with("idempotency-key", key), json!({ "assignee": null }));
        let path = format!("/v1/support-requests/{id}/assignee");
        calling.try_send(Method::PUT, &path, Some(body.to_string().into_bytes())).await
    }

    /// A call that began then took access away, now.
    pub fn was_taken(&self, case: usize, began_ns: u64) {
        let now = up_ns();
        let mut cases = self.record.cases.lock();
        let taken = &mut cases[case];
        taken.taken_ns = Some(taken.taken_ns.unwrap_or(now).min(now));
        taken.took_ns = now - began_ns;
    }

    /// What the ticketing system finds at this authority.
    pub async fn status(&self, case: usize, authority: usize) -> String {
        let id = self.record.cases.lock()[case].id.clone();
        let path = format!("/v1/support-requests/{id}");
        let reply = self.authorities[authority].send(Method::GET, &path, None).await;
        reply.json["status"].as_str().unwrap_or_else(|| reply.code()).to_owned()
    }

    /// Readers ask no more about it.
    pub fn leave(&self, case: usize) {
        self.record.asked.lock().retain(|asked| *asked != case);
    }

    /// Calls one authority after the other, under one idempotency key, until one carries it out.
    async fn insist(&self, first: usize, path: &str, key: &str, body: &Value) {
        let deadline = Instant::now() + PATIENCE;
        let body = body.to_string().into_bytes();
        for place in first.. {
            let authority = &self.authorities[place % self.authorities.len()];
            let calling = authority.with("idempotency-key", key);
            let reply = calling.try_send(Method::POST, path, Some(body.clone())).await;
            match reply {
                Ok(reply) if reply.status < 300 => return,
                Ok(reply) if reply.status >= 500 => {
                    assert!(Instant::now() < deadline, "{path}: {reply:?}");
                }
                Ok(reply) => panic!("{path}: {reply:?}"),
                Err(error) => assert!(Instant::now() < deadline, "{path}: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The ticketing system's program, which knows all authorities and begins with this one.
fn client(authorities: &[Person], first: usize) -> Client {
    let order: Vec<_> = (0..authorities.len()).map(|place| &authorities[(first + place) % authorities.len()]).collect();
    let caller = order[0].clone();
    let client = Client::tcp(order[0].url()).tokens(move || caller.token());
    let client = order[1..].iter().fold(client, |client, other| client.also_at(other.url()));
    client.timeout(PATIENCE).attempts(u32::MAX).hedge_after(HEDGE).build().unwrap()
}

fn about(case: &str) -> Value {
    question("vendor/ada", "read", "contoso/signInLogs", case)
}

/// Asks one process about every case there is, again and again.
async fn read(record: Arc<Record>, process: usize, socket: PathBuf) -> History {
    let mut seen = History::default();
    let mut known: HashSet<usize> = HashSet::new();
    let mut connection: Option<Connection> = None;
    let mut turn = 0_usize;
    let mut unreachable = 0;
    while !record.over.load(Ordering::Acquire) {
        tokio::time::sleep(PACE).await;
        let case = {
            let asked = record.asked.lock();
            turn += 1;
            asked.get(turn % asked.len().max(1)).copied()
        };
        let Some(case) = case else { continue };
        let open = match connection.take() {
            Some(open) => Some(open),
            None => Connection::try_through(&socket).await.ok(),
        };
        let Some(mut open) = open else {
            unreachable += 1;
            continue;
        };
        let id = record.cases.lock()[case].id.clone();
        let bytes = request("POST", "/access/v1/evaluation", &[], &about(&id).to_string());
        let asked_ns = up_ns();
        open.send(&bytes).await;
        // A process that is frozen answers when it goes on: that answer is what we are after.
        let Ok(Some((status, body))) = tokio::time::timeout(PATIENCE, open.try_answer()).await else {
            unreachable += 1;
            continue;
        };
        let answered_ns = up_ns();
        connection = Some(open);
        let body: Value = serde_json::from_slice(&body).unwrap();
        if status != 200 {
            let code = body["code"].as_str().or_else(|| body["context"]["reason"]["code"].as_str()).unwrap_or("none");
            assert_ne!(body["decision"], true, "{body}");
            *seen.closed.entry(code.to_owned()).or_default() += 1;
        } else if body["decision"] == true {
            let valid_ms = body["context"]["valid_for_ms"].as_u64();
            let good_until_ns = valid_ms.map_or(u64::MAX, |valid| asked_ns + valid * 1_000_000);
            seen.dropped += u64::from(answered_ns >= good_until_ns);
            seen.note_version(true, &body);
            seen.allows.push(Allow { process, case, asked_ns, answered_ns, good_until_ns });
            if known.insert(case) {
                record.allowed.send_if_modified(|allowed| allowed.insert((process, case)));
            }
        } else {
            seen.denials += 1;
            seen.note_version(false, &body);
        }
    }
    if unreachable > 0 {
        seen.closed.insert("unreachable".to_owned(), unreachable);
    }
    seen
}

impl Tally {
    /// As a line of a table.
    pub fn told(&self, run: &str, (acknowledged, waited): (usize, usize)) -> String {
        let short = |duration: Duration| format!("{:.0} ms", duration.as_secs_f64() * 1_000.0);
        let closed: BTreeMap<_, _> = self.closed.iter().collect();
        format!(
            "{run}: {} revocations ({acknowledged} by acknowledgement, {waited} by waiting), {} allows, \
             used after success {} (worst {}), on their way {} (worst {}), dropped {}, denials {}, closed {closed:?}; \
             p50 {}, p99 {}, max {}; by process {:?}",
            self.revocations,
            self.allows,
            self.violations,
            short(self.worst),
            self.under_way,
            short(self.under_way_worst),
            self.dropped,
            self.denials,
            short(self.p50),
            short(self.p99),
            short(self.max),
            self.by_process,
        )
    }
}
