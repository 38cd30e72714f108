//! What a process did to its files and said on its sockets, call by call, as `strace` saw it: what a power cut at any
//! moment would have left on the disk can be told from it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fastrand::Rng;

use super::process::pause;

/// The calls that change files, make them durable, or answer callers.
const CALLS: &str = "trace=openat,write,pwrite64,writev,pwritev,sendto,sendmsg,ftruncate,fallocate,fsync,fdatasync,\
                     sync_file_range,rename,renameat,renameat2,unlink,unlinkat,copy_file_range,sendfile";

/// Disks write sectors whole, and those of one write in any order.
const SECTOR: usize = 512;

/// `command`, so that what it does is written to this file, and so that this goes wrong, as `strace -e inject=` takes it.
pub fn traced(command: &Command, to: &Path, fault: Option<&str>) -> Command {
    let mut traced = Command::new("strace");
    // `-D`: the program stays our child, which can be told to stop and is killed when a test ends.
    traced.args(["-D", "-f", "-q", "-y", "-s", "16777216", "-e", "signal=KILL", "-e", CALLS, "-o"]).arg(to);
    if let Some(fault) = fault {
        traced.args(["-e", &format!("inject={fault}")]);
    }
    traced.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    traced
}

/// A call, by the lines of the trace on which it began and returned: what had returned before another one began
/// happened before it.
#[derive(Debug, Clone)]
pub struct Call {
    pub began: usize,
    pub returned: usize,
    pub did: Did,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// Opened a file that may not have been there.
    Made(PathBuf),
    /// At this place; none: at the end.
    Wrote(PathBuf, Option<usize>, Vec<u8>),
    Cut(PathBuf, usize),
    Removed(PathBuf),
    Synced(PathBuf),
    /// Was told that the file could not be synced.
    NotSynced(PathBuf),
    /// Said this on a socket.
    Said(Vec<u8>),
}

/// Reads the trace of a process that has ended, once it is whole. Panics on a call that it cannot tell the effect of: a model that leaves something out proves nothing.
pub fn read(trace: &Path, process: u32) -> Vec<Call> {
    let process = process.to_string();
    let is_end = |line: &str| {
        line.split_once(' ').is_some_and(|(pid, what)| pid == process && what.trim_start().starts_with("+++ "))
    };
    let text = loop {
        let text = String::from_utf8_lossy(&std::fs::read(trace).unwrap()).into_owned();
        if text.lines().rev().take(100).any(is_end) {
            break text;
        }
        pause();
    };
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let Some((pid, call)) = text.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, (line, begun));
        } else if let Some(rest) = call.strip_prefix("<... ") {
            let (_, end) = rest.split_once(" resumed>").unwrap();
            let (began, begun) = unfinished.remove(pid).unwrap();
            calls.extend(parse(&format!("{begun}{end}")).map(|did| Call { began, returned: line, did }));
        } else {
            calls.extend(parse(call).map(|did| Call { began: line, returned: line, did }));
        }
    }
    calls.sort_by_key(|call| call.returned);
    calls
}

/// What a finished call did; none: nothing that counts.
fn parse(call: &str) -> Option<Did> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let result = result.split([' ', '<']).next()?.parse::<i64>().ok()?;
    // `12</the/path>`, as `-y` shows it.
    let path = || {
        let (_, path) = arguments.split_once('<').unwrap();
        let (path, _) = path.split_once('>').unwrap();
        path.to_owned()
    };
    let Ok(count) = usize::try_from(result) else {
        return matches!(name, "fsync" | "fdatasync").then(|| Did::NotSynced(path().into()));
    };
    let last = || arguments.trim_end().trim_end_matches(')').rsplit(", ").next().unwrap().trim();
    match name {
        "openat" if arguments.contains("O_CREAT") => {
            let (_, opened) = rest.rsplit_once('<')?;
            Some(Did::Made(PathBuf::from(opened.trim_end_matches('>'))))
        }
        "openat" => None,
        "write" | "writev" | "sendto" | "sendmsg" => {
            let mut bytes = strings(arguments);
            let to = path();
            if to.starts_with("socket:") || to.starts_with("TCP") || to.starts_with("UNIX") {
                return Some(Did::Said(bytes));
            }
            bytes.truncate(count);
            to.starts_with('/').then(|| Did::Wrote(to.into(), None, bytes))
        }
        "pwrite64" => {
            let mut bytes = strings(arguments);
            bytes.truncate(count);
            Some(Did::Wrote(path().into(), Some(last().parse().unwrap()), bytes))
        }
        "ftruncate" => Some(Did::Cut(path().into(), last().parse().unwrap())),
        "fsync" | "fdatasync" => Some(Did::Synced(path().into())),
        "unlink" | "unlinkat" => {
            let name = String::from_utf8(strings(arguments)).unwrap();
            Some(Did::Removed(name.into()))
        }
        // How far the account of the facts goes: without it the next start tells more than it had to.
        "rename" if call.contains(".recorded-facts") => None,
        other => panic!("the power cut knows no `{other}`: {}", &call[..call.len().min(200)]),
    }
}

/// All quoted strings of a call's arguments, one behind the other.
fn strings(arguments: &str) -> Vec<u8> {
    let (mut bytes, mut inside) = (Vec::new(), false);
    let mut rest = arguments.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => match rest.next().unwrap() {
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                b'r' => bytes.push(b'\r'),
                b'v' => bytes.push(0x0b),
                b'f' => bytes.push(0x0c),
                digit @ b'0'..=b'7' => {
                    let mut value = u32::from(digit - b'0');
                    for _ in 0..2 {
                        let Some(digit) = rest.next_if(|next| (b'0'..=b'7').contains(next)) else { break };
                        value = value * 8 + u32::from(digit - b'0');
                    }
                    bytes.push(u8::try_from(value).unwrap());
                }
                other => bytes.push(other),
            },
            _ if inside => bytes.push(byte),
            _ => {}
        }
    }
    bytes
}

/// Which of the writes that no sync covers a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// None, and no name that its folder's sync does not cover.
    Nothing,
    /// Some sectors of some writes, in any order.
    Pieces,
    /// All: the process was killed, the machine went on.
    Everything,
}

/// One file: what the disk surely holds, and what was done to it since.
#[derive(Debug, Clone, Default)]
struct Medium {
    durable: Vec<u8>,
    since: Vec<(Call, Standing)>,
    named: bool,
    /// It was removed, and its folder was not synced since.
    removed: bool,
}

/// Where a write stands that others were done before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No sync has covered it yet.
    Waits,
    OnDisk,
    /// Its sync failed. The system holds it for written from then on: no later sync makes up for that.
    GivenUp,
}

/// A disk that is being written, call by call.
#[derive(Debug, Clone, Default)]
pub struct Disk(BTreeMap<PathBuf, Medium>);

impl Disk {
    /// Takes in what a call did.
    pub fn apply(&mut self, call: &Call) {
        match &call.did {
            Did::Made(path) => {
                self.0.entry(path.clone()).or_default().removed = false;
            }
            Did::Wrote(path, ..) | Did::Cut(path, _) => {
                self.0.entry(path.clone()).or_default().since.push((call.clone(), Standing::Waits));
            }
            Did::Synced(path) => {
                if let Some(medium) = self.0.get_mut(path) {
                    medium.settle(call, Standing::OnDisk);
                } else {
                    self.0.retain(|file, medium| file.parent() != Some(path) || !medium.removed);
                    for (_, medium) in self.0.iter_mut().filter(|(file, _)| file.parent() == Some(path)) {
                        medium.named = true;
                    }
                }
            }
            Did::NotSynced(path) => {
                if let Some(medium) = self.0.get_mut(path) {
                    medium.settle(call, Standing::GivenUp);
                }
            }
            Did::Removed(path) => {
                if let Some(medium) = self.0.get_mut(path) {
                    medium.removed = true;
                }
            }
            Did::Said(_) => {}
        }
    }

    /// The files after a power cut, by their paths.
    pub fn cut(&self, left: Left, dice: &mut Rng) -> BTreeMap<&Path, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (path, medium) in &self.0 {
            let there = match left {
                Left::Nothing => medium.named,
                Left::Pieces => !medium.removed || dice.bool(),
                Left::Everything => !medium.removed,
            };
            if there {
                files.insert(path.as_path(), medium.after(left, dice));
            }
        }
        files
    }
}

impl Medium {
    /// A sync, or one that failed, covers what had returned when it began.
    fn settle(&mut self, sync: &Call, standing: Standing) {
        for (write, stands) in &mut self.since {
            if *stands == Standing::Waits && write.returned < sync.began {
                *stands = standing;
            }
        }
        let sure = self.since.iter().take_while(|(_, standing)| *standing == Standing::OnDisk).count();
        for (write, _) in self.since.drain(..sure) {
            do_to(&mut self.durable, &write.did);
        }
    }

    fn after(&self, left: Left, dice: &mut Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (Call { did, .. }, standing) in &self.since {
            match left {
                _ if *standing == Standing::OnDisk => do_to(&mut bytes, did),
                Left::Nothing => {}
                Left::Everything => do_to(&mut bytes, did),
                Left::Pieces => do_partly(&mut bytes, did, dice),
            }
        }
        bytes
    }
}

fn do_to(bytes: &mut Vec<u8>, did: &Did) {
    match did {
        Did::Wrote(_, at, written) => put(bytes, at.unwrap_or(bytes.len()), written),
        Did::Cut(_, len) => bytes.resize(*len, 0),
        Did::Made(_) | Did::Removed(_) | Did::Synced(_) | Did::NotSynced(_) | Did::Said(_) => {}
    }
}

fn do_partly(bytes: &mut Vec<u8>, did: &Did, dice: &mut Rng) {
    match did {
        Did::Wrote(_, at, written) => {
            let begin = at.unwrap_or(bytes.len());
            if at.is_none() && dice.bool() {
                // A file can have its new length and not its new content.
                bytes.resize(begin + written.len(), 0);
            }
            for (number, sector) in written.chunks(SECTOR).enumerate() {
                if dice.bool() {
                    put(bytes, begin + number * SECTOR, sector);
                }
            }
        }
        Did::Cut(..) if dice.bool() => do_to(bytes, did),
        Did::Cut(..) | Did::Made(_) | Did::Removed(_) | Did::Synced(_) | Did::NotSynced(_) | Did::Said(_) => {}
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if bytes.len() < at + written.len() {
        bytes.resize(at + written.len(), 0);
    }
    bytes[at..at + written.len()].copy_from_slice(written);
}
