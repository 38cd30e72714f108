//! Checks as Envoy words them, without Envoy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;

use crate::fixture::{Asked, Failure};

pub(crate) fn message(asked: &Asked, token: &str) -> CheckRequest {
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("x-support-request", asked.support_request.clone()),
        ("x-request-id", "8b5a4f5c-2d6e-4d0e-9a53-1f6b1f0b7f10".to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
    ];
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: format!("/v1/{}", asked.resource),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..HttpRequest::default()
    };
    let request = Request { http: Some(http), ..Request::default() };
    CheckRequest { attributes: Some(AttributeContext { request: Some(request), ..AttributeContext::default() }) }
}

/// Asks for so long on so many connections.
pub(crate) async fn load(
    folder: &Path,
    messages: &Arc<Vec<CheckRequest>>,
    connections: usize,
    duration: Duration,
) -> Result<(Vec<Duration>, Duration), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for connection in 0..connections {
        let messages = Arc::clone(messages);
        let path = format!("unix://{}", folder.join("envoy.sock").display());
        tasks.spawn(async move {
            let mut client = AuthorizationClient::connect(path).await?;
            let mut took = Vec::new();
            for message in messages.iter().cycle().skip(connection * 131) {
                let sent = Instant::now();
                if sent.duration_since(started) > duration {
                    break;
                }
                let answer = client.check(message.clone()).await?.into_inner();
                took.push(sent.elapsed());
                if answer.status.is_none_or(|status| status.code != 0) {
                    return Err("denied".into());
                }
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    Ok((took, started.elapsed()))
}
