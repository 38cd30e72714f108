//! Whether a bundle's policies look as Cedar's formatter writes them.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{Finding, Severity};
use crate::policy::{BundleSource, SourceFile};

/// How policies look: Cedar's own form, in lines of 100 characters.
const STYLE: Config = Config { line_width: 100, indent_width: 2 };

/// The file's text as it should look; none when it cannot be parsed.
#[must_use]
pub fn formatted(file: &SourceFile) -> Option<String> {
    let text = policies_str_to_pretty(&file.text, &STYLE).ok()?;
    Some(format!("{}\n", text.trim_end()))
}

pub(super) fn check(source: &BundleSource) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &source.policies {
        let Some(text) = formatted(file) else { continue };
        if text != file.text {
            let same = text.chars().zip(file.text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
            let start: usize = same.sum();
            let message = "the file does not look as the formatter writes it, from here on".to_owned();
            let finding = Finding::at(Severity::Note, "format", file, start..start + 1, message);
            found.push(finding.with_help("`consentry policy check --fix` writes it so"));
        }
    }
    found
}
