//! What callers carry from a denial to an access request, and from an approval to the next question: signed references
//! (AuthZEN Access Request and Approval Profile 1.0, Draft 1).
//!
//! What lives here: the binding of a denial, the approval of a task, and whether what comes back is what was given. What
//! does not: any right. Whoever holds a reference has proved nothing about themselves, and facts come from the store: a
//! reference says which denial is meant, and which approval, and nothing more (G7).

mod alike;
mod approval;
mod binding;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::Timestamp;
use crate::signing::{SigningKey, TrustedKeys};

pub use approval::{Approval, Mismatch, Presented, Standing, Verified};
pub use binding::{Binding, Bound, Denied, Echoed, NotBound};

/// Where access requests are made, behind the service's address.
pub const REQUESTS: &str = "/access/v1/requests";

/// The members of a question's context that a denial and an approval are about.
const BOUND_CONTEXT: [&str; 1] = ["support_request"];

/// An `AuthZEN` question as it was asked: what nobody here believes, a caller's `properties`, included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The subject.
    pub subject: Map<String, Value>,
    /// The action.
    pub action: Map<String, Value>,
    /// The resource.
    pub resource: Map<String, Value>,
    /// The context.
    pub context: Map<String, Value>,
}

/// Whoever signs references, and knows their own again.
#[derive(Debug)]
pub struct References {
    issuer: String,
    signing: SigningKey,
    keys: TrustedKeys,
    denial_lifetime_ms: i64,
    approval_lifetime_ms: i64,
}

impl References {
    /// References by this key, for the service at this address. What the other keys have signed counts, too. The lifetimes
    /// are those of a denial's binding, and of an approval before it must be fetched anew; in milliseconds.
    #[must_use]
    pub fn new(
        issuer: &str,
        signing: SigningKey,
        former: TrustedKeys,
        denial_lifetime_ms: i64,
        approval_lifetime_ms: i64,
    ) -> Self {
        let keys = TrustedKeys(std::iter::once(signing.public()).chain(former.0).collect());
        Self { issuer: issuer.to_owned(), signing, keys, denial_lifetime_ms, approval_lifetime_ms }
    }

    /// The keys by which references are verified.
    #[must_use]
    pub const fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// The address at which access requests are made.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}{REQUESTS}", self.issuer)
    }

    /// The address of a task.
    #[must_use]
    pub fn task(&self, id: &str) -> String {
        format!("{}{REQUESTS}/{id}", self.issuer)
    }
}

/// A time as JSON Web Tokens have it: whole seconds (RFC 7519, section 2).
const fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}
