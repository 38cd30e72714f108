//! Reading a log line by line, over all of its segments, compressed ones included.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::folder::{Folder, SegmentFile};
use super::packed::PackedFile;

const BUFFER_BYTES: usize = 256 * 1024;

/// No line of a log is longer, in bytes with its end.
pub(super) const LONGEST_LINE: usize = 1024 * 1024 + 1;

struct Packed {
    file: PackedFile,
    at: u64,
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A segment's lines, as bytes.
pub(super) fn open_segment(segment: &SegmentFile) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(&segment.path)?;
    if segment.packed { Ok(Box::new(Packed { file: PackedFile::open(file)?, at: 0 })) } else { Ok(Box::new(file)) }
}

/// Everything that a log holds.
pub type LogLines = BufReader<Box<dyn Read + Send>>;

/// Reads a log from the beginning of its oldest segment: the folder, or a single file of lines.
///
/// # Errors
/// When it cannot be opened, or there is no segment in the folder.
pub fn open_lines(path: &Path) -> io::Result<LogLines> {
    let reader: Box<dyn Read + Send> = if std::fs::metadata(path)?.is_dir() {
        let folder = Folder::read(path)?;
        if folder.segments.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no segment of a log in this folder"));
        }
        Box::new(InTurn { segments: folder.segments.into_iter(), current: None })
    } else {
        Box::new(File::open(path)?)
    };
    Ok(BufReader::with_capacity(BUFFER_BYTES, reader))
}

/// Segments, one after the other; each is opened when its turn comes.
struct InTurn {
    segments: std::vec::IntoIter<SegmentFile>,
    current: Option<Box<dyn Read + Send>>,
}

impl Read for InTurn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current {
                match current.read(buffer)? {
                    0 if !buffer.is_empty() => self.current = None,
                    read => return Ok(read),
                }
            }
            let Some(next) = self.segments.next() else { return Ok(0) };
            self.current = Some(open_segment(&next)?);
        }
    }
}

/// The lines of one segment.
pub(crate) struct SegmentLines {
    reader: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// How many bytes have been read.
    pub(super) bytes: u64,
    unfinished: u64,
}

/// What comes next in a segment.
pub(super) enum Next<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// Bytes without a line end, and then the end.
    Unfinished(u64),
    /// The end.
    End,
}

impl SegmentLines {
    pub(crate) fn open(segment: &SegmentFile) -> io::Result<Self> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, open_segment(segment)?);
        Ok(Self { reader, line: Vec::new(), bytes: 0, unfinished: 0 })
    }

    /// The next line that is whole.
    pub(crate) fn next_whole(&mut self) -> io::Result<Option<&[u8]>> {
        match self.next()? {
            Next::Line(line) => Ok(Some(line)),
            Next::Unfinished(_) | Next::End => Ok(None),
        }
    }

    /// How many bytes the lines took that have been read.
    pub(crate) const fn bytes_of_lines(&self) -> u64 {
        self.bytes - self.unfinished
    }

    /// The next line. One that is longer than any line may be comes in parts, none of which can be a line of the log.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(LONGEST_LINE as u64);
        let read = limited.read_until(b'\n', &mut self.line)?;
        self.bytes += read as u64;
        if read == 0 {
            return Ok(Next::End);
        }
        Ok(match self.line.strip_suffix(b"\n") {
            Some(line) => Next::Line(line),
            None if read == LONGEST_LINE => Next::Line(&self.line),
            None => {
                self.unfinished = read as u64;
                Next::Unfinished(read as u64)
            }
        })
    }
}
