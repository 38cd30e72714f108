//! A bell that rings at an exact moment, for answers whose time of leaving must tell nothing.
//!
//! The runtime's own timer is no such bell: its thread sleeps for whole milliseconds from when it has nothing to do any
//! more, which is when the work is done, so that it wakes at a time that tells how long the work took.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

/// Who waits for which moment.
type Wish = (Instant, oneshot::Sender<()>);

/// One thread that sleeps until the next moment that somebody waits for. It ends with the bell.
#[derive(Debug)]
pub(super) struct Bell {
    wishes: Sender<Wish>,
}

impl Bell {
    pub(super) fn hang() -> Self {
        let (wishes, wished) = channel();
        if let Err(error) = thread::Builder::new().name("bell".to_owned()).spawn(move || ring(&wished)) {
            tracing::error!(%error, "the bell has no thread: when `not found` is answered tells how long it took");
        }
        Self { wishes }
    }

    /// Returns at this moment, not much later, and not at a time that tells when it was asked to.
    pub(super) async fn at(&self, moment: Instant) {
        let (ring, rung) = oneshot::channel();
        if self.wishes.send((moment, ring)).is_err() || rung.await.is_err() {
            tokio::time::sleep_until(moment.into()).await;
        }
    }
}

/// Rings until nobody can wish any more.
fn ring(wished: &Receiver<Wish>) {
    let mut waiting: BTreeMap<Instant, Vec<oneshot::Sender<()>>> = BTreeMap::new();
    loop {
        let wish = match waiting.first_key_value() {
            Some((moment, _)) => wished.recv_timeout(moment.saturating_duration_since(Instant::now())),
            None => wished.recv().map_err(RecvTimeoutError::from),
        };
        match wish {
            Ok((moment, ring)) => waiting.entry(moment).or_default().push(ring),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while let Some(due) = waiting.first_entry().filter(|first| *first.key() <= now) {
            for ring in due.remove() {
                // Whoever has gone away waits no more.
                let _ = ring.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nobody_is_woken_before_their_moment_and_nobody_is_forgotten() {
        let (bell, began) = (Arc::new(Bell::hang()), Instant::now());
        let waiting = [9, 3, 6, 0, 3].map(|after_ms| {
            let (bell, moment) = (Arc::clone(&bell), began + Duration::from_millis(after_ms));
            tokio::spawn(async move {
                bell.at(moment).await;
                Instant::now() >= moment
            })
        });
        for woken in waiting {
            assert!(woken.await.unwrap(), "too early");
        }
    }

    #[tokio::test]
    async fn without_a_thread_the_moment_still_comes() {
        let (wishes, _) = channel();
        let moment = Instant::now() + Duration::from_millis(2);
        Bell { wishes }.at(moment).await;
        assert!(Instant::now() >= moment);
    }
}
