//! The search endpoints (AuthZEN Authorization API 1.0, section 8): what may be read, by whom, and how.
//!
//! They answer about diagnostic data. Of other kinds of subject and resource nothing is found.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Entrance;
use super::evaluation::{ATTEMPTS, REQUEST_ID, believe_nothing, decided, facts_changing};
use super::problem::Problem;
use super::wire::{self, Action, Context, Object, object, object_or_null};
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

/// A subject or a resource. The id of what is searched for is ignored, whatever it is (section 8.4.1).
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    #[expect(dead_code, reason = "checked to be an object, and not believed")]
    properties: Option<Object>,
}

impl<'a> Part<'a> {
    /// The id, where it is asked about.
    fn id(&self, field: &'static str) -> Result<Cow<'a, str>, Problem> {
        let id = self.id.ok_or_else(|| Problem::invalid(field, format!("missing field `{field}`")))?;
        serde_json::from_str(id.get()).map_err(|error| Problem::invalid(field, error.to_string()))
    }
}

/// Which part of the results is asked for.
#[derive(Default, Deserialize)]
struct PageWanted<'a> {
    #[serde(default, borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Search<'a> {
    #[serde(borrow, deserialize_with = "object")]
    subject: Part<'a>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    action: Option<Action<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    resource: Part<'a>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    context: Option<Context<'a>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    page: Option<PageWanted<'a>>,
}

impl Search<'_> {
    fn verb(&self) -> Result<&str, Problem> {
        let action = self.action.as_ref();
        action.map(|action| &*action.name).ok_or_else(|| Problem::invalid("action", "missing field `action`"))
    }
}

/// What a search's endpoint looks for.
#[derive(Clone, Copy)]
enum For {
    Subjects,
    Resources,
    Actions,
}

/// `POST /access/v1/search/subject`
pub(super) async fn subjects(State(entrance): State<Entrance>, request: Request) -> Response {
    answered(&entrance, For::Subjects, request).await
}

/// `POST /access/v1/search/resource`
pub(super) async fn resources(State(entrance): State<Entrance>, request: Request) -> Response {
    answered(&entrance, For::Resources, request).await
}

/// `POST /access/v1/search/action`
pub(super) async fn actions(State(entrance): State<Entrance>, request: Request) -> Response {
    answered(&entrance, For::Actions, request).await
}

async fn answered(entrance: &Entrance, what: For, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.search(what, &parts.headers, body).await;
    decided(answer, parts.headers)
}

impl Entrance {
    async fn search(&self, what: For, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let search: Search<'_> = wire::parse(&bytes)?;
        let subject = match what {
            For::Subjects => Cow::Borrowed(""),
            For::Resources | For::Actions => search.subject.id("subject.id")?,
        };
        let resource = match what {
            For::Resources => Cow::Borrowed(""),
            For::Subjects | For::Actions => search.resource.id("resource.id")?,
        };
        let sought = match what {
            For::Subjects => Sought::Engineers { verb: search.verb()?, resource: &resource },
            For::Resources => Sought::Resources { engineer: &subject, verb: search.verb()? },
            For::Actions => Sought::Verbs { engineer: &subject, resource: &resource },
        };
        believe_nothing(search.context.as_ref())?;
        self.may_ask(&caller, Subject { kind: &search.subject.kind, id: &subject }).await?;
        let support_request = search.context.as_ref().and_then(|context| context.support_request.as_deref());
        let kinds = (&*search.subject.kind, &*search.resource.kind);
        let wanted = Wanted::of(search.page.as_ref(), &format!("{:?}", (kinds, sought, support_request)))?;
        // Of other kinds nothing is found.
        let found = if kinds == (ENGINEER, DATA) {
            self.found(&caller, headers, sought, support_request).await?
        } else {
            Vec::new()
        };
        Ok(page(&found, &wanted, what))
    }

    /// Searches, and records what was found.
    async fn found(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        sought: Sought<'_>,
        support_request: Option<&str>,
    ) -> Result<Vec<String>, Problem> {
        for _ in 0..ATTEMPTS {
            let searched = self.edge.decisions.search(sought, support_request)?;
            let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
            let by = Asked { caller: caller.name(), request_id, log_mode: self.edge.log.mode() };
            let line = searched.record(sought, support_request, by);
            self.edge.log.settled(self.edge.log.append(line.as_bytes(), None)?).await?;
            if self.edge.decisions.search_holds(sought, support_request, &searched) {
                return Ok(searched.found);
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

impl For {
    fn told(self, found: &str) -> Found<'_> {
        match self {
            Self::Subjects => Found::Entity { kind: ENGINEER, id: found },
            Self::Resources => Found::Entity { kind: DATA, id: found },
            Self::Actions => Found::Action { name: found },
        }
    }
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
    fn of(page: Option<&PageWanted<'_>>, search: &str) -> Result<Self, Problem> {
        let digest = sha256(search.as_bytes());
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
fn page(found: &[String], wanted: &Wanted, what: For) -> String {
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
    let results: Vec<Found<'_>> = part.iter().map(|found| what.told(found)).collect();
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
