//! Watching the files of a bundle: a change is taken up when it is finished, never before (G6).
//!
//! The operating system's events only wake us. What counts is what the files hold: two readings, a quiet time apart, must
//! say the same. Files are also looked at now and then without any event, for file systems that send none.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::policy::LoadError;

/// How often the files are looked at without an event.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A file that was opened for writing and then left alone for this long counts as written.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// More files than this are not told apart.
const MOST_OPEN: usize = 1_000;

/// How often files are read until two readings in a row say the same.
const READINGS: usize = 10;

/// Files that are taken into force together.
pub(super) trait Watched: Send + Sync + 'static {
    /// What stands in the files, as of one moment.
    type Look: Send + 'static;

    /// The files to keep an eye on, with the folders that are looked into; none: nothing changes.
    fn paths(&self) -> Vec<PathBuf>;

    /// For how long nothing must change before a change counts as finished.
    fn quiet(&self) -> Duration;

    /// Reads what is there now.
    fn look(&self) -> Self::Look;

    /// Tells one content from any other.
    fn fingerprint(look: &Self::Look) -> [u8; 32];

    /// Takes a look for one that could not be had.
    fn spoil(look: &mut Self::Look, error: LoadError);

    /// Reads until nothing changes while it is read: one state of all files, and not a part of each of two.
    fn steady_look(&self) -> Self::Look {
        let mut before = self.look();
        for _ in 0..READINGS {
            let now = self.look();
            if Self::fingerprint(&now) == Self::fingerprint(&before) {
                return now;
            }
            before = now;
        }
        Self::spoil(&mut before, LoadError::of("the policies keep changing while they are read: try again"));
        before
    }
}

/// What is known about changes under way.
#[derive(Debug, Default)]
struct Settling {
    changed: Option<Instant>,
    /// Files that somebody has written to and not closed yet.
    open: HashMap<PathBuf, Instant>,
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing has changed for long enough.
    Quiet,
    /// Ask again then.
    Until(Instant),
}

impl Settling {
    /// Takes note of an event about one of the bundle's files.
    fn note(&mut self, event: &Event, now: Instant) {
        match event.kind {
            // Reading is no change; ours would keep us awake for ever.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => {
                self.open.retain(|path, _| !event.paths.contains(path));
            }
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Data(_)) => {
                if self.open.len() < MOST_OPEN {
                    self.open.extend(event.paths.iter().map(|path| (path.clone(), now)));
                }
            }
            // A file that was renamed over another one is as whole as it was before.
            EventKind::Modify(ModifyKind::Name(_)) => {
                self.open.retain(|path, _| !event.paths.contains(path));
            }
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {}
        }
        self.changed = Some(now);
    }

    fn rest(&mut self, now: Instant, quiet: Duration) -> Rest {
        self.open.retain(|_, at| *at + GIVEN_UP > now);
        let closed = self.open.values().max().map(|at| *at + GIVEN_UP);
        match (closed, self.changed.map(|at| at + quiet)) {
            (Some(until), _) => Rest::Until(until),
            (None, Some(until)) if until > now => Rest::Until(until),
            (None, _) => Rest::Quiet,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    settling: Mutex<Settling>,
    woken: Notify,
}

/// Whether an event about this path is about one of the files.
fn concerns(path: &Path, files: &[PathBuf]) -> bool {
    files.iter().any(|file| {
        // The file, a folder above it, or something in it.
        file.starts_with(path) || path.parent() == Some(file)
            // Kubernetes swaps a link called `..data` beside the file, through which the file's name leads.
            || (path.parent() == file.parent() && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"..")))
    })
}

/// Has the operating system tell about these files until the watcher is dropped. Folders in which the service itself
/// writes all the time are left out: what happens there is found by looking.
fn listen(files: &[PathBuf], busy: &[PathBuf], shared: &Arc<Shared>) -> notify::Result<RecommendedWatcher> {
    // As events name them.
    let files: Vec<_> = files.iter().filter_map(|file| std::path::absolute(file).ok()).collect();
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let mut folders = BTreeSet::new();
    for file in &files {
        // A file that is a link, or stands behind one, is swapped where the link is or where it leads.
        folders.extend(file.parent().map(ToOwned::to_owned));
        folders.extend(real(file).and_then(|real| real.parent().map(ToOwned::to_owned)));
        folders.extend(Some(file.clone()).filter(|file| file.is_dir()));
    }
    let busy: Vec<_> = busy.iter().filter_map(|folder| real(folder)).collect();
    let (known, heard) = (files, Arc::clone(shared));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        let lost = event.need_rescan();
        if lost || event.paths.iter().any(|path| concerns(path, &known)) {
            heard.settling.lock().note(&event, Instant::now());
            heard.woken.notify_one();
        }
    })?;
    for folder in folders {
        if real(&folder).is_some_and(|folder| !busy.contains(&folder)) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
    }
    Ok(watcher)
}

/// Watches the files of `origin`, and calls `take` with what they hold whenever they have changed and come to rest.
/// `busy` are folders in which the service itself writes. Ends when it is dropped.
pub(super) async fn watch<W: Watched>(
    origin: Arc<W>,
    busy: Vec<PathBuf>,
    take: impl Fn(W::Look) + Send + Sync + 'static,
) {
    if origin.paths().is_empty() {
        // What ships with the program does not change.
        return;
    }
    let quiet = origin.quiet();
    let shared = Arc::new(Shared::default());
    let take = Arc::new(take);
    let mut seen = None;
    let mut deaf = false;
    loop {
        // Anew each time, because a folder may have been replaced by another one of the same name. First this, then the
        // look: what happens in between is not missed.
        let watcher = listen(&origin.paths(), &busy, &shared);
        if let (Err(error), false) = (&watcher, deaf) {
            deaf = true;
            tracing::warn!(error = %error, "no events about the policies: they are looked at every 5 s");
        }
        let look = look(&origin).await;
        // What stands there when we begin is what was loaded, or what the next look will find.
        let fingerprint = W::fingerprint(&look);
        if Some(fingerprint) != seen && come_to_rest(&origin, &shared, quiet, fingerprint).await {
            seen = Some(fingerprint);
            let take = Arc::clone(&take);
            // Checking a bundle takes a while. It does not panic; if it did, the bundle in force would stay.
            let _ = tokio::task::spawn_blocking(move || take(look)).await;
        }
        tokio::select! {
            () = shared.woken.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        wait_for_quiet(&shared, quiet).await;
        drop(watcher);
    }
}

async fn look<W: Watched>(origin: &Arc<W>) -> W::Look {
    let reader = Arc::clone(origin);
    match tokio::task::spawn_blocking(move || reader.look()).await {
        Ok(look) => look,
        // Reading does not panic; if it did, reading again is what is left to do.
        Err(_) => origin.look(),
    }
}

/// Whether the files still hold the same after a quiet time.
async fn come_to_rest<W: Watched>(origin: &Arc<W>, shared: &Shared, quiet: Duration, fingerprint: [u8; 32]) -> bool {
    tokio::time::sleep(quiet).await;
    let is_quiet = shared.settling.lock().rest(Instant::now(), quiet) == Rest::Quiet;
    let is_same = W::fingerprint(&look(origin).await) == fingerprint;
    if !(is_quiet && is_same) {
        shared.woken.notify_one();
    }
    is_quiet && is_same
}

async fn wait_for_quiet(shared: &Shared, quiet: Duration) {
    loop {
        let rest = shared.settling.lock().rest(Instant::now(), quiet);
        match rest {
            Rest::Quiet => return,
            Rest::Until(until) => tokio::select! {
                () = shared.woken.notified() => {}
                () = tokio::time::sleep_until(until.into()) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RenameMode};

    use super::*;

    const QUIET: Duration = Duration::from_millis(250);
    const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(PathBuf::from(path))
    }

    #[test]
    fn many_changes_are_one_and_it_is_finished_a_quiet_time_after_the_last() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        assert_eq!(settling.rest(start, QUIET), Rest::Quiet);
        let at = |millis: u64| start + Duration::from_millis(millis);
        for step in 0..20 {
            settling.note(&event(EventKind::Create(CreateKind::File), "b/policies/.reading.swp"), at(step * 200));
            settling.note(
                &event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "b/policies/a.cedar"),
                at(step * 200),
            );
            assert_eq!(settling.rest(at(step * 200 + 199), QUIET), Rest::Until(at(step * 200 + 250)));
        }
        assert_eq!(settling.rest(at(19 * 200 + 250), QUIET), Rest::Quiet);
        // Somebody reads, as we do ourselves.
        settling.note(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "b/policies/a.cedar"), at(9_000));
        assert_eq!(settling.rest(at(9_000), QUIET), Rest::Quiet);
    }

    #[test]
    fn a_file_that_is_still_open_is_not_finished_however_quiet_it_is() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        settling.note(&event(DATA, "b/policies/a.cedar"), at(0));
        settling.note(&event(DATA, "b/policies/b.cedar"), at(0));
        settling.note(&event(CLOSED, "b/policies/a.cedar"), at(1));
        assert_eq!(settling.rest(at(30), QUIET), Rest::Until(at(60)));
        settling.note(&event(CLOSED, "b/policies/b.cedar"), at(31));
        assert_eq!(settling.rest(at(32), QUIET), Rest::Quiet);
        // One whose end was missed does not wait for ever.
        settling.note(&event(DATA, "b/policies/a.cedar"), at(40));
        assert_eq!(settling.rest(at(99), QUIET), Rest::Until(at(100)));
        assert_eq!(settling.rest(at(100), QUIET), Rest::Quiet);
    }

    #[test]
    fn what_happens_to_other_files_is_no_change() {
        let files = ["/etc/c/bundle", "/etc/c/bundle/policies", "/etc/c/proof.json"].map(PathBuf::from);
        let concerned = ["/etc/c/bundle", "/etc/c/bundle/policies/x", "/etc/c/bundle/..data", "/etc/c/..data", "/etc"];
        for path in concerned {
            assert!(concerns(Path::new(path), &files), "{path}");
        }
        for path in ["/etc/c/store.db", "/etc/c/bundle/policies/tests/x", "/etc/d", "/etc/c/proof.json.swp"] {
            assert!(!concerns(Path::new(path), &files), "{path}");
        }
    }
}
