//! Connections to etcd's members: one each, and a request goes to the next one when the first does not answer.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{
    Client, ConnectOptions, GetOptions, GetResponse, KvClient, Txn, TxnResponse, WatchClient, WatchOptions, WatchStream,
};
use tokio::sync::OnceCell;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use uuid::Uuid;

use super::errors::Failed;
use crate::store::{BoxFuture, EtcdSettings, StoreError};

/// No answer of ours is longer: a range is one shard, a batch at most as long as etcd's longest request.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// How often a connection is tried that says nothing. etcd takes offence at less than 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A range may take so many times as long as a small request.
const RANGE_PATIENCE: u32 = 10;

/// etcd's members.
#[derive(Debug)]
pub(super) struct Cluster {
    members: Vec<Endpoint>,
    clients: Vec<OnceCell<Connected>>,
    /// Which one answered last.
    preferred: AtomicUsize,
    user: Option<(String, String)>,
    /// How long a request may take at one member.
    attempt: Duration,
}

#[derive(Clone)]
struct Connected {
    kv: KvClient,
    watch: WatchClient,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connected")
    }
}

impl Cluster {
    /// Reads what the settings name. Nothing is connected yet.
    pub(super) fn new(settings: &EtcdSettings) -> Result<Self, StoreError> {
        if let Some((key, why)) = settings.contradiction() {
            return Err(StoreError::Unavailable(format!("`{key}` {why}")));
        }
        let tls = tls(settings)?;
        let timeout = settings.timeout();
        let count = u32::try_from(settings.endpoints.len()).unwrap_or(u32::MAX);
        let attempt = timeout / count.max(1);
        let members = settings.endpoints.iter().map(|name| member(name, &tls, timeout, attempt));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let user = match (&settings.user, &settings.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), read(file)?.trim_end_matches(['\r', '\n']).to_owned())),
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        let clients = members.iter().map(|_| OnceCell::new()).collect();
        // Who all begin with the one that stands first leave the others idle.
        let first = Uuid::new_v4().as_bytes().first().copied().unwrap_or_default();
        Ok(Self { members, clients, preferred: AtomicUsize::new(usize::from(first)), user, attempt })
    }

    /// Carries a transaction out. It is sent again when there is no answer, so it must be one that happens once at most.
    pub(super) async fn transact(&self, txn: Txn) -> Result<TxnResponse, Failed> {
        self.ask(self.attempt, |mut connected| {
            let txn = txn.clone();
            Box::pin(async move { connected.kv.txn(txn).await })
        })
        .await
    }

    /// Reads a range.
    pub(super) async fn range(&self, key: String, options: GetOptions) -> Result<GetResponse, Failed> {
        self.ask(self.attempt * RANGE_PATIENCE, |mut connected| {
            let (key, options) = (key.clone(), options.clone());
            Box::pin(async move { connected.kv.get(key, Some(options)).await })
        })
        .await
    }

    /// Watches the keys from one to another, without that.
    pub(super) async fn watch(
        &self,
        (begin, end): (String, String),
        from_revision: i64,
    ) -> Result<WatchStream, Failed> {
        let options = WatchOptions::new().with_range(end).with_start_revision(from_revision).with_fragment();
        self.ask(self.attempt, |mut connected| {
            let (begin, options) = (begin.clone(), options.clone());
            Box::pin(async move { connected.watch.watch(begin, Some(options)).await })
        })
        .await
    }

    /// The member that is asked first fell silent: the next one comes first.
    pub(super) fn avoid_preferred(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks one member after the other, beginning with the one that answered last.
    async fn ask<T>(
        &self,
        attempt: Duration,
        request: impl Fn(Connected) -> BoxFuture<'static, Result<T, etcd_client::Error>>,
    ) -> Result<T, Failed> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failed = None;
        let mut left = attempt * u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        // Once more round: that a connection has died is noticed by the request that was to go over it.
        for turn in first..=first.saturating_add(self.members.len()) {
            if left.is_zero() {
                break;
            }
            let begun = Instant::now();
            let tried =
                tokio::time::timeout(attempt.min(left), self.ask_one(turn % self.members.len(), &request)).await;
            left = left.saturating_sub(begun.elapsed());
            let answered = match tried {
                Ok(answered) => answered,
                Err(_) => Err(Failed::Unknown(format!("nothing came within {} ms", attempt.as_millis()))),
            };
            match answered {
                Err(failure @ (Failed::NotSent(_) | Failed::Unknown(_))) => {
                    // What one member may have done, no other one's silence undoes.
                    if !matches!(failed, Some(Failed::Unknown(_))) {
                        failed = Some(failure);
                    }
                }
                Err(failure @ (Failed::Refused(_) | Failed::Compacted)) => {
                    return Err(match failed {
                        Some(unknown @ Failed::Unknown(_)) => unknown,
                        Some(_) | None => failure,
                    });
                }
                Ok(answer) => {
                    self.preferred.store(turn, Ordering::Relaxed);
                    return Ok(answer);
                }
            }
        }
        Err(failed.unwrap_or_else(|| Failed::NotSent("no member is known".to_owned())))
    }

    async fn ask_one<T>(
        &self,
        member: usize,
        request: &impl Fn(Connected) -> BoxFuture<'static, Result<T, etcd_client::Error>>,
    ) -> Result<T, Failed> {
        let (Some(endpoint), Some(client)) = (self.members.get(member), self.clients.get(member)) else {
            return Err(Failed::NotSent("no such member".to_owned()));
        };
        // Logging in is a request of its own, and has changed nothing when it fails.
        let connected =
            client.get_or_try_init(|| self.connect(endpoint)).await.map_err(|error| match error.into() {
                Failed::Unknown(why) => Failed::NotSent(why),
                failed @ (Failed::NotSent(_) | Failed::Refused(_) | Failed::Compacted) => failed,
            })?;
        Ok(request(connected.clone()).await?)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connected, etcd_client::Error> {
        let mut options = ConnectOptions::new().with_require_leader(true).with_auto_token_refresh(true);
        if let Some((name, password)) = &self.user {
            options = options.with_user(name, password);
        }
        let channel = etcd_client::Channel::Tonic(endpoint.connect_lazy());
        let client = Client::from_channel(channel, Some(options)).await?;
        Ok(Connected {
            kv: client.kv_client().max_decoding_message_size(LONGEST_ANSWER),
            watch: client.watch_client().max_decoding_message_size(LONGEST_ANSWER),
        })
    }
}

fn member(name: &str, tls: &ClientTlsConfig, timeout: Duration, attempt: Duration) -> Result<Endpoint, StoreError> {
    let wrong = |error: tonic::transport::Error| StoreError::Unavailable(format!("etcd's endpoint `{name}`: {error}"));
    let mut endpoint = Endpoint::from_shared(name.to_owned()).map_err(wrong)?;
    if name.starts_with("https://") {
        endpoint = endpoint.tls_config(tls.clone()).map_err(wrong)?;
    }
    Ok(endpoint
        .connect_timeout(attempt)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(timeout)
        .keep_alive_while_idle(true))
}

fn tls(settings: &EtcdSettings) -> Result<ClientTlsConfig, StoreError> {
    let mut tls = ClientTlsConfig::new();
    if let Some(ca) = &settings.ca {
        tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
    }
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(match &settings.domain {
        Some(domain) => tls.domain_name(domain),
        None => tls,
    })
}

fn read(path: &Path) -> Result<String, StoreError> {
    fs::read_to_string(path).map_err(|error| StoreError::Unavailable(format!("`{}`: {error}", path.display())))
}
