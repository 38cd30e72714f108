//! `/v1/tenants`: the ticketing system makes tenants known (R10).

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::openapi::schema;
use super::problem::Problem;
use super::views::TenantView;
use super::{Entrance, body, precise};
use crate::http::router::{Path, answered, id, rendered};
use crate::model::TenantId;
use crate::workflow::Precise;

/// The longest name, in characters.
const NAME_CHARS: usize = 256;

#[derive(Deserialize, ToSchema)]
#[schema(as = TenantRegistration)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(schema_with = schema::text::<NAME_CHARS>)]
    display_name: String,
}

/// `PUT /v1/tenants/{id}`
pub(super) async fn register(
    State(entrance): State<Entrance>,
    Path(tenant): Path,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let (registration, bytes) = entrance.edge.json::<Registration>(&parts.headers, content).await?;
    let tenant = id("id", &tenant, TenantId::new)?;
    let display_name = body::text("display_name", &registration.display_name, NAME_CHARS)?;
    let if_match = precise::if_match(&parts.headers)?;
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let precise = Precise { if_match: if_match.as_deref(), once: once.as_ref() };
    let render = |tenant: &crate::model::Tenant, new: bool| {
        rendered(if new { 201 } else { 200 }, Some(tenant.version), None, &TenantView::of(tenant))
    };
    answered(entrance.edge.workflow.register_tenant(&caller, &tenant, &display_name, precise, &render).await)
}
