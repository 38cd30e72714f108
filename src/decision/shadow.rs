//! The shadow bundle: asked beside the one in force, on the same facts at the same time, and deciding nothing.
//!
//! A decision is handed over and forgotten: where the shadow has no time for it, it is counted and dropped.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

pub use report::{SHADOW_FORMAT, ShadowAnswer, ShadowDifference, ShadowExample, ShadowReport};

use super::answer::{Answer, reason_of};
use super::question::ReadQuestion;
use crate::audit::DecisionId;
use crate::model::Timestamp;
use crate::policy::{Bundle, LoadError, Verdict};
use crate::replica::LiveCase;

/// How many decisions may wait for the shadow; more are dropped.
const QUEUE: usize = 1_024;
/// How long the report may be behind.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How often the shadow was asked, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// The shadow bundle's version; none while there is no good one.
    pub version: Option<String>,
    /// The same answer for the same reason.
    pub same: u64,
    /// Denied, and the shadow would allow.
    pub newly_allowed: u64,
    /// Allowed, and the shadow would deny.
    pub newly_denied: u64,
    /// The same answer for another reason.
    pub other_reason: u64,
    /// Not asked, for want of time.
    pub dropped: u64,
}

/// A bundle beside the one in force.
#[derive(Debug)]
pub struct Shadow {
    bundle: ArcSwapOption<Bundle>,
    /// Decisions are taken whose id, as a number, is not above this.
    sample: u64,
    queue: SyncSender<Message>,
    dropped: AtomicU64,
    report: Mutex<ShadowReport>,
    changed: AtomicBool,
    file: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Message {
    Decision(Box<Handed>),
    Done,
}

/// A decision with everything that it was made of.
#[derive(Debug)]
struct Handed {
    id: DecisionId,
    at: Timestamp,
    engineer: Box<str>,
    verb: Box<str>,
    resource: Box<str>,
    support_request: Option<Box<str>>,
    facts: Option<Arc<LiveCase>>,
    answer: Arc<Answer>,
}

impl Shadow {
    /// A shadow without a bundle that will be asked this share (0 to 1) of the decisions, and reports in this file.
    ///
    /// # Errors
    /// The operating system's, when there can be no thread or no report.
    pub fn start(sample: f64, file: &Path) -> std::io::Result<Arc<Self>> {
        let (shadow, handed) = Self::new(sample, file);
        shadow.write()?;
        let working = Arc::clone(&shadow);
        // A thread of its own, so that a slow bundle takes no time from whoever answers.
        let thread = std::thread::Builder::new().name("shadow".to_owned()).spawn(move || working.work(&handed))?;
        *shadow.thread.lock() = Some(thread);
        Ok(shadow)
    }

    fn new(sample: f64, file: &Path) -> (Arc<Self>, Receiver<Message>) {
        let (queue, handed) = sync_channel(QUEUE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of all numbers; the cast ends at both bounds"
        )]
        let sample = (sample * u64::MAX as f64) as u64;
        let shadow = Arc::new(Self {
            bundle: ArcSwapOption::empty(),
            sample,
            queue,
            dropped: AtomicU64::new(0),
            report: Mutex::new(ShadowReport::default()),
            changed: AtomicBool::new(true),
            file: file.to_owned(),
            thread: Mutex::new(None),
        });
        (shadow, handed)
    }

    /// Puts this bundle beside the one in force from now on, and begins a new report.
    pub fn replace(&self, bundle: Bundle, now: Timestamp) {
        let version = bundle.version().to_string();
        self.bundle.store(Some(Arc::new(bundle)));
        self.dropped.store(0, Ordering::Relaxed);
        *self.report.lock() = ShadowReport::of(version, now);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Remembers why there is no other shadow bundle than before.
    pub fn refuse(&self, error: &LoadError) {
        self.report.lock().refused = Some(error.to_string());
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The version of the shadow bundle, if there is one.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.bundle.load().as_ref().map(|bundle| bundle.version().to_string())
    }

    /// How often it was asked, and what came of it.
    #[must_use]
    pub fn counts(&self) -> ShadowCounts {
        let report = self.report.lock();
        ShadowCounts {
            version: report.shadow_version.clone(),
            same: report.same,
            newly_allowed: report.newly_allowed,
            newly_denied: report.newly_denied,
            other_reason: report.other_reason,
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Hands a decision over, and does not wait.
    pub(super) fn hand(
        &self,
        id: DecisionId,
        at: Timestamp,
        question: &ReadQuestion<'_>,
        facts: Option<&Arc<LiveCase>>,
        answer: &Arc<Answer>,
    ) {
        if id.number() > self.sample || self.bundle.load().is_none() {
            return;
        }
        let handed = Handed {
            id,
            at,
            engineer: question.engineer.into(),
            verb: question.verb.into(),
            resource: question.resource.into(),
            support_request: question.support_request.map(Into::into),
            facts: facts.cloned(),
            answer: Arc::clone(answer),
        };
        match self.queue.try_send(Message::Decision(Box::new(handed))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.changed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Asks about a decision of the workflow at once: those wait for the disk anyway.
    pub fn compare(
        &self,
        id: &DecisionId,
        at: Timestamp,
        asked: impl FnOnce() -> String,
        live: impl FnOnce() -> ShadowAnswer,
        ask: impl FnOnce(&Bundle) -> Verdict,
    ) {
        let bundle = self.bundle.load_full().filter(|_| id.number() <= self.sample);
        if let Some(bundle) = bundle {
            let answer = ShadowAnswer::of(&bundle, &ask(&bundle));
            self.note(id, at, asked, live(), answer);
        }
    }

    fn note(
        &self,
        id: &DecisionId,
        at: Timestamp,
        asked: impl FnOnce() -> String,
        live: ShadowAnswer,
        shadow: ShadowAnswer,
    ) {
        self.report.lock().take(live, shadow, || (id.to_string(), at.to_string(), asked()));
        self.changed.store(true, Ordering::Relaxed);
    }

    fn work(&self, handed: &Receiver<Message>) {
        let mut write_at = Instant::now() + WRITE_EVERY;
        loop {
            match handed.recv_timeout(write_at.saturating_duration_since(Instant::now())) {
                Ok(Message::Decision(decision)) => self.take(&decision),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Done) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if write_at <= Instant::now() {
                self.write_if_changed();
                write_at = Instant::now() + WRITE_EVERY;
            }
        }
        self.write_if_changed();
    }

    fn take(&self, handed: &Handed) {
        let Some(bundle) = self.bundle.load_full() else { return };
        let support_request = handed.support_request.as_deref();
        let question = ReadQuestion::parse(&handed.engineer, &handed.verb, &handed.resource, support_request);
        // It was parsed once before.
        let Ok(question) = question else { return };
        let case = handed.facts.as_deref().map(|facts| &facts.facts);
        let asked = question.to_policies(&bundle, case, handed.at);
        let verdict = asked.map_or_else(Verdict::default, |asked| bundle.evaluate(&asked));
        let answer = ShadowAnswer::of(&bundle, &verdict);
        let under = support_request.map(|id| format!(" under {id}")).unwrap_or_default();
        let asked = || {
            format!(
                "SupportEngineer::\"{}\" {} DiagnosticData::\"{}\"{under}",
                handed.engineer, handed.verb, handed.resource
            )
        };
        self.note(&handed.id, handed.at, asked, ShadowAnswer::given(&handed.answer), answer);
    }

    fn write_if_changed(&self) {
        if self.changed.swap(false, Ordering::Relaxed)
            && let Err(error) = self.write()
        {
            tracing::warn!(error = %error, file = %self.file.display(), "the shadow's report cannot be written");
        }
    }

    /// Writes the report, for its owner's eyes only: it names people, tenants and support requests as the log does.
    fn write(&self) -> std::io::Result<()> {
        let report = {
            let report = self.report.lock();
            ShadowReport { dropped: self.dropped.load(Ordering::Relaxed), ..report.clone() }
        };
        let folder =
            self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Made with the mode 0600.
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut draft, &report)?;
        draft.persist(&self.file)?;
        Ok(())
    }

    /// Asks about what was handed over, writes the report and ends. Waits for all of that.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        // Whoever does not listen any more has ended.
        let _ = self.queue.send(Message::Done);
        if thread.join().is_err() {
            tracing::warn!("the shadow broke off");
        }
    }
}

impl ShadowAnswer {
    fn of(bundle: &Bundle, verdict: &Verdict) -> Self {
        Self {
            allowed: verdict.allowed,
            code: reason_of(bundle, verdict).code,
            because: verdict.determining(bundle).map(|policy| policy.id.clone()).collect(),
            policy_version: bundle.version().to_string(),
        }
    }

    fn given(answer: &Answer) -> Self {
        Self {
            allowed: answer.allowed,
            code: answer.reason.code.clone(),
            because: answer.policies.iter().map(|policy| policy.id.clone()).collect(),
            policy_version: answer.policy_version.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::DecisionIds;
    use crate::decision::Cure;
    use crate::model::Timestamp;
    use crate::policy::BundleSource;
    use crate::store::Seq;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn answer(bundle: &Bundle) -> Arc<Answer> {
        Arc::new(Answer {
            allowed: false,
            reason: reason_of(bundle, &Verdict::default()),
            policies: Vec::new(),
            cure: Cure::None,
            policy_serial: bundle.serial(),
            policy_version: bundle.version().clone(),
            facts_revision: Seq(0),
            access_request: None,
            consents: Vec::new(),
            receipts: Vec::new(),
            evaluated_at: NOW,
            unchanged_until: Timestamp::LATEST,
            is_read: true,
            read_of: None,
            evaluation: String::new(),
            context_tail: Box::default(),
            record_tail: Box::default(),
        })
    }

    /// Hands over so many decisions; tells how many are waiting, and how many were dropped.
    fn handed(sample: f64, decisions: usize) -> (usize, u64) {
        let (shadow, queue) = Shadow::new(sample, Path::new("unused"));
        let bundle = Arc::new(Bundle::load(&BundleSource::shipped()).unwrap());
        let (ids, answer) = (DecisionIds::new(), answer(&bundle));
        let question = ReadQuestion::parse("vendor/ada", "read", "contoso/signInLogs", None).unwrap();
        // Without a bundle there is nobody to ask.
        shadow.hand(ids.next(), NOW, &question, None, &answer);
        assert!(queue.try_recv().is_err());
        shadow.bundle.store(Some(bundle));
        for _ in 0..decisions {
            shadow.hand(ids.next(), NOW, &question, None, &answer);
        }
        (queue.try_iter().count(), shadow.counts().dropped)
    }

    #[test]
    fn whoever_answers_never_waits_for_the_shadow() {
        assert_eq!(handed(1.0, QUEUE + 10), (QUEUE, 10));
    }

    #[test]
    fn a_share_of_the_decisions_is_a_share_of_the_decisions() {
        assert_eq!(handed(0.0, 1_000), (0, 0));
        // Of 1000 decisions a half, give or take eight times the standard deviation.
        let (half, dropped) = handed(0.5, 1_000);
        assert!((374..=626).contains(&half) && dropped == 0, "{half}");
    }
}
