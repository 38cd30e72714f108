//! Commits in order, none missing, none twice: watched where that goes well, read from the log where it does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{EventType, WatchResponse, WatchStream};

use super::batch::{Amiss, Assembler, Event};
use super::errors::Fault;
use super::keys::Watched;
use super::log::{self, Entry, PORTION};
use super::shared::{Shared, Start};
use crate::store::sqlite::replay::Placed;
use crate::store::{BoxFuture, Change, ChangeFeed, Seq, StoreError, Write};

/// How long to wait before a failed connection is tried again, the first time and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Follows the commits. Its future can be dropped at every `await`: a commit is taken out only when it is returned.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
    watched: Watched,
    from: Seq,
    /// None: where to begin is not known yet.
    assembler: Option<Assembler>,
    /// Up to here no other commits were made than the assembler has seen.
    quiet_until: i64,
    stream: Option<Stream>,
    /// The log is to be read before a watch is believed again.
    doubt: bool,
    listed: VecDeque<Entry>,
    ready: VecDeque<Placed>,
    pause: Duration,
}

struct Stream(WatchStream);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// What a watch brought.
enum Brought {
    Events(WatchResponse),
    /// It ended.
    End(String),
    /// It shows nothing, though there is something.
    Silence,
}

impl Feed {
    /// Follows the commits after this one.
    pub(super) fn after(shared: Arc<Shared>, watched: Watched, from: Seq) -> Self {
        Self {
            shared,
            watched,
            from,
            assembler: None,
            quiet_until: 0,
            stream: None,
            doubt: false,
            listed: VecDeque::new(),
            ready: VecDeque::new(),
            pause: PAUSES.0,
        }
    }

    /// The next commit.
    ///
    /// # Errors
    /// Only what does not pass.
    pub(super) async fn next(&mut self) -> Result<Placed, Fault> {
        loop {
            if let Some(placed) = self.ready.pop_front() {
                self.pause = PAUSES.0;
                return Ok(placed);
            }
            if let Some(lost) = self.shared.lost.borrow().clone() {
                return Err(lost);
            }
            match self.advance().await {
                Ok(()) => {}
                Err(fault) if fault.passes() => {
                    tracing::debug!(%fault, "the fleet's store cannot be followed now");
                    self.stream = None;
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSES.1);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The commits that are here already, after one that was returned.
    pub(super) fn more(&mut self, at_most: usize) -> Vec<Placed> {
        self.ready.drain(..self.ready.len().min(at_most)).collect()
    }

    async fn advance(&mut self) -> Result<(), Fault> {
        if self.assembler.is_none() {
            let start = log::start_at(&self.shared, self.from).await?;
            if self.shared.epoch.get().is_none() {
                self.shared.standing().await?;
            }
            let Some(epoch) = self.shared.epoch.get().cloned() else { return Ok(()) };
            let assembler = Assembler::after(self.shared.keys.clone(), self.watched, epoch, start.seq, start.revision);
            self.assembler = Some(assembler.since(self.shared.epoch_stood_at.load(Ordering::Acquire)));
            self.quiet_until = start.quiet_until;
        }
        let Some(assembler) = &mut self.assembler else { return Ok(()) };
        if !self.listed.is_empty() {
            let portion: Vec<Entry> = self.listed.iter().take(PORTION).cloned().collect();
            let read = log::read(&self.shared, &portion).await?;
            self.listed.drain(..portion.len());
            for placed in read {
                assembler.passed(placed.seq, placed.revision);
                self.ready.push_back(placed);
            }
            return Ok(());
        }
        let (seq, revision) = assembler.last();
        if self.doubt {
            let start = Start { seq, revision, quiet_until: self.quiet_until };
            let (listed, at) = log::entries_after(&self.shared, start).await?;
            (self.listed, self.quiet_until, self.doubt) = (listed.into(), at, false);
            return Ok(());
        }
        if self.stream.is_none() {
            let from = self.quiet_until.max(revision) + 1;
            let opened = self.shared.cluster.watch(self.shared.keys.watched(self.watched), from).await?;
            assembler.begin_anew();
            self.stream = Some(Stream(opened));
        }
        match brought(&self.shared, self.stream.as_mut(), seq).await {
            Brought::Events(response) => self.take(&response),
            Brought::End(why) => {
                tracing::debug!(%why, "a watch of the fleet's store ended");
                self.stream = None;
                Err(Fault::Unavailable(why))
            }
            Brought::Silence => {
                tracing::warn!(applied = seq.0, "a watch of the fleet's store fell silent: the log is read");
                self.shared.cluster.avoid_preferred();
                (self.stream, self.doubt) = (None, true);
                Ok(())
            }
        }
    }

    fn take(&mut self, response: &WatchResponse) -> Result<(), Fault> {
        if response.canceled() {
            // Also when what comes next is no longer kept: the log has it.
            (self.stream, self.doubt) = (None, true);
            return if response.compact_revision() > 0 {
                Ok(())
            } else {
                Err(Fault::Unavailable(format!("the watch was cancelled: {}", response.cancel_reason())))
            };
        }
        let Some(assembler) = &mut self.assembler else { return Ok(()) };
        for event in response.events() {
            let Some(event) = shown(event) else { continue };
            match assembler.push(event) {
                Ok(None) => {}
                Ok(Some(placed)) => self.ready.push_back(placed),
                Err(Amiss::Fatal(fault)) => return Err(fault),
                Err(amiss) => {
                    tracing::warn!(
                        ?amiss,
                        "a watch of the fleet's store showed something else than commits: the log is read"
                    );
                    assembler.begin_anew();
                    (self.stream, self.doubt) = (None, true);
                    return Ok(());
                }
            }
        }
        if let Some(placed) = self.ready.back() {
            self.shared.tell(placed.seq);
        }
        Ok(())
    }
}

fn shown(event: &etcd_client::Event) -> Option<Event> {
    let kv = event.kv()?;
    Some(Event {
        key: kv.key().to_vec(),
        value: kv.value().to_vec(),
        revision: kv.mod_revision(),
        version: kv.version(),
        deleted: event.event_type() == EventType::Delete,
    })
}

/// What comes first: something from the watch, or the patience's end with a watch that shows nothing of a commit that
/// etcd has spoken of.
async fn brought(shared: &Shared, stream: Option<&mut Stream>, seq: Seq) -> Brought {
    let Some(Stream(stream)) = stream else { return Brought::End("there is none".to_owned()) };
    let mut told = shared.told.subscribe();
    let mut lost = shared.lost.subscribe();
    let silence = async {
        // Its sender is ours too.
        let _ = told.wait_for(|told| *told > seq).await;
        tokio::time::sleep(shared.patience).await;
    };
    tokio::select! {
        biased;
        message = stream.message() => match message {
            Ok(Some(response)) => Brought::Events(response),
            Ok(None) => Brought::End("the watch ended".to_owned()),
            Err(error) => Brought::End(error.to_string()),
        },
        _ = lost.wait_for(Option::is_some) => Brought::End("the store is lost".to_owned()),
        () = silence => Brought::Silence,
    }
}

/// A sidecar's feed.
impl ChangeFeed for Feed {
    fn next(&mut self) -> BoxFuture<'_, Result<Change, StoreError>> {
        Box::pin(async {
            let Placed { seq, commit, .. } = Self::next(self).await?;
            let writes = commit.writes.into_iter().filter(|Write(object)| object.key().is_followed()).collect();
            Ok(Change { seq, at: commit.at, writes })
        })
    }
}
