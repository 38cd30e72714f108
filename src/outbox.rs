//! What leaves the house for a tenant: the entries of its logs in the shapes that others read, and the webhooks that bring
//! them (R21-R23); and for the operator: the decision log's signed heads.
//!
//! What lives here: the shapes, the outboxes with their retries and dead letters, signatures and the client that sends.
//! What does not: who may read a log, and anything on the way of a request. A webhook carries what the tenant's own lists
//! show and nothing else (R19); it gives nobody any right.
//!
//! Whoever asked for access after a denial can be called back about the end of their task, at addresses that the operator has
//! named.
//!
//! The way of a letter: the courier of an endpoint looks into the tenant's streams (`sources`) behind the places that it
//! remembers, puts what is new into lanes (`lanes`), one for each support request, and delivers (`sender`) the first of
//! each lane as a signed event (`event`, `signature`). Places and letters that wait are kept in the store; contents are
//! read again from where they stand.

mod courier;
pub mod entry;
mod event;
mod heads;
mod lanes;
pub mod ocsf;
mod sender;
mod settings;
mod signature;
mod sources;
mod status;
mod tasks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::courier::Courier;
use self::sender::Sender;
use self::sources::{OfTenant, Sources};
use self::status::Desk;
use self::tasks::Ends;
use crate::audit::DecisionLog;
use crate::clock::Clock;
use crate::store::{Letter, LetterId, Store, StoreError};

pub use heads::HeadPosts;
pub(crate) use settings::address_problem;
pub use settings::{CallbackSettings, EndpointSettings, InvalidWebhooks, WebhookSettings};
pub use status::EndpointStatus;

/// How long a stop waits for couriers to keep what they know.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The outboxes of all endpoints, each with a courier at work.
#[derive(Debug)]
pub struct Outbox {
    store: Arc<dyn Store>,
    desks: Vec<Desk>,
    /// Addresses that may be called back, with the names of their endpoints.
    callbacks: HashMap<String, String>,
    stop: watch::Sender<bool>,
    couriers: Mutex<Vec<JoinHandle<()>>>,
}

impl Outbox {
    /// Starts a courier for each endpoint of the settings. Tasks have their ids behind the address `tasks`.
    ///
    /// # Errors
    /// [`InvalidWebhooks`] when a file with a secret cannot be used.
    pub async fn start(
        settings: &WebhookSettings,
        store: Arc<dyn Store>,
        log: &Arc<DecisionLog>,
        clock: &Arc<dyn Clock>,
        tasks: &str,
    ) -> Result<Self, InvalidWebhooks> {
        let (stop, stopped) = watch::channel(false);
        let mut desks = Vec::with_capacity(settings.endpoints.len());
        let mut couriers = Vec::with_capacity(settings.endpoints.len());
        let of_tenants = settings.endpoints.iter().map(|endpoint| {
            let sources = Sources::Tenant(OfTenant::new(endpoint, Arc::clone(&store), Arc::clone(log)));
            (endpoint.destination(), endpoint.key(), Some(&endpoint.tenant), sources)
        });
        let of_tasks = settings.callbacks.iter().map(|callback| {
            let sources = Sources::Tasks(Ends::new(callback, tasks, Arc::clone(&store)));
            (callback.destination(), callback.key(), None, sources)
        });
        for (destination, key, tenant, sources) in of_tenants.chain(of_tasks) {
            let sender = Sender::new(destination, settings)?;
            let (desk, counter) = Desk::open(destination.name, key.clone(), tenant);
            let mut courier = Courier::new(settings, key, sources, sender, Arc::clone(clock), counter);
            // Before anybody can change anything: what happens from now on is told.
            courier.begin().await;
            couriers.push(tokio::spawn(courier.run(stopped.clone())));
            desks.push(desk);
        }
        let callbacks =
            settings.callbacks.iter().map(|callback| (callback.url.clone(), callback.name.clone())).collect();
        Ok(Self { store, desks, callbacks, stop, couriers: Mutex::new(couriers) })
    }

    /// How each endpoint is doing.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.desks.iter().map(|desk| desk.status.borrow().clone()).collect()
    }

    /// The name of the callback endpoint at this address, where the operator has named one.
    #[must_use]
    pub fn callback(&self, url: &str) -> Option<&str> {
        self.callbacks.get(url).map(String::as_str)
    }

    /// How an endpoint is doing, as it changes.
    #[must_use]
    pub fn watch(&self, name: &str) -> Option<watch::Receiver<EndpointStatus>> {
        Some(self.desk(name)?.status.clone())
    }

    /// The endpoint's dead letters behind this one; none: there is no such endpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dead_letters(
        &self,
        name: &str,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Option<Vec<Letter>>, StoreError> {
        let Some(desk) = self.desk(name) else { return Ok(None) };
        Ok(Some(self.store.dead_letters(desk.key.clone(), after, limit).await?))
    }

    /// Asks for all dead letters of the endpoint to be tried again; false: there is no such endpoint, or it has stopped.
    pub async fn redrive(&self, name: &str) -> bool {
        match self.desk(name) {
            Some(desk) => desk.redrive.send(()).await.is_ok(),
            None => false,
        }
    }

    /// Ends what is under way, keeps what is known of it, and returns. What was under way is delivered again at the next
    /// start.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        let deadline = Instant::now() + STOP_PATIENCE;
        let couriers = std::mem::take(&mut *self.couriers.lock());
        for courier in couriers {
            let ends = courier.abort_handle();
            if tokio::time::timeout_at(deadline, courier).await.is_err() {
                ends.abort();
            }
        }
    }

    fn desk(&self, name: &str) -> Option<&Desk> {
        self.desks.iter().find(|desk| desk.status.borrow().name == name)
    }
}
