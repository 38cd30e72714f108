//! People whose rights are known although they are not calling: whoever was shown a consent of their own tenant, for as
//! long as the token that they brought last is good.
//!
//! Of nobody else are the roles proved (G7): the store keeps who did what, and no roles. What is known is this process's
//! own, and gone when it ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::Caller;
use crate::model::{PersonId, TenantId, Timestamp};

/// The most people of one tenant. A tenant has a share of its own, so that no other tenant's people can take its place
/// (R19); only tenants that have consents have people here.
const MOST_OF_A_TENANT: usize = 200;

/// The people, by their tenant.
#[derive(Debug, Default)]
pub(super) struct KnownPeople(Mutex<HashMap<TenantId, Arc<BTreeMap<PersonId, Caller>>>>);

impl KnownPeople {
    /// A caller asks for something. With another token than before the new one counts, whatever it says; somebody new is
    /// kept if they are shown a consent now.
    pub(super) fn came(&self, caller: &Caller, is_shown_a_consent: bool, now: Timestamp) {
        let (Some(person), Some(tenant)) = (caller.person(), caller.tenant()) else { return };
        let mut tenants = self.0.lock();
        let known = tenants.get(tenant).and_then(|people| people.get(person));
        if known.map_or(!is_shown_a_consent, |known| known.is_same(caller)) {
            return;
        }
        let is_new = known.is_none();
        let people = Arc::make_mut(tenants.entry(tenant.clone()).or_default());
        if is_new && people.len() >= MOST_OF_A_TENANT {
            people.retain(|_, caller| is_good(caller, now));
        }
        if !is_new || people.len() < MOST_OF_A_TENANT {
            people.insert(person.clone(), caller.clone());
        }
    }

    /// The people of this tenant whose tokens have not ended, in the order of their names.
    pub(super) fn of(&self, tenant: &TenantId, now: Timestamp) -> Vec<Caller> {
        let people = self.0.lock().get(tenant).map(Arc::clone).unwrap_or_default();
        people.values().filter(|caller| is_good(caller, now)).cloned().collect()
    }
}

fn is_good(caller: &Caller, now: Timestamp) -> bool {
    caller.expires_at().is_some_and(|end| now < end)
}
