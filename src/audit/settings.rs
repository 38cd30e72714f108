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
    /// The file of JSON lines. It and its folder are made when they do not exist, readable by their owner only.
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
}

impl DecisionLogSettings {
    /// The defaults for a log in this file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: LogMode::default(),
            sync_interval_ms: default_sync_interval_ms(),
            best_effort_buffer_bytes: default_best_effort_buffer_bytes(),
        }
    }
}

const fn default_sync_interval_ms() -> u64 {
    50
}

const fn default_best_effort_buffer_bytes() -> usize {
    8 * 1024 * 1024
}
