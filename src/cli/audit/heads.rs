//! `consentry audit heads`: the signed heads of a log.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anstream::println;
use anyhow::Context as _;
use clap::Args;

use crate::trail::{Folder, heads_path, read_heads};

/// Lists the signed heads of a log. Their signatures are not looked at.
#[derive(Debug, Args)]
pub(super) struct Heads {
    /// The log's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Print the newest head alone, as the note that it is.
    #[arg(long)]
    newest: bool,
    /// Print them as JSON, one in a line.
    #[arg(long, conflicts_with = "newest")]
    json: bool,
}

impl Heads {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let files = Folder::read(&self.folder).with_context(|| self.folder.display().to_string())?;
        let (mut newest, mut good) = (None, true);
        for segment in &files.segments {
            let path = heads_path(&files.path, segment.start);
            let Ok(file) = File::open(&path) else { continue };
            for head in read_heads(BufReader::new(file)) {
                let head = match head.with_context(|| path.display().to_string())? {
                    (_, Ok(head)) => head,
                    (at, Err(problem)) => {
                        good = false;
                        anstream::eprintln!("{}: what begins at byte {at} {problem}", path.display());
                        continue;
                    }
                };
                let told = head.head();
                if self.json {
                    let note = head.note();
                    let line = serde_json::json!({
                        "log": told.origin, "size": told.size, "time": told.time.to_string(), "head": note,
                    });
                    println!("{line}");
                } else if !self.newest {
                    println!("{}  {}  {}", told.time, told.size, told.origin);
                }
                newest = Some(head);
            }
        }
        if self.newest {
            let head = newest.context("the log has no head yet")?;
            anstream::print!("{}", head.note());
        }
        Ok(good)
    }
}
