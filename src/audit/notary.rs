//! The thread behind the writer: it binds what is on the disk into the tree, signs heads, begins new segments, and has
//! closed ones looked after.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::binder::Binder;
use super::keeper::Keeper;
use super::parts::Body;
use super::segment::Segment;
use super::settings::DecisionLogSettings;
use super::writer::Shared;
use crate::model::Timestamp;
use crate::trail::{Opening, SignedHead, hold};

/// How often it looks for something to do, at least.
const TICK: Duration = Duration::from_millis(100);
/// How often closed segments are looked at.
const KEEP_EVERY: Duration = Duration::from_secs(10);
const HOUR_MS: u64 = 3_600_000;

/// How far the log is bound into its tree, and what there is to say of it.
#[derive(Debug, Clone, Default)]
pub struct TrailState {
    /// The log's name.
    pub log: String,
    /// How many lines are in the tree.
    pub size: u64,
    /// The size of the newest head.
    pub signed_size: u64,
    /// How many bytes that are written are not in the tree yet.
    pub behind_bytes: u64,
    /// The newest head of this run.
    pub head: Option<Arc<SignedHead>>,
    /// Why heads are not signed or written, new segments not begun, or old ones not looked after.
    pub trouble: Option<String>,
    /// Why heads are not published.
    pub publish_trouble: Option<String>,
    /// Why heads are not posted.
    pub post_trouble: Option<String>,
    /// Why nothing of the log may be removed, if that is so.
    pub hold: Option<String>,
}

/// What belongs to the thread.
#[derive(Debug)]
pub(super) struct Notary {
    shared: Arc<Shared>,
    binder: Binder,
    origin: String,
    head_interval: Duration,
    segment_bytes: u64,
    segment_age_ms: u64,
    /// When the segment that is written was begun.
    begun: Timestamp,
    signed: Option<Instant>,
    kept: Option<Instant>,
    keeper: Arc<Keeper>,
    keeping: Option<JoinHandle<Result<(), String>>>,
    /// Heads that were signed, and are not where they are published.
    unpublished: Vec<Arc<SignedHead>>,
    publish_file: Option<PathBuf>,
}

/// How many heads wait to be published, at most. The newest says all that the others say.
const MOST_UNPUBLISHED: usize = 1_000;

impl Notary {
    pub(super) fn new(
        shared: Arc<Shared>,
        binder: Binder,
        origin: String,
        begun: Timestamp,
        settings: &DecisionLogSettings,
    ) -> Self {
        let keeper = Arc::new(Keeper::new(Arc::clone(&shared), settings));
        Self {
            shared,
            binder,
            origin,
            head_interval: Duration::from_millis(settings.head_interval_ms.max(1)),
            segment_bytes: settings.segment_bytes,
            segment_age_ms: settings.segment_hours.saturating_mul(HOUR_MS),
            begun,
            signed: None,
            kept: None,
            keeper,
            keeping: None,
            unpublished: Vec::new(),
            publish_file: settings.publish_file.clone(),
        }
    }

    /// Works until the log is closed; then everything that is on the disk is in the tree, and signed.
    pub(super) fn run(mut self) {
        self.tell(Ok(()));
        loop {
            let ends = self.wait();
            let done = if ends { self.finish() } else { self.turn() };
            self.tell(done);
            if ends {
                self.keeper.stop();
                if let Some(keeping) = self.keeping.take() {
                    let _ = keeping.join();
                }
                return;
            }
        }
    }

    fn wait(&self) -> bool {
        let mut may_end = self.shared.notary_may_end.lock();
        if !*may_end {
            self.shared.notary_wake.wait_for(&mut may_end, TICK.min(self.head_interval));
        }
        *may_end
    }

    fn turn(&mut self) -> io::Result<()> {
        self.follow()?;
        if self.binder.tree().size() > self.binder.signed_size()
            && self.signed.is_none_or(|signed| signed.elapsed() >= self.head_interval)
        {
            self.sign()?;
        }
        self.publish();
        if self.is_full() {
            self.rotate()?;
        }
        self.keep()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.follow()?;
        if self.binder.tree().size() > self.binder.signed_size() {
            self.sign()?;
        }
        self.publish();
        Ok(())
    }

    /// Binds what is on the disk. What is not could be lost in a power cut, after a head had been signed of it.
    fn follow(&mut self) -> io::Result<()> {
        let current = Arc::clone(&self.shared.current.lock());
        if !Arc::ptr_eq(&current, self.binder.segment()) {
            self.binder.bind(self.binder.segment().written.load(Ordering::Acquire))?;
            self.binder.turn(Arc::clone(&current))?;
        }
        self.binder.bind(current.synced.load(Ordering::Acquire))
    }

    fn sign(&mut self) -> io::Result<()> {
        let head = Arc::new(self.binder.sign(self.shared.clock.now())?);
        self.signed = Some(Instant::now());
        self.shared.trail.lock().head = Some(Arc::clone(&head));
        if self.publish_file.is_some() {
            if self.unpublished.len() == MOST_UNPUBLISHED {
                self.unpublished.remove(0);
            }
            self.unpublished.push(head);
        }
        Ok(())
    }

    fn publish(&mut self) {
        let mut trouble = None;
        while let Some(head) = self.unpublished.first().cloned() {
            if let Err(error) = self.binder.publish(&head) {
                let path = self.publish_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
                trouble = Some(format!("heads cannot be appended to `{path}`: {error}"));
                break;
            }
            self.unpublished.remove(0);
        }
        self.shared.trail.lock().publish_trouble = trouble;
    }

    fn is_full(&self) -> bool {
        let segment = self.binder.segment();
        let has_records = self.binder.tree().size() > segment.start + 1;
        let age_ms = self.shared.clock.now().as_millis().saturating_sub(self.begun.as_millis());
        let is_old = u64::try_from(age_ms).is_ok_and(|age_ms| age_ms >= self.segment_age_ms);
        has_records && (is_old || segment.written.load(Ordering::Acquire) >= self.segment_bytes)
    }

    /// Closes the segment and begins a new one. Whoever writes waits for the sync of what was written last, and for the
    /// new file to be there.
    fn rotate(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let segment = Arc::clone(self.binder.segment());
        // Nobody waits for this, so that there is little left to do when everybody does.
        let written = segment.written.load(Ordering::Acquire);
        shared.syncing.during(|| segment.sink.sync())?;
        self.binder.bind(written)?;

        let mut file = shared.file.lock();
        if !file.is_well() {
            return Ok(());
        }
        shared.writing.during(|| segment.sink.sync())?;
        segment.synced.store(file.good_len, Ordering::Release);
        self.binder.bind(file.good_len)?;
        let tree = self.binder.tree();
        let time = shared.clock.now();
        let opening = Opening { origin: self.origin.clone(), index: tree.size(), root_before: tree.root(), time };
        let base = segment.base + file.good_len;
        let begun = shared.writing.during(|| Segment::begin(shared.files.as_ref(), &shared.path, base, &opening))?;
        let begun = Arc::new(begun);
        shared.parts.push(begun.start, base, Body::Plain(Arc::clone(&begun.file)));
        let line = format!("{}\n", opening.to_line());
        shared.index.written(base, line.as_bytes(), &[]);
        file.good_len = line.len() as u64;
        file.segment = Arc::clone(&begun);
        *shared.current.lock() = Arc::clone(&begun);
        drop(file);

        self.begun = time;
        self.kept = None;
        // The head of the whole segment stands beside it.
        let signed = if self.binder.tree().size() > self.binder.signed_size() { self.sign() } else { Ok(()) };
        self.follow()?;
        signed
    }

    /// Has closed segments compressed and old ones removed, on a thread of its own.
    fn keep(&mut self) -> io::Result<()> {
        if let Some(keeping) = self.keeping.take_if(|keeping| keeping.is_finished()) {
            // It does not panic.
            keeping.join().unwrap_or(Ok(())).map_err(io::Error::other)?;
        }
        let is_time = self.kept.is_none_or(|kept| kept.elapsed() >= KEEP_EVERY);
        if self.keeping.is_none() && is_time {
            self.kept = Some(Instant::now());
            self.shared.trail.lock().hold = hold(&self.shared.path);
            let (keeper, signed_size) = (Arc::clone(&self.keeper), self.binder.signed_size());
            let keep = move || keeper.keep(signed_size).map_err(|error| error.to_string());
            self.keeping = Some(std::thread::Builder::new().name("decision-keeper".to_owned()).spawn(keep)?);
        }
        Ok(())
    }

    fn tell(&mut self, done: io::Result<()>) {
        let current = Arc::clone(&self.shared.current.lock());
        let written = current.base + current.written.load(Ordering::Acquire);
        let mut state = self.shared.trail.lock();
        let trouble = done.err().map(|error| error.to_string());
        if let Some(trouble) = trouble.as_ref().filter(|_| state.trouble.is_none()) {
            tracing::error!(log.path = %self.shared.path.display(), %trouble, "the decision log is not bound into its tree");
        }
        state.trouble = trouble;
        state.log.clone_from(&self.origin);
        state.size = self.binder.tree().size();
        state.signed_size = self.binder.signed_size();
        state.behind_bytes = written.saturating_sub(self.binder.hashed_to());
    }
}
