//! What people see: a line a step, with what was expected and what came; why, for a decision.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::cast::Who;
use super::check::Answer;
use super::story::{Expected, Step, Story};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const DENIED: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The timeline, on its way to somewhere.
pub(super) struct Timeline<W> {
    out: W,
    steps: usize,
}

impl<W: Write> Timeline<W> {
    /// A timeline that is written there.
    pub(super) fn on(out: W) -> Self {
        Self { out, steps: 0 }
    }

    /// Says what this is and who appears.
    pub(super) fn opens(&mut self, url: &str) -> io::Result<()> {
        writeln!(self.out, "{STRONG}Consentry{STRONG:#} serves on {url}, with its data in a temporary folder.\n")?;
        for who in Who::ALL {
            writeln!(self.out, "  {STRONG}{:<10}{STRONG:#} {}", who.name(), who.introduction())?;
        }
        Ok(())
    }

    /// Begins a story.
    pub(super) fn story(&mut self, number: usize, story: &Story) -> io::Result<()> {
        let Story { title, rules, steps: _ } = story;
        writeln!(self.out, "\n{STRONG}Story {number}: {title}{STRONG:#} {FAINT}({rules}){FAINT:#}\n")?;
        let line = Line { step: "", who: "", says: "", expected: "expected", came: "answered" };
        writeln!(self.out, "{FAINT}{}{:>10}{:>10}{FAINT:#}", line.with(FAINT), "first", "cached")
    }

    /// Shows a step with its answers.
    pub(super) fn step(&mut self, step: &Step, answers: &[Answer], differences: &[String]) -> io::Result<()> {
        self.steps += 1;
        let first = answers.first();
        let came = first.map_or_else(|| "nothing".to_owned(), Answer::in_words);
        let style = match (differences.is_empty(), &step.expected) {
            (false, _) => BAD,
            (true, Expected::Deny(_)) => DENIED,
            (true, Expected::Allow | Expected::Done(_) | Expected::Entries(_)) => GOOD,
        };
        let line = Line {
            step: &self.steps.to_string(),
            who: step.who.name(),
            says: step.says,
            expected: &step.expected.in_words(),
            came: &came,
        };
        let times: Vec<String> = answers.iter().map(|answer| format!("{:>10}", milliseconds(answer.took))).collect();
        writeln!(self.out, "{}{FAINT}{}{FAINT:#}", line.with(style), times.concat())?;
        for detail in first.into_iter().flat_map(details) {
            writeln!(self.out, "{:INDENT$}{FAINT}{detail}{FAINT:#}", "")?;
        }
        for difference in differences {
            writeln!(self.out, "{:INDENT$}{BAD}DIFFERENT: {difference}{BAD:#}", "")?;
        }
        Ok(())
    }

    /// Says how it came out.
    pub(super) fn ends(&mut self, differences: usize) -> io::Result<()> {
        let steps = self.steps;
        if differences == 0 {
            writeln!(self.out, "\n{GOOD}All {steps} steps came out as the rules say.{GOOD:#}")
        } else {
            writeln!(self.out, "\n{BAD}{differences} of {steps} steps came out differently.{BAD:#}")
        }
    }

    /// Shows text as it is.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// Where what a step says begins.
const INDENT: usize = 16;

struct Line<'a> {
    step: &'a str,
    who: &'a str,
    says: &'a str,
    expected: &'a str,
    came: &'a str,
}

impl Line<'_> {
    fn with(&self, style: Style) -> String {
        let Line { step, who, says, expected, came } = self;
        format!("{step:>4}  {who:<10}{says:<42}  {expected:<10}{style}{came:<10}{style:#}")
    }
}

/// Why, for a decision; what was found, for a list.
fn details(answer: &Answer) -> Vec<String> {
    if answer.decision().is_some() {
        let by = match answer.policies().as_slice() {
            [] => "by no policy".to_owned(),
            policies => format!("{} by {}", answer.rules().join(" "), policies.join(", ")),
        };
        return vec![format!("{}: {}", answer.code(), answer.message()), by];
    }
    let mut lines: Vec<String> = Vec::new();
    for entry in answer.body.get("items").and_then(serde_json::Value::as_array).into_iter().flatten() {
        let text = |pointer: &str| entry.pointer(pointer).and_then(serde_json::Value::as_str);
        let who = text("/actor/id").or_else(|| text("/support_engineer")).unwrap_or_default();
        let what = text("/data_category").map(|category| format!(" of {category}")).unwrap_or_default();
        let (time, activity) = (text("/time").unwrap_or_default(), text("/activity").unwrap_or_default());
        lines.push(format!("{time}  {activity}{what} by {who}"));
    }
    lines
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::story::Call;
    use super::*;

    #[test]
    fn a_step_that_came_out_differently_is_shouted_about() {
        let step = Step { who: Who::Tooling, says: "may Ada?", call: Call::Uses, expected: Expected::Allow };
        let answer = Answer { status: 503, body: json!({ "decision": false }), took: Duration::from_micros(1_234) };
        let mut out = Vec::new();
        let mut timeline = Timeline::on(&mut out);
        timeline.step(&step, &[answer], &["expected Allow, answered 503".to_owned()]).unwrap();
        timeline.ends(1).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        assert!(text.contains("may Ada?") && text.contains("allow") && text.contains("1.23 ms"), "{text}");
        assert!(text.contains("DIFFERENT: expected Allow, answered 503"), "{text}");
        assert!(text.contains("1 of 1 steps came out differently"), "{text}");
    }
}
