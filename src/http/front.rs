//! What a connection calls first: the question that every read asks goes straight to its handler, all else to the routes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::response::Response;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::router::{EVALUATION, entrance, routes};
use super::{Edge, Entrance, Via, evaluation, rest};

/// The service of a listener's connections. It answers what the router answers, the hot question with less around it: no
/// search for the route, no layers that a small body passes through unchanged.
#[derive(Debug, Clone)]
pub(super) struct Front {
    /// None: nobody asks for decisions here.
    entrance: Option<Entrance>,
    routes: TowerToHyperService<Router>,
}

impl Front {
    pub(super) fn new(edge: Arc<Edge>, via: Via) -> Self {
        let entrance = entrance(edge, via);
        // A guest model is asked by its routes.
        let hot = Some(entrance.clone()).filter(|entrance| entrance.edge.guest.is_none());
        Self { entrance: hot, ..Self::of_routes_alone(routes(entrance)) }
    }

    /// The same, of one connection.
    pub(super) fn of_connection(&self) -> Self {
        let last_token = Some(Arc::default());
        let entrance = self.entrance.clone().map(|entrance| Entrance { last_token, ..entrance });
        Self { entrance, routes: self.routes.clone() }
    }

    pub(super) fn of_routes_alone(routes: Router) -> Self {
        Self { entrance: None, routes: TowerToHyperService::new(routes) }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let hot = request.method() == Method::POST
            && request.uri().path() == EVALUATION
            && rest::is_small(request.body().size_hint());
        if hot && let Some(entrance) = self.entrance.clone() {
            return Box::pin(async move { Ok(evaluation::answered(&entrance, request).await) });
        }
        Box::pin(self.routes.call(request))
    }
}
