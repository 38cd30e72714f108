//! Compressed segments: zstd in frames that can be read one by one, with the seek table of the Zstandard Seekable Format
//! (<https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md>).
//!
//! `zstd -d` and `zstdcat` read them as they read any other file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use parking_lot::Mutex;

/// How many bytes of lines a frame holds.
const FRAME_BYTES: usize = 256 * 1024;
const LEVEL: i32 = 3;
/// The skippable frame that the seek table is.
const TABLE_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const FOOTER_BYTES: u64 = 9;
const ENTRY_BYTES: u64 = 8;
/// No table that we write has more frames: it would be one of a terabyte.
const MOST_FRAMES: u64 = 4 * 1024 * 1024;

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is no compressed segment: {why}"))
}

/// Compresses everything that `from` gives.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn pack(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let (mut table, mut frames) = (Vec::new(), 0_u32);
    let mut bytes = Vec::with_capacity(FRAME_BYTES);
    loop {
        bytes.clear();
        from.by_ref().take(FRAME_BYTES as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let frame = compressor.compress(&bytes)?;
        to.write_all(&frame)?;
        for len in [frame.len(), bytes.len()] {
            table.extend_from_slice(&u32::try_from(len).map_err(|_| broken("a frame is too long"))?.to_le_bytes());
        }
        frames += 1;
    }
    let table_bytes = u32::try_from(table.len() as u64 + FOOTER_BYTES).map_err(|_| broken("it has too many frames"))?;
    to.write_all(&TABLE_MAGIC.to_le_bytes())?;
    to.write_all(&table_bytes.to_le_bytes())?;
    to.write_all(&table)?;
    to.write_all(&frames.to_le_bytes())?;
    to.write_all(&[0])?;
    to.write_all(&FOOTER_MAGIC.to_le_bytes())
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    at: u64,
    packed_bytes: u32,
    /// Where its bytes begin in what was compressed.
    from: u64,
    bytes: u32,
}

/// A compressed segment that can be read at any place.
#[derive(Debug)]
pub(crate) struct PackedFile {
    file: File,
    frames: Vec<Frame>,
    len: u64,
    /// The frame that was read last: whoever reads on reads it again.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl PackedFile {
    /// Reads its seek table.
    ///
    /// # Errors
    /// When there is none, or it does not fit the file.
    pub(crate) fn open(file: File) -> io::Result<Self> {
        let file_bytes = file.metadata()?.len();
        let footer_at = file_bytes.checked_sub(FOOTER_BYTES).ok_or_else(|| broken("it is too short"))?;
        let number = |at: u64| -> io::Result<u32> {
            let mut bytes = [0; 4];
            file.read_exact_at(&mut bytes, at)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let count = u64::from(number(footer_at)?);
        let mut descriptor = [0];
        file.read_exact_at(&mut descriptor, footer_at + 4)?;
        if number(footer_at + 5)? != FOOTER_MAGIC || descriptor != [0] || count > MOST_FRAMES {
            return Err(broken("its seek table is damaged"));
        }
        let table_bytes = count * ENTRY_BYTES + FOOTER_BYTES;
        let table_at = file_bytes.checked_sub(table_bytes + 8).ok_or_else(|| broken("its seek table is damaged"))?;
        if number(table_at)? != TABLE_MAGIC || u64::from(number(table_at + 4)?) != table_bytes {
            return Err(broken("its seek table is damaged"));
        }
        let (mut frames, mut at, mut from) = (Vec::new(), 0, 0);
        for entry in 0..count {
            let place = table_at + 8 + entry * ENTRY_BYTES;
            let frame = Frame { at, packed_bytes: number(place)?, from, bytes: number(place + 4)? };
            if frame.bytes == 0 || frame.bytes as usize > FRAME_BYTES {
                return Err(broken("its seek table is damaged"));
            }
            at += u64::from(frame.packed_bytes);
            from += u64::from(frame.bytes);
            frames.push(frame);
        }
        if at != table_at {
            return Err(broken("its seek table does not fit its frames"));
        }
        Ok(Self { file, frames, len: from, last: Mutex::new(None) })
    }

    /// How many bytes were compressed.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    fn frame(&self, number: usize) -> io::Result<Arc<Vec<u8>>> {
        if let Some((last, bytes)) = &*self.last.lock()
            && *last == number
        {
            return Ok(Arc::clone(bytes));
        }
        let frame = *self.frames.get(number).ok_or_else(|| broken("it has no such frame"))?;
        let mut packed = vec![0; frame.packed_bytes as usize];
        self.file.read_exact_at(&mut packed, frame.at)?;
        let bytes = zstd::bulk::decompress(&packed, frame.bytes as usize)?;
        if bytes.len() != frame.bytes as usize {
            return Err(broken("a frame does not hold what its seek table says"));
        }
        let bytes = Arc::new(bytes);
        *self.last.lock() = Some((number, Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// Reads some of what was compressed, from this place on; 0 at its end.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let number = self.frames.partition_point(|frame| frame.from + u64::from(frame.bytes) <= at);
        let Some(frame) = self.frames.get(number).filter(|frame| frame.from <= at) else { return Ok(0) };
        let bytes = self.frame(number)?;
        let rest = usize::try_from(at - frame.from).ok().and_then(|skipped| bytes.get(skipped..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(bytes, &mut packed).unwrap();
        packed
    }

    fn opened(packed: &[u8]) -> io::Result<PackedFile> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(packed).unwrap();
        PackedFile::open(file)
    }

    fn all(file: &PackedFile) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 10_000]);
        loop {
            match file.read_at(&mut buffer, bytes.len() as u64)? {
                0 => return Ok(bytes),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[test]
    fn what_was_packed_is_read_at_any_place_and_by_any_zstd() {
        for len in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES + 17] {
            let bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n * n / 7 % 256).unwrap()).collect();
            let packed = packed(&bytes);
            let file = opened(&packed).unwrap();
            assert_eq!((file.len(), all(&file).unwrap() == bytes), (len as u64, true));
            assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), bytes);
            for at in [0, 1, len / 2, len.saturating_sub(1), len, len + 5] {
                let mut buffer = [0; 3];
                let read = file.read_at(&mut buffer, at as u64).unwrap();
                let there = bytes.get(at..).unwrap_or_default();
                assert_eq!(&buffer[..read], &there[..read]);
                assert_eq!(read == 0, there.is_empty());
            }
        }
    }

    #[test]
    fn a_changed_bit_is_an_error_or_changes_nothing() {
        let bytes = b"{\"type\":\"decision\"}\n".repeat(20);
        let packed = packed(&bytes);
        for bit in 0..packed.len() * 8 {
            let mut changed = packed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = opened(&changed).and_then(|file| all(&file)) {
                assert_eq!(read, bytes, "bit {bit}");
            }
        }
        for len in 0..packed.len() {
            assert!(opened(&packed[..len]).and_then(|file| all(&file)).is_err(), "cut to {len}");
        }
    }
}
