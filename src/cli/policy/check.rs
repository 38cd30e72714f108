//! `consentry policy check`: what is wrong with a bundle, and what a reviewer would ask about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::{Context as _, bail};
use clap::Args;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};

use super::prove::{Keeping, Solving, show_progress};
use super::write;
use crate::policy::{Bundle, BundleSource, SourceFile};
use crate::workbench::check::{Finding, Severity, check, formatted, rules_told, solved, sort};
use crate::workbench::prove::Settings;

/// Checks a bundle: syntax, types, how deep policies look into entities, annotations, form, and lints.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(super) struct Check {
    /// The bundle's directory; the bundle that ships with the program when it is left out.
    directory: Option<PathBuf>,
    /// Write policies as the formatter does.
    #[arg(long, requires = "directory")]
    fix: bool,
    /// Leave notes out: show errors and warnings alone.
    #[arg(long, short)]
    quiet: bool,
    /// Ask a solver, too: which policies can never match, always match, or change nothing. Takes some seconds, and less
    /// where little changed since.
    #[arg(long)]
    solve: bool,
    #[command(flatten)]
    solving: Solving,
    #[command(flatten)]
    keeping: Keeping,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let mut source = read(self.directory.as_deref())?;
        if self.fix {
            fix(&mut source)?;
        }
        let mut found = check(&source, &self.rules()?);
        if self.solve {
            found.extend(self.solved(&source)?);
            sort(&mut found);
        }
        if self.quiet {
            found.retain(|finding| finding.severity != Severity::Note);
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            tell(&source, &found)?;
        }
        Ok(found.iter().all(|finding| finding.severity == Severity::Note))
    }

    fn solved(&self, source: &BundleSource) -> anyhow::Result<Vec<Finding>> {
        // What is wrong with a bundle that does not load has been found.
        let Ok(bundle) = Bundle::load(source) else { return Ok(Vec::new()) };
        let solver = match self.solving.find() {
            Ok(solver) => solver,
            Err(error) => return Ok(vec![Finding::of_bundle("not-solved", error.to_string())]),
        };
        let (workers, cache) = (self.solving.workers(), self.keeping.folder());
        let settings = Settings { solver: &solver, workers, cache, progress: &show_progress };
        solved(&bundle, &settings).map_err(anyhow::Error::msg)
    }

    /// The rules that the bundle's own overview tells of; the shipped overview's when it has none.
    fn rules(&self) -> anyhow::Result<BTreeSet<String>> {
        let shipped = include_str!("../../../policies/README.md");
        let Some(directory) = &self.directory else { return Ok(rules_told(shipped)) };
        let path = directory.join("policies/README.md");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(rules_told(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(rules_told(shipped)),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}

fn read(directory: Option<&Path>) -> anyhow::Result<BundleSource> {
    Ok(match directory {
        Some(directory) => BundleSource::read(directory)?,
        None => BundleSource::shipped(),
    })
}

fn fix(source: &mut BundleSource) -> anyhow::Result<()> {
    for file in &mut source.policies {
        let Some(text) = formatted(file) else { bail!("{} cannot be parsed: nothing was written", file.name) };
        if text != file.text {
            write(&PathBuf::from(&file.name), &text)?;
            println!("{} written", file.name);
            file.text = text;
        }
    }
    Ok(())
}

fn tell(source: &BundleSource, found: &[Finding]) -> anyhow::Result<()> {
    let files = || source.policies.iter().chain([&source.schema, &source.roles]);
    for finding in found {
        let file = files().find(|file| finding.file.as_ref() == Some(&file.name));
        println!("{}", drawn(finding, file)?);
    }
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    println!(
        "{} errors, {} warnings, {} notes",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    Ok(())
}

/// A finding with the lines it is about.
fn drawn(finding: &Finding, file: Option<&SourceFile>) -> anyhow::Result<String> {
    let severity = match finding.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
        Severity::Note => miette::Severity::Advice,
    };
    let mut diagnostic =
        MietteDiagnostic::new(&finding.message).with_severity(severity).with_code(format!("policy::{}", finding.lint));
    if let Some(help) = &finding.help {
        diagnostic = diagnostic.with_help(help);
    }
    let mut report = miette::Report::new(diagnostic.clone());
    if let Some(file) = file {
        // A finding about a whole policy points at its first line.
        let text = file.text.get(finding.span.clone()).unwrap_or_default();
        let length = text.find('\n').unwrap_or(text.len()).max(1);
        diagnostic = diagnostic.with_label(LabeledSpan::underline((finding.span.start, length)));
        report = miette::Report::new(diagnostic).with_source_code(NamedSource::new(&file.name, file.text.clone()));
    }
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode());
    handler.render_report(&mut text, report.as_ref()).context("the finding cannot be drawn")?;
    Ok(text)
}
