//! From single events back to whole commits: a watch is not trusted to show all of them, once, or in one piece.

use std::collections::VecDeque;

use super::errors::Fault;
use super::keys::{Keys, Watched};
use super::records::{self, Head};
use crate::store::sqlite::replay::Placed;
use crate::store::{Commit, Epoch, Seq};

/// How many places are remembered to tell what was seen before from what is new.
const REMEMBERED: usize = 1_024;

/// One key's change, as a watch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// The transaction it belongs to.
    pub(super) revision: i64,
    /// How often the key was written.
    pub(super) version: i64,
    pub(super) deleted: bool,
}

/// What is wrong with what a watch showed. What is true stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Amiss {
    /// A commit was not shown.
    Gap { expected: Seq, shown: Seq },
    /// A commit was not shown whole, or with more than belongs to it.
    Torn { revision: i64 },
    /// What was shown before is shown as something else.
    Changed { seq: Seq },
    /// Nobody can make this good.
    Fatal(Fault),
}

/// Puts events together.
#[derive(Debug)]
pub(super) struct Assembler {
    keys: Keys,
    watched: Watched,
    epoch: Epoch,
    /// At this revision the epoch stood. What it was before is history: a restored store shows it again.
    epoch_stood_at: i64,
    /// The newest whole commit, and its revision.
    last: (Seq, i64),
    /// Places seen lately.
    seen: VecDeque<(Seq, i64)>,
    /// The events of one revision, not whole yet.
    group: Vec<Event>,
}

impl Assembler {
    /// Goes on after this place.
    pub(super) fn after(keys: Keys, watched: Watched, epoch: Epoch, seq: Seq, revision: i64) -> Self {
        let seen = VecDeque::from([(seq, revision)]);
        Self { keys, watched, epoch, epoch_stood_at: 0, last: (seq, revision), seen, group: Vec::new() }
    }

    /// The same, where the epoch was found to stand at this revision.
    pub(super) fn since(self, epoch_stood_at: i64) -> Self {
        Self { epoch_stood_at, ..self }
    }

    pub(super) const fn last(&self) -> (Seq, i64) {
        self.last
    }

    /// Another watch begins: it shows again what the last one showed in part.
    pub(super) fn begin_anew(&mut self) {
        self.group.clear();
    }

    /// Goes on after a commit that was found elsewhere.
    pub(super) fn passed(&mut self, seq: Seq, revision: i64) {
        self.last = (seq, revision);
        self.seen.push_back(self.last);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
    }

    /// Takes the next event; the commit, when it was the last one of it.
    pub(super) fn push(&mut self, event: Event) -> Result<Option<Placed>, Amiss> {
        if event.deleted {
            let gone = format!("`{}` was deleted", String::from_utf8_lossy(&event.key));
            return Err(Amiss::Fatal(Fault::Damaged(gone)));
        }
        if event.key == self.keys.epoch().into_bytes() {
            return self.same_epoch(&event).map(|()| None).map_err(Amiss::Fatal);
        }
        if event.revision <= self.last.1 {
            return self.shown_again(&event).map(|()| None);
        }
        if let Some(first) = self.group.first()
            && first.revision != event.revision
        {
            return Err(Amiss::Torn { revision: first.revision });
        }
        self.group.push(event);
        self.whole()
    }

    fn same_epoch(&self, event: &Event) -> Result<(), Fault> {
        if event.revision <= self.epoch_stood_at || event.value == self.epoch.0.as_bytes() {
            return Ok(());
        }
        let other = String::from_utf8_lossy(&event.value);
        Err(Fault::Regressed(format!("its epoch was {} and is {other}", self.epoch.0)))
    }

    /// Etcd may repeat itself, but not change what it said.
    fn shown_again(&self, event: &Event) -> Result<(), Amiss> {
        if event.key != self.keys.head().into_bytes() {
            return Ok(());
        }
        let place = (seq_of(event), event.revision);
        if self.seen.contains(&place) { Ok(()) } else { Err(Amiss::Changed { seq: place.0 }) }
    }

    fn whole(&mut self) -> Result<Option<Placed>, Amiss> {
        // The head is written last, so it is shown last.
        let Some(event) = self.group.last().filter(|event| event.key == self.keys.head().into_bytes()) else {
            return Ok(None);
        };
        let (seq, revision) = (seq_of(event), event.revision);
        let head: Head = records::read(&event.key, &event.value).map_err(Amiss::Fatal)?;
        if seq != self.last.0.next() {
            return Err(Amiss::Gap { expected: self.last.0.next(), shown: seq });
        }
        let whole = match self.watched {
            Watched::Everything => head.n_events,
            // The head and what stands in the log.
            Watched::Log => 2,
        };
        if self.group.len() != whole {
            return Err(Amiss::Torn { revision });
        }
        let log = self.keys.log().into_bytes();
        let Some(entry) = self.group.iter().find(|event| event.key.starts_with(&log)) else {
            return Err(Amiss::Torn { revision });
        };
        let commit: Commit = records::read(&entry.key, &entry.value).map_err(Amiss::Fatal)?;
        if commit.txn_id != head.txn_id {
            return Err(Amiss::Torn { revision });
        }
        self.group.clear();
        self.passed(seq, revision);
        Ok(Some(Placed { seq, revision, commit }))
    }
}

fn seq_of(event: &Event) -> Seq {
    Seq(event.version.unsigned_abs())
}
