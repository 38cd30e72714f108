//! What may stand in a test file: for the reader, and, as a JSON schema, for editors.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use toml::Spanned;

use crate::model::{AppRole, Category, ConsentId, ConsentStatus, PersonId, SubmittedIn, TenantId, Timestamp};

/// Tests of the policies of support access: facts once, then questions about them with the answers that are expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policy tests")]
pub(super) struct SuiteEntry {
    /// What the file is about.
    pub(super) title: String,
    /// The facts that every row's question is about. A row changes them for itself with `given` and `without`.
    #[serde(default)]
    #[schemars(with = "FactsEntry")]
    pub(super) facts: toml::Table,
    /// What is asked, unless a row says otherwise.
    #[serde(default)]
    pub(super) ask: Ask,
    /// The questions, each with its answer.
    #[serde(default, rename = "row")]
    #[schemars(with = "Vec<RowEntry>")]
    pub(super) rows: Vec<Spanned<RowEntry>>,
}

/// What is asked. What a row leaves out, the file's `[ask]` says.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Who asks.
    #[serde(default)]
    #[schemars(schema_with = "subjects")]
    pub(super) subject: Option<OneOrMany>,
    /// What they want to do.
    #[serde(default)]
    #[schemars(schema_with = "actions")]
    pub(super) action: Option<OneOrMany>,
    /// With what.
    #[serde(default)]
    #[schemars(schema_with = "resources")]
    pub(super) resource: Option<OneOrMany>,
    /// What else the question names.
    pub(super) context: Option<AskContext>,
}

/// What else a question names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AskContext {
    /// The support request under which somebody wants to read.
    pub support_request: Option<String>,
    /// The tenant for which an access request is created (R10).
    pub resource_tenant: Option<String>,
    /// Whether a question to the decision endpoint is about its caller; it is, unless this says `false`.
    pub about_self: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// One sentence of the rules: a question, or several with the same answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RowEntry {
    /// The rules it speaks of, with spaces between.
    #[schemars(example = "R6 R11")]
    pub(super) rule: String,
    /// The sentence it tells.
    pub(super) says: String,
    /// Facts that are otherwise for this row: laid over those of the file, key by key.
    #[serde(default)]
    #[schemars(schema_with = "changed_facts")]
    pub(super) given: toml::Table,
    /// Facts that this row does without, by their keys: `support_requests.SR-1.assignee`, `people."vendor/ada".app_roles`.
    #[serde(default)]
    pub(super) without: Vec<String>,
    /// Who asks. A list asks once for each.
    #[serde(default)]
    #[schemars(schema_with = "subjects")]
    pub(super) subject: Option<OneOrMany>,
    /// What they want to do. A list asks once for each.
    #[serde(default)]
    #[schemars(schema_with = "actions")]
    pub(super) action: Option<OneOrMany>,
    /// With what. A list asks once for each.
    #[serde(default)]
    #[schemars(schema_with = "resources")]
    pub(super) resource: Option<OneOrMany>,
    /// What else the question names, in place of what `[ask]` says.
    pub(super) context: Option<AskContext>,
    /// The question in Cedar's own terms, about its own entities: for facts that the service never puts together.
    pub(super) request: Option<RawEntry>,
    /// The answer.
    pub(super) expect: Expected,
    /// The code of the answer's reason: `permitted`, a forbid's `@code`, or `not_permitted` when no policy decides.
    pub(super) code: Option<String>,
    /// Policies, by `@id`, that must be among those that made the answer what it is.
    #[serde(default)]
    pub(super) because: Vec<String>,
}

/// A question in Cedar's own terms.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEntry {
    /// Who.
    #[schemars(example = "SupportEngineer::\"vendor/ada\"")]
    pub principal: String,
    /// What.
    #[schemars(example = "Action::\"read\"")]
    pub action: String,
    /// About what.
    #[schemars(example = "DiagnosticData::\"fabrikam/signInLogs\"")]
    pub resource: String,
    /// Under which circumstances, in Cedar's JSON.
    #[serde(default = "empty_object")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub context: serde_json::Value,
    /// The entities, in Cedar's JSON: each with `uid`, `attrs` and `parents`.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub entities: Vec<serde_json::Value>,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// The answer that a row expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Permitted.
    Allow,
    /// Not permitted.
    Deny,
}

/// A point in time, as RFC 3339 text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::workbench) struct Moment(pub(in crate::workbench) Timestamp);

impl TryFrom<String> for Moment {
    type Error = crate::model::InvalidTime;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A small world: who is registered, which support requests there are, what was asked and approved, who holds what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::workbench) struct FactsEntry {
    /// What time it is.
    #[schemars(schema_with = "moment")]
    pub(in crate::workbench) time: Moment,
    /// The registered tenants.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(in crate::workbench) tenants: Vec<TenantId>,
    /// Tenants that a row names, and that nobody has registered (R10).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(in crate::workbench) unregistered_tenants: Vec<TenantId>,
    /// The support requests, by id.
    #[serde(default)]
    pub(in crate::workbench) support_requests: BTreeMap<String, SupportRequestEntry>,
    /// The people who call the service, by id (`<tenant>/<object id>`), with what their tokens prove.
    #[serde(default)]
    pub(in crate::workbench) people: BTreeMap<String, PersonEntry>,
    /// The programs that call the service, by id (`<tenant>/<client id>`, or a local listener's name).
    #[serde(default)]
    pub(in crate::workbench) services: BTreeMap<String, ServiceEntry>,
}

/// A support request: what a customer opened with support.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::workbench) struct SupportRequestEntry {
    /// The tenant that opened it.
    #[schemars(with = "String")]
    pub(in crate::workbench) tenant: TenantId,
    /// The support engineer now assigned to it, if there is one (R3).
    #[schemars(with = "Option<String>", example = "vendor/ada")]
    pub(in crate::workbench) assignee: Option<PersonId>,
    /// Whether it is open (R4).
    #[serde(default = "yes")]
    pub(in crate::workbench) open: bool,
    /// Where it was submitted: in the admin centers the setting decides (R5), elsewhere a consent (R7).
    #[serde(default = "admin_center")]
    #[schemars(schema_with = "portals")]
    pub(in crate::workbench) submitted_in: SubmittedIn,
    /// The customer's answer to "allow collection of advanced diagnostic information" (R5).
    #[serde(default)]
    pub(in crate::workbench) advanced_diagnostic_information: bool,
    /// The access requests under it, by id.
    #[serde(default)]
    pub(in crate::workbench) access_requests: BTreeMap<String, AccessRequestEntry>,
}

/// An engineer's request to read the diagnostic data of one tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::workbench) struct AccessRequestEntry {
    /// The tenant whose data is asked for.
    #[schemars(with = "String")]
    pub(in crate::workbench) resource_tenant: TenantId,
    /// The engineer who asked.
    #[schemars(with = "String", example = "vendor/ada")]
    pub(in crate::workbench) requested_by: PersonId,
    /// When; now, unless it says otherwise. The newest for a tenant is the one that counts.
    #[serde(default)]
    #[schemars(schema_with = "moment")]
    pub(in crate::workbench) created_at: Option<Moment>,
    /// The consent of the tenant whose data is asked for: the only one when it opened the support request itself (R7).
    pub(in crate::workbench) resource_tenant_consent: ConsentEntry,
    /// The consent of the tenant that opened the support request, when another tenant's data is asked for (R6).
    pub(in crate::workbench) support_request_tenant_consent: Option<ConsentEntry>,
}

/// One tenant's part of an access request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::workbench) struct ConsentEntry {
    /// Its id.
    #[schemars(with = "String")]
    pub(in crate::workbench) id: ConsentId,
    /// Where it stands.
    #[serde(default = "pending")]
    #[schemars(schema_with = "statuses")]
    pub(in crate::workbench) status: ConsentStatus,
    /// The categories it was narrowed to; all of them, unless it says otherwise (R9).
    #[serde(default)]
    #[schemars(schema_with = "categories")]
    pub(in crate::workbench) categories: Option<Vec<Category>>,
    /// The first moment at which it no longer counts (R9).
    #[serde(default)]
    #[schemars(schema_with = "moment")]
    pub(in crate::workbench) until: Option<Moment>,
    /// When it ended: was rejected, revoked, completed or canceled (R16).
    #[serde(default)]
    #[schemars(schema_with = "moment")]
    pub(in crate::workbench) ended_at: Option<Moment>,
}

/// A person who calls the service, with what their token proves.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::workbench) struct PersonEntry {
    /// The tenant they are signed in to; their own, unless it says otherwise.
    #[schemars(with = "Option<String>")]
    pub(in crate::workbench) signed_in_to: Option<TenantId>,
    /// Directory roles that they hold there, by name or template id of the role catalogue.
    #[schemars(example = ["Service Support Administrator", "Reports Reader"])]
    pub(in crate::workbench) roles: Vec<String>,
    /// App roles.
    #[schemars(with = "Vec<String>", example = ["SupportEngineer"])]
    pub(in crate::workbench) app_roles: Vec<AppRole>,
    /// Whether the vendor's directory speaks for them.
    pub(in crate::workbench) vendor: bool,
}

/// A program that calls the service, with what its token proves.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::workbench) struct ServiceEntry {
    /// App roles.
    #[schemars(with = "Vec<String>", example = ["Decisions.Evaluate", "SupportRequests.Manage"])]
    pub(in crate::workbench) app_roles: Vec<AppRole>,
    /// Whether it is the vendor's.
    pub(in crate::workbench) vendor: bool,
}

const fn yes() -> bool {
    true
}

const fn admin_center() -> SubmittedIn {
    SubmittedIn::AdminCenter
}

const fn pending() -> ConsentStatus {
    ConsentStatus::Pending
}

/// The JSON schema of test files.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<SuiteEntry>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema
}

/// TOML has no null: what may be absent is left out.
fn without_null(schema: &mut Schema) {
    let null = serde_json::json!({ "type": "null" });
    if schema.get("default").is_some_and(serde_json::Value::is_null) {
        schema.remove("default");
    }
    if let Some(kinds) = schema.get_mut("type").and_then(|kind| kind.as_array_mut()) {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(either) = schema.get_mut("anyOf").and_then(|either| either.as_array_mut()) {
        either.retain(|one| *one != null);
        if let [serde_json::Value::Object(only)] = either.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            schema.ensure_object().extend(only);
        }
    }
}

/// As the facts, with nothing that must be there and nothing that is there by itself.
fn changed_facts(_: &mut SchemaGenerator) -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<FactsEntry>();
    let mut loosen = RecursiveTransform(|schema: &mut Schema| {
        for key in ["required", "default", "title"] {
            schema.remove(key);
        }
    });
    loosen.transform(&mut schema);
    schema
}

fn one_or_many(one: &Schema) -> Schema {
    json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

fn entities_of(kinds: &[&str]) -> Schema {
    let examples: Vec<_> = kinds.iter().map(|kind| format!("{kind}::\"...\"")).collect();
    one_or_many(&json_schema!({
        "type": "string",
        "pattern": format!("^({})::\".+\"$", kinds.join("|")),
        "examples": examples,
    }))
}

fn subjects(_: &mut SchemaGenerator) -> Schema {
    entities_of(&["SupportEngineer", "User", "Service"])
}

fn resources(_: &mut SchemaGenerator) -> Schema {
    let kinds = ["DiagnosticData", "SupportRequest", "AccessRequest", "Consent", "Tenant", "AuditLog", "Endpoint"];
    entities_of(&kinds)
}

/// Examples, not the only ones there are: the bundle's schema may know other verbs.
fn actions(_: &mut SchemaGenerator) -> Schema {
    let verbs = ["read", "list", "search", "download", "write", "create", "update", "delete"];
    let workflow = crate::policy::WorkflowAction::ALL.map(crate::policy::WorkflowAction::as_str);
    let examples: Vec<_> = verbs.into_iter().chain(workflow).collect();
    one_or_many(&json_schema!({ "type": "string", "minLength": 1, "examples": examples }))
}

fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

fn portals(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [SubmittedIn::AdminCenter, SubmittedIn::OtherPortal] })
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    use ConsentStatus::{Approved, Canceled, Completed, Pending, Rejected, Revoked};
    json_schema!({ "enum": [Pending, Approved, Rejected, Revoked, Completed, Canceled] })
}

fn categories(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "enum": Category::ALL } })
}
