//! Templates: of paths, `/v1/tenants/{tenant}/sign-ins/{*item}`, and of the texts that are made of what they take.

use std::borrow::Cow;

use super::path::{self, is_plain};
use super::query;
use super::{Headers, Unmapped};

/// A path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathTemplate(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// One segment.
    One(String),
    /// All that follow, at least one; the last of its template.
    Rest(String),
}

/// What a path template has taken of a path, by name.
pub(super) type Captures<'t, 'p> = Vec<(&'t str, Cow<'p, str>)>;

impl PathTemplate {
    /// # Errors
    /// A sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else { return Err("a path begins with a slash".to_owned()) };
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.iter().rev().skip(1).any(|segment| matches!(segment, Segment::Rest(_))) {
            return Err("`{*name}` takes all that follows, and so comes last".to_owned());
        }
        let template = Self(segments);
        let names: Vec<&str> = template.names().collect();
        match names.iter().enumerate().find(|(at, name)| names.iter().skip(at + 1).any(|other| other == *name)) {
            Some((_, twice)) => Err(format!("`{{{twice}}}` stands there twice")),
            None => Ok(template),
        }
    }

    /// The names of what it takes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// Whether it is one path, and no more.
    pub(super) fn is_one_path(&self) -> bool {
        self.names().next().is_none()
    }

    /// What it takes of a path; none when the path is another one.
    pub(super) fn captures<'p>(&self, segments: &[&'p str]) -> Option<Result<Captures<'_, 'p>, Unmapped>> {
        let mut left = segments;
        let mut captures = Vec::new();
        for wanted in &self.0 {
            let (first, rest) = left.split_first()?;
            match wanted {
                Segment::Literal(literal) if literal == first => left = rest,
                Segment::Literal(_) => return None,
                Segment::One(name) => {
                    captures.push((name.as_str(), *first, None));
                    left = rest;
                }
                Segment::Rest(name) => {
                    captures.push((name.as_str(), *first, Some(rest)));
                    left = &[];
                }
            }
        }
        if !left.is_empty() {
            return None;
        }
        Some(captures.into_iter().map(|(name, first, rest)| Ok((name, joined(first, rest)?))).collect())
    }

    /// Whether every path of the other template is one of this one, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut ours = self.0.iter();
        let mut theirs = other.0.iter();
        loop {
            return match (ours.next(), theirs.next()) {
                (None, None) | (Some(Segment::Rest(_)), Some(_)) => true,
                (Some(Segment::One(_)), Some(Segment::One(_) | Segment::Literal(_))) => continue,
                (Some(Segment::Literal(mine)), Some(Segment::Literal(other))) if mine == other => continue,
                (None | Some(_), None | Some(_)) => false,
            };
        }
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return match name.strip_prefix('*') {
            Some(name) => Ok(Segment::Rest(capture_name(name)?)),
            None => Ok(Segment::One(capture_name(name)?)),
        };
    }
    if text.is_empty() {
        return Err("a path has no two slashes in a row, and none at its end".to_owned());
    }
    if matches!(text, "." | "..") || !text.bytes().all(is_plain) {
        return Err(format!(
            "`{text}` is no segment: it is text of letters, digits and `-._~:@$+,=()`, or `{{name}}`, or `{{*name}}`"
        ));
    }
    Ok(Segment::Literal(text.to_owned()))
}

fn capture_name(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(name.to_owned()) } else { Err(format!("`{name}` is no name: letters, digits and `_` make one")) }
}

fn joined<'p>(first: &'p str, rest: Option<&[&'p str]>) -> Result<Cow<'p, str>, Unmapped> {
    let mut text = path::decoded(first)?;
    for segment in rest.unwrap_or_default() {
        let text = text.to_mut();
        text.push('/');
        text.push_str(&path::decoded(segment)?);
    }
    Ok(text)
}

/// A text with parts of a request in it: `{tenant}`, `{header:x-support-request}`, `{query:tenant}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Capture(String),
    Header(String),
    Parameter(String),
}

/// Where the parts of a text come from.
pub(super) struct Parts<'a> {
    pub(super) captures: &'a Captures<'a, 'a>,
    pub(super) headers: &'a Headers<'a>,
    pub(super) parameters: &'a [(&'a str, &'a str)],
}

impl TextTemplate {
    /// # Errors
    /// A sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut left = text;
        while let Some((before, after)) = left.split_once('{') {
            let Some((inside, rest)) = after.split_once('}') else {
                return Err(format!("`{text}` opens a brace and does not close it"));
            };
            if !before.is_empty() {
                pieces.push(literal(before)?);
            }
            pieces.push(match inside.split_once(':') {
                None => Piece::Capture(capture_name(inside)?),
                Some(("header", name)) => Piece::Header(header_name(name)?),
                Some(("query", name)) => Piece::Parameter(parameter_name(name)?),
                Some((kind, _)) => {
                    return Err(format!("`{{{kind}:...}}` is nothing known: there are `header:` and `query:`"));
                }
            });
            left = rest;
        }
        if !left.is_empty() {
            pieces.push(literal(left)?);
        }
        if pieces.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Self(pieces)) }
    }

    /// The text itself, where no part of a request is in it.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The captures of the path that it names.
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            Piece::Literal(_) | Piece::Header(_) | Piece::Parameter(_) => None,
        })
    }

    /// The parameters of the query that it names.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Literal(_) | Piece::Header(_) | Piece::Capture(_) => None,
        })
    }

    /// The text of a request.
    ///
    /// # Errors
    /// [`Unmapped::HeaderMissing`], [`Unmapped::HeaderTwice`], [`Unmapped::ParameterMissing`], [`Unmapped::Query`].
    pub(super) fn text(&self, parts: &Parts<'_>) -> Result<String, Unmapped> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Capture(name) => {
                    // Checked when the file was read: the path has every name that the text has.
                    let capture = parts.captures.iter().find(|(capture, _)| capture == name);
                    text.push_str(capture.map(|(_, value)| &**value).unwrap_or_default());
                }
                Piece::Header(name) => {
                    let value = parts.headers.one(name)?;
                    text.push_str(value.ok_or_else(|| Unmapped::HeaderMissing(name.clone()))?);
                }
                Piece::Parameter(name) => {
                    let value = parts.parameters.iter().find(|(parameter, _)| parameter == name);
                    let (_, value) = value.ok_or_else(|| Unmapped::ParameterMissing(name.clone()))?;
                    text.push_str(&query::decoded(value)?);
                }
            }
        }
        Ok(text)
    }
}

fn literal(text: &str) -> Result<Piece, String> {
    if text.contains('}') {
        return Err(format!("`{text}` closes a brace that it does not open"));
    }
    Ok(Piece::Literal(text.to_owned()))
}

fn header_name(name: &str) -> Result<String, String> {
    let is_token = !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_token {
        return Err(format!("`{name}` is no header's name in lower case"));
    }
    if matches!(name, "authorization" | "cookie" | "proxy-authorization") {
        return Err(format!("`{name}` holds secrets, and no part of a question"));
    }
    Ok(name.to_owned())
}

/// A parameter's name. Escapes have no place in it: a parameter is known by its one spelling.
pub(super) fn parameter_name(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| is_plain(byte) && !matches!(byte, b'=' | b'+'));
    if is_name { Ok(name.to_owned()) } else { Err(format!("`{name}` is no parameter's name")) }
}
