//! A disk that fills up: nothing is half done, nothing is allowed unrecorded, and room brings everything back (G3, G4).

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;

use super::case::{Act, Case, People};
use super::kill::recorded;
use crate::support::process::{Sidecar, Site, pause};
use crate::support::{Reply, settings};

/// How a disk is made full.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// A small file system that only the process sees: `unshare` with these flags may mount one.
    Tmpfs(&'static str),
    /// No file of the process grows any more.
    FileSizeLimit,
}

impl Way {
    /// The best way that this machine allows.
    pub(super) fn choose() -> Self {
        let may_mount = |flags: &&str| {
            let probe = TempDir::new().unwrap();
            let mount = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\""];
            let tried = Command::new("unshare").arg(flags).args(mount).arg(probe.path()).stderr(Stdio::null()).status();
            tried.is_ok_and(|status| status.success())
        };
        let way = ["-m", "-rm"].into_iter().find(may_mount).map_or(Self::FileSizeLimit, Self::Tmpfs);
        #[expect(clippy::print_stdout, reason = "which of the ways was tried belongs to the outcome")]
        {
            println!("the disk is made full by {way:?}");
        }
        way
    }

    /// The program, with `disk/` in its folder as the disk.
    fn command(self, site: &Site) -> Command {
        let (program, script) = match self {
            Self::Tmpfs(_) => ("unshare", "mount -t tmpfs -o size=2m tmpfs disk && exec \"$0\" \"$@\""),
            // Without the trap the signal would end the process before the write could fail.
            Self::FileSizeLimit => ("env", "trap '' XFSZ && exec \"$0\" \"$@\""),
        };
        let mut command = Command::new(program);
        if let Self::Tmpfs(flags) = self {
            command.arg(flags);
        }
        command.args(["sh", "-c", script, env!("CARGO_BIN_EXE_consentry"), "serve", "--config", "consentry.toml"]);
        command.current_dir(site.path()).stdin(Stdio::null());
        command
    }
}

/// The log's first segment.
const LOG: &str = "decisions/00000000000000000000.jsonl";

/// A sidecar of which the store or the log lies on a disk of its own.
struct OnDisk {
    way: Way,
    sidecar: Sidecar,
    site: Site,
    name: &'static str,
}

impl OnDisk {
    fn start(name: &'static str) -> Self {
        let (way, site) = (Way::choose(), Site::new(""));
        std::fs::create_dir(site.file("disk")).unwrap();
        let own = |name: &str| format!("\"{}\"", site.file(name).display());
        let text = settings(site.path(), "").replace(&own(name), &own(&format!("disk/{name}")));
        site.settings(&text);
        Self { way, sidecar: Sidecar::spawn(way.command(&site)), site, name }
    }

    /// A file of the disk, as the process sees it.
    fn file(&self, name: &str) -> PathBuf {
        let inside = self.site.file("disk").join(name);
        match self.way {
            Way::Tmpfs(_) => PathBuf::from(format!("/proc/{}/root{}", self.sidecar.child.id(), inside.display())),
            Way::FileSizeLimit => inside,
        }
    }

    fn fill(&self) {
        match self.way {
            Way::Tmpfs(_) => {
                let mut filler = File::create(self.file("filler")).unwrap();
                for portion in [4096, 1] {
                    while filler.write_all(&vec![0; portion]).is_ok() {}
                }
            }
            Way::FileSizeLimit => {
                let grows = if self.name == "store.db" { "store.db-wal" } else { LOG };
                self.limit(Some(std::fs::metadata(self.file(grows)).unwrap().len()));
            }
        }
    }

    fn free(&self) {
        match self.way {
            Way::Tmpfs(_) => std::fs::remove_file(self.file("filler")).unwrap(),
            Way::FileSizeLimit => self.limit(None),
        }
    }

    fn limit(&self, current: Option<u64>) {
        prlimit(Some(self.sidecar.pid()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    }
}

/// A case that waits for Fabrikam, and the path on which Fabrikam approves.
pub(super) async fn waiting_for_fabrikam(people: &People) -> (Case, String) {
    let mut case = Case::new("SR-1".to_owned());
    for act in [Act::Open, Act::Ask, Act::ContosoApproves] {
        case.carry_out(people, act).await.unwrap();
    }
    let approval = case.consent(&people.dee, "pending", "approve").await.unwrap();
    (case, approval)
}

pub(super) async fn not_ready(people: &People, part: &str) {
    let reply = people.tooling.get("/readyz").await;
    assert_eq!((reply.status, &reply.json["ready"]), (503, &json!(false)), "{reply:?}");
    assert_ne!(reply.json["checks"][part], "ok", "{reply:?}");
}

/// Readiness comes back although nothing but readiness is asked for.
pub(super) async fn ready_again(people: &People) {
    for _ in 0..2_000 {
        if people.tooling.get("/readyz").await.status == 200 {
            return;
        }
        pause();
    }
    panic!("it is not ready again: {:?}", people.tooling.get("/readyz").await);
}

#[tokio::test]
async fn a_full_disk_under_the_log_allows_nothing_and_changes_nothing() {
    let on_disk = OnDisk::start("decisions");
    let people = People::of(&on_disk.site, &on_disk.sidecar);
    let (mut case, approval) = waiting_for_fabrikam(&people).await;
    let mut answered = HashMap::new();
    let mut note = |reply: &Reply| {
        answered.insert(reply.json["context"]["decision_id"].as_str().unwrap().to_owned(), reply.decision())
    };

    // One token that the sidecar knows before, and new ones: callers are settled once, and then not recorded again.
    let authorization = format!("Bearer {}", people.tooling.token());
    let known = People { tooling: people.tooling.with("authorization", &authorization), ..people.clone() };
    note(&known.may_read("SR-1").await.unwrap());
    on_disk.fill();
    let mut room = 0;
    while let Some(reply) = Some(people.may_read("SR-1").await.unwrap()).filter(|reply| reply.status == 200) {
        note(&reply);
        room += 1;
        assert!(room < 200, "the disk is not full");
    }
    for _ in 0..3 {
        for people in [&people, &known] {
            let read = people.may_read("SR-1").await.unwrap();
            assert_eq!((read.status, read.code(), read.decision()), (503, "log_unavailable", false), "{read:?}");
        }
        let approve = people.dee.post(&approval, &json!({})).await;
        assert_eq!((approve.status, approve.code()), (503, "log_unavailable"), "{approve:?}");
    }
    not_ready(&people, "decision_log").await;

    on_disk.free();
    ready_again(&people).await;
    case.survived(&people).await;
    case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
    let allowed = people.may_read("SR-1").await.unwrap();
    assert!(allowed.decision(), "{allowed:?}");
    note(&allowed);
    recorded(&on_disk.file(LOG), &answered);
}

#[tokio::test]
async fn a_full_disk_under_the_store_changes_nothing_and_reads_go_on() {
    let on_disk = OnDisk::start("store.db");
    let people = People::of(&on_disk.site, &on_disk.sidecar);
    let (mut case, approval) = waiting_for_fabrikam(&people).await;

    on_disk.fill();
    let mut room = 0;
    let refused = loop {
        let body = json!({
            "id": format!("SR-filler-{room}"), "number": "1", "summary": "fills the disk", "tenant": "contoso",
            "submitted_in": "admin_center",
        });
        let reply = people.ticketing.post("/v1/support-requests", &body).await;
        if reply.status != 201 {
            break reply;
        }
        room += 1;
        assert!(room < 200, "the disk is not full");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    for _ in 0..3 {
        let approve = people.dee.post(&approval, &json!({})).await;
        assert_eq!(approve.status, 503, "{approve:?}");
        if let Way::Tmpfs(_) = on_disk.way {
            assert_eq!(approve.code(), "store_unavailable", "{approve:?}");
        }
        let read = people.may_read("SR-1").await.unwrap();
        assert_eq!((read.status, read.code(), read.decision()), (200, "awaiting_consent", false), "{read:?}");
    }
    not_ready(&people, "store").await;

    on_disk.free();
    ready_again(&people).await;
    case.survived(&people).await;
    case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
    assert!(people.may_read("SR-1").await.unwrap().decision());
}
