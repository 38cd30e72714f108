//! The search endpoints (AuthZEN Authorization API 1.0, section 8): what may be read, by whom, and how.
//!
//! They answer about diagnostic data, and who may decide on a consent. Of other kinds of subject and resource nothing is
//! found.

pub(super) mod pages;

use std::borrow::Cow;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use self::pages::{Found, PageWanted, Wanted, of_all};
use super::Entrance;
use super::evaluation::{ATTEMPTS, REQUEST_ID, believe_nothing, decided, facts_changing};
use super::problem::Problem;
use super::wire::{self, Action, Context, Part, object, object_or_null};
use crate::audit::Asked;
use crate::decision::{NotSearched, Sought, Validity};
use crate::identity::Caller;
use crate::workflow::{Subject, WorkflowError};

const ENGINEER: &str = "SupportEngineer";
const DATA: &str = "DiagnosticData";
const PERSON: &str = "User";
const CONSENT: &str = "Consent";

#[derive(Deserialize, ToSchema)]
#[schema(as = SearchRequest)]
pub(super) struct Search<'a> {
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
        let began = Instant::now();
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
        let kinds = (&*search.subject.kind, &*search.resource.kind);
        if let (For::Subjects, (PERSON, CONSENT)) = (what, kinds) {
            let wanted = Wanted::of(search.page.as_ref(), &format!("{:?}", (kinds, search.verb()?, &resource)))?;
            let found = self.who_may(&caller, search.verb()?, &resource, began).await?;
            return Ok(of_all(&found, &wanted, None, |id| Found::Entity { kind: PERSON, id }));
        }
        self.may_ask(&caller, Subject { kind: &search.subject.kind, id: &subject }).await?;
        let support_request = search.context.as_ref().and_then(|context| context.support_request.as_deref());
        let wanted = Wanted::of(search.page.as_ref(), &format!("{:?}", (kinds, sought, support_request)))?;
        // Of other kinds nothing is found.
        let (found, validity) = if kinds == (ENGINEER, DATA) {
            self.found(&caller, headers, sought, support_request).await?
        } else {
            (Vec::new(), None)
        };
        Ok(of_all(&found, &wanted, validity, |found| what.told(found)))
    }

    /// Who may decide on a consent. What there is not, and what is not for the caller to know of, is nobody's (R19).
    async fn who_may(
        &self,
        caller: &Caller,
        action: &str,
        consent: &str,
        began: Instant,
    ) -> Result<Vec<String>, Problem> {
        // Whoever asks about their own tenant's consent asks about themselves, too.
        self.may_ask(caller, Subject { kind: PERSON, id: caller.name() }).await?;
        let identity = &self.edge.identity;
        match self.edge.workflow.who_may(caller, action, consent, &|person| identity.still_proves(person), began).await
        {
            Err(WorkflowError::NotFound(_)) => Ok(Vec::new()),
            found => Ok(found?),
        }
    }

    /// Searches, and records what was found. It is told with until when it may be used.
    async fn found(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        sought: Sought<'_>,
        support_request: Option<&str>,
    ) -> Result<(Vec<String>, Option<Validity>), Problem> {
        self.confirmed().await?;
        for _ in 0..ATTEMPTS {
            let searched = self.edge.decisions.search(sought, support_request)?;
            let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
            let by = Asked { caller: caller.name(), request_id, log_mode: self.edge.log.mode() };
            let line = searched.record(sought, support_request, by);
            self.edge.log.settled(self.edge.log.append(line.as_bytes(), None)?).await?;
            if self.edge.decisions.search_holds(sought, support_request, &searched) {
                let validity = self.edge.decisions.validity(searched.valid_until);
                return Ok((searched.found, validity));
            }
        }
        Err(facts_changing())
    }
}

impl For {
    const fn told(self, found: &str) -> Found<'_> {
        match self {
            Self::Subjects => Found::Entity { kind: ENGINEER, id: found },
            Self::Resources => Found::Entity { kind: DATA, id: found },
            Self::Actions => Found::Action { name: found },
        }
    }
}

impl From<NotSearched> for Problem {
    fn from(why: NotSearched) -> Self {
        match why {
            NotSearched::Invalid(invalid) => invalid.into(),
            NotSearched::Undecided(undecided) => undecided.into(),
        }
    }
}
