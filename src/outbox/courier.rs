//! The courier of one endpoint: looks into the tenant's streams, delivers, and keeps what it knows. It is never on the way
//! of a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::event::Event;
use super::lanes::{Lanes, Patience, Turn};
use super::sender::{Failure, Sender};
use super::settings::WebhookSettings;
use super::sources::{PORTION, Sources, Unreadable};
use super::status::Counter;
use crate::clock::Clock;
use crate::store::{LetterId, OutboxPlaces};

/// How many letters of one endpoint are under way at once.
const AT_ONCE: usize = 8;

/// How many letters of one endpoint may wait. Beyond that its streams are not looked into: what is there stays there.
const MOST_WAITING: usize = 10_000;

/// How often what is known is kept, at most: what was delivered since is delivered again after a crash.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What came of a delivery: the lane, the letter, and the failure.
type Delivered = (String, LetterId, Result<(), Failure>);

#[derive(Debug)]
pub(super) struct Courier {
    /// The name of the outbox in the store.
    key: String,
    sources: Sources,
    sender: Sender,
    clock: Arc<dyn Clock>,
    counter: Counter,
    look_every: Duration,
    lanes: Lanes,
    places: OutboxPlaces,
    /// What the store knows of the places.
    kept: Option<OutboxPlaces>,
    kept_at: Option<Instant>,
    /// Whether anything has become of a letter since.
    changed: bool,
    /// The endpoint has said that it is no more.
    gone: bool,
    /// Whether the place among the reads is known to be the right one.
    is_found: bool,
    next_look: Instant,
    under_way: JoinSet<Delivered>,
}

impl Courier {
    pub(super) fn new(
        settings: &WebhookSettings,
        key: String,
        sources: Sources,
        sender: Sender,
        clock: Arc<dyn Clock>,
        counter: Counter,
    ) -> Self {
        Self {
            key,
            sources,
            sender,
            clock,
            counter,
            look_every: settings.look_every(),
            lanes: Lanes::new(Patience::of(settings)),
            places: OutboxPlaces::default(),
            kept: None,
            kept_at: None,
            changed: false,
            gone: false,
            is_found: false,
            next_look: Instant::now(),
            under_way: JoinSet::new(),
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while self.kept.is_none() {
            if rest(Instant::now() + self.look_every, &mut stopped).await {
                return;
            }
            self.begin().await;
        }
        while !*stopped.borrow() {
            if self.next_look <= Instant::now() {
                self.look().await;
                self.next_look = Instant::now() + self.look_every;
            }
            if self.gone {
                self.give_up();
            } else {
                self.send_what_is_due();
            }
            self.keep_now_and_then().await;
            self.tell();
            tokio::select! {
                delivered = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    self.note(delivered.and_then(Result::ok));
                    while let Some(more) = self.under_way.try_join_next() {
                        self.note(more.ok());
                    }
                }
                wish = self.counter.redrive.recv() => match wish {
                    Some(()) => self.revive().await,
                    // Nobody can wish any more: the house is gone.
                    None => return,
                },
                _ = rest(self.next_look, &mut stopped) => {}
            }
        }
        self.under_way.shutdown().await;
        self.keep().await;
    }

    /// Goes on where the last process was, or begins here and now. Until that has worked, nothing is sent.
    pub(super) async fn begin(&mut self) {
        if let Err(error) = self.try_begin().await {
            tracing::warn!(outbox = %self.key, %error, "an outbox cannot be read yet");
        }
    }

    async fn try_begin(&mut self) -> Result<(), Unreadable> {
        let store = self.sources.store();
        if let Some(outbox) = store.outbox(self.key.clone()).await? {
            for letter in outbox.waiting {
                self.lanes.restore(letter);
            }
            self.places = outbox.places.clone();
            self.kept = Some(outbox.places);
        } else {
            let places = self.sources.ends().await?;
            let change = self.lanes.change(&places);
            store.keep_outbox(self.key.clone(), change).await?;
            self.places = places.clone();
            self.kept = Some(places);
        }
        Ok(())
    }

    async fn look(&mut self) {
        if !self.is_found {
            // The log's index may still be being built.
            self.is_found = self.sources.find_place(&mut self.places).await.is_ok();
        }
        while let room @ 1.. = MOST_WAITING.saturating_sub(self.lanes.waiting()) {
            let mut places = self.places.clone();
            match self.sources.after(&mut places, room, self.is_found).await {
                Ok(found) => {
                    let now = self.clock.now();
                    for (stream, content) in found {
                        self.lanes.take_in(stream, content, now);
                    }
                }
                Err(error) => {
                    // The store has trouble, which readiness shows.
                    tracing::debug!(outbox = %self.key, %error, "a stream cannot be read now");
                    return;
                }
            }
            if std::mem::replace(&mut self.places, places) == self.places {
                let waiting = self.lanes.waiting();
                self.counter.status.send_modify(|status| {
                    status.looks += 1;
                    status.waiting = waiting;
                });
                return;
            }
        }
    }

    fn send_what_is_due(&mut self) {
        let room = AT_ONCE.saturating_sub(self.under_way.len());
        for Turn { about, id, event } in self.lanes.due(self.clock.now(), room) {
            let (sender, clock, sources) = (self.sender.clone(), Arc::clone(&self.clock), self.sources.clone());
            self.under_way.spawn(async move {
                let event = match event {
                    Some(event) => Ok(event),
                    None => read_again(&sources, id).await,
                };
                let outcome = match event {
                    Ok(event) => sender.deliver(&event, clock.now()).await,
                    Err(failure) => Err(failure),
                };
                (about, id, outcome)
            });
        }
    }

    /// Nothing is sent to an endpoint that is gone. What waits for it is kept among the dead letters.
    fn give_up(&mut self) {
        let died = self.lanes.give_up("the endpoint is gone", self.clock.now());
        if died > 0 {
            self.changed = true;
            self.counter.status.send_modify(|status| status.died += died as u64);
        }
    }

    fn note(&mut self, delivered: Option<Delivered>) {
        let Some((about, id, outcome)) = delivered else { return };
        match outcome {
            Ok(()) => {
                self.lanes.delivered(&about);
                self.counter.status.send_modify(|status| status.delivered += 1);
            }
            Err(failure) => {
                let why = failure.why.clone();
                if failure.gone && !self.gone {
                    tracing::error!(outbox = %self.key, "the endpoint is gone: nothing is sent to it any more");
                }
                self.gone |= failure.gone;
                let gone = self.gone;
                let died = self.lanes.failed(&about, failure, self.clock.now());
                let (stream, number) = (id.stream.as_str(), id.number);
                if died {
                    tracing::error!(outbox = %self.key, stream, number, why, "a letter is given up");
                } else {
                    tracing::info!(outbox = %self.key, stream, number, why, "a letter was not delivered");
                }
                self.counter.status.send_modify(|status| {
                    status.failed += 1;
                    status.died += u64::from(died);
                    status.last_failure = Some(why);
                    status.gone = gone;
                });
            }
        }
        self.changed = true;
    }

    /// Every dead letter is tried as if it were new.
    async fn revive(&mut self) {
        // Who orders this knows better than an answer of before.
        self.gone = false;
        self.counter.status.send_modify(|status| status.gone = false);
        // What has just died stands in the store alone then.
        self.keep().await;
        let mut after = None;
        while self.lanes.waiting() < MOST_WAITING {
            let found = self.sources.store().dead_letters(self.key.clone(), after, PORTION).await;
            let Ok(found) = found else { return };
            let Some(last) = found.last() else { break };
            after = Some(last.id);
            let now = self.clock.now();
            for letter in found {
                self.lanes.revive(letter, now);
            }
        }
        self.changed = true;
        self.keep().await;
    }

    async fn keep_now_and_then(&mut self) {
        let is_time = self.kept_at.is_none_or(|kept_at| kept_at.elapsed() >= KEEP_EVERY);
        if is_time && (self.changed || self.kept.as_ref() != Some(&self.places)) {
            self.keep().await;
        }
    }

    async fn keep(&mut self) {
        self.kept_at = Some(Instant::now());
        let change = self.lanes.change(&self.places);
        match self.sources.store().keep_outbox(self.key.clone(), change).await {
            Ok(()) => {
                self.lanes.kept();
                self.kept = Some(self.places.clone());
                self.changed = false;
            }
            Err(error) => {
                tracing::warn!(outbox = %self.key, %error, "an outbox cannot be kept: letters may be sent twice");
            }
        }
    }

    fn tell(&self) {
        let waiting = self.lanes.waiting();
        self.counter.status.send_if_modified(|status| std::mem::replace(&mut status.waiting, waiting) != waiting);
    }
}

/// Waits until this moment, or until told to stop; says whether told.
async fn rest(until: Instant, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => true,
        () = tokio::time::sleep_until(until) => false,
    }
}

async fn read_again(sources: &Sources, id: LetterId) -> Result<Event, Failure> {
    match sources.one(id).await {
        Ok(Some(content)) => Ok(content.event),
        Ok(None) => Err(Failure::because("its content is not there any more")),
        Err(error) => Err(Failure::because(format!("its content cannot be read: {error}"))),
    }
}
