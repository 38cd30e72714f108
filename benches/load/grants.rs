//! Our server among other authorization servers: filled with the grants that a side-by-side bench has made for all of
//! them, and asked the same questions in our own words.
//!
//! `load serve-grants FOLDER ADDRESS` reads `grants.jsonl` and `authzen.jsonl` in the folder, writes the questions as
//! `consentry.jsonl` beside them, and serves without tokens, as the others do. `load grants-questions FOLDER` writes the
//! questions alone.

use std::path::Path;
use std::sync::Arc;

use consentry::app::App;
use consentry::clock::SystemClock;
use consentry::config::{Config, Overrides};
use consentry::identity::development::DevelopmentKey;
use consentry::model::{
    Actor, Case, Category, CategorySet, Command, NewAccessRequest, NewSupportRequest, Scope, SubmittedIn, Tenant,
    decide,
};
use consentry::store::sqlite::SqliteStore;
use consentry::store::{Object, Store as _};
use serde::Deserialize;

use crate::fixture::{Asked, Failure, THEN, settings};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    case: String,
    status: String,
    engineer: String,
    tenant: String,
    support_tenant: String,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    id: String,
    categories: Vec<String>,
    approvals: Vec<String>,
}

#[derive(Deserialize)]
struct Question {
    subject: Named,
    resource: Named,
    context: About,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct About {
    case: String,
}

/// Our word for a category of theirs.
fn category(theirs: &str) -> Result<Category, Failure> {
    match theirs {
        "logs" => Ok(Category::SignInLogs),
        "metrics" => Ok(Category::AuditLogs),
        "traces" => Ok(Category::DirectoryObjects),
        "dumps" => Ok(Category::ServiceConfiguration),
        other => Err(format!("no category `{other}`").into()),
    }
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>, Failure> {
    std::fs::read_to_string(path)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

impl Grant {
    fn case(&self) -> Result<Case, Failure> {
        let engineer = format!("vendor/{}", self.engineer);
        let consent = |tenant: &str| format!("co-{}-{tenant}", self.request.id);
        let categories = self.request.categories.iter().map(|theirs| category(theirs));
        let categories: CategorySet = categories.collect::<Result<Vec<_>, Failure>>()?.into();
        let mut steps = vec![
            (
                Command::OpenSupportRequest(NewSupportRequest {
                    id: self.case.parse()?,
                    number: self.case.clone(),
                    summary: "compared side by side".to_owned(),
                    tenant: self.support_tenant.parse()?,
                    submitted_in: SubmittedIn::AdminCenter,
                    advanced_diagnostic_information: false,
                    assignee: Some(engineer.parse()?),
                }),
                Actor::Service("vendor/ticketing".to_owned()),
            ),
            (
                Command::CreateAccessRequest(NewAccessRequest {
                    id: self.request.id.parse()?,
                    resource_tenant_consent: consent(&self.tenant).parse()?,
                    support_request_tenant_consent: consent(&self.support_tenant).parse()?,
                    resource_tenant: self.tenant.parse()?,
                    reason: "compared side by side".to_owned(),
                    denial: None,
                }),
                Actor::Person(engineer.parse()?),
            ),
        ];
        for tenant in &self.request.approvals {
            let by = Actor::Person(format!("{tenant}/administrator").parse()?);
            steps.push((Command::ApproveConsent(consent(tenant).parse()?, Scope { categories, until: None }), by));
        }
        if self.status == "closed" {
            steps.push((Command::Close, Actor::Service("vendor/ticketing".to_owned())));
        }
        let mut case: Option<Case> = None;
        for (command, by) in steps {
            case = Some(decide(case.as_ref(), &command, &by, THEN)?.case);
        }
        case.ok_or_else(|| "no case".into())
    }
}

/// Writes the questions down in our words.
pub(crate) fn write_questions(folder: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    for question in lines::<Question>(&folder.join("authzen.jsonl"))? {
        let (tenant, theirs) = question.resource.id.split_once('/').ok_or("a resource without a category")?;
        let asked = Asked {
            engineer: format!("vendor/{}", question.subject.id),
            resource: format!("{tenant}/{}", category(theirs)?.as_str()),
            support_request: question.context.case,
            allowed: false,
        };
        text.push_str(&asked.body());
        text.push('\n');
    }
    Ok(std::fs::write(folder.join("consentry.jsonl"), text)?)
}

async fn fill(grants: &[Grant], path: &Path) -> Result<(), Failure> {
    let store = SqliteStore::open(path)?;
    let mut tenants: Vec<&str> = grants.iter().flat_map(|grant| [&*grant.tenant, &*grant.support_tenant]).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let tenant = |id: &str| Ok(Object::Tenant(Tenant { id: id.parse()?, display_name: id.to_owned(), version: 1 }));
    store.bulk_load(tenants.into_iter().map(tenant).collect::<Result<Vec<_>, Failure>>()?, THEN).await?;
    for chunk in grants.chunks(10_000) {
        let mut objects = Vec::new();
        for grant in chunk {
            let Case { support_request, access_requests } = grant.case()?;
            objects.push(Object::SupportRequest(support_request));
            objects.extend(access_requests.into_iter().map(Object::AccessRequest));
        }
        store.bulk_load(objects, THEN).await?;
    }
    store.close();
    Ok(())
}

/// Fills a store of its own with the folder's grants and serves it at this address until it is stopped.
pub(crate) fn serve(folder: &Path, address: &str) -> Result<(), Failure> {
    write_questions(folder)?;
    let own = tempfile::tempdir()?;
    std::fs::write(own.path().join("jwks.json"), DevelopmentKey::generate()?.jwks())?;
    let more = format!("server.insecure_loopback = true\nserver.listen = \"{address}\"");
    let text = settings(own.path(), &more).replace("server.listen = \"127.0.0.1:0\"", "");
    std::fs::write(own.path().join("consentry.toml"), text)?;
    let config = Config::read(Some(&own.path().join("consentry.toml")), &Overrides::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        fill(&lines(&folder.join("grants.jsonl"))?, &own.path().join("store.db")).await?;
        let _app = App::start(&config, Arc::new(SystemClock::new())).await?;
        std::future::pending::<()>().await;
        Ok(())
    })
}
