//! Connections that bring no more requests: an HTTP/2 client that only sends pings, or one that never reads its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::service::Service;

/// A service that counts its requests.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    service: S,
    requests: Arc<AtomicU64>,
}

impl<R, S: Service<R>> Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: R) -> S::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.service.call(request)
    }
}

/// Notices when a connection's service is called no more.
#[derive(Debug)]
pub(super) struct Quiet {
    requests: Arc<AtomicU64>,
}

impl Quiet {
    /// Watches the service of one connection.
    pub(super) fn watch<S>(service: S) -> (Counted<S>, Self) {
        let requests = Arc::new(AtomicU64::new(0));
        (Counted { service, requests: Arc::clone(&requests) }, Self { requests })
    }

    /// Returns once no request has come for at least this long, and at most twice as long. To answer one takes much less:
    /// what is not over by then waits for a client that does not take its answer.
    pub(super) async fn for_all_of(self, timeout: Duration) {
        let mut seen = 0;
        loop {
            tokio::time::sleep(timeout).await;
            let requests = self.requests.load(Ordering::Relaxed);
            if requests == seen {
                return;
            }
            seen = requests;
        }
    }
}
