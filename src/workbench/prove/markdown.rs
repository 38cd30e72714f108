//! A proof report for people: a table, and every counterexample.

use std::fmt::Write as _;

use crate::policy::{ClaimReport, ClaimStatus, ProofReport};

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &ProofReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &ProofReport) -> std::fmt::Result {
    let verdict = if report.passed { "every invariant holds" } else { "not every invariant holds" };
    writeln!(text, "# Proofs of bundle {}: {verdict}\n", report.policy_version)?;
    writeln!(
        text,
        "Invariants {}, by {} with {}, over {} kinds of question, in {}.\n",
        report.invariants_digest,
        report.program,
        report.solver,
        report.environments,
        seconds(report.took_ms)
    )?;
    writeln!(text, "| invariant | rules | says | result | kinds of question | queries (kept) | time |")?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for claim in &report.claims {
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} ({}) | {} |",
            claim.id,
            claim.rules.join(" "),
            claim.says.replace('|', "\\|"),
            word(claim.status),
            claim.environments,
            claim.queries,
            claim.cached,
            seconds(claim.took_ms)
        )?;
    }
    for claim in report.claims.iter().filter(|claim| !claim.assuming.is_empty()) {
        writeln!(text, "\n`{}` rests on: {}.", claim.id, claim.assuming.join("; "))?;
    }
    report.claims.iter().filter(|claim| claim.status != ClaimStatus::Proved).try_for_each(|claim| detail(text, claim))
}

fn detail(text: &mut String, claim: &ClaimReport) -> std::fmt::Result {
    writeln!(text, "\n## `{}`: {}\n\n{}.", claim.id, word(claim.status), claim.says)?;
    for why in &claim.why {
        writeln!(text, "\n- {why}")?;
    }
    for example in &claim.counterexamples {
        writeln!(text, "\n### {}\n\n```", example.environment)?;
        for line in &example.told {
            writeln!(text, "{line}")?;
        }
        let confirmed = if example.confirmed { "confirmed" } else { "not confirmed" };
        writeln!(text, "answer   {} ({confirmed} by the real engine)\n```", example.answer)?;
        if !example.realistic {
            writeln!(text, "\nFacts like these never come from the service as it is.")?;
        }
        if let Some(row) = &example.row {
            writeln!(text, "\n```toml\n{row}```")?;
        }
    }
    Ok(())
}

const fn word(status: ClaimStatus) -> &'static str {
    match status {
        ClaimStatus::Proved => "proved",
        ClaimStatus::Violated => "**violated**",
        ClaimStatus::NotProved => "**not proved**",
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
