//! Which entries of a log are wanted: said in the query, and kept by the cursors of its pages.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::super::page;
use super::super::problem::Problem;
use super::super::router::id;
use super::Log;
use super::export::{self, Format};
use crate::audit::ReadRecord;
use crate::model::{ActivityKind, Category, PersonId, SupportRequestId, Timestamp};
use crate::store::ActivityFilter;

/// The query of a log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Listing {
    #[param(value_type = Option<Timestamp>)]
    from: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    to: Option<String>,
    #[param(value_type = Option<ActivityKind>)]
    activity: Option<String>,
    #[param(value_type = Option<PersonId>)]
    actor: Option<String>,
    #[param(value_type = Option<SupportRequestId>)]
    support_request: Option<String>,
    #[param(value_type = Option<Category>)]
    data_category: Option<String>,
    #[param(schema_with = export::limit_schema)]
    pub(super) limit: Option<usize>,
    pub(super) format: Option<Format>,
    #[param(schema_with = page::cursor_schema)]
    cursor: Option<String>,
}

/// Which entries are wanted. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<ActivityKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<PersonId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_request: Option<SupportRequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_category: Option<Category>,
}

/// What a cursor of a log holds: the caller's own place and wishes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    number: u64,
    filter: Filter,
}

impl Listing {
    /// Which entries are wanted, and before which number.
    ///
    /// # Errors
    /// 400 naming what is malformed, or not of this log.
    pub(super) fn wanted(&self, log: Log) -> Result<(Filter, Option<u64>), Problem> {
        let given = self.filter()?;
        given.check(log)?;
        let Some(cursor) = &self.cursor else { return Ok((given, None)) };
        let Place { number, filter } = page::decode(log.as_str(), cursor)?;
        filter.check(log)?;
        if given != Filter::default() && given != filter {
            let message = "belongs to a page with other filters: repeat those, or give none";
            return Err(Problem::invalid("cursor", message));
        }
        Ok((filter, Some(number)))
    }

    fn filter(&self) -> Result<Filter, Problem> {
        let time = |field: &'static str, value: &Option<String>| {
            let time = value.as_deref().map(str::parse::<Timestamp>);
            time.transpose().map_err(|error| Problem::invalid(field, error.to_string()))
        };
        let kind = |name: &str| {
            let known = ActivityKind::ALL.into_iter().find(|kind| kind.as_str() == name);
            known.ok_or_else(|| Problem::invalid("activity", format!("there is no activity `{name}`")))
        };
        let category =
            |name: &str| name.parse::<Category>().map_err(|error| Problem::invalid("data_category", error.to_string()));
        let support_request = |text: &str| id("support_request", text, SupportRequestId::new);
        Ok(Filter {
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
            activity: self.activity.as_deref().map(kind).transpose()?,
            actor: self.actor.as_deref().map(|actor| id("actor", actor, str::parse::<PersonId>)).transpose()?,
            support_request: self.support_request.as_deref().map(support_request).transpose()?,
            data_category: self.data_category.as_deref().map(category).transpose()?,
        })
    }
}

impl Filter {
    fn check(&self, log: Log) -> Result<(), Problem> {
        match log {
            Log::Activities if self.data_category.is_some() => {
                Err(Problem::invalid("data_category", "no entry of this list is about data"))
            }
            Log::Reads if self.activity.is_some() => {
                Err(Problem::invalid("activity", "every entry of this list is a read"))
            }
            Log::Activities | Log::Reads => Ok(()),
        }
    }

    /// The cursor of the page that begins before this number.
    pub(super) fn cursor(&self, log: Log, number: u64) -> String {
        page::encode(log.as_str(), &Place { number, filter: self.clone() })
    }

    pub(super) fn of_activities(&self) -> ActivityFilter {
        ActivityFilter {
            from: self.from,
            to: self.to,
            kind: self.activity,
            actor: self.actor.clone(),
            support_request: self.support_request.clone(),
        }
    }

    pub(super) fn takes_read(&self, record: &ReadRecord) -> bool {
        let at = record.time.parse::<Timestamp>().ok();
        self.from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && self.to.is_none_or(|to| at.is_some_and(|at| at < to))
            && self.actor.as_ref().is_none_or(|actor| actor.as_str() == record.subject)
            && self.support_request.as_ref().is_none_or(|id| id.as_str() == record.support_request)
            && self.data_category.is_none_or(|category| category.as_str() == record.category)
    }
}
