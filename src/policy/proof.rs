//! Proof reports: what was proved of which bundle, in a form that a start can demand.
//!
//! A report guards against mistakes. Whoever can write it can write anything into it: keep it where only the one who
//! proves can write.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bundle::Bundle;
use super::invariants::Invariants;
use super::place::LoadError;

/// The form of reports that this program reads and writes.
pub const PROOF_FORMAT: &str = "consentry-proof-1";

/// The claim that stands before all others: a policy that fails is skipped by Cedar, and what rests on it with it.
pub const NEVER_FAILS: &str = "invariant.no-policy-fails";

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// It holds of every question.
    Proved,
    /// There is a question of which it does not hold.
    Violated,
    /// Nobody knows: the solver gave up, or the claim speaks of nothing.
    NotProved,
}

/// A question of which a claim does not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The kind of question: who, what, about what.
    pub environment: String,
    /// Whether these are facts as the service always has them.
    pub realistic: bool,
    /// Whether the real engine, asked this question, gave the answer that the claim rules out.
    pub confirmed: bool,
    /// What the real engine answered.
    pub answer: String,
    /// The policies that made it so, with their places.
    pub because: Vec<String>,
    /// The question and its facts, line by line, as people read them.
    pub told: Vec<String>,
    /// The policy test row that fails until the bundle is put right; none where a row cannot say what is claimed.
    pub row: Option<String>,
}

/// What became of one claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimReport {
    /// Its id.
    pub id: String,
    /// Its rules.
    pub rules: Vec<String>,
    /// Its sentence.
    pub says: String,
    /// How it is claimed.
    pub form: String,
    /// The digest of what it means.
    pub digest: String,
    /// The assumptions that it rests on, each with its sentence.
    pub assuming: Vec<String>,
    /// What became of it.
    pub status: ClaimStatus,
    /// Why it is not proved.
    pub why: Vec<String>,
    /// How many kinds of question it speaks of.
    pub environments: usize,
    /// How many questions went to the solver, in this run or an earlier one.
    pub queries: usize,
    /// How many of them were answered by an earlier run.
    pub cached: usize,
    /// How long the others took together, in milliseconds.
    pub took_ms: u64,
    /// Questions of which it does not hold, one for each kind.
    pub counterexamples: Vec<Counterexample>,
}

/// What was proved of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofReport {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// The bundle's version.
    pub policy_version: String,
    /// The digest of the invariants.
    pub invariants_digest: String,
    /// Whether every claim is proved.
    pub passed: bool,
    /// The program that proved, with its version.
    pub program: String,
    /// The solver, with its version.
    pub solver: String,
    /// How many kinds of question the schema has.
    pub environments: usize,
    /// How long it all took, in milliseconds.
    pub took_ms: u64,
    /// Every claim.
    pub claims: Vec<ClaimReport>,
}

impl ProofReport {
    /// Reads a report.
    ///
    /// # Errors
    /// [`LoadError`] when there is none, or it is not one.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| LoadError::of(format!("the proof report {name}: {error}")))?;
        Self::parse(&name, &text)
    }

    /// The report in this text, which is called so.
    ///
    /// # Errors
    /// [`LoadError`] when it is none.
    pub fn parse(name: &str, text: &str) -> Result<Self, LoadError> {
        let named = |message: String| LoadError::of(format!("the proof report {name}: {message}"));
        let report: Self = serde_json::from_str(text).map_err(|error| named(error.to_string()))?;
        if report.format == PROOF_FORMAT {
            Ok(report)
        } else {
            Err(named(format!("its format is `{}`, this program reads `{PROOF_FORMAT}`", report.format)))
        }
    }

    /// Whether this report is a proof for this bundle: of its very version, with every claim proved, and with either
    /// every invariant that ships with the program among the claims, or exactly the `accepted` invariants.
    ///
    /// # Errors
    /// [`LoadError`] saying what is missing.
    pub fn covers(&self, bundle: &Bundle, accepted: Option<&str>) -> Result<(), LoadError> {
        let refuse = |message: String| Err(LoadError::of(format!("no proof for this bundle: {message}")));
        let version = bundle.version().as_str();
        if self.policy_version != version {
            return refuse(format!("the report is about version {}, this is {version}", self.policy_version));
        }
        if let Some(claim) = self.claims.iter().find(|claim| claim.status != ClaimStatus::Proved) {
            return refuse(format!("`{}` is not proved", claim.id));
        }
        let proves = |id: &str, digest: &str| {
            self.claims.iter().any(|claim| claim.id == id && (digest.is_empty() || claim.digest == digest))
        };
        if !self.passed || !proves(NEVER_FAILS, "") {
            return refuse("the report does not say that no policy can fail".to_owned());
        }
        match accepted {
            Some(accepted) if accepted == self.invariants_digest => Ok(()),
            Some(accepted) => refuse(format!(
                "the settings accept the invariants {accepted}, the report is about {}",
                self.invariants_digest
            )),
            None => {
                let shipped = Invariants::shipped()?;
                match shipped.claims().find(|claim| !proves(&claim.id, &claim.digest)) {
                    None => Ok(()),
                    Some(claim) => refuse(format!(
                        "the report does not prove `{}` ({}) as this program states it",
                        claim.id, claim.says
                    )),
                }
            }
        }
    }
}
