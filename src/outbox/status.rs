//! How an endpoint is doing, for operators: counted by its courier, read by whoever asks.

use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::model::TenantId;

/// How an endpoint is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// Whose events it gets; none: those who asked for access after a denial are called back here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Letters that wait or are under way.
    pub waiting: usize,
    /// Letters delivered since the start.
    pub delivered: u64,
    /// Tries that failed since the start.
    pub failed: u64,
    /// Letters given up since the start.
    pub died: u64,
    /// Why the last try that failed did.
    pub last_failure: Option<String>,
    /// The endpoint has said that it is no more (410): nothing is sent to it until its letters are sent again by order, or
    /// the service starts anew.
    pub gone: bool,
    /// How often the tenant's streams were looked into since the start: two more than before, and what there was before
    /// has been taken in.
    pub looks: u64,
}

/// Where an endpoint is asked about and told something.
#[derive(Debug)]
pub(super) struct Desk {
    /// The name of its outbox in the store.
    pub(super) key: String,
    pub(super) status: watch::Receiver<EndpointStatus>,
    pub(super) redrive: mpsc::Sender<()>,
}

/// The courier's side of a desk.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) status: watch::Sender<EndpointStatus>,
    pub(super) redrive: mpsc::Receiver<()>,
}

impl Desk {
    pub(super) fn open(name: &str, key: String, tenant: Option<&TenantId>) -> (Self, Counter) {
        let (status, seen) = watch::channel(EndpointStatus {
            name: name.to_owned(),
            tenant: tenant.map(ToString::to_string),
            waiting: 0,
            delivered: 0,
            failed: 0,
            died: 0,
            last_failure: None,
            gone: false,
            looks: 0,
        });
        let (wish, redrive) = mpsc::channel(1);
        (Self { key, status: seen, redrive: wish }, Counter { status, redrive })
    }
}
