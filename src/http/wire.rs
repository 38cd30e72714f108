//! AuthZEN requests on the wire (Authorization API 1.0, sections 5, 6, 7 and 10.1.1), borrowed from the body.
//!
//! Unknown members are ignored. What callers say about subjects and resources in `properties` is not believed (G7), and is
//! not even kept but for guest models; keys of `context` that are the service's own facts are refused.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body;
use super::problem::Problem;

/// A subject or a resource, with properties that are read as `P`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub(super) struct Entity<'a, P = Properties<'a>> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) properties: Option<P>,
}

/// The same where the id is what is searched for: then it is ignored, whatever it is (section 8.4.1).
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = SearchedEntity, bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub(super) struct Part<'a, P = Properties<'a>> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, borrow)]
    #[schema(value_type = Option<serde_json::Value>)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) properties: Option<P>,
}

impl<'a, P> Part<'a, P> {
    /// The id, where it is asked about.
    ///
    /// # Errors
    /// 400.
    pub(super) fn id(&self, field: &'static str) -> Result<Cow<'a, str>, Problem> {
        let id = self.id.ok_or_else(|| Problem::invalid(field, format!("missing field `{field}`")))?;
        serde_json::from_str(id.get()).map_err(|error| Problem::invalid(field, error.to_string()))
    }
}

/// An action, with properties that are read as `P`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub(super) struct Action<'a, P = Properties<'a>> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) properties: Option<P>,
}

/// The context of a question.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub(super) struct Context<'a> {
    #[serde(default, borrow)]
    pub(super) support_request: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) resource_tenant: Option<Cow<'a, str>>,
    /// An approval that is brought along, as the task told it. Does not count where no access requests are taken.
    #[serde(default, borrow)]
    #[schema(value_type = Option<serde_json::Value>)]
    pub(super) approval: Option<&'a RawValue>,
    #[schema(ignore)]
    #[serde(default, deserialize_with = "present")]
    now: bool,
    #[schema(ignore)]
    #[serde(default, rename = "supportRequest", deserialize_with = "present")]
    support_request_facts: bool,
    #[schema(ignore)]
    #[serde(default, rename = "accessRequest", deserialize_with = "present")]
    access_request_facts: bool,
}

impl Context<'_> {
    /// A key of the service's own facts that the caller has set (G7).
    pub(super) fn reserved(&self) -> Option<&'static str> {
        [
            ("context.now", self.now),
            ("context.supportRequest", self.support_request_facts),
            ("context.accessRequest", self.access_request_facts),
        ]
        .into_iter()
        .find_map(|(key, set)| set.then_some(key))
    }
}

/// One question.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>, C: Deserialize<'de>"))]
pub(super) struct Evaluation<'a, P = Properties<'a>, C = Context<'a>> {
    #[serde(borrow, deserialize_with = "object")]
    #[schema(value_type = Entity)]
    pub(super) subject: Entity<'a, P>,
    #[serde(borrow, deserialize_with = "object")]
    #[schema(value_type = Action)]
    pub(super) action: Action<'a, P>,
    #[serde(borrow, deserialize_with = "object")]
    #[schema(value_type = Entity)]
    pub(super) resource: Entity<'a, P>,
    #[serde(default, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Context>)]
    pub(super) context: Option<C>,
}

/// One question of a batch: what it leaves out comes from the batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>, C: Deserialize<'de>"))]
pub(super) struct Item<'a, P = Properties<'a>, C = Context<'a>> {
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Entity>)]
    pub(super) subject: Option<Entity<'a, P>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Action>)]
    pub(super) action: Option<Action<'a, P>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Entity>)]
    pub(super) resource: Option<Entity<'a, P>>,
    #[serde(default, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Context>)]
    pub(super) context: Option<C>,
}

/// A batch.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the protocol's own member names")]
#[schema(bound = "")]
#[serde(bound(deserialize = "P: Deserialize<'de>, C: Deserialize<'de>"))]
pub(super) struct Evaluations<'a, P = Properties<'a>, C = Context<'a>> {
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Entity>)]
    pub(super) subject: Option<Entity<'a, P>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Action>)]
    pub(super) action: Option<Action<'a, P>>,
    #[serde(default, borrow, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Entity>)]
    pub(super) resource: Option<Entity<'a, P>>,
    #[serde(default, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<Context>)]
    pub(super) context: Option<C>,
    #[serde(default, borrow)]
    #[schema(value_type = Option<Vec<Item>>)]
    pub(super) evaluations: Option<Vec<&'a RawValue>>,
    #[serde(default, deserialize_with = "object_or_null")]
    pub(super) options: Option<Options>,
}

/// How a batch is evaluated (section 7.1.2).
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub(super) struct Options {
    #[serde(default)]
    pub(super) evaluations_semantic: Semantic,
}

/// When a batch stops (section 7.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl Semantic {
    /// Whether a batch ends with this decision.
    pub(super) const fn stops_at(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }
}

/// True when the key is there at all, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Reads an object and nothing else: a derived reader would take a JSON list for a struct, member by member.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct ObjectOnly<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOnly<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectOnly(PhantomData))
}

pub(super) fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct ObjectOrNull<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOrNull<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_none<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
            object(deserializer).map(Some)
        }
    }
    deserializer.deserialize_option(ObjectOrNull(PhantomData))
}

/// `properties`: an object, as it came. Nobody believes what it says (G7).
#[derive(Debug, Clone, Copy)]
pub(super) struct Properties<'a>(pub(super) &'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') {
            Ok(Self(raw))
        } else {
            Err(D::Error::custom("invalid type: expected an object"))
        }
    }
}

/// An item with what it left out (section 7.1.1: whole members, never parts of them).
///
/// # Errors
/// 400 naming the member that neither of them has.
pub(super) fn complete<'a, P: Clone, C: Clone>(
    item: Item<'a, P, C>,
    defaults: &Item<'a, P, C>,
) -> Result<Evaluation<'a, P, C>, Problem> {
    let missing = |field: &'static str| Problem::invalid(field, format!("missing field `{field}`"));
    let entity = |own: Option<Entity<'a, P>>, default: &Option<Entity<'a, P>>, field| {
        own.or_else(|| default.clone()).ok_or_else(|| missing(field))
    };
    Ok(Evaluation {
        subject: entity(item.subject, &defaults.subject, "subject")?,
        action: item.action.or_else(|| defaults.action.clone()).ok_or_else(|| missing("action"))?,
        resource: entity(item.resource, &defaults.resource, "resource")?,
        context: item.context.or_else(|| defaults.context.clone()),
    })
}

/// Parses a body or an item. The way without errors is plain; the other one parses again to name the member.
///
/// # Errors
/// 400 naming the member that is missing or wrong.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    body::must_be_object(bytes)?;
    let error = match serde_json::from_slice::<T>(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let (path, message) = match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(located) => (located.path().to_string(), located.inner().to_string()),
        Ok(_) => (".".to_owned(), error.to_string()),
    };
    Err(Problem::invalid(body::field_of(&path, &message), message))
}
