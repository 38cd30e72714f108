//! Where callbacks come from: the tasks that have ended and are to be told of at one endpoint.

use std::sync::Arc;

use super::event::{Content, Event};
use super::settings::CallbackSettings;
use crate::model::{TaskEnd, TaskStatus};
use crate::store::{NumberedTask, OutboxPlaces, Store, StoreError, Stream};

/// The ends of tasks whose callbacks go to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    endpoint: String,
    /// The address before the id of a task.
    tasks: String,
    store: Arc<dyn Store>,
}

impl Ends {
    pub(super) fn new(settings: &CallbackSettings, tasks: &str, store: Arc<dyn Store>) -> Self {
        Self { endpoint: settings.name.clone(), tasks: tasks.to_owned(), store }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The last end there is: a new endpoint is told of what happens from now on.
    pub(super) async fn last(&self) -> Result<OutboxPlaces, StoreError> {
        let mut places = OutboxPlaces::default();
        while !self.after(&mut places, super::sources::PORTION).await?.is_empty() {}
        Ok(places)
    }

    /// The ends behind this place, with the place behind them.
    pub(super) async fn after(
        &self,
        places: &mut OutboxPlaces,
        limit: usize,
    ) -> Result<Vec<(Stream, Content)>, StoreError> {
        let found = self.store.task_ends_after(self.endpoint.clone(), places.tasks, limit).await?;
        places.tasks = found.last().map_or(places.tasks, |last| last.number);
        Ok(found.iter().filter_map(|ended| Some((Stream::Tasks, self.content(ended)?))).collect())
    }

    /// The end with this number; none: there is no such end.
    pub(super) async fn one(&self, number: u64) -> Result<Option<Content>, StoreError> {
        let found = self.store.task_ends_after(self.endpoint.clone(), number.saturating_sub(1), 1).await?;
        Ok(found.first().and_then(|ended| self.content(ended)).filter(|content| content.number == number))
    }

    fn content(&self, ended: &NumberedTask) -> Option<Content> {
        let NumberedTask { number, access_request } = ended;
        let task = access_request.task.as_deref()?;
        let TaskEnd { status, at } = task.ended.filter(|end| end.status != TaskStatus::Pending)?;
        let state = task.denial.callback.as_ref()?.state.as_deref();
        let address = format!("{}/{}", self.tasks, access_request.id);
        let event = Event::of_task(access_request.id.as_str(), status, &address, state);
        Some(Content { number: *number, about: access_request.support_request.to_string(), at, event })
    }
}
