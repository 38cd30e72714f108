//! Routes: which requests ask what.

use super::query;
use super::template::{Captures, Parts, PathTemplate, TextTemplate};
use super::{Headers, Unmapped};

/// One route of a mapping.
#[derive(Debug, Clone)]
pub struct Route {
    pub(super) line: usize,
    pub(super) methods: Vec<String>,
    pub(super) path: PathTemplate,
    pub(super) query: Vec<String>,
    pub(super) asks: Asks,
}

/// What the requests of a route ask.
#[derive(Debug, Clone)]
pub(super) enum Asks {
    /// Nothing: there is no diagnostic data behind it.
    Nothing,
    /// To do something with diagnostic data.
    Data {
        action: String,
        tenant: TextTemplate,
        category: TextTemplate,
        item: Option<TextTemplate>,
        support_request: Option<TextTemplate>,
    },
}

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped<'m> {
    /// Nothing: it may pass.
    Pass,
    /// To do something with diagnostic data.
    Read(ReadParts<'m>),
}

/// The parts of a question, as the request says them. Nothing about them is proved or well-formed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadParts<'m> {
    /// The verb.
    pub action: &'m str,
    /// The resource tenant.
    pub tenant: String,
    /// The category of data.
    pub category: String,
    /// The item, if the route names one.
    pub item: Option<String>,
    /// The support request, if the request names one.
    pub support_request: Option<String>,
}

impl Route {
    /// The line of the mapping file in which it begins.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Its methods.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// The verb that its requests ask for; none when they pass.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        match &self.asks {
            Asks::Nothing => None,
            Asks::Data { action, .. } => Some(action),
        }
    }

    /// What its path takes of a request; none when the request is another one's.
    pub(super) fn captures<'p>(
        &self,
        method: &str,
        segments: &[&'p str],
    ) -> Option<Result<Captures<'_, 'p>, Unmapped>> {
        if self.methods.iter().any(|taken| taken == method) { self.path.captures(segments) } else { None }
    }

    /// What a request of this route asks.
    pub(super) fn read<'m>(
        &'m self,
        captures: &Captures<'_, '_>,
        query: Option<&str>,
        headers: &Headers<'_>,
    ) -> Result<Mapped<'m>, Unmapped> {
        let parameters = query::parameters(query, &self.query)?;
        let Asks::Data { action, tenant, category, item, support_request } = &self.asks else {
            return Ok(Mapped::Pass);
        };
        let parts = Parts { captures, headers, parameters: &parameters };
        let support_request = support_request.as_ref().map(|template| template.text(&parts));
        Ok(Mapped::Read(ReadParts {
            action,
            tenant: tenant.text(&parts)?,
            category: category.text(&parts)?,
            item: item.as_ref().map(|item| item.text(&parts)).transpose()?,
            support_request: match support_request.transpose() {
                // To name none is a question with an answer: which support request is it for?
                Err(Unmapped::HeaderMissing(_) | Unmapped::ParameterMissing(_)) => None,
                named => named?,
            },
        }))
    }
}
