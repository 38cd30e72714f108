//! Proofs kept from run to run: a file for each, named by the digest of everything that the proof depends on.

use std::path::PathBuf;

use cedar_policy::RequestEnv;

use crate::policy::Bundle;
use crate::signing::sha256_of_texts;
use crate::workbench::environments::name;

/// Changes when a proof comes to mean something else.
const FORM: &str = "consentry proof 1";

#[derive(Debug)]
pub(in crate::workbench) struct Cache {
    folder: Option<PathBuf>,
    /// What all proofs of this run have in common.
    common: Vec<String>,
}

/// The digest of what a proof depends on.
#[derive(Debug)]
pub(in crate::workbench) struct Key(String);

impl Cache {
    pub(in crate::workbench) fn new(folder: Option<PathBuf>, bundle: &Bundle, solver: &str) -> Self {
        // Without a folder every proof is made anew; that it cannot be kept is no reason not to make it.
        let folder = folder.filter(|folder| std::fs::create_dir_all(folder).is_ok());
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let cedar = cedar_policy::get_sdk_version().to_string();
        Self {
            folder,
            common: vec![FORM.to_owned(), program, cedar, solver.to_owned(), bundle.source().schema.text.clone()],
        }
    }

    /// The key of a proof about this kind of question, from the meanings of all policies that it depends on.
    pub(in crate::workbench) fn key(&self, environment: &RequestEnv, form: &str, parts: &[&[String]]) -> Key {
        let mut texts = self.common.clone();
        texts.extend([name(environment), form.to_owned()]);
        for part in parts {
            texts.push(part.len().to_string());
            let mut part = part.to_vec();
            part.sort();
            texts.extend(part);
        }
        Key(sha256_of_texts(texts.iter().map(String::as_str)))
    }

    pub(in crate::workbench) fn knows(&self, key: &Key) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.join(&key.0).is_file())
    }

    /// What an earlier run found out, where it kept that.
    pub(in crate::workbench) fn answer(&self, key: &Key) -> Option<bool> {
        let text = std::fs::read_to_string(self.folder.as_ref()?.join(&key.0)).ok()?;
        match text.split(':').next() {
            Some("proved") => Some(true),
            Some("refuted") => Some(false),
            Some(_) | None => None,
        }
    }

    pub(in crate::workbench) fn keep_answer(&self, key: &Key, holds: bool, what: &str) {
        if let Some(folder) = &self.folder {
            let word = if holds { "proved" } else { "refuted" };
            let _ = std::fs::write(folder.join(&key.0), format!("{word}: {what}\n"));
        }
    }

    pub(in crate::workbench) fn keep(&self, key: &Key, what: &str) {
        if let Some(folder) = &self.folder {
            // A proof that cannot be kept is made again.
            let _ = std::fs::write(folder.join(&key.0), format!("proved: {what}\n"));
        }
    }
}
