//! The tables' form: rows between blank lines; first the rules and a sentence, then indented lines. A line is a list of
//! steps that succeed, or a step with its answer behind `->`, or a choice of worlds (`either`), or a comparison.

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    pub rules: Vec<String>,
    pub says: String,
    pub lines: Vec<Line>,
}

/// A line of a row.
#[derive(Debug, Clone)]
pub enum Line {
    /// What happens, in order.
    Steps(Vec<String>),
    /// The row is played once for each of these.
    Either(Vec<Vec<String>>),
    /// What somebody does, and what they are answered.
    Answer(String, String),
    /// These are answered with the same bytes.
    Alike(Vec<String>),
    /// Whatever was chosen in `either`, this person sees the same.
    SeesTheSame(String),
}

impl Row {
    pub fn name(&self) -> String {
        format!("{}: {}", self.rules.join(" "), self.says)
    }

    /// The choices of `either`; one empty choice when there is none.
    pub fn worlds(&self) -> Vec<&[String]> {
        let either = self.lines.iter().find_map(|line| match line {
            Line::Either(worlds) => Some(worlds.iter().map(Vec::as_slice).collect()),
            Line::Steps(_) | Line::Answer(..) | Line::Alike(_) | Line::SeesTheSame(_) => None,
        });
        either.unwrap_or_else(|| vec![[].as_slice()])
    }
}

/// The rows of a table.
pub fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            let row = rows.last_mut().unwrap_or_else(|| panic!("no row before `{line}`"));
            row.lines.push(line_of(line.trim()));
        } else {
            let is_rule = |word: &&str| word.strip_prefix('R').is_some_and(|number| number.parse::<u8>().is_ok());
            let rules: Vec<String> = line.split(' ').take_while(is_rule).map(str::to_owned).collect();
            assert!(!rules.is_empty(), "no rule in `{line}`");
            let says = line.split(' ').skip(rules.len()).collect::<Vec<_>>().join(" ");
            rows.push(Row { rules, says, lines: Vec::new() });
        }
    }
    rows
}

fn line_of(line: &str) -> Line {
    if let Some((step, answer)) = line.split_once(" -> ") {
        return Line::Answer(step.to_owned(), answer.to_owned());
    }
    if let Some(worlds) = line.strip_prefix("either ") {
        return Line::Either(worlds.split(" | ").map(steps).collect());
    }
    if let Some(alike) = line.strip_prefix("alike: ") {
        return Line::Alike(alike.split(" | ").map(str::to_owned).collect());
    }
    match line.strip_suffix(" sees the same") {
        Some(person) => Line::SeesTheSame(person.to_owned()),
        None => Line::Steps(steps(line)),
    }
}

fn steps(line: &str) -> Vec<String> {
    line.split(", ").filter(|step| *step != "nothing").map(str::to_owned).collect()
}
