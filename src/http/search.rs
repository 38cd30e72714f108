//! The search endpoints (AuthZEN Authorization API 1.0, section 8): what may be read, by whom, and how.
//!
//! They answer about diagnostic data. Of other kinds of subject and resource nothing is found.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Entrance;
use super::evaluation::{ATTEMPTS, REQUEST_ID, decided, facts_changing};
use super::problem::Problem;
use super::wire::{self, Action, Context, Entity, object, object_or_null};
use crate::audit::Asked;
use crate::decision::{NotSearched, Sought};
use crate::identity::Caller;
use crate::signing::sha256;
use crate::workflow::Subject;

/// How many results a page has where the request names no limit.
const USUAL_LIMIT: usize = 100;
/// The most results of a page.
const MAX_LIMIT: usize = 1_000;
/// The longest page token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 1_024;

const ENGINEER: &str = "SupportEngineer";
const DATA: &str = "DiagnosticData";

/// What is searched for: its kind counts, and an id is ignored.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    #[expect(dead_code, reason = "to be ignored (section 8.4.1)")]
    id: Option<IgnoredAny>,
}

/// Which part of the results is asked for.
#[derive(Default, Deserialize)]
struct PageWanted<'a> {
    #[serde(default, borrow)]
    token: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct SubjectSearch<'a> {
    #[serde(borrow, deserialize_with = "object")]
    subject: Kind<'a>,
    #[serde(borrow, deserialize_with = "object")]
    action: Action<'a>,
    #[serde(borrow, deserialize_with = "object")]
    resource: Entity<'a>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    context: Option<Context<'a>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    page: Option<PageWanted<'a>>,
}

#[derive(Deserialize)]
struct ResourceSearch<'a> {
    #[serde(borrow, deserialize_with = "object")]
    subject: Entity<'a>,
    #[serde(borrow, deserialize_with = "object")]
    action: Action<'a>,
    #[serde(borrow, deserialize_with = "object")]
    resource: Kind<'a>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    context: Option<Context<'a>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    page: Option<PageWanted<'a>>,
}

#[derive(Deserialize)]
struct ActionSearch<'a> {
    #[serde(borrow, deserialize_with = "object")]
    subject: Entity<'a>,
    #[serde(borrow, deserialize_with = "object")]
    resource: Entity<'a>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    context: Option<Context<'a>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    page: Option<PageWanted<'a>>,
}

/// `POST /access/v1/search/subject`
pub(super) async fn subjects(State(entrance): State<Entrance>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.search_subjects(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// `POST /access/v1/search/resource`
pub(super) async fn resources(State(entrance): State<Entrance>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.search_resources(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// `POST /access/v1/search/action`
pub(super) async fn actions(State(entrance): State<Entrance>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.search_actions(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// A search, as far as it is the same for all three.
struct Search<'a> {
    /// Whom it is about; nobody, when subjects are searched for.
    subject: Subject<'a>,
    /// None: nothing of that kind can be found.
    sought: Option<Sought<'a>>,
    context: Option<&'a Context<'a>>,
    page: Option<PageWanted<'a>>,
}

impl Entrance {
    async fn search_subjects(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let search: SubjectSearch<'_> = wire::parse(&bytes)?;
        let (verb, resource) = (&*search.action.name, &*search.resource.id);
        let is_data = search.subject.kind == ENGINEER && search.resource.kind == DATA;
        let found = Search {
            subject: Subject { kind: &search.subject.kind, id: "" },
            sought: is_data.then_some(Sought::Engineers { verb, resource }),
            context: search.context.as_ref(),
            page: search.page,
        };
        self.searched(&caller, headers, found, |id| Found::Entity { kind: ENGINEER, id }).await
    }

    async fn search_resources(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let search: ResourceSearch<'_> = wire::parse(&bytes)?;
        let (engineer, verb) = (&*search.subject.id, &*search.action.name);
        let is_data = search.subject.kind == ENGINEER && search.resource.kind == DATA;
        let found = Search {
            subject: Subject { kind: &search.subject.kind, id: engineer },
            sought: is_data.then_some(Sought::Resources { engineer, verb }),
            context: search.context.as_ref(),
            page: search.page,
        };
        self.searched(&caller, headers, found, |id| Found::Entity { kind: DATA, id }).await
    }

    async fn search_actions(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let search: ActionSearch<'_> = wire::parse(&bytes)?;
        let (engineer, resource) = (&*search.subject.id, &*search.resource.id);
        let is_data = search.subject.kind == ENGINEER && search.resource.kind == DATA;
        let found = Search {
            subject: Subject { kind: &search.subject.kind, id: engineer },
            sought: is_data.then_some(Sought::Verbs { engineer, resource }),
            context: search.context.as_ref(),
            page: search.page,
        };
        self.searched(&caller, headers, found, |name| Found::Action { name }).await
    }

    /// Searches, records what was found, and gives the page that is wanted of it.
    async fn searched(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        search: Search<'_>,
        told: impl Fn(&str) -> Found<'_>,
    ) -> Result<String, Problem> {
        super::evaluation::believe_nothing(search.context)?;
        self.may_ask(caller, search.subject).await?;
        let support_request = search.context.and_then(|context| context.support_request.as_deref());
        let asked = Wanted::of(&search, support_request)?;
        let Some(sought) = search.sought else { return Ok(page(&[], &asked, told)) };
        for _ in 0..ATTEMPTS {
            let searched = self.edge.decisions.search(sought, support_request)?;
            let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
            let by = Asked { caller: caller.name(), request_id, log_mode: self.edge.log.mode() };
            let line = searched.record(sought, support_request, by);
            self.edge.log.settled(self.edge.log.append(line.as_bytes(), None)?).await?;
            if self.edge.decisions.search_holds(sought, support_request, &searched) {
                return Ok(page(&searched.found, &asked, told));
            }
        }
        Err(facts_changing())
    }
}

/// What was found, in the order in which readers expect the members.
#[derive(Serialize)]
#[serde(untagged)]
enum Found<'a> {
    Entity {
        #[serde(rename = "type")]
        kind: &'static str,
        id: &'a str,
    },
    Action {
        name: &'a str,
    },
}

/// A place among a search's results, as the token of the next page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// A digest of what was searched for: a token goes on with the same search alone (section 8.2.1).
    search: String,
    from: usize,
    limit: usize,
}

/// The part of the results that is wanted.
struct Wanted(Place);

impl Wanted {
    fn of(search: &Search<'_>, support_request: Option<&str>) -> Result<Self, Problem> {
        let Subject { kind, id } = search.subject;
        let digest = sha256(format!("{:?}", (kind, id, search.sought, support_request)).as_bytes());
        let page = search.page.as_ref();
        let limit = page.and_then(|page| page.limit);
        if limit.is_some_and(|limit| limit > MAX_LIMIT) {
            return Err(Problem::invalid("page.limit", format!("is over {MAX_LIMIT}")));
        }
        let Some(token) = page.and_then(|page| page.token.as_deref()).filter(|token| !token.is_empty()) else {
            return Ok(Self(Place { search: digest, from: 0, limit: limit.unwrap_or(USUAL_LIMIT) }));
        };
        let invalid = |detail: &str| Problem::invalid("page.token", detail);
        let bytes = (token.len() <= MAX_TOKEN_BYTES).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten();
        let place: Option<Place> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let place = place.ok_or_else(|| invalid("is no token of ours: take `next_token` of a page as it is"))?;
        if place.search != digest {
            return Err(invalid("belongs to another search: ask the same again to go on"));
        }
        if place.limit > MAX_LIMIT || limit.is_some_and(|limit| limit != place.limit) {
            return Err(Problem::invalid("page.limit", "is another one than before: leave it out to go on"));
        }
        Ok(Self(place))
    }
}

/// A page of results (section 8.3). It comes first, so that whoever reads knows how many there are.
fn page(found: &[String], wanted: &Wanted, told: impl Fn(&str) -> Found<'_>) -> String {
    #[derive(Serialize)]
    struct PageTold {
        next_token: String,
        count: usize,
        total: usize,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        page: PageTold,
        results: Vec<Found<'a>>,
    }
    let Wanted(place) = wanted;
    let end = place.from.saturating_add(place.limit).min(found.len());
    let part = found.get(place.from.min(end)..end).unwrap_or_default();
    let next = Place { search: place.search.clone(), from: end, limit: place.limit };
    let next_token = if end < found.len() {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&next).unwrap_or_default())
    } else {
        String::new()
    };
    let results: Vec<Found<'_>> = part.iter().map(|found| told(found)).collect();
    let told = Told { page: PageTold { next_token, count: results.len(), total: found.len() }, results };
    // Texts and numbers serialise.
    serde_json::to_string(&told).unwrap_or_default()
}

impl From<NotSearched> for Problem {
    fn from(why: NotSearched) -> Self {
        match why {
            NotSearched::Invalid(invalid) => invalid.into(),
            NotSearched::Undecided(undecided) => undecided.into(),
        }
    }
}
