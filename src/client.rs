//! The client: what a tool calls the service with, over TCP, TLS or the Unix domain socket.
//!
//! What lives here: typed questions and answers, one way out with its limits, retries where nothing can happen twice. What
//! does not: tokens are brought, and nothing is decided or kept here. A read is allowed only where the service has said so
//! in full; whatever else happens is a denial ([`Decision`]).
//!
//! ```no_run
//! use consentry::client::{Client, ReadQuestion};
//! use consentry::model::Category;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::unix("data/consentry.sock").build()?;
//! let question = ReadQuestion {
//!     engineer: "vendor/ada".parse()?,
//!     verb: "read".to_owned(),
//!     tenant: "fabrikam".parse()?,
//!     category: Category::SignInLogs,
//!     item: None,
//!     support_request: "SR-1".parse()?,
//! };
//! let decision = client.may_read(&question).await;
//! if decision.is_allowed() {
//!     // Read now, and ask again before the next read.
//! } else {
//!     println!("no: {}", decision.reason.message);
//! }
//! # Ok(())
//! # }
//! ```

mod attempts;
mod decision;
mod error;
mod question;
mod search;
mod settings;
mod shapes;
mod transport;
mod workflow;

pub use decision::{DecidingPolicy, Decision, Reason};
pub use error::{CallError, NotBuilt, Problem};
pub use question::{ReadQuestion, Semantic};
pub use settings::Builder;
pub use shapes::{
    AccessRequest, AccessRequestStatus, Actor, AuditLogEntry, Consent, ConsentOfAccessRequest, ConsentPage,
    MissingConsent, Page, ReadEntry, Scope, ScopeWanted, SupportRequest, SupportRequestLine, SupportRequestStatus,
    Tenant, Versioned,
};
pub use transport::Client;
pub use workflow::{Change, NewSupportRequest, View};
