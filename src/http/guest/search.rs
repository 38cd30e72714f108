//! Searching a guest model (AuthZEN Authorization API 1.0, section 8).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;

use super::wire::Facts;
use super::{Host, asked, named, said};
use crate::decision::GuestSought;
use crate::http::evaluation::{ATTEMPTS, decided, facts_changing};
use crate::http::problem::Problem;
use crate::http::search::pages::{Found, PageWanted, Wanted, page};
use crate::http::wire::{self, Action, Part, object, object_or_null};
use crate::policy::Said;

#[derive(Deserialize)]
struct Search<'a> {
    #[serde(borrow, deserialize_with = "object")]
    subject: Part<'a, Facts>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    action: Option<Action<'a, Facts>>,
    #[serde(borrow, deserialize_with = "object")]
    resource: Part<'a, Facts>,
    #[serde(default, deserialize_with = "object_or_null")]
    context: Option<Facts>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    page: Option<PageWanted<'a>>,
}

impl Search<'_> {
    fn action(&self) -> Result<(&str, &Said), Problem> {
        let action = self.action.as_ref().ok_or_else(|| Problem::invalid("action", "missing field `action`"))?;
        Ok((&action.name, said(action.properties.as_ref())))
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
pub(super) async fn subjects(State(host): State<Host>, request: Request) -> Response {
    answered(&host, For::Subjects, request).await
}

/// `POST /access/v1/search/resource`
pub(super) async fn resources(State(host): State<Host>, request: Request) -> Response {
    answered(&host, For::Resources, request).await
}

/// `POST /access/v1/search/action`
pub(super) async fn actions(State(host): State<Host>, request: Request) -> Response {
    answered(&host, For::Actions, request).await
}

async fn answered(host: &Host, what: For, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = host.search(what, &parts.headers, body).await;
    decided(answer, parts.headers)
}

impl Host {
    async fn search(&self, what: For, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let search: Search<'_> = wire::parse(&bytes)?;
        let (subject_kind, resource_kind) = (&*search.subject.kind, &*search.resource.kind);
        let subject = || search.subject.id("subject.id");
        let resource = || search.resource.id("resource.id");
        let (subject_said, resource_said) =
            (said(search.subject.properties.as_ref()), said(search.resource.properties.as_ref()));
        let (subject_id, resource_id);
        let sought = match what {
            For::Subjects => {
                resource_id = resource()?;
                let resource = named("resource", resource_kind, &resource_id, resource_said);
                GuestSought::Subjects { kind: subject_kind, action: search.action()?, resource }
            }
            For::Resources => {
                subject_id = subject()?;
                let subject = named("subject", subject_kind, &subject_id, subject_said);
                GuestSought::Resources { subject, action: search.action()?, kind: resource_kind }
            }
            For::Actions => {
                (subject_id, resource_id) = (subject()?, resource()?);
                let subject = named("subject", subject_kind, &subject_id, subject_said);
                GuestSought::Actions {
                    subject,
                    resource: named("resource", resource_kind, &resource_id, resource_said),
                }
            }
        };
        let context = said(search.context.as_ref());
        let wanted = Wanted::of(search.page.as_ref(), &format!("{sought:?} {context:?}"))?;
        for _ in 0..ATTEMPTS {
            let model = self.guest.models().current();
            let searched = self.guest.search(&model, &sought, context, wanted.after(), wanted.limit())?;
            let line = searched.record(&sought, asked(&caller, headers, self));
            self.log().settled(self.log().append(line.as_bytes(), None)?).await?;
            if self.guest.still_holds(&model) {
                let told = |found| match what {
                    For::Subjects => Found::Entity { kind: subject_kind, id: found },
                    For::Resources => Found::Entity { kind: resource_kind, id: found },
                    For::Actions => Found::Action { name: found },
                };
                let results = searched.found.iter().map(|found| told(found.as_str())).collect();
                return Ok(page(results, &wanted, searched.next, None, None));
            }
        }
        Err(facts_changing())
    }
}
