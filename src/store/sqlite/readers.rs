//! Connections that only read, off the async threads, each read at one moment.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::Trouble;
use super::file::{self, Place};
use crate::store::StoreError;

/// How many reads go on at once.
const READERS: usize = 4;

/// The error of everything that comes after the store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it has been closed".to_owned())
}

/// A small pool of connections.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    place: Place,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, place: Place) -> Self {
        Self { path, place, permits: Arc::new(Semaphore::new(READERS)), idle: Mutex::new(Vec::with_capacity(READERS)) }
    }

    /// Runs the query in one read transaction on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let read = readers.read_now(query);
            drop(permit);
            read
        });
        let read = reading.await.map_err(|error| StoreError::Unavailable(format!("a read was broken off: {error}")))?;
        read.map_err(|trouble| trouble.reading(&self.path.display().to_string()))
    }

    fn read_now<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let idle = self.idle.lock().pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            self.place.check(&self.path)?;
            file::open_for_reading(&self.path)?
        };
        let transaction = connection.unchecked_transaction()?;
        let read = query(&transaction);
        let ended = transaction.finish();
        // A connection that had trouble is not trusted with the next read.
        let sound = ended.is_ok() && !matches!(read, Err(Trouble::Sqlite(_)));
        if sound && !self.permits.is_closed() {
            self.idle.lock().push(connection);
        }
        read
    }

    /// Lets no further read begin. Those under way end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }
}
