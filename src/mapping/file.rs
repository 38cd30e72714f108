//! Mapping files: read whole, and every complaint names its place.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::engineer::{EngineerSource, PrincipalPattern};
use super::route::{Asks, Route};
use super::template::{PathTemplate, TextTemplate, parameter_name};
use super::{MAX_FILE_BYTES, Mapping};
use crate::model::{Category, MAX_ID_BYTES, SupportRequestId, TenantId};

/// The methods that a route may have. `CONNECT` is none: what goes through a tunnel is not seen. `TRACE` gives back what it
/// was sent, secrets too.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
/// The most routes of a mapping: they are looked through one after the other.
const MOST_ROUTES: usize = 1_000;
/// The most parameters that a route may name in `query`.
const MOST_PARAMETERS: usize = 64;
/// After so many problems the routes that follow are not looked at: whoever mends them begins with these.
const MANY_PROBLEMS: usize = 100;

/// What is wrong with a mapping file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidMapping {
    file: String,
    /// Line and message of each problem, in the file's order.
    problems: Vec<(usize, String)>,
}

impl fmt::Display for InvalidMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (line, message)) in self.problems.iter().enumerate() {
            let end = if at > 0 { "\n" } else { "" };
            write!(f, "{end}{}:{line}: {message}", self.file)?;
        }
        Ok(())
    }
}

impl InvalidMapping {
    /// One problem in this line.
    #[must_use]
    pub fn at(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problems: vec![(line, message.into())] }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    engineer: Spanned<EngineerEntry>,
    #[serde(default)]
    routes: Vec<Spanned<RouteEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineerEntry {
    from: From,
    tenant: Option<Spanned<String>>,
    principal: Option<Spanned<String>>,
    namespace: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    tenant_claim: Option<Spanned<String>>,
    object_claim: Option<Spanned<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    Token,
    Certificate,
    JwtPayload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    methods: Spanned<Vec<Spanned<String>>>,
    path: Spanned<String>,
    #[serde(default)]
    query: Vec<Spanned<String>>,
    #[serde(default)]
    pass: bool,
    action: Option<Spanned<String>>,
    tenant: Option<Spanned<String>>,
    category: Option<Spanned<String>>,
    item: Option<Spanned<String>>,
    support_request: Option<Spanned<String>>,
}

/// Collects what is wrong, so that it is told at once.
struct Reader<'a> {
    text: &'a str,
    problems: Vec<(usize, String)>,
}

pub(super) fn parse(file: &str, text: &str) -> Result<Mapping, InvalidMapping> {
    if text.len() > MAX_FILE_BYTES {
        return Err(InvalidMapping::at(file, 1, format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    let mut reader = Reader { text, problems: Vec::new() };
    let entry: FileEntry = toml::from_str(text).map_err(|error| {
        let line = reader.line(&error.span().unwrap_or_default());
        InvalidMapping::at(file, line, error.message())
    })?;
    let engineer = reader.engineer(&entry.engineer);
    let mut routes: Vec<Route> = Vec::new();
    if entry.routes.is_empty() || entry.routes.len() > MOST_ROUTES {
        let message = format!("needs `[[routes]]`, at least one and at most {MOST_ROUTES}");
        reader.problems.push((1, message));
    }
    for spanned in entry.routes.iter().take(MOST_ROUTES) {
        if reader.problems.len() >= MANY_PROBLEMS {
            break;
        }
        if let Some(route) = reader.route(spanned) {
            reader.must_be_reached(&route, &routes);
            routes.push(route);
        }
    }
    reader.problems.sort_by_key(|(line, _)| *line);
    match engineer {
        Some(engineer) if reader.problems.is_empty() => Ok(Mapping { engineer, routes }),
        Some(_) | None => Err(InvalidMapping { file: file.to_owned(), problems: reader.problems }),
    }
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>) {
        let problem = (self.line(span), message.into());
        self.problems.push(problem);
    }

    /// Notes what is wrong with a value, and where.
    fn noted<T>(&mut self, key: &str, at: &Range<usize>, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.wrong(at, format!("`{key}`: {message}"))).ok()
    }

    fn engineer(&mut self, spanned: &Spanned<EngineerEntry>) -> Option<EngineerSource> {
        let entry = spanned.get_ref();
        let all = spanned.span();
        let wanted: &[&str] = match entry.from {
            From::Token => &[],
            From::Certificate => &["tenant", "principal"],
            From::JwtPayload => &["namespace", "key", "tenant_claim", "object_claim"],
        };
        let given = [
            ("tenant", &entry.tenant),
            ("principal", &entry.principal),
            ("namespace", &entry.namespace),
            ("key", &entry.key),
            ("tenant_claim", &entry.tenant_claim),
            ("object_claim", &entry.object_claim),
        ];
        let before = self.problems.len();
        for (key, value) in given {
            match value {
                Some(value) if !wanted.contains(&key) => {
                    self.wrong(&value.span(), format!("`{key}` means nothing with this `from`"));
                }
                Some(value) if value.get_ref().is_empty() => self.wrong(&value.span(), format!("`{key}` is empty")),
                None if wanted.contains(&key) => self.wrong(&all, format!("`{key}` is missing")),
                Some(_) | None => {}
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.get_ref().clone());
        match entry.from {
            From::Token => Some(EngineerSource::Token),
            From::Certificate => {
                let (tenant, principal) = (entry.tenant.as_ref()?, entry.principal.as_ref()?);
                let id = TenantId::new(tenant.get_ref()).map_err(|error| error.to_string());
                let id = self.noted("tenant", &tenant.span(), id)?;
                let pattern = PrincipalPattern::parse(id, principal.get_ref());
                self.noted("principal", &principal.span(), pattern).map(EngineerSource::Certificate)
            }
            From::JwtPayload => Some(EngineerSource::JwtPayload {
                namespace: text(&entry.namespace)?,
                key: text(&entry.key)?,
                tenant_claim: text(&entry.tenant_claim)?,
                object_claim: text(&entry.object_claim)?,
            }),
        }
    }

    fn route(&mut self, spanned: &Spanned<RouteEntry>) -> Option<Route> {
        let entry = spanned.get_ref();
        let line = self.line(&spanned.span());
        let before = self.problems.len();
        self.methods(&entry.methods);
        let path = PathTemplate::parse(entry.path.get_ref());
        let path = self.noted("path", &entry.path.span(), path);
        let mut query: Vec<String> = Vec::new();
        if let Some(beyond) = entry.query.get(MOST_PARAMETERS) {
            self.wrong(&beyond.span(), format!("`query`: at most {MOST_PARAMETERS} parameters"));
        }
        for name in entry.query.iter().take(MOST_PARAMETERS) {
            let name = self.noted("query", &name.span(), parameter_name(name.get_ref()));
            query.extend(name);
        }
        let asks =
            if entry.pass { Some(self.passing(entry, path.as_ref())) } else { self.data(spanned, path.as_ref()) };
        if let Some(Asks::Data { tenant, category, item, support_request, .. }) = &asks {
            let texts = [Some(tenant), Some(category), item.as_ref(), support_request.as_ref()];
            query.extend(texts.into_iter().flatten().flat_map(TextTemplate::parameters).map(ToOwned::to_owned));
        }
        if self.problems.len() > before {
            return None;
        }
        let methods = entry.methods.get_ref().iter().map(|method| method.get_ref().clone()).collect();
        Some(Route { line, methods, path: path?, query, asks: asks? })
    }

    fn methods(&mut self, methods: &Spanned<Vec<Spanned<String>>>) {
        if methods.get_ref().is_empty() {
            self.wrong(&methods.span(), "`methods` is empty: the route has no requests");
        }
        let mut named = Vec::new();
        for method in methods.get_ref() {
            let name = method.get_ref().as_str();
            if !METHODS.contains(&name) {
                let message = format!("`methods`: `{name}` is none of {}", METHODS.join(", "));
                return self.wrong(&method.span(), message);
            }
            if named.contains(&name) {
                return self.wrong(&method.span(), format!("`methods`: `{name}` stands there twice"));
            }
            named.push(name);
        }
    }

    /// What passes without a question is named whole: a template could let through what somebody adds to the API later.
    fn passing(&mut self, entry: &RouteEntry, path: Option<&PathTemplate>) -> Asks {
        if path.is_some_and(|path| !path.is_one_path()) {
            self.wrong(&entry.path.span(), "`path`: a route that passes is one path, without `{...}`");
        }
        let texts = [
            ("action", &entry.action),
            ("tenant", &entry.tenant),
            ("category", &entry.category),
            ("item", &entry.item),
            ("support_request", &entry.support_request),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                self.wrong(&value.span(), format!("`{key}` stands beside `pass`: a request that passes asks nothing"));
            }
        }
        Asks::Nothing
    }

    fn data(&mut self, spanned: &Spanned<RouteEntry>, path: Option<&PathTemplate>) -> Option<Asks> {
        let entry = spanned.get_ref();
        for (key, value) in [("action", &entry.action), ("tenant", &entry.tenant), ("category", &entry.category)] {
            if value.is_none() {
                let message = format!("`{key}` is missing; a route whose requests ask nothing says `pass = true`");
                self.wrong(&spanned.span(), message);
            }
        }
        let action = entry.action.as_ref();
        let verb = action.map(|action| (action.span(), action.get_ref().clone()));
        if let Some((span, verb)) = &verb
            && (verb.is_empty() || verb.len() > MAX_ID_BYTES || !verb.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            self.wrong(span, "`action` is a verb of the schema, such as `read`");
        }
        let tenant = self.template("tenant", entry.tenant.as_ref(), path, |text| {
            TenantId::check(text).map_err(|error| error.to_string())
        });
        let category = self.template("category", entry.category.as_ref(), path, |text| {
            text.parse::<Category>().map(drop).map_err(|error| error.to_string())
        });
        let item = self.template("item", entry.item.as_ref(), path, |_| Ok(()));
        let support_request = self.template("support_request", entry.support_request.as_ref(), path, |text| {
            SupportRequestId::check(text).map_err(|error| error.to_string())
        });
        let (_, action) = verb?;
        Some(Asks::Data { action, tenant: tenant?, category: category?, item, support_request })
    }

    /// A template whose captures the path has, and that is good where it is one text.
    fn template(
        &mut self,
        key: &str,
        entry: Option<&Spanned<String>>,
        path: Option<&PathTemplate>,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<TextTemplate> {
        let entry = entry?;
        let template = TextTemplate::parse(entry.get_ref());
        let template = self.noted(key, &entry.span(), template)?;
        if let Some(path) = path
            && let Some(unknown) = template.captures().find(|name| !path.names().any(|known| known == *name))
        {
            self.wrong(&entry.span(), format!("`{key}`: the path has no `{{{unknown}}}`"));
        }
        let checked = template.as_literal().map_or(Ok(()), check);
        self.noted(key, &entry.span(), checked)?;
        Some(template)
    }

    /// A route that no request reaches is a mistake: its author thinks that something is judged by it.
    fn must_be_reached(&mut self, route: &Route, before: &[Route]) {
        for method in &route.methods {
            let first = before.iter().find(|first| first.methods.contains(method) && first.path.covers(&route.path));
            if let Some(first) = first {
                let message = format!("`{method}` never gets here: the route in line {} takes it", first.line);
                self.problems.push((route.line, message));
            }
        }
    }
}
