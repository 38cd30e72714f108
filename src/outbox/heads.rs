//! The decision log's signed heads, posted to whoever keeps them for the operator: with one of them a log that was cut off
//! is found, by somebody who cannot be reached from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Url};

use super::sender::{client, finished};
use super::settings::InvalidWebhooks;
use crate::audit::DecisionLog;

/// How long one delivery may take, answer included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Posts the newest head whenever there is one. Of heads that were signed while the keeper could not be reached the newest
/// says all that the others say.
#[derive(Debug)]
pub struct HeadPosts {
    client: Client,
    url: Url,
    log: Arc<DecisionLog>,
    /// The size of the newest head that was delivered.
    delivered: AtomicU64,
}

impl HeadPosts {
    /// The way to this address, which the settings have checked.
    ///
    /// # Errors
    /// [`InvalidWebhooks`] when there is no client for it.
    pub fn new(url: &str, log: Arc<DecisionLog>) -> Result<Self, InvalidWebhooks> {
        let not_made = |cause: String| InvalidWebhooks::Client { name: "decision_log.publish_url".to_owned(), cause };
        let url = Url::parse(url).map_err(|error| not_made(error.to_string()))?;
        let client = client(&url, TIMEOUT).build().map_err(|error| not_made(format!("{error:?}")))?;
        Ok(Self { client, url, log, delivered: AtomicU64::new(0) })
    }

    /// Looks for a new head again and again, and delivers it; after a failure in longer and longer pauses.
    pub async fn run(&self, every: Duration) {
        let mut pause = every;
        loop {
            tokio::time::sleep(pause).await;
            pause = if self.post_newest().await { every } else { (pause * 2).clamp(every, LONGEST_PAUSE.max(every)) };
        }
    }

    /// Delivers the newest head, unless that was done; whether all is delivered.
    pub async fn post_newest(&self) -> bool {
        let Some(head) = self.log.trail().head else { return true };
        let size = head.head().size;
        if size == self.delivered.load(Ordering::Relaxed) {
            return true;
        }
        let post = self.client.post(self.url.clone()).header("content-type", "text/plain; charset=utf-8");
        let trouble = finished(post.body(head.note().to_owned())).await.err();
        if trouble.is_none() {
            self.delivered.store(size, Ordering::Relaxed);
        }
        let is_delivered = trouble.is_none();
        self.log.note_posting(trouble.map(|failure| format!("heads cannot be posted: {}", failure.why)));
        is_delivered
    }
}
