//! Receipts: made with an approval, in the same commit, and given to the administrators whose tenant approved.

use std::time::Instant;

use super::Workflow;
use super::absent::{CONSENT, at_one_time};
use super::commands::{Judged, new_id};
use super::error::WorkflowError;
use crate::identity::Caller;
use crate::model::{ConsentChange, ConsentId, Event, Outcome, ReceiptId};
use crate::policy::Resource;
use crate::receipt;
use crate::store::{CaseRef, Object, SignedReceipt, Write};

impl Workflow {
    /// Makes the receipt of each approval that came of a command; the consent names it from then on.
    pub(super) fn receipts_of(&self, outcome: &mut Outcome, judged: &Judged) -> Result<Vec<Write>, WorkflowError> {
        let (Some(signer), Some(decided)) = (&self.receipts, &judged.decided) else { return Ok(Vec::new()) };
        let mut receipts = Vec::new();
        for event in &outcome.events {
            let Event::ConsentChanged { consent: approved, change: ConsentChange::Approved, .. } = event else {
                continue;
            };
            let support_request = &outcome.case.support_request;
            for request in &mut outcome.case.access_requests {
                let Some(consent) = request.consents_mut().find(|consent| consent.id == *approved) else { continue };
                let id = new_id("re", ReceiptId::new)?;
                consent.receipt = Some(id.clone());
                let Some(consent) = request.consent(approved) else { continue };
                let decided = (decided.policy_version.as_str(), decided.decision_id.as_str());
                let envelope = receipt::seal(&**signer, &id, consent, request, support_request, decided)
                    .map_err(|error| WorkflowError::Unavailable(error.to_string()))?;
                let signed = SignedReceipt { id, consent: approved.clone(), envelope };
                receipts.push(Write(Object::Receipt(signed)));
            }
        }
        Ok(receipts)
    }

    /// The receipt of a consent of the caller's tenant.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn receipt(&self, caller: &Caller, id: &ConsentId) -> Result<SignedReceipt, WorkflowError> {
        at_one_time(&self.bell, Instant::now(), self.receipt_now(caller, id), |_| false).await
    }

    async fn receipt_now(&self, caller: &Caller, id: &ConsentId) -> Result<SignedReceipt, WorkflowError> {
        let stored = self.store.case(CaseRef::Consent(id.clone())).await?;
        let Some((case, (request, consent))) =
            stored.as_ref().and_then(|stored| Some((&stored.case, stored.case.consent(id)?)))
        else {
            return Err(self.absent(caller, &CONSENT, id.as_str()).await);
        };
        self.visible(caller, &CONSENT, Resource::Consent(consent, request, &case.support_request)).await?;
        self.store.receipt(id.clone()).await?.ok_or(WorkflowError::NotFound("receipt"))
    }
}
