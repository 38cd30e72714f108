//! Questions and searches (AuthZEN 1.0, sections 6 to 8).

use serde::Deserialize;
use serde_json::{Value, json};

use super::decision::{Decision, Wire};
use super::error::CallError;
use super::question::{ReadQuestion, Semantic};
use super::transport::{Call, Client};
use crate::clock::boot_time;
use crate::model::{Category, PersonId, SupportRequestId, TenantId};

/// Pages of one search that are fetched: more than there are of anything.
const MOST_PAGES: usize = 100;

#[derive(Deserialize)]
struct Batch {
    evaluations: Vec<Wire>,
}

#[derive(Deserialize)]
struct Found {
    page: FoundPage,
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct FoundPage {
    next_token: String,
}

impl Client {
    /// Asks whether this one read is allowed, now. Whatever goes wrong is a denial with the reason code `unavailable`: its
    /// message says what went wrong, and [`Client::ask`] gives it as an error.
    pub async fn may_read(&self, question: &ReadQuestion) -> Decision {
        self.ask(question).await.unwrap_or_else(|error| Decision::without_answer(&error))
    }

    /// The same, with what went wrong as an error.
    ///
    /// # Errors
    /// [`CallError`]. None of them allows anything.
    pub async fn ask(&self, question: &ReadQuestion) -> Result<Decision, CallError> {
        let asked_at = boot_time();
        let answer = self.send(&Call::ask("/access/v1/evaluation", question.wire().to_string())).await?;
        Ok(answer.json::<Wire>()?.decision(asked_at))
    }

    /// Asks a batch: one decision for each question, in their order. Where the batch stops early, the questions after it
    /// are denied as `not_asked`; where there is no answer, all are denied as `unavailable`.
    pub async fn may_read_all(&self, questions: &[ReadQuestion], semantic: Semantic) -> Vec<Decision> {
        match self.ask_all(questions, semantic).await {
            Ok(decisions) => decisions,
            Err(error) => questions.iter().map(|_| Decision::without_answer(&error)).collect(),
        }
    }

    /// The same, with what went wrong as an error.
    ///
    /// # Errors
    /// [`CallError`]. None of them allows anything.
    pub async fn ask_all(&self, questions: &[ReadQuestion], semantic: Semantic) -> Result<Vec<Decision>, CallError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let batch = json!({
            "evaluations": questions.iter().map(ReadQuestion::wire).collect::<Vec<_>>(),
            "options": { "evaluations_semantic": semantic.as_str() },
        });
        let asked_at = boot_time();
        let answer = self.send(&Call::ask("/access/v1/evaluations", batch.to_string())).await?;
        let evaluations = answer.json::<Batch>()?.evaluations;
        let mut decisions: Vec<Decision> = evaluations.into_iter().map(|wire| wire.decision(asked_at)).collect();
        let stopped = decisions.last().is_some_and(|last| match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !last.is_allowed(),
            Semantic::PermitOnFirstPermit => last.is_allowed(),
        });
        // Answers that cannot be told to which question they belong are none.
        if decisions.len() > questions.len() || (decisions.len() < questions.len() && !stopped) {
            return Err(CallError::NotAnAnswer("the answers do not match the questions".to_owned()));
        }
        decisions
            .resize_with(questions.len(), || Decision::deny("not_asked", "the batch stopped before this question"));
        Ok(decisions)
    }

    /// The categories of data with which this engineer may do this under this support request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn search_data(
        &self,
        engineer: &PersonId,
        verb: &str,
        support_request: &SupportRequestId,
    ) -> Result<Vec<(TenantId, Category)>, CallError> {
        let search = json!({
            "subject": { "type": "SupportEngineer", "id": engineer.as_str() }, "action": { "name": verb },
            "resource": { "type": "DiagnosticData" }, "context": { "support_request": support_request.as_str() },
        });
        let parse = |found: &Value| {
            let (tenant, category) = found.get("id")?.as_str()?.split_once('/')?;
            Some((tenant.parse().ok()?, category.parse().ok()?))
        };
        self.search("/access/v1/search/resource", search, parse).await
    }

    /// What this engineer may do with this data under this support request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn search_verbs(
        &self,
        engineer: &PersonId,
        tenant: &TenantId,
        category: Category,
        support_request: &SupportRequestId,
    ) -> Result<Vec<String>, CallError> {
        let search = json!({
            "subject": { "type": "SupportEngineer", "id": engineer.as_str() },
            "resource": { "type": "DiagnosticData", "id": format!("{tenant}/{category}") },
            "context": { "support_request": support_request.as_str() },
        });
        let parse = |found: &Value| Some(found.get("name")?.as_str()?.to_owned());
        self.search("/access/v1/search/action", search, parse).await
    }

    /// Who may do this with this data under this support request: its engineer, or nobody.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn search_engineers(
        &self,
        verb: &str,
        tenant: &TenantId,
        category: Category,
        support_request: &SupportRequestId,
    ) -> Result<Vec<PersonId>, CallError> {
        let search = json!({
            "subject": { "type": "SupportEngineer" }, "action": { "name": verb },
            "resource": { "type": "DiagnosticData", "id": format!("{tenant}/{category}") },
            "context": { "support_request": support_request.as_str() },
        });
        let parse = |found: &Value| found.get("id")?.as_str()?.parse().ok();
        self.search("/access/v1/search/subject", search, parse).await
    }

    /// Every page of a search.
    async fn search<T>(
        &self,
        path: &str,
        mut search: Value,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, CallError> {
        let unreadable = || CallError::NotAnAnswer("a result of the search cannot be read".to_owned());
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let found: Found = self.send(&Call::ask(path, search.to_string())).await?.json()?;
            for result in &found.results {
                all.push(parse(result).ok_or_else(unreadable)?);
            }
            if found.page.next_token.is_empty() {
                return Ok(all);
            }
            if let Some(search) = search.as_object_mut() {
                search.insert("page".to_owned(), json!({ "token": found.page.next_token }));
            }
        }
        Err(CallError::NotAnAnswer("the search has no end".to_owned()))
    }
}
