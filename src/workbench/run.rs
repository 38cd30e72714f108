//! Running policy tests: every row asks the bundle what the service would ask it.

use cedar_policy::{Context, Entities, EntityUid, Request};
use serde::Serialize;

use super::coverage::Coverage;
use super::suite::{AskContext, Expected, RawEntry, Row, Suite, Wanted};
use super::world::World;
use crate::decision::{ReadQuestion, Reason, reason_of};
use crate::model::{PersonId, TenantId};
use crate::policy::{
    Bundle, Circumstances, EndpointName, PolicyTrace, Principal, Question, ReadFacts, Resource, Verdict, WorkflowAction,
};

/// The answer that a bundle gave to a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Allowed or not.
    pub decision: Expected,
    /// Why.
    pub reason: Reason,
    /// The policies that made it so.
    pub because: Vec<String>,
    /// The policies that failed, with their errors.
    pub failed: Vec<(String, String)>,
}

impl Given {
    /// What this verdict says.
    #[must_use]
    pub fn of(bundle: &Bundle, verdict: &Verdict) -> Self {
        Self {
            decision: if verdict.allowed { Expected::Allow } else { Expected::Deny },
            reason: reason_of(bundle, verdict),
            because: verdict.determining(bundle).map(|policy| policy.id.clone()).collect(),
            failed: verdict.failed.clone(),
        }
    }
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowOutcome {
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: usize,
    /// The rules it speaks of.
    pub rules: Vec<String>,
    /// The sentence it tells.
    pub says: String,
    /// Which of the row's questions it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What the bundle answered; none when the question could not be asked.
    pub given: Option<Given>,
    /// What is wrong; nothing: the row holds.
    pub wrong: Vec<String>,
}

impl RowOutcome {
    /// What people call it: its rules, its sentence, and which of its questions.
    #[must_use]
    pub fn name(&self) -> String {
        let rules = if self.rules.is_empty() { String::new() } else { format!("{}: ", self.rules.join(" ")) };
        let variant = self.variant.as_ref().map(|variant| format!(" ({variant})")).unwrap_or_default();
        format!("{rules}{}{variant}", self.says)
    }
}

/// What came of all rows.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The bundle's version.
    pub policy_version: String,
    /// Each row, in order.
    pub rows: Vec<RowOutcome>,
    /// What the rows have seen of the bundle.
    pub coverage: Coverage,
}

impl Outcome {
    /// The rows that do not hold.
    pub fn failed(&self) -> impl Iterator<Item = &RowOutcome> {
        self.rows.iter().filter(|row| !row.wrong.is_empty())
    }
}

/// Asks a bundle every row of these files.
#[must_use]
pub fn run(bundle: &Bundle, suites: &[Suite]) -> Outcome {
    let mut coverage = Coverage::of(bundle);
    let mut rows = Vec::new();
    for row in suites.iter().flat_map(|suite| &suite.rows) {
        let asked = ask(bundle, &row.wanted);
        if let Ok((verdict, traces)) = &asked {
            let determining: Vec<&str> = verdict.determining(bundle).map(|policy| policy.id.as_str()).collect();
            coverage.take(traces, &determining);
        }
        let (given, wrong) = match asked {
            Ok((verdict, _)) => {
                let given = Given::of(bundle, &verdict);
                let wrong = compare(row, &given, bundle);
                (Some(given), wrong)
            }
            Err(message) => (None, vec![message]),
        };
        rows.push(RowOutcome {
            file: row.place.file.clone(),
            line: row.place.line,
            rules: row.rules.clone(),
            says: row.says.clone(),
            variant: row.variant.clone(),
            given,
            wrong,
        });
    }
    Outcome { policy_version: bundle.version().to_string(), rows, coverage }
}

fn compare(row: &Row, given: &Given, bundle: &Bundle) -> Vec<String> {
    let mut wrong = Vec::new();
    if given.decision != row.expect {
        let word = |decision| match decision {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
        };
        let because = if given.because.is_empty() { "no policy".to_owned() } else { given.because.join(", ") };
        wrong.push(format!("expected {}, the answer is {}, by {because}", word(row.expect), word(given.decision)));
    }
    if let Some(code) = &row.code
        && *code != given.reason.code
    {
        wrong.push(format!("expected the code `{code}`, the answer has `{}`", given.reason.code));
    }
    for policy in &row.because {
        if !bundle.policies().iter().any(|known| known.id == *policy) {
            wrong.push(format!("expected because of `{policy}`, which is no policy of this bundle"));
        } else if !given.because.contains(policy) {
            wrong.push(format!("expected because of `{policy}`, the answer is by {}", given.because.join(", ")));
        }
    }
    wrong.extend(given.failed.iter().map(|(policy, error)| format!("the policy `{policy}` failed: {error}")));
    wrong
}

/// Asks one question.
///
/// # Errors
/// Why it cannot be asked: facts that are not there, names that are none.
pub fn ask<'a>(bundle: &'a Bundle, wanted: &Wanted) -> Result<(Verdict, Vec<PolicyTrace<'a>>), String> {
    match wanted {
        Wanted::Raw(raw) => {
            let (request, entities) = cedar_request(bundle, raw)?;
            Ok((bundle.evaluate_request(&request, &entities), bundle.trace_request(&request, &entities)))
        }
        Wanted::Facts { facts, subject, action, resource, context } => {
            let world = World::build(facts.clone(), bundle.roles())?;
            let Some(question) = question(bundle, &world, subject, action, resource, context)? else {
                // A verb that the schema does not know: no policy can speak of it (R1).
                return Ok((Verdict::default(), Vec::new()));
            };
            Ok((bundle.evaluate(&question), bundle.trace(&question)))
        }
    }
}

/// A question in Cedar's own terms, checked against the schema.
///
/// # Errors
/// What the schema does not allow.
pub fn cedar_request(bundle: &Bundle, raw: &RawEntry) -> Result<(Request, Entities), String> {
    let schema = bundle.schema();
    let uid = |text: &str| text.parse::<EntityUid>().map_err(|error| format!("`{text}`: {error}"));
    let action = uid(&raw.action)?;
    let told = |error: &dyn miette::Diagnostic| match error.help() {
        Some(help) => format!("{error}: {help}"),
        None => error.to_string(),
    };
    let context =
        Context::from_json_value(raw.context.clone(), Some((schema, &action))).map_err(|error| told(&error))?;
    let request = Request::new(uid(&raw.principal)?, action, uid(&raw.resource)?, context, Some(schema))
        .map_err(|error| told(&error))?;
    let entities = serde_json::Value::Array(raw.entities.clone());
    let entities = Entities::from_json_value(entities, Some(schema)).map_err(|error| told(&error))?;
    Ok((request, entities))
}

/// The question as the service would ask it; none when the schema has no such action.
fn question<'a>(
    bundle: &Bundle,
    world: &'a World,
    subject: &'a EntityUid,
    action: &str,
    resource: &'a EntityUid,
    context: &'a AskContext,
) -> Result<Option<Question<'a>>, String> {
    let workflow = WorkflowAction::by_name(action);
    let asked = match workflow {
        Some(workflow) => bundle.workflow_action(workflow),
        None => match bundle.action(action) {
            Some(action) => action,
            None => return Ok(None),
        },
    };
    let resource = resource_of(world, resource)?;
    let circumstances = match (workflow, &resource) {
        (None, Resource::DiagnosticData { tenant, .. }) => {
            let case =
                context.support_request.as_deref().and_then(|id| world.support_request(id)).map(|(_, facts)| facts);
            let access_request = case.and_then(|case| case.access_request_for(tenant));
            Circumstances::Read { facts: ReadFacts { case, access_request }, now: world.now }
        }
        (Some(WorkflowAction::CreateAccessRequest), _) => {
            return create(world, subject, asked, resource, context).map(Some);
        }
        (Some(WorkflowAction::Evaluate | WorkflowAction::EvaluateAsEngineer), _) => {
            Circumstances::Evaluate { about_self: context.about_self.unwrap_or(true) }
        }
        (Some(workflow), _) => Circumstances::of(workflow, world.now),
        (None, _) => Circumstances::Nothing,
    };
    let principal = principal_of(world, subject, workflow)?;
    Ok(Some(Question { principal, action: asked, resource, circumstances }))
}

fn create<'a>(
    world: &'a World,
    subject: &'a EntityUid,
    action: crate::policy::ActionId,
    resource: Resource<'a>,
    context: &'a AskContext,
) -> Result<Question<'a>, String> {
    let name = context.resource_tenant.as_deref().ok_or("`createAccessRequest` needs `context.resource_tenant`")?;
    let resource_tenant = world.tenant(name).ok_or_else(|| format!("the facts know no tenant `{name}`"))?;
    let registered = world.is_registered(resource_tenant);
    let principal = principal_of(world, subject, Some(WorkflowAction::CreateAccessRequest))?;
    Ok(Question { principal, action, resource, circumstances: Circumstances::Create { resource_tenant, registered } })
}

fn principal_of<'a>(
    world: &'a World,
    subject: &'a EntityUid,
    workflow: Option<WorkflowAction>,
) -> Result<Principal<'a>, String> {
    let name = subject.id().unescaped();
    let person = || world.person(name).ok_or_else(|| format!("the facts know no person `{name}`"));
    match subject.type_name().to_string().as_str() {
        // A read's subject is named by whoever asks; nothing but the name is known.
        "SupportEngineer" if workflow.is_none() => {
            name.parse::<PersonId>().map_err(|error| format!("`{name}`: {error}"))?;
            Ok(Principal::Engineer(name))
        }
        "SupportEngineer" => person().map(|person| Principal::EngineerCaller {
            person: &person.id,
            vendor: person.vendor,
            app_roles: &person.app_roles,
        }),
        "User" => {
            person().map(|person| Principal::User { person: &person.id, tenant: &person.tenant, roles: &person.roles })
        }
        "Service" => {
            let program = world.service(name).ok_or_else(|| format!("the facts know no service `{name}`"))?;
            Ok(Principal::Service { name, vendor: program.vendor, app_roles: &program.app_roles })
        }
        other => Err(format!("`{other}` is no kind of subject: SupportEngineer, User or Service")),
    }
}

fn resource_of<'a>(world: &'a World, resource: &'a EntityUid) -> Result<Resource<'a>, String> {
    let id = resource.id().unescaped();
    let missing = |what: &str| format!("the facts know no {what} `{id}`");
    match resource.type_name().to_string().as_str() {
        "DiagnosticData" => {
            let question = ReadQuestion::parse("any/body", "read", id, None).map_err(|error| error.to_string())?;
            Ok(Resource::DiagnosticData { id, tenant: question.tenant, category: question.category })
        }
        "SupportRequest" => {
            let (request, _) = world.support_request(id).ok_or_else(|| missing("support request"))?;
            Ok(Resource::SupportRequest(request))
        }
        "AccessRequest" => {
            let (request, case) = world.access_request(id).ok_or_else(|| missing("access request"))?;
            Ok(Resource::AccessRequest(request, case))
        }
        "Consent" => {
            let (consent, (request, case)) = world.consent(id).ok_or_else(|| missing("consent"))?;
            Ok(Resource::Consent(consent, request, case))
        }
        "Tenant" => world.tenant(id).map(Resource::Tenant).ok_or_else(|| missing("tenant")),
        "AuditLog" => world.tenant(id).map(Resource::AuditLog).ok_or_else(|| missing("tenant")),
        "Endpoint" => EndpointName::by_name(id).map(Resource::Endpoint).ok_or_else(|| missing("endpoint")),
        other => Err(format!("`{other}` is no kind of resource")),
    }
}

impl World {
    /// Every tenant that the facts name, registered or not.
    fn tenant(&self, name: &str) -> Option<&TenantId> {
        self.tenants().find(|tenant| tenant.as_str() == name)
    }
}
