//! Where the concrete parts are joined: the one place that names a concrete store.

mod beside;
mod bundles;
mod chronicle;
mod ext_authz;
#[cfg(feature = "etcd")]
mod fleet;
mod guest;
mod keys;
mod newest;
mod rollouts;
mod stores;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use beside::Beside;
#[cfg(feature = "etcd")]
pub use fleet::{FleetStatus, MemberStatus, etcd_grants};

use bundles::{Look, Origin, Reloader, Wanted, rollout_of};
use chronicle::Chronicle;
use guest::{GuestOrigin, GuestReloader};
use rollouts::HandedIn;
use stores::Told;
use watch::Watched as _;

use crate::audit::{DecisionIds, DecisionLog, LogError};
use crate::clock::Clock;
use crate::config::{Config, FleetSettings, ServerSettings};
use crate::decision::{Decisions, Strictness};
use crate::http::{CheckCounts, Edge, Limits, Listeners, Room, Serving, serve};
use crate::identity::{Identity, InvalidIdentitySettings};
use crate::mapping::InvalidMapping;
use crate::model::Timestamp;
use crate::outbox::{HeadPosts, InvalidWebhooks, Outbox};
use crate::policy::{Bundle, LoadError, Policies};
use crate::reference::REQUESTS;
use crate::replica::{Following, MakeLeases, Replica, Rollouts, SoundLeases, follow};
use crate::store::{CommitError, MemberId, Store, StoreError};
use crate::workflow::Workflow;

/// How often keys are read again and old answers forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// Why the service cannot start. Nothing was changed but what starting itself changes.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bundle is not good (G6).
    #[error("the policies are not good enough to serve:\n{0}")]
    Policies(#[from] LoadError),
    /// The settings about issuers cannot be used.
    #[error("identity: {0}")]
    Identity(#[from] InvalidIdentitySettings),
    /// The store cannot be used.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The decision log cannot be used.
    #[error("decision log: {0}")]
    Log(#[from] LogError),
    /// The machine's clock is behind what the store holds: access that has ended could count again (R9).
    #[error(
        "the machine's clock says {now}, but the last change in the store was made at {stored}; set the clock right, or, \
         if it is right and was wrong then, start once with `store.accept_earlier_clock = true`"
    )]
    Clock {
        /// What the clock says.
        now: Timestamp,
        /// What the store says.
        stored: Timestamp,
    },
    /// A tenant of the configuration could not be registered.
    #[error("tenant `{id}` of the configuration: {cause}")]
    Tenant {
        /// Which.
        id: String,
        /// Why.
        cause: CommitError,
    },
    /// A file that the webhooks need cannot be used.
    #[error("webhooks: {0}")]
    Webhooks(#[from] InvalidWebhooks),
    /// A key of the receipts cannot be used.
    #[error("receipts: `{file}` {problem}")]
    Receipts {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file that says what requests mean cannot be used.
    #[error("the mapping of requests is not good enough to serve:\n{0}")]
    Mapping(#[from] InvalidMapping),
    /// A key of access requests after denials cannot be used.
    #[error("access requests: `{file}` {problem}")]
    AccessRequests {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A listener could not be bound.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
}

/// What is decided by, and how it changes.
struct InForce {
    policies: Arc<Policies>,
    chronicle: Arc<Chronicle>,
    reloader: Arc<Reloader>,
    rollouts: Option<HandedIn>,
}

impl InForce {
    /// Begins with this bundle, which was made of this look.
    ///
    /// # Errors
    /// [`LoadError`].
    fn start(
        config: &Config,
        origin: Origin,
        (bundle, first): (Bundle, &Look),
        log: &Arc<DecisionLog>,
        clock: &Arc<dyn Clock>,
        store: &Arc<dyn Store>,
        told: Option<Arc<Told>>,
    ) -> Result<Self, LoadError> {
        let (course, rollouts) = rollouts::course(config.fleet.as_ref(), rollout_of(first, &bundle, clock.now())?);
        let policies = Arc::new(Policies::new(bundle));
        let mark = beside_store(config, "recorded-facts");
        let chronicle = Arc::new(Chronicle::new(Arc::clone(log), Arc::clone(clock), Arc::clone(store), mark));
        let reloader = Reloader::new(origin, first, Arc::clone(&policies), Arc::clone(&chronicle), course, told);
        Ok(Self { policies, chronicle, reloader: Arc::new(reloader), rollouts })
    }
}

/// The service at work.
#[derive(Debug)]
pub struct App {
    edge: Arc<Edge>,
    serving: Serving,
    store: Arc<dyn Store>,
    log: Arc<DecisionLog>,
    heads: Option<Arc<HeadPosts>>,
    reloader: Arc<Reloader>,
    guest: Option<Arc<GuestReloader>>,
    beside: Option<Arc<Beside>>,
    tasks: Vec<JoinHandle<()>>,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    ext_authz_address: Option<SocketAddr>,
}

impl App {
    /// Starts everything that the settings name, and returns when it is ready to answer.
    ///
    /// # Errors
    /// [`StartError`] saying which part and why.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_under(config, clock, SoundLeases::boxed).await
    }

    /// The same under another discipline of leases: for tests that must see a broken one.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_under(config: &Config, clock: Arc<dyn Clock>, leases: MakeLeases) -> Result<Self, StartError> {
        let origin = origin(config, Arc::clone(&clock))?;
        let (bundle, first) = origin.first()?;
        let guest_origin = GuestOrigin::of(&config.guest_model, config.policy.watch_quiet());
        let guest_model = guest_origin.as_ref().map(GuestOrigin::load).transpose()?;
        let identity = Identity::new(config.identity.clone(), Arc::clone(&clock))?;
        let (receipt_signer, receipt_keys) = keys::of_receipts(&config.receipts)?;
        let mapping = ext_authz::read(config, &bundle)?;
        let log = Arc::new(DecisionLog::open(&config.decision_log, Arc::clone(&clock))?);
        let (store, told) = Box::pin(stores::open(config, &*clock)).await?;
        let heads = config.decision_log.publish_url.as_deref().map(|url| HeadPosts::new(url, Arc::clone(&log)));
        let heads = heads.transpose()?.map(Arc::new);
        // Bound before anything is promised: an address in use must fail the start.
        let listeners = Listeners::bind(&config.server, config.ext_authz.as_ref()).await?;
        let address = listeners.local_addr()?;
        let metrics_address = listeners.metrics_addr()?;
        let ext_authz_address = listeners.ext_authz_addr()?;

        let public_url = config.public_url(address);
        let tasks = format!("{public_url}{REQUESTS}");
        let outbox = Outbox::start(&config.webhooks, Arc::clone(&store), &log, &clock, &tasks).await?;
        let outbox = Arc::new(outbox);
        let references = keys::of_references(&config.access_requests, &public_url)?;
        let in_force = InForce::start(config, origin, (bundle, &first), &log, &clock, &store, told)?;
        let InForce { policies, chronicle, reloader, rollouts } = in_force;
        let guest = guest_origin
            .zip(guest_model)
            .map(|(origin, model)| Arc::new(GuestReloader::new(origin, model, Arc::clone(&log), Arc::clone(&clock))));
        let beside = Beside::start(&config.policy, Arc::clone(&clock))?.map(Arc::new);
        let shadow = beside.as_ref().map(|beside| Arc::clone(beside.shadow()));
        let (told, became) = tokio::sync::mpsc::unbounded_channel();
        let replica = Arc::new(Replica::telling(Arc::clone(&clock), told));
        let ids = Arc::new(DecisionIds::new());
        let following = following(config.fleet.as_ref(), leases, &reloader);
        let following = tokio::spawn(follow(Arc::clone(&replica), Arc::clone(&store), following));
        let edge = Arc::new(Edge {
            identity,
            decisions: Decisions::new(
                Arc::clone(&policies),
                Arc::clone(&replica),
                Arc::clone(&clock),
                Arc::clone(&ids),
                config.decision.cache_capacity,
            )
            .beside(shadow.clone())
            .needing(strictness(config.fleet.as_ref())),
            guest: guest.as_ref().map(|guest| Arc::new(guest.decides(Arc::clone(&ids)))),
            workflow: Workflow::new(
                Arc::clone(&store),
                Arc::clone(&policies),
                Arc::clone(&clock),
                Arc::clone(&log),
                ids,
            )
            .beside(shadow)
            .with_receipts(receipt_signer),
            log: Arc::clone(&log),
            outbox,
            receipt_keys,
            references,
            replica: Arc::clone(&replica),
            policies,
            clock,
            limits: limits(&config.server),
            room: Room::of(config.server.max_bodies_bytes),
            ext_authz: CheckCounts::default(),
            public_url,
            insecure_loopback: config.server.insecure_loopback,
        });
        wait_until_fresh(&replica).await;
        let serving = serve(listeners, &edge, mapping, &config.server);
        let mut tasks = vec![
            following,
            tokio::spawn(keep_house(Arc::clone(&edge))),
            tokio::spawn(chronicle.keep(Arc::clone(&replica), became)),
        ];
        tasks.extend(rollouts.map(|rollouts| tokio::spawn(rollouts.roll_out(Arc::clone(&edge)))));
        tasks.extend(heads.clone().map(|heads| tokio::spawn(post_heads(heads, head_interval(config)))));
        if config.policy.watch {
            tasks.extend(watchers(&reloader, guest.as_ref(), beside.as_ref(), &busy_folders(config)));
        }
        Ok(Self {
            edge,
            serving,
            store,
            log,
            heads,
            reloader,
            guest,
            beside,
            tasks,
            address,
            metrics_address,
            ext_authz_address,
        })
    }

    /// Checks what can be checked without starting: policies, those of a shadow too, issuers, the log's keys and the mapping
    /// of requests.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn check(config: &Config) -> Result<(), StartError> {
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
        let origin = origin(config, Arc::clone(&clock))?;
        let bundle = origin.judge(&origin.steady_look())?;
        ext_authz::read(config, &bundle)?;
        if let Some(guest) = GuestOrigin::of(&config.guest_model, config.policy.watch_quiet()) {
            guest.load()?;
        }
        Beside::check(&config.policy, Arc::clone(&clock))?;
        Identity::new(config.identity.clone(), clock)?;
        keys::of_receipts(&config.receipts)?;
        keys::of_references(&config.access_requests, "")?;
        DecisionLog::check(&config.decision_log)?;
        Ok(())
    }

    /// The TCP address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TCP address at which metrics are, if they are anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The TCP address at which Envoy asks, if there is one.
    #[must_use]
    pub fn ext_authz_address(&self) -> Option<SocketAddr> {
        self.ext_authz_address
    }

    /// Its parts, for benchmarks and for reloading policies.
    #[must_use]
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// The store, for tests that disturb it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Puts the bundle that the settings name, as it is now, in place of the one in force (G6).
    ///
    /// # Errors
    /// [`LoadError`]; the bundle in force stays.
    pub fn reload_policies(&self) -> Result<(), LoadError> {
        if let Some(beside) = &self.beside {
            beside.reload();
        }
        let guest = self.guest.as_ref().map_or(Ok(()), |guest| guest.reload());
        self.reloader.reload(Wanted::ByOrder).map(|_| ()).and(guest)
    }

    /// Stops: no new connections, requests under way finish, everything recorded reaches the disk, and the files are
    /// let go: another process may take them.
    ///
    /// # Errors
    /// [`LogError`] when the last records could not be written.
    pub async fn stop(self) -> Result<(), LogError> {
        self.serving.stop().await;
        for task in self.tasks {
            task.abort();
        }
        // Nobody is answered any more, and the tasks that renew are gone: nothing that was granted can be used. Whoever takes
        // access away from now on need not wait for this process, and it is back at once when it is started again.
        if let Err(error) = self.store.leave().await {
            tracing::warn!(%error, "this process stays on the list of members until somebody has waited for it");
        }
        self.edge.outbox.stop().await;
        let (log, beside) = (Arc::clone(&self.log), self.beside);
        // Closing waits for the disk. It does not panic; if it did, the records had been written by the calls themselves.
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(beside) = beside {
                beside.shadow().close();
            }
            log.close()
        })
        .await
        .unwrap_or(Ok(()));
        // The last head is signed by the closing: without it the log's end could be cut off.
        if let Some(heads) = &self.heads {
            heads.post_newest().await;
        }
        self.store.close();
        closed
    }
}

/// Where the bundle comes from. What was in force is remembered beside the store: that place is the service's own.
fn origin(config: &Config, clock: Arc<dyn Clock>) -> Result<Origin, LoadError> {
    Origin::new(&config.policy, Some(beside_store(config, "newest-bundle")), clock)
}

/// What a decision needs beside its facts.
fn strictness(fleet: Option<&FleetSettings>) -> Strictness {
    if fleet.is_some_and(|fleet| fleet.strict) { Strictness::Renewal } else { Strictness::Lease }
}

/// How this process follows its store.
fn following(fleet: Option<&FleetSettings>, leases: MakeLeases, reloader: &Arc<Reloader>) -> Following {
    let Some(fleet) = fleet else {
        return Following::as_member(MemberId(format!("embedded-{}", std::process::id())));
    };
    let rollouts: Arc<dyn Rollouts> = Arc::<Reloader>::clone(reloader);
    Following {
        renew_every: fleet.renew_every(),
        acknowledge_interval: fleet.acknowledge_every(),
        leases,
        rollouts: Some(rollouts),
        ..Following::as_member(MemberId(fleet.member.clone()))
    }
}

/// What requests may be.
const fn limits(server: &ServerSettings) -> Limits {
    Limits { body_bytes: server.max_body_bytes, batch: server.max_batch, read_timeout: server.read_timeout() }
}

/// A file of the service's own.
fn beside_store(config: &Config, name: &str) -> PathBuf {
    let mut path = config.store.path.clone().into_os_string();
    path.push(".");
    path.push(name);
    PathBuf::from(path)
}

/// How often a head is signed and posted.
fn head_interval(config: &Config) -> Duration {
    Duration::from_millis(config.decision_log.head_interval_ms.max(1))
}

async fn post_heads(heads: Arc<HeadPosts>, every: Duration) {
    heads.run(every).await;
}

/// Keep an eye on every file that something was made of. `busy` are folders in which the service itself writes.
fn watchers(
    reloader: &Arc<Reloader>,
    guest: Option<&Arc<GuestReloader>>,
    beside: Option<&Arc<Beside>>,
    busy: &[PathBuf],
) -> Vec<JoinHandle<()>> {
    let bundle = tokio::spawn(Arc::clone(reloader).watch(busy.to_vec()));
    let guest = guest.map(|guest| tokio::spawn(Arc::clone(guest).watch(busy.to_vec())));
    let beside = beside.map(|beside| tokio::spawn(Arc::clone(beside).watch(busy.to_vec())));
    std::iter::once(bundle).chain(guest).chain(beside).collect()
}

/// Folders in which the service writes all the time.
fn busy_folders(config: &Config) -> Vec<PathBuf> {
    let report = config.policy.shadow.as_ref().map(|shadow| &shadow.report);
    let files = std::iter::once(&config.store.path).chain(report);
    let folders = files.filter_map(|file| file.parent().map(ToOwned::to_owned));
    folders.chain([config.decision_log.path.clone()]).collect()
}

/// Waits a little for the first picture, so that whoever sees the listener sees a ready service. A store that cannot be
/// followed does not stop the start: readiness says why, and nothing is allowed meanwhile (G4).
async fn wait_until_fresh(replica: &Replica) {
    const PATIENCE: Duration = Duration::from_secs(60);
    const STEP: Duration = Duration::from_millis(2);
    let fresh = async {
        while let Err(crate::replica::NotFresh::Bootstrapping) = replica.fresh() {
            tokio::time::sleep(STEP).await;
        }
    };
    if tokio::time::timeout(PATIENCE, fresh).await.is_err() {
        tracing::warn!("the facts are still being loaded; serving denials until they are");
    }
}

async fn keep_house(edge: Arc<Edge>) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        edge.identity.refresh_all().await;
        if let Err(error) = edge.workflow.forget_old_answers().await {
            tracing::warn!(error = %error, "old answers could not be forgotten");
        }
    }
}
