//! One operation of the document: what it takes, what it answers, what it refuses.

use http::StatusCode;
use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, SecurityRequirement,
};
use utoipa::{IntoParams, ToSchema};

use super::problems::{self, Problems, always};
use super::schema::page_of;

/// Schemas with their names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// One operation.
pub(super) struct Described {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    pub(super) operation: OperationBuilder,
    /// The schemas that it names.
    pub(super) schemas: Schemas,
}

/// What stands in an answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Plain,
    /// The version of what is shown.
    Versioned,
    /// Where the new thing is.
    Located,
    Both,
    /// When to look again, while that is of use.
    Polled,
}

/// `GET`, by the name and the summary under which it is listed.
pub(super) fn get(path: &'static str, name: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Get, path, name, summary)
}

/// `POST`.
pub(super) fn post(path: &'static str, name: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Post, path, name, summary)
}

/// `PUT`.
pub(super) fn put(path: &'static str, name: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Put, path, name, summary)
}

/// `PATCH`.
pub(super) fn patch(path: &'static str, name: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Patch, path, name, summary)
}

/// `DELETE`.
pub(super) fn delete(path: &'static str, name: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Delete, path, name, summary)
}

impl Described {
    fn new(method: HttpMethod, path: &'static str, name: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new()
            .operation_id(Some(name))
            .summary(Some(summary))
            .parameter_ref(Ref::new("#/components/parameters/RequestId"));
        Self { method, path, operation, schemas: Vec::new() }
    }

    fn with(mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        self.operation = change(self.operation);
        self
    }

    pub(super) fn tagged(self, tag: &str) -> Self {
        self.with(|operation| operation.tag(tag))
    }

    pub(super) fn says(self, description: &str) -> Self {
        self.with(|operation| operation.description(Some(description)))
    }

    /// Callers bring a token.
    pub(super) fn authenticated(self) -> Self {
        let security = SecurityRequirement::new::<_, [String; 0], String>("bearer", []);
        self.with(|operation| operation.security(security)).refuses(&[&problems::UNAUTHORIZED, &problems::MISDIRECTED])
    }

    /// The identifier in the path.
    pub(super) fn at<I: ToSchema>(mut self, says: &str) -> Self {
        let schema = self.named::<I>();
        let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
        self.with(|operation| operation.parameter(id.description(Some(says)).schema(Some(schema)).build()))
    }

    /// The rest of the path.
    pub(super) fn beneath(self, says: &str) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let rest = ParameterBuilder::new().name("path").parameter_in(ParameterIn::Path).required(Required::True);
        self.with(|operation| operation.parameter(rest.description(Some(says)).schema(Some(schema)).build()))
    }

    /// The members of the query, but for these.
    pub(super) fn query<Q: IntoParams>(self, but: &[&str], schemas: Schemas) -> Self {
        let wanted = |parameter: &Parameter| !but.contains(&parameter.name.as_str());
        let parameters = Q::into_params(|| Some(ParameterIn::Query)).into_iter().filter(wanted);
        let mut described = self.with(|operation| parameters.fold(operation, OperationBuilder::parameter));
        described.schemas.extend(schemas);
        described
    }

    /// A body. All that can go wrong with one is among the problems.
    pub(super) fn takes<T: ToSchema>(self, example: Value) -> Self {
        self.takes_one(Required::True, content::<T>(example), schemas_of::<T>())
    }

    /// A body that can be left out.
    pub(super) fn may_take<T: ToSchema>(self, example: Value) -> Self {
        self.takes_one(Required::False, content::<T>(example), schemas_of::<T>())
    }

    fn takes_one(mut self, required: Required, content: Content, schemas: Schemas) -> Self {
        self.schemas.extend(schemas);
        let body = RequestBodyBuilder::new().required(Some(required)).content("application/json", content);
        let described = self.with(|operation| operation.request_body(Some(body.build())));
        described.refuses(&[&problems::TOO_SLOW, &problems::TOO_LARGE])
    }

    /// An answer in JSON.
    pub(super) fn answers<T: ToSchema>(self, status: StatusCode, head: Head, says: &str, example: Value) -> Self {
        let response = ResponseBuilder::new().description(says).content("application/json", content::<T>(example));
        let response = response.header_ref("X-Request-ID", Ref::new("#/components/headers/RequestId"));
        let response = match head {
            Head::Versioned | Head::Both => {
                response.header("ETag", always("The version, as in `\"3\"`.", Type::String))
            }
            Head::Polled => {
                response.header("Retry-After", sometimes("Seconds to wait before looking again.", Type::Integer))
            }
            Head::Plain | Head::Located => response,
        };
        let response = match head {
            Head::Located | Head::Both => response.header("Location", always("Where it is.", Type::String)),
            Head::Plain | Head::Versioned | Head::Polled => response,
        };
        self.responds::<T>(status, response)
    }

    /// An answer in JSON, or in lines where the caller wants those.
    pub(super) fn answers_page_or_lines<T: ToSchema>(self, example: Value, lines: Content) -> Self {
        let response = ResponseBuilder::new()
            .description("Newest first.")
            .content("application/json", page_content::<T>(example))
            .content("application/x-ndjson", lines)
            .header_ref("X-Request-ID", Ref::new("#/components/headers/RequestId"));
        self.responds::<T>(StatusCode::OK, response).with_page_of::<T>()
    }

    /// A page of a list, newest first.
    pub(super) fn answers_page<T: ToSchema>(self, example: Value) -> Self {
        let response = ResponseBuilder::new()
            .description("Newest first.")
            .content("application/json", page_content::<T>(example))
            .header_ref("X-Request-ID", Ref::new("#/components/headers/RequestId"));
        self.responds::<T>(StatusCode::OK, response).with_page_of::<T>()
    }

    fn with_page_of<T: ToSchema>(mut self) -> Self {
        self.schemas.push((page_name::<T>(), page_of::<T>().into()));
        self
    }

    fn responds<T: ToSchema>(mut self, status: StatusCode, response: ResponseBuilder) -> Self {
        self.schemas.extend(schemas_of::<T>());
        self.with(|operation| operation.response(status.as_str(), response.build()))
    }

    /// Another answer, as it is.
    pub(super) fn responds_with(self, status: StatusCode, response: Response) -> Self {
        self.with(|operation| operation.response(status.as_str(), response))
    }

    /// The problems that it answers with.
    pub(super) fn refuses(self, problems: &[&Problems]) -> Self {
        let refuse = |operation: OperationBuilder, problems: &&Problems| {
            operation.response(problems.status.as_str(), Ref::from_response_name(problems.name))
        };
        self.with(|operation| problems.iter().fold(operation, refuse))
    }

    /// May be carried out only once, and only on one version.
    pub(super) fn precise(self, versions: bool) -> Self {
        let once = self.once(&problems::CONFLICT).refuses(&[&problems::KEY_REUSED]);
        if !versions {
            return once;
        }
        let if_match = Ref::new("#/components/parameters/IfMatch");
        once.with(|operation| operation.parameter_ref(if_match)).refuses(&[&problems::OUTDATED])
    }

    /// May be carried out only once, or conflicts with what is there.
    pub(super) fn once(self, conflict: &Problems) -> Self {
        let key = Ref::new("#/components/parameters/IdempotencyKey");
        self.with(|operation| operation.parameter_ref(key)).refuses(&[conflict, &problems::UNWRITTEN])
    }

    fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.extend(schemas_of::<T>());
        Ref::from_schema_name(T::name()).into()
    }
}

/// A type's schema, and those that it names.
pub(super) fn schemas_of<T: ToSchema>() -> Schemas {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

fn page_name<T: ToSchema>() -> String {
    format!("{}Page", T::name())
}

fn page_content<T: ToSchema>(example: Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(page_name::<T>()))).example(Some(example)).build()
}

fn content<T: ToSchema>(example: Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).example(Some(example)).build()
}

/// A header that can be there.
pub(super) fn sometimes(says: &str, kind: Type) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    let never = Extensions::from_iter([("required", false)]);
    HeaderBuilder::new().schema(Some(schema)).description(Some(says)).extensions(Some(never)).build()
}
