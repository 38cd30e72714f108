//! Schemas of what has no type of its own on the wire: texts with a limit, and answers that are written by hand for speed.

use serde::Serialize;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ArrayBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::super::aside::Aside;
use super::super::views::ConsentView;
use super::operation::schemas_of;
use crate::audit::DecisionId;
use crate::decision::{PolicyRef, Reason, Validity};
use crate::model::Timestamp;

/// What a text of people's may be made of (`body::text`), as the parts of a regular expression: anything but control
/// characters, and something that can be seen.
const ANYTHING: &str = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]";
const VISIBLE: &str = r"[^\s\u0000-\u001f\u007f-\u009f]";

/// A text that people read, of at most so many characters.
pub(in crate::http) fn text<const MAX_CHARS: usize>() -> Object {
    text_of(MAX_CHARS).schema_type(Type::String).build()
}

/// The same where it can be left out, or be null.
pub(in crate::http) fn optional_text<const MAX_CHARS: usize>() -> Object {
    let types = utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null]);
    text_of(MAX_CHARS).schema_type(types).build()
}

fn text_of(max_chars: usize) -> ObjectBuilder {
    let schema = ObjectBuilder::new().pattern(Some(format!("^{ANYTHING}*{VISIBLE}{ANYTHING}*$")));
    schema.min_length(Some(1)).max_length(Some(max_chars))
}

/// A page of a list, as `PageView` writes it.
pub(super) fn page_of<T: ToSchema>() -> ObjectBuilder {
    let cursor = ObjectBuilder::new().schema_type(Type::String);
    let cursor = cursor.description(Some("Goes into `?cursor=` for the rest; absent at the end."));
    let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
    ObjectBuilder::new().property("items", items).required("items").property("next_cursor", cursor)
}

/// A page of consents, and how many wait for a decision (R23).
pub(super) enum ConsentPage {}

impl PartialSchema for ConsentPage {
    fn schema() -> RefOr<Schema> {
        let says = "How many wait for a decision, counted to at most 1,000.";
        let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some(says));
        page_of::<ConsentView<'_>>().property("pending_count", count).required("pending_count").into()
    }
}

impl ToSchema for ConsentPage {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(schemas_of::<ConsentView<'_>>());
    }
}

/// The body of what takes no scope: it says nothing, or that there is none.
pub(super) enum NoScope {}

impl PartialSchema for NoScope {
    fn schema() -> RefOr<Schema> {
        let none = || ObjectBuilder::new().schema_type(Type::Null);
        let schema = ObjectBuilder::new().property("categories", none()).property("until", none());
        schema.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
    }
}

impl ToSchema for NoScope {}

/// The answer to one question (AuthZEN 1.0, section 6.2).
#[derive(Serialize, ToSchema)]
pub(super) struct EvaluationAnswer {
    /// The answer. Anything but `true` is a no.
    decision: bool,
    /// Absent by a guest model that does not explain itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    context: Option<AnswerContext>,
}

/// Why it was answered so, and where that is recorded.
#[derive(Serialize, ToSchema)]
struct AnswerContext {
    #[schema(value_type = DecisionId)]
    decision_id: String,
    reason: Reason,
    /// The policies that decided. The first one gives the reason.
    policies: Vec<PolicyRef>,
    /// The bundle that was asked.
    policy_version: String,
    /// The state of the support request's facts that it was asked about. Absent where there are none to be told of, and by
    /// a guest model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    facts_revision: Option<u64>,
    /// Until when it may be used. Of a member of a fleet alone, as is the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_until: Option<Timestamp>,
    /// The same from when it was written, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_for_ms: Option<u64>,
    #[serde(flatten)]
    aside: Aside<'static>,
}

/// The answers to a batch, in the order of its questions; or one answer, where the batch was a single question.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "the answers are written by hand; this is their shape")]
pub(super) enum EvaluationsAnswer {
    Batch(BatchAnswer),
    Single(EvaluationAnswer),
}

#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    evaluations: Vec<ItemAnswer>,
}

/// The answer to one question of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "the answers are written by hand; this is their shape")]
enum ItemAnswer {
    Answered(EvaluationAnswer),
    Broken(BrokenItem),
}

/// An item that is malformed, or that the caller may not ask.
#[derive(Serialize, ToSchema)]
struct BrokenItem {
    /// False.
    decision: bool,
    context: BrokenContext,
}

#[derive(Serialize, ToSchema)]
struct BrokenContext {
    error: ItemError,
}

#[derive(Serialize, ToSchema)]
struct ItemError {
    #[schema(minimum = 400, maximum = 499)]
    status: u16,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
}

/// Results of a search (AuthZEN 1.0, section 8.3).
#[derive(Serialize, ToSchema)]
pub(super) struct SearchAnswer {
    page: SearchPage,
    /// Until when they may be used. Of a member of a fleet alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    context: Option<Validity>,
    results: Vec<SearchResult>,
}

#[derive(Serialize, ToSchema)]
struct SearchPage {
    /// For the next page; empty at the end.
    next_token: String,
    /// How many results are on this page.
    count: usize,
    /// How many there are. Absent by a guest model, and of a search for who may decide on a consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<usize>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the answers are written by hand; this is their shape")]
enum SearchResult {
    /// A subject or a resource.
    Entity {
        #[serde(rename = "type")]
        kind: String,
        id: String,
    },
    Action {
        name: String,
    },
}

/// A signed statement in an envelope (DSSE 1).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceiptEnvelope {
    #[schema(pattern = "^application/vnd\\.in-toto\\+json$")]
    payload_type: String,
    /// Base64 of an in-toto statement.
    payload: String,
    #[schema(min_items = 1)]
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, ToSchema)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}
