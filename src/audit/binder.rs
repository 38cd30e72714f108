//! Binding what has been written into the log's tree, and signing its heads. All of it happens behind the writer, from the
//! file: a request never waits for it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::{Expected, Segment, append_to};
use super::sink::{Files, Sink, write_all};
use crate::model::Timestamp;
use crate::signing::Signer;
use crate::trail::{Frontier, SignedHead, TreeHead, hashes_path, heads_path, leaf_hash};

/// How much of the file is hashed in one step; more than the longest line.
const STEP_BYTES: usize = 2 * 1024 * 1024;

/// A head is shorter, with its signatures.
const LONGEST_HEAD: u64 = 16 * 1024;

/// What a line of a head's signatures begins with (C2SP signed-note).
const SIGNED_BY: &str = "— ";

/// A file that grows by whole entries: what could not be appended as a whole is cut off again.
#[derive(Debug)]
struct Growing {
    sink: Arc<dyn Sink>,
    len: u64,
    /// Something may stand behind `len`.
    uncut: bool,
}

impl Growing {
    fn open(files: &dyn Files, path: &Path, len: Option<u64>) -> io::Result<Self> {
        let file = append_to(path, Expected::Either)?;
        let there = file.metadata()?.len();
        let len = len.unwrap_or(there);
        let sink = files.sink(path, Arc::new(file));
        if there != len {
            sink.cut(len)?;
        }
        Ok(Self { sink, len, uncut: false })
    }

    fn append(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        if self.uncut {
            self.sink.cut(self.len)?;
        }
        self.uncut = true;
        write_all(self.sink.as_ref(), bytes)?;
        if sync {
            self.sink.sync()?;
        }
        self.uncut = false;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// How long a file of heads is without a last one that a crash tore; none where there is no file.
fn whole_heads(path: &Path) -> io::Result<Option<u64>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.metadata()?.len();
    let from = len.saturating_sub(LONGEST_HEAD);
    file.seek(io::SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(LONGEST_HEAD).read_to_end(&mut tail)?;
    // An empty line stands behind each head, and in each between its text and its signatures.
    let whole = memchr::memmem::rfind_iter(&tail, "\n\n").find_map(|at| {
        let line = memchr::memrchr(b'\n', tail.get(..at)?).map_or(0, |before| before + 1);
        tail.get(line..at)?.starts_with(SIGNED_BY.as_bytes()).then_some(at + 2)
    });
    match whole {
        Some(end) => Ok(Some(from + end as u64)),
        None if from == 0 => Ok(Some(0)),
        // Whatever this is, none of it is ours to take away.
        None => Ok(Some(len)),
    }
}

/// The tree so far, and the files that it goes to.
#[derive(Debug)]
pub(super) struct Binder {
    folder: PathBuf,
    origin: String,
    files: Arc<dyn Files>,
    signer: Arc<dyn Signer>,
    tree: Frontier,
    segment: Arc<Segment>,
    /// Up to here the segment's lines are in the tree, in bytes.
    hashed: u64,
    hashes: Growing,
    heads: Growing,
    /// The size of the newest head.
    signed_size: u64,
    published: Option<Growing>,
    buffer: Vec<u8>,
}

/// Where the binder goes on.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) tree: Frontier,
    /// How many bytes of the last segment's lines are in the tree.
    pub(super) hashed: u64,
    /// How long its file of hashes is, as far as it is good.
    pub(super) hashes_len: u64,
    /// How long its file of heads is, as far as it is good.
    pub(super) heads_len: u64,
    pub(super) signed_size: u64,
}

impl Binder {
    pub(super) fn new(
        folder: &Path,
        origin: &str,
        files: Arc<dyn Files>,
        signer: Arc<dyn Signer>,
        segment: Arc<Segment>,
        publish_to: Option<&Path>,
        resumed: Resumed,
    ) -> io::Result<Self> {
        let start = segment.start;
        let hashes = Growing::open(files.as_ref(), &hashes_path(folder, start), Some(resumed.hashes_len))?;
        let heads = Growing::open(files.as_ref(), &heads_path(folder, start), Some(resumed.heads_len))?;
        let published = publish_to.map(|path| Growing::open(files.as_ref(), path, whole_heads(path)?)).transpose()?;
        files.sync_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            origin: origin.to_owned(),
            files,
            signer,
            tree: resumed.tree,
            segment,
            hashed: resumed.hashed,
            hashes,
            heads,
            signed_size: resumed.signed_size,
            published,
            buffer: Vec::new(),
        })
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn tree(&self) -> &Frontier {
        &self.tree
    }

    pub(super) fn signed_size(&self) -> u64 {
        self.signed_size
    }

    /// How many bytes of the log are in the tree.
    pub(super) fn hashed_to(&self) -> u64 {
        self.segment.base + self.hashed
    }

    /// Takes the segment's lines up to this place into the tree; it is the end of one. What it did before an error stays
    /// done.
    pub(super) fn bind(&mut self, end: u64) -> io::Result<()> {
        while self.hashed < end {
            self.step(end)?;
        }
        Ok(())
    }

    fn step(&mut self, end: u64) -> io::Result<()> {
        let len = usize::try_from(end - self.hashed).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        self.buffer.resize(len, 0);
        self.segment.file.read_exact_at(&mut self.buffer, self.hashed)?;
        let whole = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the log is longer than any can be"));
        }
        // The tree is taken over once its hashes are in their file.
        let (mut tree, mut hashes) = (self.tree.clone(), Vec::new());
        let lines = self.buffer.get(..whole).unwrap_or_default();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let leaf = leaf_hash(line.strip_suffix(b"\n").unwrap_or(line));
            tree.push(leaf, |hash| hashes.extend_from_slice(hash));
        }
        self.hashes.append(&hashes, false)?;
        self.tree = tree;
        self.hashed += whole as u64;
        Ok(())
    }

    /// Signs a head of the tree, and has it on the disk when it returns, also where heads are published.
    ///
    /// # Errors
    /// When it could not be signed or written; then there is no head.
    pub(super) fn sign(&mut self, time: Timestamp) -> io::Result<SignedHead> {
        let head = TreeHead { origin: self.origin.clone(), size: self.tree.size(), root: self.tree.root(), time };
        let head = head.sign(self.signer.as_ref()).map_err(io::Error::other)?;
        let note = format!("{}\n", head.note());
        self.heads.append(note.as_bytes(), true)?;
        self.signed_size = head.head().size;
        Ok(head)
    }

    /// Appends a head where heads are published, if that is a file.
    pub(super) fn publish(&mut self, head: &SignedHead) -> io::Result<()> {
        let Some(published) = &mut self.published else { return Ok(()) };
        published.append(format!("{}\n", head.note()).as_bytes(), true)
    }

    /// Goes on with a new segment; everything before is in the tree.
    pub(super) fn turn(&mut self, segment: Arc<Segment>) -> io::Result<()> {
        let start = segment.start;
        let mut hashes = Growing::open(self.files.as_ref(), &hashes_path(&self.folder, start), Some(0))?;
        hashes.append(&self.tree.subtrees().concat(), false)?;
        let heads = Growing::open(self.files.as_ref(), &heads_path(&self.folder, start), Some(0))?;
        self.files.sync_folder(&self.folder)?;
        // A power cut may take what was not synced: a start makes it anew from the lines.
        let _ = self.hashes.sink.sync();
        self.hashes = hashes;
        self.heads = heads;
        self.segment = segment;
        self.hashed = 0;
        Ok(())
    }
}
