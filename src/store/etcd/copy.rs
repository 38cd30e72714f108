//! An authority's own copy of everything, and how it is known to be fresh.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::errors::Fault;
use super::feed::Feed;
use super::shared::{Shared, gets};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::replay::{NotReplayed, Placed};
use crate::store::{Seq, StoreError};

/// How many commits are applied in one transaction of the copy at most.
const AT_ONCE: usize = 64;

/// How many readers may wait for the answer to one question.
const QUEUE: usize = 1_024;

/// How long to wait before a copy that could not be written is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long to wait before a question without an answer is asked again.
const BETWEEN: Duration = Duration::from_millis(20);

/// A watch is found silent after one patience, and the log is read within another one; a new leader is found within two.
const PATIENCE: u32 = 3;

/// Applies every commit to the copy, in order, until nothing is left to follow.
pub(super) async fn keep_up(shared: Arc<Shared>, copy: Arc<SqliteStore>, mut feed: Feed) {
    loop {
        let next = match feed.next().await {
            Ok(next) => next,
            Err(fault) => {
                shared.lose(fault);
                return;
            }
        };
        let mut commits = vec![next];
        commits.extend(feed.more(AT_ONCE - 1));
        if let Err(fault) = apply(&copy, commits).await {
            shared.lose(fault);
            return;
        }
    }
}

async fn apply(copy: &SqliteStore, commits: Vec<Placed>) -> Result<(), Fault> {
    loop {
        match copy.replay(commits.clone()).await {
            Ok(()) => return Ok(()),
            Err(NotReplayed::Astray(why)) => return Err(Fault::Damaged(why)),
            Err(NotReplayed::Unwritten(why)) => {
                tracing::warn!(%why, "the copy of the fleet's store cannot be written now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Readers that want to know how far etcd is.
#[derive(Debug)]
pub(super) struct Questions {
    waiting: mpsc::Sender<oneshot::Sender<Result<Seq, Fault>>>,
}

/// Where they arrive.
pub(super) type Asked = mpsc::Receiver<oneshot::Sender<Result<Seq, Fault>>>;

impl Questions {
    pub(super) fn new() -> (Self, Asked) {
        let (waiting, asked) = mpsc::channel(QUEUE);
        (Self { waiting }, asked)
    }

    /// The newest commit at a moment after the call.
    pub(super) async fn head(&self) -> Result<Seq, Fault> {
        let closed = || Fault::Unavailable("it has been closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.waiting.send(answer).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

/// Answers everybody who waits with one transaction; who comes while it is under way is answered by the next one. A store
/// that cannot answer now, as while it has no leader, is asked again while somebody has patience.
pub(super) async fn answer(shared: Arc<Shared>, mut asked: Asked) {
    let mut waiting = Vec::new();
    loop {
        let patient_until = || Instant::now() + shared.patience * PATIENCE;
        if waiting.is_empty() {
            let Some(reader) = asked.recv().await else { return };
            waiting.push((patient_until(), reader));
        }
        while waiting.len() < QUEUE
            && let Ok(reader) = asked.try_recv()
        {
            waiting.push((patient_until(), reader));
        }
        let head = ask(&shared).await;
        let now = Instant::now();
        let not_now = head.as_ref().is_err_and(Fault::passes);
        for (_, reader) in waiting.extract_if(.., |(until, _)| !not_now || *until <= now) {
            drop(reader.send(head.clone()));
        }
        if !waiting.is_empty() {
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// Writes, so that what is read beside it is the newest state: a mere read can be old.
async fn ask(shared: &Shared) -> Result<Seq, Fault> {
    if let Some(lost) = shared.lost.borrow().clone() {
        return Err(lost);
    }
    let question = Txn::new().and_then([
        TxnOp::put(shared.keys.question(&shared.member), shared.boot_id.clone(), None),
        TxnOp::get(shared.keys.head(), None),
        TxnOp::get(shared.keys.epoch(), None),
    ]);
    let answer = shared.transact(question).await?;
    let mut gets = gets(&answer).into_iter();
    let stands = shared.stands(&answer, gets.next(), gets.next());
    if let Err(fault @ Fault::Regressed(_)) = &stands {
        shared.lose(fault.clone());
    }
    Ok(stands?.head)
}

/// Returns when the copy has this commit.
pub(super) async fn caught_up(shared: &Shared, copy: &SqliteStore, head: Seq) -> Result<(), StoreError> {
    let (mut copied, mut lost) = (copy.head(), shared.lost.subscribe());
    let applied = async {
        copied
            .wait_for(|copied| *copied >= head)
            .await
            .map(drop)
            .map_err(|_| StoreError::Unavailable("its copy has been closed".to_owned()))
    };
    tokio::select! {
        biased;
        applied = applied => applied,
        Ok(fault) = lost.wait_for(Option::is_some) => {
            let unsaid = || Fault::Unavailable("it is lost".to_owned());
            Err(fault.clone().unwrap_or_else(unsaid).into())
        }
        () = tokio::time::sleep(shared.patience * PATIENCE) => {
            let behind = format!("this authority's copy has not got to commit {} in time", head.0);
            Err(StoreError::Unavailable(behind))
        }
    }
}
