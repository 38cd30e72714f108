//! Somebody who calls the service, with a token minted for each call at the time it is by the clock.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use consentry::clock::{Clock as _, ManualClock};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use consentry::model::{AppRole, RoleId, TenantId, Timestamp};
use consentry::policy::{BundleSource, RoleCatalogue};
use http::{HeaderMap, Method};
use serde_json::Value;

use super::house::{AUDIENCE, ISSUER};
use super::{House, documented};

static ROLES: LazyLock<RoleCatalogue> =
    LazyLock::new(|| RoleCatalogue::parse(&BundleSource::shipped().roles.text).unwrap());

/// Somebody who calls.
#[derive(Clone)]
pub struct Person {
    pub id: String,
    key: Arc<DevelopmentKey>,
    clock: ManualClock,
    /// What their tokens say; `issued_at` is set when one is minted.
    pub claims: DevelopmentClaims,
    url: String,
    http: reqwest::Client,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON; null when it is not.
    pub json: Value,
}

impl Reply {
    /// The decision of an AuthZEN answer.
    #[track_caller]
    pub fn decision(&self) -> bool {
        self.json["decision"].as_bool().unwrap_or_else(|| panic!("no decision: {self:?}"))
    }

    /// The reason's code, of an AuthZEN answer or of a problem.
    pub fn code(&self) -> &str {
        let reason = &self.json["context"]["reason"]["code"];
        reason.as_str().or_else(|| self.json["code"].as_str()).unwrap_or_default()
    }

    /// The field that a problem names.
    pub fn field(&self) -> &str {
        self.json["field"].as_str().unwrap_or_default()
    }

    /// The ids of the determining policies, of an AuthZEN answer or of a problem.
    pub fn policies(&self) -> Vec<&str> {
        let policies = self.json["context"]["policies"].as_array().or_else(|| self.json["policies"].as_array());
        policies.into_iter().flatten().filter_map(|policy| policy["id"].as_str()).collect()
    }

    /// Status, code and field of a problem; panics when it is not one.
    #[track_caller]
    pub fn problem(&self) -> (u16, &str, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.json["status"], self.status, "{self:?}");
        assert_ne!(self.json["decision"], true, "{self:?}");
        (self.status, self.code(), self.field())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Person {
    /// Where the service is that they call.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn new(house: &House, tenant: &str, object: &str, roles: &[&str], app_roles: &[&str], service: bool) -> Self {
        Self::of(&house.key, house.clock.clone(), &house.url, [tenant, object], [roles, app_roles], service)
    }

    /// Somebody at this address: tenant and object, directory roles and app roles.
    pub fn of(
        key: &Arc<DevelopmentKey>,
        clock: ManualClock,
        url: &str,
        [tenant, object]: [&str; 2],
        [roles, app_roles]: [&[&str]; 2],
        service: bool,
    ) -> Self {
        let claims = claims([tenant, object], [roles, app_roles], service, clock.now());
        Self {
            id: format!("{tenant}/{object}"),
            key: Arc::clone(key),
            clock,
            claims,
            url: url.to_owned(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap(),
            headers: Vec::new(),
        }
    }

    /// Somebody else, over the same connections.
    pub fn other(&self, [tenant, object]: [&str; 2], roles: [&[&str]; 2], service: bool) -> Self {
        let claims = claims([tenant, object], roles, service, self.clock.now());
        Self { id: format!("{tenant}/{object}"), claims, headers: Vec::new(), ..self.clone() }
    }

    /// The same person, sending this header with every call.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut person = self.clone();
        person.headers.push((name.to_owned(), value.to_owned()));
        person
    }

    /// The same person, with this token instead of one minted for each call; an empty one stands for none.
    pub fn holding(&self, token: &str) -> Self {
        self.with("authorization", &if token.is_empty() { String::new() } else { format!("Bearer {token}") })
    }

    /// The same person under another address of the service.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A token, good from now.
    pub fn token(&self) -> String {
        let claims = DevelopmentClaims { issued_at: self.clock.now(), ..self.claims.clone() };
        self.key.mint(&claims).unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body.to_string().into_bytes())).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some(body.to_string().into_bytes())).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(body.to_string().into_bytes())).await
    }

    /// A call with these bytes as its body; JSON unless a header says otherwise.
    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Reply {
        self.try_send(method, path, body).await.unwrap()
    }

    /// The same, where the service may be gone before it has answered.
    pub async fn try_send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> reqwest::Result<Reply> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        let has = |name: &str| self.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        if !has("authorization") {
            request = request.bearer_auth(self.token());
        }
        if let Some(body) = body {
            if !has("content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in &self.headers {
            // An empty value stands for no header at all.
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status, headers, text, json };
        documented::check(&method, path, &reply);
        Ok(reply)
    }
}

fn claims(
    [tenant, object]: [&str; 2],
    [roles, app_roles]: [&[&str]; 2],
    service: bool,
    issued_at: Timestamp,
) -> DevelopmentClaims {
    let tenant: TenantId = tenant.parse().unwrap();
    let role = |name: &&str| match ROLES.by_name(name) {
        Some(id) => id.clone(),
        None => RoleId::new(name).unwrap(),
    };
    DevelopmentClaims {
        issuer: ISSUER.replace("{tid}", tenant.as_str()),
        audience: AUDIENCE.to_owned(),
        object: object.to_owned(),
        roles: roles.iter().map(role).collect(),
        app_roles: app_roles.iter().map(|role| role.parse::<AppRole>().unwrap()).collect(),
        service,
        issued_at,
        lifetime_s: 600,
        tenant,
    }
}
