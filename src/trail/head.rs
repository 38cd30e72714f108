//! Signed tree heads: C2SP checkpoints (<https://c2sp.org/tlog-checkpoint>), which are signed notes
//! (<https://c2sp.org/signed-note>), with the time in an extension line.
//!
//! A file of heads is one note after the other, each followed by an empty line.

use std::fmt::Write as _;
use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::tree::Hash;
use crate::model::Timestamp;
use crate::signing::{NotSigned, Signer, TrustedKey, TrustedKeys};

/// What stands before a signature: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// The most lines that one note may have; ours have six.
const MOST_LINES: usize = 64;
/// The longest line of a note, in bytes.
const LONGEST_LINE: usize = 4096;

/// A log as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// The log's name: no other log has it.
    pub origin: String,
    /// How many lines it had.
    pub size: u64,
    /// The hash of the tree over them.
    pub root: Hash,
    /// When it was signed.
    pub time: Timestamp,
}

/// A tree head as a signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: TreeHead,
    /// The note as it stands in the file, without the empty line behind it.
    note: String,
    /// How long the part is that is signed.
    signed_bytes: usize,
}

/// Why a text is no good head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadProblem {
    /// Not a note of ours.
    #[error("is no tree head: {0}")]
    Malformed(&'static str),
    /// None of the keys has signed it.
    #[error("has no signature by the given key")]
    NotSigned,
}

impl TreeHead {
    /// The text that is signed.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\ntime {}\n", self.origin, self.size, STANDARD.encode(self.root), self.time)
    }

    fn parse(text: &str) -> Result<Self, HeadProblem> {
        let malformed = |why| Err(HeadProblem::Malformed(why));
        let mut lines = text.lines();
        let Some(origin) = lines.next().filter(|origin| is_key_name(origin)) else {
            return malformed("its first line must be the log's name");
        };
        let Some(size) = lines.next().and_then(|size| size.parse().ok()) else {
            return malformed("its second line must be a number of lines");
        };
        let root = lines.next().and_then(|root| STANDARD.decode(root).ok()).and_then(|root| root.try_into().ok());
        let Some(root) = root else { return malformed("its third line must be a hash in Base64") };
        let time = lines.next().and_then(|line| line.strip_prefix("time ")).and_then(|time| time.parse().ok());
        let Some(time) = time else { return malformed("its fourth line must be a time") };
        let head = Self { origin: origin.to_owned(), size, root, time };
        // One head has one text: nothing may be written in two ways.
        if head.text() == text { Ok(head) } else { malformed("it is not written as it should be") }
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedHead, NotSigned> {
        let text = self.text();
        let signature = signer.sign(text.as_bytes())?;
        let signed = [key_hash(&self.origin, &signer.public()).as_slice(), &signature].concat();
        let mut note = text.clone();
        // Writing to a string cannot fail.
        let _ = write!(note, "\n{SIGNATURE_MARK}{} {}\n", self.origin, STANDARD.encode(signed));
        Ok(SignedHead { head: self, note, signed_bytes: text.len() })
    }
}

impl SignedHead {
    /// The head in this note. Its signatures are not looked at yet.
    ///
    /// # Errors
    /// [`HeadProblem::Malformed`].
    pub fn parse(note: &str) -> Result<Self, HeadProblem> {
        let Some((text, signatures)) = note.split_once("\n\n") else {
            return Err(HeadProblem::Malformed("it has no signatures"));
        };
        let signed_bytes = text.len() + 1;
        let head = TreeHead::parse(note.get(..signed_bytes).unwrap_or_default())?;
        let lines_end = signatures.strip_suffix('\n');
        let good = lines_end.is_some_and(|lines| lines.split('\n').all(|line| signature_line(line).is_some()));
        if !good {
            return Err(HeadProblem::Malformed("a line of its signatures is none"));
        }
        Ok(Self { head, note: note.to_owned(), signed_bytes })
    }

    /// What it says. It counts once [`SignedHead::signed_by`] has named a key.
    #[must_use]
    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    /// The note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The key of these that has signed it for its log.
    ///
    /// # Errors
    /// [`HeadProblem::NotSigned`].
    pub fn signed_by<'a>(&self, keys: &'a TrustedKeys) -> Result<&'a TrustedKey, HeadProblem> {
        let (text, signatures) = self.note.split_at_checked(self.signed_bytes).unwrap_or_default();
        for (name, signed) in signatures.lines().filter_map(signature_line) {
            let Some((hash, signature)) = signed.split_at_checked(4) else { continue };
            let could_be = |key: &&TrustedKey| key_hash(name, key) == hash;
            if let Some(key) = keys.0.iter().find(could_be)
                && name == self.head.origin
                && key.signed(text.as_bytes(), signature)
            {
                return Ok(key);
            }
        }
        Err(HeadProblem::NotSigned)
    }
}

/// The key's name and what it made, in a line of signatures.
fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signed) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let signed = STANDARD.decode(signed).ok()?;
    (is_key_name(name) && signed.len() > 4).then_some((name, signed))
}

/// How a signature names its key: the first four bytes of a hash of its name, its kind (1: Ed25519) and itself.
fn key_hash(name: &str, key: &TrustedKey) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', 1]).chain_update(key.as_bytes()).finalize();
    let mut hash = [0; 4];
    hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    hash
}

/// Names of keys, and so of logs, have no spaces and no `+`.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The heads of a file, each with the place in bytes where it begins. The last item is an error when the file is no list
/// of heads from there on.
pub fn read_heads<R: BufRead>(reader: R) -> impl Iterator<Item = io::Result<(u64, Result<SignedHead, HeadProblem>)>> {
    Heads { reader, at: 0, ended: false }
}

struct Heads<R> {
    reader: R,
    at: u64,
    ended: bool,
}

impl<R: BufRead> Heads<R> {
    /// The text up to the second empty line, which is left out; shorter when the file ends before.
    fn next_note(&mut self) -> io::Result<(String, bool)> {
        let (mut note, mut empty_lines) = (Vec::new(), 0);
        for _ in 0..MOST_LINES {
            let before = note.len();
            let mut limited = io::Read::take(&mut self.reader, LONGEST_LINE as u64);
            let read = limited.read_until(b'\n', &mut note)?;
            self.at += read as u64;
            if read == 0 || note.last() != Some(&b'\n') {
                break;
            }
            if note.len() == before + 1 {
                empty_lines += 1;
                if empty_lines == 2 {
                    note.truncate(before);
                    return Ok((String::from_utf8_lossy(&note).into_owned(), true));
                }
            }
        }
        Ok((String::from_utf8_lossy(&note).into_owned(), false))
    }
}

impl<R: BufRead> Iterator for Heads<R> {
    type Item = io::Result<(u64, Result<SignedHead, HeadProblem>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let at = self.at;
        let parsed = match self.next_note() {
            Ok((note, _)) if note.is_empty() && self.at == at => return None,
            Ok((note, true)) => SignedHead::parse(&note),
            Ok((_, false)) => Err(HeadProblem::Malformed("it is not whole")),
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        };
        self.ended = parsed.is_err();
        Some(Ok((at, parsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

    fn head(size: u64) -> TreeHead {
        TreeHead { origin: "example.com/log".to_owned(), size, root: [7; 32], time: Timestamp::from_millis(0) }
    }

    #[test]
    fn the_key_hash_is_the_one_of_the_specification() {
        // The key of the signed-note specification's examples, as Go's `sumdb/note` prints it.
        let bytes = STANDARD.decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").unwrap();
        let key = TrustedKey::from_bytes(bytes[1..].try_into().unwrap());
        assert_eq!(key_hash("example.com/foo", &key), [0x53, 0x0d, 0x90, 0x3a]);
        let note = "This is an example message.\n\n\u{2014} example.com/foo \
                    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let (text, signatures) = note.split_once("\n\n").unwrap();
        let (name, signed) = signature_line(signatures.trim_end()).unwrap();
        assert_eq!((name, &signed[..4]), ("example.com/foo", [0x53, 0x0d, 0x90, 0x3a].as_slice()));
        assert!(key.signed(format!("{text}\n").as_bytes(), &signed[4..]));
    }

    #[test]
    fn no_bit_of_a_signed_head_can_be_changed() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let keys = TrustedKeys(vec![other.public(), key.public()]);
        let signed = head(5).sign(&key).unwrap();
        assert_eq!(SignedHead::parse(signed.note()).unwrap(), signed);
        assert_eq!(signed.signed_by(&keys), Ok(&keys.0[1]));
        assert_eq!(signed.signed_by(&TrustedKeys(vec![other.public()])), Err(HeadProblem::NotSigned));
        for at in 0..signed.note().len() {
            for bit in 0..8 {
                let mut bytes = signed.note().as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let found = SignedHead::parse(&text).and_then(|head| head.signed_by(&keys).map(|_| ()));
                assert!(found.is_err(), "byte {at}, bit {bit}: {text}");
            }
        }
    }

    #[test]
    fn a_file_of_heads_is_read_up_to_where_it_is_damaged() {
        let key = SigningKey::generate().unwrap();
        let notes: Vec<_> = (1..4).map(|size| head(size).sign(&key).unwrap()).collect();
        let file = notes.iter().fold(String::new(), |file, note| file + note.note() + "\n");
        let read = |text: &str| -> Vec<_> { read_heads(text.as_bytes()).map(Result::unwrap).collect() };
        let whole = read(&file);
        assert!(whole.iter().map(|(_, head)| head.as_ref().unwrap()).eq(&notes));
        assert_eq!(whole[1].0, notes[0].note().len() as u64 + 1);
        for cut in 1..file.len() {
            let found = read(&file[..file.floor_char_boundary(cut)]);
            let good = found.iter().take_while(|(_, head)| head.is_ok()).count();
            let torn = !file[..file.floor_char_boundary(cut)].ends_with("\n\n") || found.len() > good;
            assert!(found.len() - good <= 1 && torn == (found.len() > good), "{cut}: {found:?}");
        }
    }
}
