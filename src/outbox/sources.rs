//! Where letters come from: a tenant's announcements and activities in the store, its reads in the decision log; or tasks
//! that end.

use std::sync::Arc;

use super::event::{Content, Event};
use super::settings::EndpointSettings;
use super::tasks::Ends;
use crate::audit::{DecisionLog, LogError, Position, ReadRecord};
use crate::model::{TenantId, Timestamp};
use crate::store::{
    ActivityFilter, LetterId, NumberedActivity, NumberedAnnouncement, OutboxPlaces, Store, StoreError, Stream,
};

/// How many entries of one stream are taken at once.
pub(super) const PORTION: usize = 200;

/// How far a place among the reads is set back when the read that stood there is not found any more.
const SET_BACK: u64 = 1_000;

/// Why a stream cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log was not read to the end")]
    BrokeOff,
}

/// Where the letters of one endpoint come from.
#[derive(Debug, Clone)]
pub(super) enum Sources {
    /// From a tenant's streams.
    Tenant(OfTenant),
    /// From tasks that end.
    Tasks(Ends),
}

impl Sources {
    pub(super) fn store(&self) -> &dyn Store {
        match self {
            Self::Tenant(tenant) => &*tenant.store,
            Self::Tasks(ends) => ends.store(),
        }
    }

    /// Where they end now: a new endpoint is told of what happens from now on.
    pub(super) async fn ends(&self) -> Result<OutboxPlaces, Unreadable> {
        match self {
            Self::Tenant(tenant) => tenant.ends().await,
            Self::Tasks(ends) => Ok(ends.last().await?),
        }
    }

    /// What is new behind these places, at most so much of each stream, with the places behind it.
    pub(super) async fn after(
        &self,
        places: &mut OutboxPlaces,
        limit: usize,
        with_reads: bool,
    ) -> Result<Vec<(Stream, Content)>, Unreadable> {
        match self {
            Self::Tenant(tenant) => tenant.after(places, limit, with_reads).await,
            Self::Tasks(ends) => Ok(ends.after(places, limit.min(PORTION)).await?),
        }
    }

    /// Finds the place among the reads again, after a start.
    pub(super) async fn find_place(&self, places: &mut OutboxPlaces) -> Result<(), Unreadable> {
        match self {
            Self::Tenant(tenant) => tenant.find_place(places).await,
            Self::Tasks(_) => Ok(()),
        }
    }

    /// The content of one letter; none: it is not there any more.
    pub(super) async fn one(&self, id: LetterId) -> Result<Option<Content>, Unreadable> {
        match self {
            Self::Tenant(tenant) => tenant.one(id).await,
            Self::Tasks(ends) => Ok(ends.one(id.number).await?),
        }
    }
}

/// The streams of one endpoint's tenant.
#[derive(Debug, Clone)]
pub(super) struct OfTenant {
    tenant: TenantId,
    streams: Vec<Stream>,
    store: Arc<dyn Store>,
    log: Arc<DecisionLog>,
    /// The name of the endpoint's outbox.
    key: String,
}

impl OfTenant {
    pub(super) fn new(endpoint: &EndpointSettings, store: Arc<dyn Store>, log: Arc<DecisionLog>) -> Self {
        let (tenant, streams) = (endpoint.tenant.clone(), endpoint.events.clone());
        Self { tenant, streams, store, log, key: endpoint.key() }
    }

    /// Where the tenant's streams end now.
    async fn ends(&self) -> Result<OutboxPlaces, Unreadable> {
        let mut places = OutboxPlaces::default();
        // In this order, as in `after`: an activity that is left out has no announcement that is not.
        let newest = self.store.activities_of(self.tenant.clone(), ActivityFilter::default(), None, 1).await?;
        places.activities = newest.first().map_or(0, |newest| newest.number);
        loop {
            let portion = self.store.announcements_after(self.tenant.clone(), places.announcements, PORTION).await?;
            let Some(last) = portion.last() else { break };
            places.announcements = last.number;
        }
        if let Some(newest) = self.read_back(None, 1).await?.pop() {
            places.reads = newest.position.as_u64();
            places.last_read = Some(newest.decision_id);
        }
        Ok(places)
    }

    /// What is new in the streams behind these places, at most so much of each, with the places behind it. Of what was
    /// committed before an activity that is taken, nothing is left out: announcements are looked at after activities.
    async fn after(
        &self,
        places: &mut OutboxPlaces,
        limit: usize,
        with_reads: bool,
    ) -> Result<Vec<(Stream, Content)>, Unreadable> {
        let mut found = Vec::new();
        let limit = limit.min(PORTION);
        let wanted = |stream| self.streams.contains(&stream);
        let activities = self.store.activities_after(self.tenant.clone(), places.activities, limit).await?;
        let announcements = self.store.announcements_after(self.tenant.clone(), places.announcements, limit).await?;
        if let Some(last) = announcements.last() {
            places.announcements = last.number;
        }
        if let Some(last) = activities.last() {
            places.activities = last.number;
        }
        if wanted(Stream::Announcements) {
            found.extend(announcements.iter().map(|announced| (Stream::Announcements, announcement(announced))));
        }
        if wanted(Stream::Activities) {
            found.extend(activities.iter().map(|logged| (Stream::Activities, activity(logged))));
        }
        if wanted(Stream::Reads) && with_reads {
            // A log that cannot be read now holds back nothing else.
            match self.reads_after(places, limit).await {
                Ok(reads) => found.extend(reads.iter().map(|read| (Stream::Reads, self.read(read)))),
                Err(error) => tracing::debug!(outbox = %self.key, %error, "the reads cannot be looked at now"),
            }
        }
        Ok(found)
    }

    /// The tenant's next reads, oldest first.
    async fn reads_after(&self, places: &mut OutboxPlaces, limit: usize) -> Result<Vec<ReadRecord>, Unreadable> {
        let newest = self.read_back(None, 1).await?.pop();
        let Some(newest) = newest.filter(|newest| newest.position.as_u64() > places.reads) else {
            return Ok(Vec::new());
        };
        let to = newest.position.as_u64().min(places.reads.saturating_add(limit as u64));
        let count = usize::try_from(to - places.reads).unwrap_or(limit);
        let mut reads = self.read_back(Some(to + 1), count).await?;
        reads.retain(|read| read.position.as_u64() > places.reads);
        reads.reverse();
        places.reads = to;
        places.last_read = reads.last().map(|last| last.decision_id.clone());
        Ok(reads)
    }

    /// Finds the place among the reads again, after a start: a power cut can have taken the log's last records, and the
    /// reads after it then have their numbers. Rather twice than never.
    async fn find_place(&self, places: &mut OutboxPlaces) -> Result<(), Unreadable> {
        let Some(expected) = places.last_read.clone() else { return Ok(()) };
        let there = self.read_back(Some(places.reads.saturating_add(1)), 1).await?.pop();
        let is_there = |read: &ReadRecord| read.position.as_u64() == places.reads && read.decision_id == expected;
        if there.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        let end = there.map_or(0, |newest| newest.position.as_u64());
        let from = end.min(places.reads).saturating_sub(SET_BACK);
        tracing::warn!(outbox = %self.key, from, "the decision log has lost reads: some are told once more");
        places.reads = from;
        places.last_read = None;
        Ok(())
    }

    /// The content of one letter; none: it is not there any more.
    async fn one(&self, id: LetterId) -> Result<Option<Content>, Unreadable> {
        let before = id.number.saturating_sub(1);
        let found = match id.stream {
            Stream::Announcements => {
                let found = self.store.announcements_after(self.tenant.clone(), before, 1).await?;
                found.first().map(announcement)
            }
            Stream::Activities => {
                self.store.activities_after(self.tenant.clone(), before, 1).await?.first().map(activity)
            }
            Stream::Reads => {
                let found = self.read_back(Some(id.number.saturating_add(1)), 1).await?;
                found.first().map(|read| self.read(read))
            }
            Stream::Tasks => None,
        };
        Ok(found.filter(|content| content.number == id.number))
    }

    async fn read_back(&self, before: Option<u64>, limit: usize) -> Result<Vec<ReadRecord>, Unreadable> {
        let (log, tenant) = (Arc::clone(&self.log), self.tenant.clone());
        // Reading the log back touches the disk.
        let read = tokio::task::spawn_blocking(move || {
            log.read_back(&tenant, before.map(Position::from_u64), limit, &|_| true)
        });
        Ok(read.await.map_err(|_| Unreadable::BrokeOff)??.0)
    }

    fn read(&self, read: &ReadRecord) -> Content {
        Content {
            number: read.position.as_u64(),
            about: read.support_request.clone(),
            at: read.time.parse().unwrap_or(Timestamp::from_millis(0)),
            event: Event::read(&self.tenant, read),
        }
    }
}

fn announcement(announced: &NumberedAnnouncement) -> Content {
    Content {
        number: announced.number,
        about: announced.announcement.support_request.to_string(),
        at: announced.announcement.at,
        event: Event::announced(announced),
    }
}

fn activity(logged: &NumberedActivity) -> Content {
    Content {
        number: logged.number,
        about: logged.activity.support_request.to_string(),
        at: logged.activity.at,
        event: Event::logged(logged),
    }
}
