//! What an operator says about the decision log.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// When a record counts as recorded, so that its decision may be answered (G3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogMode {
    /// Handed to the operating system before the answer, synced to the disk within the sync interval. Survives a crash
    /// of the sidecar; a power cut can lose the last interval.
    #[default]
    Written,
    /// On the disk before the answer; records that arrive together share one sync.
    Synced,
    /// Answered at once; records wait in a bounded buffer, and those that found no room are counted and a `gap` line
    /// in the log says how many they were.
    BestEffort,
}

impl LogMode {
    /// The name that settings and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Synced => "synced",
            Self::BestEffort => "best_effort",
        }
    }
}

impl fmt::Display for LogMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the decision log stands and what it promises.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionLogSettings {
    /// The folder of the log. It is made when it does not exist, and so are its files, readable by their owner only.
    pub path: PathBuf,
    /// When a record counts as recorded.
    #[serde(default)]
    pub mode: LogMode,
    /// In the modes `written` and `best_effort`: how long a record waits for the disk, in milliseconds, at least 1.
    /// In every mode: how often a log that could not be written is tried again.
    #[serde(default = "default_sync_interval_ms")]
    pub sync_interval_ms: u64,
    /// In the mode `best_effort`: how many bytes of records may wait to be written before new ones are lost.
    #[serde(default = "default_best_effort_buffer_bytes")]
    pub best_effort_buffer_bytes: usize,
    /// What the log's name begins with; a random part follows, so that no two logs have one name.
    #[serde(default = "default_name")]
    pub name: String,
    /// The key (PEM, Ed25519, PKCS#8) that signs the log's heads. In development one is made in the folder when none is
    /// named.
    #[serde(default)]
    pub signing_key: Option<PathBuf>,
    /// Public keys (PEM) of those that signed heads before.
    #[serde(default)]
    pub trusted_keys: Vec<PathBuf>,
    /// What is masked in every record before it is written: JSON pointers (RFC 6901), such as `/item`.
    #[serde(default)]
    pub mask: Vec<String>,
    /// The file with the key of the digests that stand for what is masked, see [`super::MaskKey::read`].
    #[serde(default)]
    pub mask_key: Option<PathBuf>,
    /// How often a head is signed, in milliseconds, while the log grows.
    #[serde(default = "default_head_interval_ms")]
    pub head_interval_ms: u64,
    /// A file, best on another disk, to which every head is appended too.
    #[serde(default)]
    pub publish_file: Option<PathBuf>,
    /// An address to which the newest head is posted whenever there is one.
    #[serde(default)]
    pub publish_url: Option<String>,
    /// A segment that has grown to this many bytes is closed, and a new one begun.
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    /// A segment that is this many hours old is closed, and a new one begun.
    #[serde(default = "default_segment_hours")]
    pub segment_hours: u64,
    /// Whether closed segments are compressed.
    #[serde(default = "default_compress")]
    pub compress: bool,
    /// Segments whose records are all older than this many days are removed.
    #[serde(default)]
    pub keep_days: Option<u64>,
    /// The oldest segments are removed while the log takes more than this many bytes.
    #[serde(default)]
    pub keep_bytes: Option<u64>,
    /// Set a log aside that is not as it was signed, and begin a new one. For one start, after somebody has looked at it.
    #[serde(default)]
    pub begin_anew: bool,
}

impl DecisionLogSettings {
    /// The defaults for a log in this folder.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: LogMode::default(),
            sync_interval_ms: default_sync_interval_ms(),
            best_effort_buffer_bytes: default_best_effort_buffer_bytes(),
            name: default_name(),
            signing_key: None,
            trusted_keys: Vec::new(),
            mask: Vec::new(),
            mask_key: None,
            head_interval_ms: default_head_interval_ms(),
            publish_file: None,
            publish_url: None,
            segment_bytes: default_segment_bytes(),
            segment_hours: default_segment_hours(),
            compress: default_compress(),
            keep_days: None,
            keep_bytes: None,
            begin_anew: false,
        }
    }
}

fn default_name() -> String {
    "consentry".to_owned()
}

const fn default_head_interval_ms() -> u64 {
    1_000
}

const fn default_segment_bytes() -> u64 {
    256 * 1024 * 1024
}

const fn default_segment_hours() -> u64 {
    24
}

const fn default_compress() -> bool {
    true
}

const fn default_sync_interval_ms() -> u64 {
    50
}

const fn default_best_effort_buffer_bytes() -> usize {
    8 * 1024 * 1024
}
