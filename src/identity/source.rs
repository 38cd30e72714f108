//! Where an issuer's keys come from, and when they are read again: a file, or a URL that is asked seldom.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::keys::{KeySet, Keys, VerificationKey, read_key_set};
use super::refused::TokenRefused;

/// How long one fetch may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// The largest key set we read, in bytes.
const MAX_KEY_SET_BYTES: usize = 1024 * 1024;
/// How often a token with an unknown `kid` may make us read an issuer's keys again.
const SHORTEST_PAUSE: Duration = Duration::from_secs(10);

/// Why keys could not be read. Goes to the log, never to a caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysNotRead {
    #[error("the key file `{}` cannot be read: {cause}", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("the key file `{}` holds no key that can be used: see the warnings before", path.display())]
    NoKey { path: PathBuf },
    #[error("the keys cannot be fetched: {0:?}")]
    Fetch(reqwest::Error),
    #[error("the server of the keys answered with status {0}")]
    Status(u16),
    #[error("the key set is over {MAX_KEY_SET_BYTES} bytes long")]
    TooLong,
    #[error("not a JWK set: {0}")]
    NotAKeySet(#[from] serde_json::Error),
    #[error("reading the keys broke off")]
    BrokeOff,
}

enum Place {
    File(PathBuf),
    Url(reqwest::Client, reqwest::Url),
}

/// The keys of one issuer, and where to get them. Whatever goes wrong, the keys that were read last keep working.
pub(super) struct KeySource {
    issuer: String,
    place: Place,
    current: ArcSwap<KeySet>,
    /// Whether the last reading failed, so that an unknown `kid` may be a key that we just could not get.
    failing: AtomicBool,
    /// Held while keys are read: one reading at a time. Inside, when a token last caused one.
    reading: Mutex<Option<Instant>>,
}

/// A client that asks for keys and follows nobody: a redirect could lead to a place that the operator did not name.
pub(super) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(FETCH_DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Settings come from the settings: a proxy in the environment could see what is fetched from this machine.
        .no_proxy()
        .build()
}

impl KeySource {
    /// A file, read at once.
    ///
    /// # Errors
    /// [`KeysNotRead`] names the file when it cannot be read or holds no usable key.
    pub(super) fn file(issuer: String, path: PathBuf) -> Result<Self, KeysNotRead> {
        let keys = read_key_set(&read_file(&path)?, &issuer).map_err(|fault| KeysNotRead::File {
            path: path.clone(),
            cause: std::io::Error::new(std::io::ErrorKind::InvalidData, fault),
        })?;
        let set = KeySet::default().succeeded_by(keys);
        if set.is_empty() {
            return Err(KeysNotRead::NoKey { path });
        }
        Ok(Self::new(issuer, Place::File(path), set))
    }

    /// A URL, asked when the first token comes.
    pub(super) fn url(issuer: String, client: reqwest::Client, url: reqwest::Url) -> Self {
        Self::new(issuer, Place::Url(client, url), KeySet::default())
    }

    fn new(issuer: String, place: Place, set: KeySet) -> Self {
        let (failing, reading) = (AtomicBool::new(false), Mutex::new(None));
        Self { issuer, place, current: ArcSwap::from_pointee(set), failing, reading }
    }

    /// The generation of the keys that count now.
    pub(super) fn generation(&self) -> u64 {
        self.current.load().generation()
    }

    /// The key with this `kid` and the generation it belongs to; reads the keys again if it is not there.
    ///
    /// # Errors
    /// [`TokenRefused::UnknownKey`]; [`TokenRefused::KeysUnavailable`] when the keys could not be read just now.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<(Arc<VerificationKey>, u64), TokenRefused> {
        if let Some(found) = self.find_now(kid) {
            return Ok(found);
        }
        self.read_for_unknown_key(Instant::now()).await;
        match self.find_now(kid) {
            Some(found) => Ok(found),
            None if self.failing.load(Ordering::Acquire) => Err(TokenRefused::KeysUnavailable),
            None => Err(TokenRefused::UnknownKey),
        }
    }

    fn find_now(&self, kid: &str) -> Option<(Arc<VerificationKey>, u64)> {
        let set = self.current.load();
        Some((set.find(kid)?, set.generation()))
    }

    /// Reads the keys unless a token made us do so less than [`SHORTEST_PAUSE`] ago: anyone can make up key ids, and
    /// must not make us send a request for each.
    async fn read_for_unknown_key(self: &Arc<Self>, now: Instant) {
        if self.reading.try_lock().is_ok_and(|last| !pause_is_over(*last, now)) {
            return;
        }
        let source = Arc::clone(self);
        // In a task of its own: a caller who hangs up must not end a reading that others wait for.
        let reading = tokio::spawn(async move {
            let mut last = source.reading.lock().await;
            if pause_is_over(*last, now) {
                *last = Some(now);
                source.read().await;
            }
        });
        if reading.await.is_err() {
            self.failing.store(true, Ordering::Release);
        }
    }

    /// Reads the keys now.
    pub(super) async fn refresh(&self) {
        let _one_at_a_time = self.reading.lock().await;
        self.read().await;
    }

    async fn read(&self) {
        match self.fetch().await {
            Ok(keys) => {
                let next = self.current.load().succeeded_by(keys);
                if next.is_empty() {
                    tracing::warn!(issuer = self.issuer, "the issuer has withdrawn all its keys");
                }
                self.current.store(Arc::new(next));
                if self.failing.swap(false, Ordering::AcqRel) {
                    tracing::info!(issuer = self.issuer, "the issuer's keys can be read again");
                }
            }
            // Once per outage, not once per token.
            Err(cause) if !self.failing.swap(true, Ordering::AcqRel) => {
                tracing::warn!(issuer = self.issuer, %cause, "the issuer's keys cannot be read; the old ones still count");
            }
            Err(cause) => tracing::debug!(issuer = self.issuer, %cause, "the issuer's keys still cannot be read"),
        }
    }

    async fn fetch(&self) -> Result<Keys, KeysNotRead> {
        let json = match &self.place {
            Place::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path)).await.map_err(|_| KeysNotRead::BrokeOff)??
            }
            Place::Url(client, url) => fetch_url(client, url.clone()).await?,
        };
        Ok(read_key_set(&json, &self.issuer)?)
    }
}

fn pause_is_over(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= SHORTEST_PAUSE)
}

fn read_file(path: &Path) -> Result<Vec<u8>, KeysNotRead> {
    let fault = |cause| KeysNotRead::File { path: path.to_owned(), cause };
    let mut json = Vec::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(MAX_KEY_SET_BYTES as u64 + 1).read_to_end(&mut json).map_err(fault)?;
    if json.len() > MAX_KEY_SET_BYTES { Err(KeysNotRead::TooLong) } else { Ok(json) }
}

async fn fetch_url(client: &reqwest::Client, url: reqwest::Url) -> Result<Vec<u8>, KeysNotRead> {
    // The address can hold a secret in its query; the issuer's name in the log is enough.
    let fault = |cause: reqwest::Error| KeysNotRead::Fetch(cause.without_url());
    let mut response = client.get(url).send().await.map_err(fault)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(KeysNotRead::Status(response.status().as_u16()));
    }
    let mut json = Vec::new();
    // Piece by piece: the length that a server announces is only its word.
    while let Some(piece) = response.chunk().await.map_err(fault)? {
        if json.len() + piece.len() > MAX_KEY_SET_BYTES {
            return Err(KeysNotRead::TooLong);
        }
        json.extend_from_slice(&piece);
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::kit::{KeyServer, TestKey, key_set};

    #[tokio::test]
    async fn made_up_key_ids_cause_one_fetch_in_ten_seconds() {
        let key = TestKey::ed25519();
        let server = KeyServer::start(&key_set(&[("a", &key)])).await;
        let url = reqwest::Url::parse(&server.url).unwrap();
        let source = Arc::new(KeySource::url("issuer".into(), http_client().unwrap(), url));
        let start = Instant::now();
        let many: Vec<_> = (0..50)
            .map(|_| {
                let source = Arc::clone(&source);
                tokio::spawn(async move { source.read_for_unknown_key(start).await })
            })
            .collect();
        for one in many {
            one.await.unwrap();
        }
        assert_eq!(server.fetches(), 1);
        source.read_for_unknown_key(start + Duration::from_millis(9_999)).await;
        assert_eq!(server.fetches(), 1);
        source.read_for_unknown_key(start + SHORTEST_PAUSE).await;
        assert_eq!(server.fetches(), 2);
        assert!(source.find_now("a").is_some());
    }

    #[tokio::test]
    async fn a_server_that_fails_redirects_or_floods_leaves_the_old_keys() {
        let key = TestKey::ed25519();
        let server = KeyServer::start(&key_set(&[("a", &key)])).await;
        let url = reqwest::Url::parse(&server.url).unwrap();
        let source = Arc::new(KeySource::url("issuer".into(), http_client().unwrap(), url));
        source.refresh().await;
        for (status, body) in
            [(500, key_set(&[])), (302, key_set(&[])), (200, "[]".into()), (200, " ".repeat(MAX_KEY_SET_BYTES + 1))]
        {
            server.answer(status, &body);
            source.refresh().await;
            assert!(source.find_now("a").is_some(), "{status}");
            assert_eq!(source.find("b").await.map(|_| ()), Err(TokenRefused::KeysUnavailable), "{status}");
        }
        let new = TestKey::ed25519();
        let set = key_set(&[("a", &key), ("b", &new)]);
        server.answer(200, &format!("{set}{}", " ".repeat(MAX_KEY_SET_BYTES - set.len())));
        source.refresh().await;
        assert!(source.find_now("b").is_some(), "a key set of the largest size is read");
        server.answer(200, &key_set(&[]));
        source.refresh().await;
        assert_eq!(source.find("a").await.map(|_| ()), Err(TokenRefused::UnknownKey));
    }

    #[test]
    fn a_key_file_of_the_largest_size_is_read_whole_and_no_larger_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, vec![b' '; MAX_KEY_SET_BYTES]).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), MAX_KEY_SET_BYTES);
        std::fs::write(&path, vec![b' '; MAX_KEY_SET_BYTES + 1]).unwrap();
        assert!(matches!(read_file(&path), Err(KeysNotRead::TooLong)));
    }
}
