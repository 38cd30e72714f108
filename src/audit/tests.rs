//! The log tried through its front door, on files that fail when they are told to.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::sink::{FileSink, Files, Sink};
use super::{DecisionLog, DecisionLogSettings, LogError, LogMode};
use crate::clock::{Clock, ManualClock};
use crate::model::{TenantId, Timestamp};
use crate::trail::{Frontier, Opening, open_lines, plain_path};

mod crashing;
mod failing;
mod finding;
mod hanging;
mod reading;
mod trail;
mod writing;

/// A real file behind which a disk can be full or broken.
#[derive(Debug)]
struct Disk {
    file: OnceLock<FileSink>,
    /// How many more bytes it takes before it says that it is full.
    room: AtomicU64,
    cut_fails: AtomicBool,
    sync_fails: AtomicBool,
    write_hangs: AtomicBool,
    sync_hangs: AtomicBool,
    /// How many writes took bytes.
    writes: AtomicU64,
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// A call that hangs keeps its thread.
fn wait_while(hangs: &AtomicBool) {
    while hangs.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

impl Sink for Disk {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        wait_while(&self.write_hangs);
        let room = self.room.load(Ordering::SeqCst);
        if room == 0 {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let taken = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        self.file().write(&bytes[..taken])?;
        if room != u64::MAX {
            self.room.fetch_sub(taken as u64, Ordering::SeqCst);
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(taken)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        if self.cut_fails.load(Ordering::SeqCst) {
            Err(io::Error::from_raw_os_error(EIO))
        } else {
            self.file().cut(len)
        }
    }

    fn begin_sync(&self) {}

    fn sync(&self) -> io::Result<()> {
        wait_while(&self.sync_hangs);
        if self.sync_fails.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(EIO)) } else { self.file().sync() }
    }
}

/// The log's files: the segment is on the disk that can fail, the others are not.
#[derive(Debug)]
struct OnDisk(Arc<Disk>);

impl Files for OnDisk {
    fn sink(&self, path: &Path, file: Arc<File>) -> Arc<dyn Sink> {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            self.0.file.set(FileSink::new(file)).unwrap();
            return Arc::<Disk>::clone(&self.0);
        }
        Arc::new(FileSink::new(file))
    }
}

impl Disk {
    fn file(&self) -> &FileSink {
        self.file.get().unwrap()
    }

    fn has_room_for(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    fn has_room(&self) {
        self.has_room_for(u64::MAX);
    }

    fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap()))
}

fn settings(folder: &Path, mode: LogMode) -> DecisionLogSettings {
    DecisionLogSettings { mode, ..DecisionLogSettings::at(folder.join("decisions")) }
}

/// With this interval the background thread stays out of a test.
const NEVER_MS: u64 = 3_600_000;

fn open_on_disk(settings: &DecisionLogSettings) -> (DecisionLog, Arc<Disk>) {
    let disk = Arc::new(Disk {
        file: OnceLock::new(),
        room: AtomicU64::new(u64::MAX),
        cut_fails: AtomicBool::new(false),
        sync_fails: AtomicBool::new(false),
        write_hangs: AtomicBool::new(false),
        sync_hangs: AtomicBool::new(false),
        writes: AtomicU64::new(0),
    });
    let log = DecisionLog::open_with(settings, clock(), Arc::new(OnDisk(Arc::clone(&disk))), None).unwrap();
    // How a segment opens is not what is counted.
    disk.writes.store(0, Ordering::SeqCst);
    (log, disk)
}

async fn record(log: &DecisionLog, line: &str) -> Result<(), LogError> {
    log.settled(log.append(line.as_bytes(), None)?).await
}

/// The log's lines, without those that open segments; it must end with a whole one.
fn lines(settings: &DecisionLogSettings) -> Vec<String> {
    let text = std::io::read_to_string(open_lines(&settings.path).unwrap()).unwrap();
    assert!(text.ends_with('\n'), "torn: {text:?}");
    text.lines().filter(|line| Opening::parse(line.as_bytes()).is_none()).map(str::to_owned).collect()
}

/// Waits until this holds, which is up to another thread.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// A log of one segment with these lines, of which no head was signed.
fn write_file(settings: &DecisionLogSettings, text: &str) {
    let _ = std::fs::remove_dir_all(&settings.path);
    std::fs::create_dir(&settings.path).unwrap();
    let (origin, root_before) = ("test/1".to_owned(), Frontier::default().root());
    let opening = Opening { origin, index: 0, root_before, time: clock().now() };
    std::fs::write(plain_path(&settings.path, 0), format!("{}\n{text}", opening.to_line())).unwrap();
}
