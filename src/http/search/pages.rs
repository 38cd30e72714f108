//! Pages of results (AuthZEN Authorization API 1.0, sections 8.2 and 8.3): which part is wanted, and how it is told.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decision::Validity;
use crate::http::problem::Problem;
use crate::signing::sha256;

/// How many results a page has where the request names no limit.
const USUAL_LIMIT: usize = 100;
/// The most results of a page.
const MAX_LIMIT: usize = 1_000;
/// The longest page token that is looked at, in bytes: it holds an id.
const MAX_TOKEN_BYTES: usize = 16 * 1_024;

/// Which part of the results is asked for.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct PageWanted<'a> {
    #[serde(default, borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(default)]
    #[schema(maximum = 1_000)]
    limit: Option<usize>,
}

/// A place among a search's results, as the token of the next page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// A digest of what was searched for: a token goes on with the same search alone (section 8.2).
    search: String,
    after: Option<String>,
    limit: usize,
}

/// The part of the results that is wanted.
pub(in crate::http) struct Wanted(Place);

impl Wanted {
    /// The part that `page` wants of the results of `search`, a text that is its own for each search.
    ///
    /// # Errors
    /// 400.
    pub(in crate::http) fn of(page: Option<&PageWanted<'_>>, search: &str) -> Result<Self, Problem> {
        let digest = sha256(search.as_bytes());
        let limit = page.and_then(|page| page.limit);
        if limit.is_some_and(|limit| limit > MAX_LIMIT) {
            return Err(Problem::invalid("page.limit", format!("is over {MAX_LIMIT}")));
        }
        let Some(token) = page.and_then(|page| page.token.as_deref()).filter(|token| !token.is_empty()) else {
            return Ok(Self(Place { search: digest, after: None, limit: limit.unwrap_or(USUAL_LIMIT) }));
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

    /// Behind which result the page begins; none: it is the first one.
    pub(in crate::http) fn after(&self) -> Option<&str> {
        self.0.after.as_deref()
    }

    /// How many results the page has at most.
    pub(in crate::http) const fn limit(&self) -> usize {
        self.0.limit
    }
}

/// What was found, in the order in which readers expect the members.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::http) enum Found<'a> {
    /// A subject or a resource.
    Entity {
        #[serde(rename = "type")]
        kind: &'a str,
        id: &'a str,
    },
    /// An action.
    Action { name: &'a str },
}

/// Results of which all are there, in the order of their names: the part of them that is wanted.
pub(in crate::http) fn of_all<'a>(
    found: &'a [String],
    wanted: &Wanted,
    validity: Option<Validity>,
    told: impl Fn(&'a str) -> Found<'a>,
) -> String {
    let behind = found.iter().map(String::as_str).filter(|found| wanted.after().is_none_or(|after| *found > after));
    let part: Vec<&str> = behind.clone().take(wanted.limit()).collect();
    let is_last = behind.count() == part.len();
    let last = part.last().copied().or(wanted.after()).unwrap_or_default();
    let next = (!is_last).then(|| last.to_owned());
    page(part.into_iter().map(told).collect(), wanted, next, Some(found.len()), validity)
}

/// A page of results (section 8.3). It comes first, so that whoever reads knows how many there are. `next`: behind which
/// candidate the next page begins, if there is one; `total`: how many results there are together, where that is known;
/// `validity`: until when they may be used, where that is known.
pub(in crate::http) fn page(
    results: Vec<Found<'_>>,
    wanted: &Wanted,
    next: Option<String>,
    total: Option<usize>,
    validity: Option<Validity>,
) -> String {
    #[derive(Serialize)]
    struct PageTold {
        next_token: String,
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<usize>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        page: PageTold,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<Validity>,
        results: Vec<Found<'a>>,
    }
    let Wanted(place) = wanted;
    let next = next.map(|after| Place { search: place.search.clone(), after: Some(after), limit: place.limit });
    // Texts and numbers serialise.
    let next_token =
        next.map_or_else(String::new, |next| URL_SAFE_NO_PAD.encode(serde_json::to_vec(&next).unwrap_or_default()));
    let told = Told { page: PageTold { next_token, count: results.len(), total }, context: validity, results };
    serde_json::to_string(&told).unwrap_or_default()
}
