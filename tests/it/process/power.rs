//! The power goes at any moment: what had been synced is there, of the rest any part. Everything that was answered before
//! is in the store and, in the mode `synced`, in the decision log (G1, G3); nothing else ever looks like a whole state.

mod journal;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use consentry::audit::{DecisionLog, DecisionLogSettings};
use consentry::clock::SystemClock;
use consentry::signing::{SigningKey, TrustedKeys};
use consentry::store::Store as _;
use consentry::store::sqlite::SqliteStore;
use consentry::trail::verify;
use fastrand::Rng;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::case::{Act, Case, People};
use crate::support::effort::{effort, random};
use crate::support::process::{Sidecar, Site};
use crate::support::trace::{Call, Did, Disk, Left, read, traced};

/// How many cases are worked on while the trace is taken, each through its whole life.
const CASES: u64 = 4;

/// At how many moments the power goes, besides those right after an answer.
const CUTS: u64 = 40;

const LIFE: [Act; 6] =
    [Act::Open, Act::Ask, Act::ContosoApproves, Act::FabrikamApproves, Act::FabrikamRevokes, Act::Close];

/// A process at work from its first start to its end in order, and what it answered.
struct Run {
    site: Site,
    calls: Vec<Call>,
    /// The bodies of answers to changes, and the ids of decisions with what was decided.
    changes: Vec<String>,
    decisions: HashMap<String, bool>,
}

/// The key that signs the log's heads (RFC 8410, section 10.3). It is there before anything is written.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";

fn site(mode: &str) -> Site {
    let settings = format!("decision_log.mode = \"{mode}\"\ndecision_log.signing_key = \"key.pem\"");
    let site = Site::within(in_memory(), &settings);
    std::fs::write(site.file("key.pem"), KEY).unwrap();
    site
}

async fn run(mode: &str, cases: u64, fault: Option<&str>) -> Run {
    run_with(mode, cases, 0, fault).await
}

/// The same; then the summary of another case is changed so often, and a last case is worked on.
async fn run_with(mode: &str, cases: u64, summaries: u64, fault: Option<&str>) -> Run {
    let site = site(mode);
    let trace = site.file("trace");
    let mut sidecar = Sidecar::spawn(traced(&site.command(&["serve", "--config", "consentry.toml"]), &trace, fault));
    let people = People::of(&site, &sidecar);
    let (mut changes, mut decisions) = (Vec::new(), HashMap::new());
    // Two at a time, so that their commits and records meet in one transaction and in one batch.
    for pair in 0..cases.div_ceil(2) {
        let lives = [format!("SR-{pair}-a"), format!("SR-{pair}-b")].map(|id| {
            let people = people.clone();
            tokio::spawn(async move {
                let (mut case, mut changes, mut decisions) = (Case::new(id), Vec::new(), Vec::new());
                for act in LIFE {
                    changes.push(case.carry_out(&people, act).await.unwrap().text);
                    let read = people.may_read(&case.id).await.unwrap();
                    let id = read.json["context"]["decision_id"].as_str().unwrap().to_owned();
                    decisions.push((id, read.decision()));
                }
                (changes, decisions)
            })
        });
        for life in lives {
            let (of_life, decided) = life.await.unwrap();
            changes.extend(of_life);
            decisions.extend(decided);
        }
    }
    if summaries > 0 {
        changes.extend(case_with_long_summaries(&people, summaries).await);
    }
    sidecar.signal(Signal::TERM);
    let process = sidecar.child.id();
    assert!(sidecar.end().success(), "{:?}", sidecar.log.lock());
    Run { calls: read(&trace, process), site, changes, decisions }
}

/// Works on a case whose changes are as large as changes can be; gives the answers.
async fn case_with_long_summaries(people: &People, summaries: u64) -> Vec<String> {
    let mut case = Case::new("SR-long".to_owned());
    let mut answers = vec![case.carry_out(people, Act::Open).await.unwrap().text];
    for nth in 0..summaries {
        let summary = format!("{nth}{}", "\u{1f512}".repeat(990));
        let ticketing = people.ticketing.with("idempotency-key", &format!("summary-{nth}"));
        let reply = ticketing.patch("/v1/support-requests/SR-long", &json!({ "summary": summary })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        answers.push(reply.text);
    }
    for act in [Act::Ask, Act::ContosoApproves, Act::FabrikamApproves, Act::FabrikamRevokes, Act::Close] {
        answers.push(case.carry_out(people, act).await.unwrap().text);
    }
    answers
}

/// What the run came to in the end: each commit, and what had been answered by when.
struct History {
    /// What each commit wrote, and the audit entries of each tenant, as the file tells in the end.
    writes: Vec<Value>,
    activities: BTreeMap<String, Vec<String>>,
    /// On which line of the trace the answer to this commit left.
    answered: Vec<(usize, usize)>,
    /// On which line the answer to this decision left.
    decided: Vec<(usize, String)>,
    /// Between a sync of the store's journal that failed and the next one that did not.
    unsure: Range<usize>,
}

fn unsure(run: &Run) -> Range<usize> {
    let journal = run.site.file("store.db-wal");
    let mut calls = run.calls.iter();
    let Some(failed) = calls.find(|call| call.did == Did::NotSynced(journal.clone())) else { return 0..0 };
    let synced = calls.find(|call| call.did == Did::Synced(journal.clone())).expect("it was synced in the end");
    failed.began..synced.returned + 1
}

fn rows<T>(path: &Path, sql: &str, row: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map((), |found| row(found)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn commits_of(path: &Path) -> Vec<Value> {
    let found = rows(path, "SELECT seq, writes FROM change_log ORDER BY seq", |row| {
        Ok((row.get::<_, u32>(0)? as usize, row.get::<_, String>(1)?))
    });
    assert!(found.iter().map(|(seq, _)| *seq).eq(1..=found.len()), "commits are missing");
    found.iter().map(|(_, writes)| serde_json::from_str(writes).unwrap()).collect()
}

fn activities_of(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut by_tenant: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let found = rows(path, "SELECT tenant, number, body FROM activity ORDER BY tenant, number", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)? as usize, row.get::<_, String>(2)?))
    });
    for (tenant, number, body) in found {
        let of_tenant = by_tenant.entry(tenant).or_default();
        of_tenant.push(body);
        assert_eq!(of_tenant.len(), number, "entries are missing");
    }
    by_tenant
}

impl History {
    fn of(run: &Run) -> Self {
        let store = run.site.file("store.db");
        let answers: Vec<(usize, String)> = run
            .calls
            .iter()
            .filter_map(|call| match &call.did {
                Did::Said(bytes) => Some((call.began, String::from_utf8_lossy(bytes).into_owned())),
                Did::Made(_) | Did::Wrote(..) | Did::Cut(..) | Did::Removed(_) | Did::Synced(_) | Did::NotSynced(_) => {
                    None
                }
            })
            .collect();
        let said = |what: &str| {
            let found = answers.iter().find(|(_, answer)| answer.contains(what));
            found.unwrap_or_else(|| panic!("no answer with {what} is in the trace")).0
        };
        let remembered = rows(&store, "SELECT seq, body FROM remembered_answer", |row| {
            let body: Value = serde_json::from_str(&row.get::<_, String>(1)?).unwrap();
            Ok((body["body"].as_str().unwrap().to_owned(), row.get::<_, u32>(0)? as usize))
        });
        let remembered: HashMap<String, usize> = remembered.into_iter().collect();
        let mut answered: Vec<_> = run.changes.iter().map(|body| (said(body), remembered[body])).collect();
        answered.sort_unstable();
        let mut decided: Vec<_> = run.decisions.keys().map(|id| (said(id), id.clone())).collect();
        decided.sort_unstable();
        Self { writes: commits_of(&store), activities: activities_of(&store), answered, decided, unsure: unsure(run) }
    }

    /// What the file holds is the state after some first so many commits, every one that was answered among them.
    async fn check_store(&self, folder: &Path, at: usize, told: &str) -> Option<usize> {
        let path = folder.join("store.db");
        let acknowledged = self.answered.iter().filter(|(line, _)| *line <= at).map(|(_, seq)| *seq).max();
        if !path.exists() && acknowledged.is_none() {
            return None;
        }
        let store = SqliteStore::open(&path).unwrap_or_else(|error| panic!("{told}: {error}"));
        store.snapshot(&mut |_| {}).await.unwrap_or_else(|error| panic!("{told}: {error}"));
        drop(store);
        let integrity = rows(&path, "PRAGMA integrity_check", |row| row.get::<_, String>(0));
        assert_eq!(integrity, ["ok"], "{told}");
        let commits = commits_of(&path);
        assert!(commits.len() >= acknowledged.unwrap_or(0), "{told}: {} of {acknowledged:?}", commits.len());
        // A batch of unknown outcome may be there, and be tried again in another order.
        let unsure = self.unsure.contains(&at);
        let settled = if unsure { acknowledged.unwrap_or(0) } else { commits.len() };
        assert!(commits.iter().take(settled).eq(self.writes.iter().take(settled)), "{told}: another history");
        assert_eq!(objects_of(&path), objects_after(&commits), "{told}: not the state after {}", commits.len());
        for (tenant, entries) in activities_of(&path) {
            assert!(unsure || self.activities[&tenant].starts_with(&entries), "{told}: other entries of {tenant}");
        }
        Some(commits.len())
    }

    /// The log opens; every record that an answer rests on is in it.
    fn check_log(&self, folder: &Path, at: usize, synced: bool, told: &str) -> usize {
        let path = folder.join("decisions");
        let key = SigningKey::from_pem(KEY).unwrap();
        let keys = TrustedKeys(vec![key.public()]);
        let settings = DecisionLogSettings::at(&path);
        let log = DecisionLog::open_signed_by(&settings, Arc::new(SystemClock::new()), Arc::new(key))
            .unwrap_or_else(|error| panic!("{told}: {error}"));
        log.close().unwrap();
        // It is a good log, whatever came: closed as it is now, all of it is signed.
        let report = verify(&path, &keys, &[]).unwrap();
        assert!(report.is_good() && report.signed_size == report.size, "{told}: {report:?}");
        let text = String::from_utf8_lossy(&std::fs::read(path.join(SEGMENT)).unwrap()).into_owned();
        assert!(text.ends_with('\n'), "{told}: torn");
        let lost: Vec<_> =
            self.decided.iter().filter(|(line, id)| *line <= at && !text.contains(id.as_str())).collect();
        assert!(lost.is_empty() || !synced, "{told}: answered and not recorded: {lost:?}");
        lost.len()
    }
}

/// The objects in the tables, by what they are.
fn objects_of(path: &Path) -> BTreeMap<String, Value> {
    let sql = "SELECT 'Tenant', id, body FROM tenant UNION ALL SELECT 'SupportRequest', id, body FROM support_request \
               UNION ALL SELECT 'AccessRequest', id, body FROM access_request";
    let found = rows(path, sql, |row| {
        let kind_and_id = format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        Ok((kind_and_id, serde_json::from_str(&row.get::<_, String>(2)?).unwrap()))
    });
    found.into_iter().collect()
}

/// The objects that these commits lead to.
fn objects_after(commits: &[Value]) -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for write in commits.iter().flat_map(|writes| writes.as_array().unwrap()) {
        let (kind, object) = write.as_object().unwrap().iter().next().unwrap();
        objects.insert(format!("{kind} {}", object["id"].as_str().unwrap()), object.clone());
    }
    objects
}

/// A folder in memory, where there is a file system for it: what a power cut leaves is told by the trace, not by the disk.
fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Lays the files of a disk out in a new folder.
fn lay_out(files: &BTreeMap<&Path, Vec<u8>>, names: &[&str]) -> tempfile::TempDir {
    let folder = in_memory();
    lay_out_in(folder.path(), files, names);
    folder
}

/// The same, in this folder. Files of the log are in theirs.
fn lay_out_in(folder: &Path, files: &BTreeMap<&Path, Vec<u8>>, names: &[&str]) {
    for (path, bytes) in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let of_the_log = path.parent().is_some_and(|parent| parent.ends_with("decisions"));
        if of_the_log && names.contains(&"decisions") {
            std::fs::create_dir_all(folder.join("decisions")).unwrap();
            std::fs::write(folder.join("decisions").join(name), bytes).unwrap();
        } else if names.contains(&name) {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// SQLite makes its index of the journal (`-shm`) anew. While the store is first made, its journal is of another kind.
const DURABLE: [&str; 4] = ["store.db", "store.db-journal", "store.db-wal", "decisions"];

/// The log's first segment.
const SEGMENT: &str = "00000000000000000000.jsonl";

/// The moments at which the power goes: right when an answer leaves, and any others.
fn moments(run: &Run, history: &History, dice: &mut Rng) -> Vec<usize> {
    let answers = history.answered.iter().map(|(line, _)| *line).chain(history.decided.iter().map(|(line, _)| *line));
    let last = run.calls.last().unwrap().returned;
    let mut moments: Vec<usize> = answers.chain((0..effort(CUTS)).map(|_| dice.usize(..=last))).collect();
    moments.push(last + 1);
    moments.sort_unstable();
    moments.dedup();
    moments
}

async fn nothing_answered_is_lost(mode: &str, name: &str) {
    let mut dice = random(name);
    let run = run(mode, effort(CASES), None).await;
    let lost = cut_at_any_moment(mode, &run, &mut dice).await;
    assert_eq!(lost > 0, mode == "written", "the model does not know what a sync is for");
}

/// Cuts the power at many moments; gives how often records of answered decisions were lost.
async fn cut_at_any_moment(mode: &str, run: &Run, dice: &mut Rng) -> usize {
    let history = History::of(run);
    let moments = moments(run, &history, dice);
    cut_at(moments, mode, run, &history, dice).await
}

async fn cut_at(moments: Vec<usize>, mode: &str, run: &Run, history: &History, dice: &mut Rng) -> usize {
    let (mut disk, mut done, mut cuts, mut lost) = (Disk::default(), 0, 0, 0);
    for at in moments {
        while let Some(call) = run.calls.get(done).filter(|call| call.returned < at) {
            disk.apply(call);
            done += 1;
        }
        for left in [Left::Nothing, Left::Pieces, Left::Everything] {
            let told = format!("{mode}, power cut at line {at} of the trace, which left {left:?}");
            let folder = lay_out(&disk.cut(left, dice), &DURABLE);
            history.check_store(folder.path(), at, &told).await;
            let missing = history.check_log(folder.path(), at, mode == "synced" || left == Left::Everything, &told);
            lost += usize::from(missing > 0);
            cuts += 1;
        }
    }
    println!("{mode}: {cuts} power cuts; in {lost} of them records of answered decisions were lost, as `written` may");
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_takes_nothing_that_was_answered_in_the_mode_synced() {
    let name = "a_power_cut_at_any_moment_takes_nothing_that_was_answered_in_the_mode_synced";
    nothing_answered_is_lost("synced", name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_in_the_mode_written_takes_records_that_were_not_synced_and_nothing_else() {
    let name = "a_power_cut_in_the_mode_written_takes_records_that_were_not_synced_and_nothing_else";
    nothing_answered_is_lost("written", name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_starts_on_what_is_left_and_allows_what_it_had_told_and_no_more() {
    let mut dice = random("the_program_starts_on_what_is_left_and_allows_what_it_had_told_and_no_more");
    let run = run("synced", 2, None).await;
    let history = History::of(&run);
    let last = run.calls.last().unwrap().returned;
    for _ in 0..effort(3) {
        let at = dice.usize(history.answered[0].0..=last);
        let mut disk = Disk::default();
        run.calls.iter().filter(|call| call.returned < at).for_each(|call| disk.apply(call));
        let site = site("synced");
        lay_out_in(site.path(), &disk.cut(Left::Pieces, &mut dice), &DURABLE);
        let site = Site { key: Arc::clone(&run.site.key), ..site };
        std::fs::copy(run.site.file("jwks.json"), site.file("jwks.json")).unwrap();
        let sidecar = site.start();
        let people = People::of(&site, &sidecar);
        for id in ["SR-0-a", "SR-0-b"] {
            let allowed = people.may_read(id).await.unwrap();
            assert_eq!(allowed.status, 200, "{allowed:?}");
            let told = format!("{id} at line {at}: {allowed:?}");
            let state = objects_of(&site.file("store.db"));
            let request = state.get(&format!("SupportRequest {id}"));
            let asked = state.values().find(|object| object["support_request"] == id);
            let approved = asked.is_some_and(|asked| asked.to_string().matches("\"approved\"").count() == 2);
            let open = request.is_some_and(|request| request.to_string().contains("\"open\""));
            assert_eq!(allowed.decision(), approved && open, "{told}: {asked:?}");
        }
        sidecar.kill();
    }
}
