//! Steps of a history, and how they are written: one a line, such as `dee approves fabrikam of request 2 until 3h`.
//!
//! Steps name people, tenants and things by what they are called, and things by the number in which they came. A step whose
//! object is not there is a legal one that is refused, so that a history with steps taken out is still a history.

use std::fmt;

use crate::support::oracle::{CATEGORIES, Command, Consent, Millis, Opening, Person, Portal, TENANTS, person};

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Do(Deed),
    Pass(Millis),
    /// The clock is turned to a moment around the end of a consent, or around 30 days after it, if that is yet to come.
    Reach {
        consent: Consent,
        days: Millis,
        offset: Millis,
    },
    /// The same policies, under another version.
    Reload,
    /// Policies that must be refused.
    Break,
    Restart,
}

/// Somebody does something, or tries to.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub who: &'static Person,
    pub command: Command,
    /// Sent twice at the same time, under one idempotency key.
    pub twice: bool,
    /// Only if what it changes has this version.
    pub if_version: Option<u64>,
}

const UNITS: [(&str, Millis); 4] = [("d", 86_400_000), ("h", 3_600_000), ("s", 1_000), ("ms", 1)];

fn length(millis: Millis) -> String {
    let fits = |unit: &&(&str, Millis)| (millis % unit.1 == 0 && millis != 0) || unit.1 == 1;
    let unit = UNITS.iter().find(fits).unwrap();
    format!("{}{}", millis / unit.1, unit.0)
}

fn millis(text: &str) -> Option<Millis> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS.iter().find(|unit| unit.0 == &text[digits.len()..])?;
    Some(digits.parse::<Millis>().ok()? * unit.1)
}

struct Limits<'a>(&'a Option<Vec<&'static str>>, Option<Millis>);

impl fmt::Display for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(categories) if categories.is_empty() => f.write_str(" only nothing")?,
            Some(categories) => write!(f, " only {}", categories.join("+"))?,
            None => {}
        }
        self.1.map_or(Ok(()), |until| write!(f, " until {}", length(until)))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Do(deed) => write!(f, "{deed}"),
            Self::Pass(passed) => write!(f, "{} passes", length(*passed)),
            Self::Reach { consent, days, offset } => {
                let Consent { request, tenant } = consent;
                write!(f, "time reaches {days}d {} after the end of {tenant} of request {request}", length(*offset))
            }
            Self::Reload => f.write_str("the policies are reloaded"),
            Self::Break => f.write_str("the policies are broken"),
            Self::Restart => f.write_str("the service restarts"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |consent: &Consent| format!("{} of request {}", consent.tenant, consent.request);
        let name = |person: Option<&Person>| person.map_or("nobody", |person| person.name);
        write!(f, "{} ", self.who.name)?;
        match &self.command {
            Command::Register(tenant) => write!(f, "registers {tenant}")?,
            Command::Open(Opening { id, tenant, portal, allows, assignee }) => {
                write!(f, "opens SR-{id} for {tenant} to {}", name(*assignee))?;
                f.write_str(if *portal == Portal::Other { " elsewhere" } else { "" })?;
                f.write_str(if *allows { " allowing" } else { "" })?;
            }
            Command::Allow(id, true) => write!(f, "allows diagnostics on SR-{id}")?,
            Command::Allow(id, false) => write!(f, "refuses diagnostics on SR-{id}")?,
            Command::Rename(id, summary) => write!(f, "renames SR-{id} to {summary}")?,
            Command::Assign(id, engineer) => write!(f, "assigns SR-{id} to {}", name(*engineer))?,
            Command::Close(id) => write!(f, "closes SR-{id}")?,
            Command::Reopen(id) => write!(f, "reopens SR-{id}")?,
            Command::Ask { support_request, resource_tenant } => {
                write!(f, "asks for {resource_tenant} under SR-{support_request}")?;
            }
            Command::Withdraw(request) => write!(f, "withdraws request {request}")?,
            Command::Approve(consent, categories, until) => {
                write!(f, "approves {}{}", of(consent), Limits(categories, *until))?;
            }
            Command::Reject(consent) => write!(f, "rejects {}", of(consent))?,
            Command::Narrow(consent, categories, until) => {
                write!(f, "narrows {}{}", of(consent), Limits(categories, *until))?;
            }
            Command::Revoke(consent) => write!(f, "revokes {}", of(consent))?,
        }
        self.if_version.map_or(Ok(()), |version| write!(f, " if version {version}"))?;
        f.write_str(if self.twice { " twice at once" } else { "" })
    }
}

/// The steps of a text, one a line; empty lines and lines that begin with `#` are none.
pub fn history(text: &str) -> Vec<Step> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| step(line).unwrap_or_else(|| panic!("what is `{line}`?"))).collect()
}

/// The text of a history.
pub fn text(steps: &[Step]) -> String {
    steps.iter().flat_map(|step| [step.to_string(), "\n".to_owned()]).collect()
}

fn step(line: &str) -> Option<Step> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["the", "policies", "are", "reloaded"] => Some(Step::Reload),
        ["the", "policies", "are", "broken"] => Some(Step::Break),
        ["the", "service", "restarts"] => Some(Step::Restart),
        [length, "passes"] => Some(Step::Pass(millis(length)?)),
        ["time", "reaches", days, offset, "after", "the", "end", "of", rest @ ..] => {
            let (consent, []) = consent(rest)? else { return None };
            Some(Step::Reach { consent, days: millis(days)? / UNITS[0].1, offset: millis(offset)? })
        }
        [who, rest @ ..] => deed(person(who), rest).map(Step::Do),
        [] => None,
    }
}

fn deed(who: &'static Person, words: &[&str]) -> Option<Deed> {
    let (words, twice) = match words {
        [words @ .., "twice", "at", "once"] => (words, true),
        words => (words, false),
    };
    let (words, if_version) = match words {
        [words @ .., "if", "version", version] => (words, Some(version.parse().ok()?)),
        words => (words, None),
    };
    Some(Deed { who, command: command(words)?, twice, if_version })
}

fn command(words: &[&str]) -> Option<Command> {
    Some(match words {
        ["registers", name] => Command::Register(tenant(name)?),
        ["opens", id, "for", name, "to", engineer, how @ ..] => Command::Open(Opening {
            id: support_request(id)?,
            tenant: tenant(name)?,
            portal: if how.contains(&"elsewhere") { Portal::Other } else { Portal::AdminCenter },
            allows: how.contains(&"allowing"),
            assignee: (*engineer != "nobody").then(|| person(engineer)),
        }),
        [verb @ ("allows" | "refuses"), "diagnostics", "on", id] => {
            Command::Allow(support_request(id)?, *verb == "allows")
        }
        ["renames", id, "to", summary @ ..] => Command::Rename(support_request(id)?, summary.join(" ")),
        ["assigns", id, "to", engineer] => {
            Command::Assign(support_request(id)?, (*engineer != "nobody").then(|| person(engineer)))
        }
        ["closes", id] => Command::Close(support_request(id)?),
        ["reopens", id] => Command::Reopen(support_request(id)?),
        ["asks", "for", name, "under", id] => {
            Command::Ask { support_request: support_request(id)?, resource_tenant: tenant(name)? }
        }
        ["withdraws", "request", number] => Command::Withdraw(number.parse().ok()?),
        [verb @ ("approves" | "rejects" | "narrows" | "revokes"), rest @ ..] => {
            let (consent, limits) = consent(rest)?;
            let (categories, until) = limits_of(limits)?;
            match *verb {
                "approves" => Command::Approve(consent, categories, until),
                "narrows" => Command::Narrow(consent, categories, until),
                "rejects" => Command::Reject(consent),
                _ => Command::Revoke(consent),
            }
        }
        _ => return None,
    })
}

fn limits_of(words: &[&str]) -> Option<(Option<Vec<&'static str>>, Option<Millis>)> {
    let (mut categories, mut until) = (None, None);
    for pair in words.chunks(2) {
        match pair {
            ["only", "nothing"] => categories = Some(Vec::new()),
            ["only", names] => {
                let known = |name: &str| CATEGORIES.into_iter().find(|category| *category == name);
                categories = Some(names.split('+').map(known).collect::<Option<_>>()?);
            }
            ["until", length] => until = Some(millis(length)?),
            _ => return None,
        }
    }
    Some((categories, until))
}

fn tenant(name: &str) -> Option<&'static str> {
    TENANTS.into_iter().find(|tenant| *tenant == name)
}

fn support_request(id: &str) -> Option<usize> {
    id.strip_prefix("SR-")?.parse().ok()
}

/// `<tenant> of request <number>`, and what follows.
fn consent<'a, 'b>(words: &'a [&'b str]) -> Option<(Consent, &'a [&'b str])> {
    match words {
        [name, "of", "request", number, rest @ ..] => {
            Some((Consent { request: number.parse().ok()?, tenant: tenant(name)? }, rest))
        }
        _ => None,
    }
}
