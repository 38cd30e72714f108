//! Coverage as one page of HTML: every policy's text, with each condition coloured by what was seen of it.

use std::fmt::Write as _;

use crate::policy::Bundle;
use crate::workbench::coverage::{ConditionCoverage, Coverage};

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}\
pre{background:#f7f7f7;padding:1em;overflow-x:auto;line-height:1.5}h2{margin-top:2em}\
.covered{background:#c9f0cf}.partly{background:#ffe9a8}.unseen{background:#ffc7c2}.none{color:#8a1c12}\
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}";

/// The page's text.
#[must_use]
pub fn html(bundle: &Bundle, coverage: &Coverage) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, bundle, coverage);
    page
}

fn write_page(page: &mut String, bundle: &Bundle, coverage: &Coverage) -> std::fmt::Result {
    let (policies, conditions) = (coverage.of_policies(), coverage.of_conditions());
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Policy coverage {version}</title>\
         <style>{STYLE}</style><h1>Policy coverage</h1><p>Bundle <code>{version}</code>: {} of {} policies have settled \
         an answer, {} of {} conditions have been seen both ways and settled their policy.</p>\
         <p><span class=\"covered\">covered</span> <span class=\"partly\">seen, but not both ways, or never decisive</span> \
         <span class=\"unseen\">never reached</span></p>",
        policies.covered,
        policies.all,
        conditions.covered,
        conditions.all,
        version = bundle.version(),
    )?;
    let silent: Vec<_> = coverage.policies.iter().filter(|policy| policy.determined == 0).collect();
    if !silent.is_empty() {
        page.push_str("<h2>Policies that settled no row</h2><ul>");
        for policy in silent {
            write!(page, "<li class=\"none\">{}</li>", escaped(&policy.id))?;
        }
        page.push_str("</ul>");
    }
    for file in &bundle.source().policies {
        write!(page, "<h2>{}</h2><pre>", escaped(&file.name))?;
        let of_file = coverage.policies.iter().filter(|policy| policy.file == file.name);
        let mut spans: Vec<_> = of_file
            .flat_map(|policy| &policy.conditions)
            .filter_map(|condition| Some((condition.span.clone()?, condition)))
            .collect();
        spans.sort_by_key(|(span, _)| span.start);
        let mut written = 0;
        for (span, condition) in spans {
            let before = file.text.get(written..span.start).unwrap_or_default();
            let inside = file.text.get(span.clone()).unwrap_or_default();
            write!(
                page,
                "{}<span class=\"{}\" title=\"true {}, false {}, decisive {}\">{}</span>",
                escaped(before),
                class(condition),
                condition.seen_true,
                condition.seen_false,
                condition.decisive,
                escaped(inside)
            )?;
            written = span.end;
        }
        write!(page, "{}</pre>", escaped(file.text.get(written..).unwrap_or_default()))?;
    }
    page.push_str("</html>\n");
    Ok(())
}

const fn class(condition: &ConditionCoverage) -> &'static str {
    if condition.is_covered() {
        "covered"
    } else if condition.seen_true + condition.seen_false > 0 {
        "partly"
    } else {
        "unseen"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
