//! Keeps the log's account of what was so: every commit's facts, and every bundle that comes into force.
//!
//! A commit is told of within a moment, and not before its caller is answered: what a crash keeps from the log stands in
//! the store, and the next start makes up for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use crate::audit::{DecisionLog, LogError};
use crate::clock::Clock;
use crate::decision::ChronicleLine;
use crate::model::Timestamp;
use crate::policy::Bundle;
use crate::replica::{Became, Replica};
use crate::store::{Seq, Store};

/// How long to wait for a log that takes nothing.
const RETRY: Duration = Duration::from_millis(100);
/// How often it is noted how far the account goes.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// How many commits are taken at once.
const AT_ONCE: usize = 64;

/// How far the account goes: up to this commit of this store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    epoch: String,
    seq: u64,
    /// How many lines the log had: one with fewer has begun anew since.
    lines: u64,
}

/// The account of one store in one log.
#[derive(Debug)]
pub(super) struct Chronicle {
    log: Arc<DecisionLog>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    mark: PathBuf,
}

impl Chronicle {
    /// The account that `mark` remembers the end of.
    pub(super) fn new(log: Arc<DecisionLog>, clock: Arc<dyn Clock>, store: Arc<dyn Store>, mark: PathBuf) -> Self {
        Self { log, clock, store, mark }
    }

    /// Tells of a bundle that comes into force now. A log that cannot be written answers nothing either: the account
    /// then begins with the first decision.
    pub(super) fn in_force(&self, bundle: &Bundle) {
        let line = ChronicleLine::of_bundle(bundle, self.clock.now()).to_json();
        if let Err(error) = self.log.append(line.as_bytes(), None).map(|_ticket| ()) {
            tracing::warn!(%error, "the log does not tell which policies came into force");
        }
    }

    /// Tells of what has changed since the account ended, and then of every commit, for as long as the log is open.
    pub(super) async fn keep(self: Arc<Self>, replica: Arc<Replica>, mut became: UnboundedReceiver<Became>) {
        let mut noted = self.read_mark();
        let mut reached = noted;
        let mut missing = replica.changed_after(noted);
        missing.sort_by_key(|(_, case)| case.revision);
        for (id, case) in missing {
            if self.tell(|now| ChronicleLine::of_facts(&id, &case, None, now)).await.is_err() {
                return;
            }
            reached = reached.max(case.revision);
        }
        let mut news = Vec::new();
        let mut next_note = tokio::time::interval(NOTED_EVERY);
        next_note.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                received = became.recv_many(&mut news, AT_ONCE) => received,
                _ = next_note.tick() => {
                    if reached > noted && self.note(reached).await {
                        noted = reached;
                    }
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            for Became { at, support_request, case } in news.drain(..) {
                if self.tell(|now| ChronicleLine::of_facts(&support_request, &case, at, now)).await.is_err() {
                    return;
                }
                reached = reached.max(case.revision);
            }
        }
    }

    /// Returns once the line is in the log.
    ///
    /// # Errors
    /// When the log has been closed.
    async fn tell(&self, line: impl Fn(Timestamp) -> ChronicleLine) -> Result<(), LogError> {
        loop {
            let told = match self.log.append(line(self.clock.now()).to_json().as_bytes(), None) {
                Ok(ticket) => self.log.settled(ticket).await,
                Err(LogError::Closed) => return Err(LogError::Closed),
                Err(error) => Err(error),
            };
            match told {
                Ok(()) => return Ok(()),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// How far the account goes; 0 when nobody knows: then everything that is live is told of again.
    fn read_mark(&self) -> Seq {
        let text = std::fs::read_to_string(&self.mark).unwrap_or_default();
        let mark = serde_json::from_str::<Mark>(&text)
            .ok()
            .filter(|mark| mark.epoch == self.store.epoch().0 && mark.lines <= self.log.trail().size);
        Seq(mark.map_or(0, |mark| mark.seq))
    }

    /// Notes how far the account goes, once that much of the log is on the disk.
    async fn note(&self, reached: Seq) -> bool {
        if self.log.flush().await.is_err() {
            return false;
        }
        let mark = Mark { epoch: self.store.epoch().0, seq: reached.0, lines: self.log.trail().size };
        let text = serde_json::to_string(&mark).unwrap_or_default();
        let path = self.mark.clone();
        // Not synced: what is told of after a note that was lost is told of twice.
        let written = tokio::task::spawn_blocking(move || {
            let draft = path.with_extension("draft");
            std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path))
        });
        matches!(written.await, Ok(Ok(())))
    }
}
