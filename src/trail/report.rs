//! What was found out about a log.

use std::fmt;

use serde::Serialize;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Lines are not those that were hashed and signed.
    Changed,
    /// Lines are missing that others follow.
    Removed,
    /// Lines stand there that were not hashed.
    Inserted,
    /// Lines stand at another place than they did.
    Reordered,
    /// Lines at the end are missing.
    Truncated,
    /// Two heads were signed that cannot both be of one log.
    Forked,
    /// A head is damaged, or nobody who counts has signed it.
    BadHead,
    /// The lines are as they were signed, but the hashes beside them are not theirs.
    BadHashes,
    /// A segment is of another log, or stands under the name of another.
    Mixed,
    /// A segment cannot be read.
    Unreadable,
}

impl Kind {
    /// The word that reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Forked => "forked",
            Self::BadHead => "bad_head",
            Self::BadHashes => "bad_hashes",
            Self::Mixed => "mixed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The first line it is about, by its tree index. An inserted line stands before this one.
    pub first: u64,
    /// The last one. The same as `first` when it is one line.
    pub last: u64,
    /// The file, by its name.
    pub file: String,
    /// More about it, for people.
    pub told: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, first, last, file, told } = self;
        let kind = kind.as_str();
        if first == last {
            write!(f, "{kind}: line {first} ({file}): {told}")
        } else {
            write!(f, "{kind}: lines {first} to {last} ({file}): {told}")
        }
    }
}

/// What was found out about one log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The folder.
    pub folder: String,
    /// The log's name, as its segments say.
    pub log: Option<String>,
    /// The tree index of the first line that is there. Those before it were removed, and the log says so, or it is among
    /// the findings.
    pub first: u64,
    /// How many lines it has, those that were removed included.
    pub size: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many bytes of lines were read.
    pub bytes: u64,
    /// How many good heads there are, its own and published ones.
    pub heads: u64,
    /// Up to which size a good head fits what is there.
    pub signed_size: u64,
    /// When that head was signed.
    pub signed_at: Option<String>,
    /// How many bytes stand behind the last line end: a record that is being written, or that a crash tore.
    pub unfinished_bytes: u64,
    /// Why nothing of it may be removed, if that is so.
    pub hold: Option<String>,
    /// What is wrong; nothing when the log is as it was written.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}
