//! "Not found": what there is not, and what the caller may not know of, answered alike in every way (R19).

use std::future::Future;
use std::time::{Duration, Instant};

use super::Workflow;
use super::bell::Bell;
use super::error::WorkflowError;
use crate::identity::Caller;
use crate::policy::{Circumstances, Resource, WorkflowAction};

/// The code of such an answer.
pub(super) const NOT_FOUND: &str = "not_found";

/// When the answer leaves, counted from the beginning of the work on it: well above what looking, asking the policies and
/// recording take. Work that takes longer leaves at the next multiple.
const NOT_FOUND_AFTER: Duration = Duration::from_millis(5);

/// What somebody looks for by its id.
pub(super) struct Sought {
    /// The question whether they may know of it.
    view: WorkflowAction,
    /// Its kind, as the policies and the log name it.
    kind: &'static str,
    /// Its kind, as people name it.
    noun: &'static str,
}

pub(super) const SUPPORT_REQUEST: Sought =
    Sought { view: WorkflowAction::ViewSupportRequest, kind: "SupportRequest", noun: "support request" };
pub(super) const ACCESS_REQUEST: Sought =
    Sought { view: WorkflowAction::ViewAccessRequest, kind: "AccessRequest", noun: "access request" };
pub(super) const CONSENT: Sought = Sought { view: WorkflowAction::ViewConsent, kind: "Consent", noun: "consent" };

impl Workflow {
    /// Whether the caller may know of it, as it was found. If not, the answer is that there is no such thing.
    pub(super) async fn visible(
        &self,
        caller: &Caller,
        sought: &Sought,
        resource: Resource<'_>,
    ) -> Result<(), WorkflowError> {
        let judgement = self.judge.judge(caller, sought.view, resource, Circumstances::Nothing).await?;
        if judgement.allowed { Ok(()) } else { Err(WorkflowError::NotFound(sought.noun)) }
    }

    /// That there is no such thing, recorded as a denial to see it would be: a log that cannot be written must not tell
    /// the two apart.
    pub(super) async fn absent(&self, caller: &Caller, sought: &Sought, id: &str) -> WorkflowError {
        let Sought { view, kind, noun } = sought;
        let message = format!("there is no such {noun}");
        match self.judge.deny(caller, view.as_str(), kind, id, NOT_FOUND, message).await {
            Ok(_) => WorkflowError::NotFound(noun),
            Err(unrecorded) => unrecorded,
        }
    }
}

/// Does the work; an answer that it did not find something leaves at a time that tells nothing of the work. The work, and
/// what went before it, `began` once all of the request was there: its sender has no say in when the time begins.
pub(super) async fn at_one_time<T>(
    bell: &Bell,
    began: Instant,
    work: impl Future<Output = Result<T, WorkflowError>>,
    is_not_found: impl FnOnce(&T) -> bool,
) -> Result<T, WorkflowError> {
    let found = work.await;
    let not_found = match &found {
        Ok(found) => is_not_found(found),
        Err(error) => matches!(error, WorkflowError::NotFound(_)),
    };
    if not_found {
        bell.at(began + leaves_after(began.elapsed())).await;
    }
    found
}

/// The first multiple of [`NOT_FOUND_AFTER`] that is not over yet.
fn leaves_after(worked: Duration) -> Duration {
    let times = worked.as_nanos() / NOT_FOUND_AFTER.as_nanos() + 1;
    NOT_FOUND_AFTER.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn not_found_leaves_at_a_multiple_of_one_time_however_long_the_work_took() {
        for (worked_us, leaves_ms) in [(0, 5), (80, 5), (4_999, 5), (5_000, 10), (5_001, 10), (12_345, 15)] {
            assert_eq!(leaves_after(Duration::from_micros(worked_us)), Duration::from_millis(leaves_ms), "{worked_us}");
        }
    }

    #[tokio::test]
    async fn only_what_is_not_found_waits() {
        let bell = Bell::hang();
        let is_ready = |outcome: Result<bool, WorkflowError>| {
            let mut answer = pin!(at_one_time(&bell, Instant::now(), std::future::ready(outcome), |found| !found));
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!is_ready(Err(WorkflowError::NotFound("consent"))));
        assert!(!is_ready(Ok(false)));
        assert!(is_ready(Ok(true)));
        assert!(is_ready(Err(WorkflowError::Busy)));
    }

    #[tokio::test]
    async fn what_is_not_found_leaves_no_earlier_than_the_one_time() {
        let began = Instant::now();
        let _ = at_one_time(&Bell::hang(), began, std::future::ready(Ok(false)), |found| !found).await;
        assert!(began.elapsed() >= NOT_FOUND_AFTER);
    }
}
