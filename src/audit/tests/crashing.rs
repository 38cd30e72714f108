//! The process dies at every step of what it does to its files: in the middle of a write, a rotation, a compression, a
//! head. Each time the next start finds a good log with every record that had been acknowledged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::trail::keys;
use super::*;
use crate::trail::verify;

/// What a folder held at one moment, and how many records had been acknowledged by then.
struct Image {
    step: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
    acknowledged: u64,
}

/// The real files, of which an image is taken before, within and after each step. One step at a time.
struct Filmed {
    folder: PathBuf,
    acknowledged: AtomicU64,
    images: Mutex<Vec<Image>>,
    one: Mutex<()>,
}

impl std::fmt::Debug for Filmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filmed")
    }
}

impl Filmed {
    fn image(&self, step: &str) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            files.insert(PathBuf::from(path.file_name().unwrap()), std::fs::read(&path).unwrap_or_default());
        }
        let step = step.to_owned();
        let mut images = self.images.lock();
        if images.last().is_none_or(|last| last.files != files) {
            images.push(Image { step, files, acknowledged });
        }
    }

    fn step<T>(&self, name: &str, act: impl FnOnce() -> T) -> T {
        let _one = self.one.lock();
        self.image(&format!("before {name}"));
        let done = act();
        self.image(&format!("after {name}"));
        done
    }
}

#[derive(Debug)]
struct FilmedFiles(Arc<Filmed>);

#[derive(Debug)]
struct FilmedSink {
    film: Arc<Filmed>,
    name: String,
    sink: FileSink,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

impl Files for FilmedFiles {
    fn sink(&self, path: &Path, file: Arc<File>) -> Arc<dyn Sink> {
        Arc::new(FilmedSink { film: Arc::clone(&self.0), name: name(path), sink: FileSink::new(file) })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step(&format!("renaming {} to {}", name(from), name(to)), || std::fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.step(&format!("removing {}", name(path)), || std::fs::remove_file(path))
    }
}

impl Sink for FilmedSink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.film.step(&format!("writing {}", self.name), || {
            let half = bytes.len() / 2;
            self.sink.write(&bytes[..half])?;
            self.film.image(&format!("within writing {}", self.name));
            self.sink.write(&bytes[half..])?;
            Ok(bytes.len())
        })
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.film.step(&format!("cutting {}", self.name), || self.sink.cut(len))
    }

    fn begin_sync(&self) {}

    fn sync(&self) -> io::Result<()> {
        self.sink.sync()
    }
}

fn record_of(number: u64) -> String {
    format!("{{\"type\":\"decision\",\"decision_id\":\"{number:032x}\"}}")
}

async fn film(mode: LogMode, change: fn(DecisionLogSettings) -> DecisionLogSettings) -> Vec<Image> {
    let folder = tempfile::tempdir().unwrap();
    let settings = change(DecisionLogSettings {
        segment_bytes: 600,
        head_interval_ms: 1,
        sync_interval_ms: 1,
        ..settings(folder.path(), mode)
    });
    std::fs::create_dir(&settings.path).unwrap();
    let film = Arc::new(Filmed {
        folder: settings.path.clone(),
        acknowledged: AtomicU64::new(0),
        images: Mutex::default(),
        one: Mutex::default(),
    });
    // A start looks after what an earlier run closed.
    for run in 0..3 {
        let files = Arc::new(FilmedFiles(Arc::clone(&film)));
        let log = DecisionLog::open_with(&settings, clock(), files, None).unwrap();
        for number in run * 12..run * 12 + 12 {
            record(&log, &record_of(number)).await.unwrap();
            film.acknowledged.store(number + 1, Ordering::SeqCst);
            until(|| log.trail().signed_size > number).await;
        }
        log.close().unwrap();
    }
    std::mem::take(&mut *film.images.lock())
}

async fn nothing_acknowledged_is_lost(mode: LogMode, change: fn(DecisionLogSettings) -> DecisionLogSettings) {
    let images = film(mode, change).await;
    let steps = |what: &str| images.iter().filter(|image| image.step.contains(what)).count();
    for what in [".jsonl", ".hashes", ".heads", "within writing", "signing-key"] {
        assert!(steps(what) > 0, "{what} was not filmed");
    }
    let (mut removed, mut packed) = (0, 0);
    for image in &images {
        let Image { step, files, acknowledged } = image;
        let folder = tempfile::tempdir().unwrap();
        let settings = DecisionLogSettings { head_interval_ms: 1, ..settings(folder.path(), mode) };
        std::fs::create_dir(&settings.path).unwrap();
        for (name, bytes) in files {
            std::fs::write(settings.path.join(name), bytes).unwrap();
        }
        let log = DecisionLog::open(&settings, clock()).unwrap_or_else(|error| panic!("{step}: {error}"));
        record(&log, &record_of(1_000)).await.unwrap();
        log.close().unwrap();
        let report = verify(&settings.path, &keys(&settings.path), &[]).unwrap();
        assert!(report.is_good(), "{step}: {report:?}");
        assert_eq!(report.signed_size, report.size, "{step}");
        let there = lines(&settings);
        let numbers: Vec<_> = (0..*acknowledged).map(record_of).filter(|line| !there.contains(line)).collect();
        // What is gone was removed, from the beginning, and the log says so.
        let first = (0..100).map(record_of).position(|line| there.contains(&line)).unwrap_or(0);
        assert!(numbers.len() <= first && (numbers.is_empty() || report.first > 0), "{step}: {numbers:?}");
        removed += usize::from(report.first > 0);
        packed += usize::from(files.keys().any(|name| name.extension().is_some_and(|extension| extension == "zst")));
    }
    println!("{mode}: {} images, {packed} with compressed segments, {removed} with removed ones", images.len());
    assert!(packed > 0 || removed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_at_any_step_while_segments_are_compressed_loses_nothing() {
    nothing_acknowledged_is_lost(LogMode::Written, |settings| settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_at_any_step_while_segments_are_removed_loses_nothing_else() {
    let few = |settings| DecisionLogSettings { compress: false, keep_bytes: Some(1_500), ..settings };
    nothing_acknowledged_is_lost(LogMode::Synced, few).await;
}
