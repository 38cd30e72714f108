//! The stories: lists of steps, each with what the rules say comes of it.

use super::cast::Who::{self, Ada, Cyd, Dee, Ticketing, Tooling};

/// The support request of all stories.
pub(super) const SUPPORT_REQUEST: &str = "SR-1";

/// A story.
pub(super) struct Story {
    pub(super) title: &'static str,
    /// The rules that it shows.
    pub(super) rules: &'static str,
    pub(super) steps: Vec<Step>,
}

/// Somebody does something, and something comes of it.
pub(super) struct Step {
    pub(super) who: Who,
    /// What they do, for people.
    pub(super) says: &'static str,
    /// What they do, for the server.
    pub(super) call: Call,
    /// What comes of it.
    pub(super) expected: Expected,
}

/// What somebody does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// Makes a tenant known.
    Register { tenant: &'static str, display_name: &'static str },
    /// Opens the support request: Contoso's, from the admin center, assigned to Ada.
    OpenSupportRequest,
    /// Asks for access to this tenant's data.
    AskForAccess { resource_tenant: &'static str },
    /// Approves the consent that waits for them.
    Approve,
    /// Removes the access that they approved last.
    RemoveAccess,
    /// Closes the support request.
    Close,
    /// Opens it again.
    Reopen,
    /// Asks whether Ada may do this with that data.
    MayAda { verb: &'static str, data: &'static str },
    /// Opens their own tenant's audit log.
    AuditLog,
    /// Opens the list of uses of their own tenant's consents.
    Uses,
}

/// What the rules say comes of a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// It is done, with this status.
    Done(u16),
    /// It is allowed.
    Allow,
    /// It is denied, for this reason.
    Deny(&'static str),
    /// A list of these activities, the newest first.
    Entries(&'static [&'static str]),
}

use Call::{Approve, AskForAccess, AuditLog, Close, MayAda, OpenSupportRequest, Register, RemoveAccess, Reopen, Uses};
use Expected::{Allow, Deny, Done, Entries};

/// All stories, in the order in which they are played: each begins where the one before ended.
pub(super) fn stories() -> Vec<Story> {
    vec![both_tenants_approve(), the_support_request_closes(), the_customers_look()]
}

const ASK_FOR_FABRIKAM: Call = AskForAccess { resource_tenant: "fabrikam" };
const READ_FABRIKAM: Call = MayAda { verb: "read", data: "fabrikam/signInLogs" };
const MAY_ADA_READ: &str = "may Ada read Fabrikam's sign-in logs?";

fn both_tenants_approve() -> Story {
    let contoso = Register { tenant: "contoso", display_name: "Contoso" };
    let fabrikam = Register { tenant: "fabrikam", display_name: "Fabrikam" };
    let read_contoso = MayAda { verb: "read", data: "contoso/signInLogs" };
    let write_fabrikam = MayAda { verb: "write", data: "fabrikam/signInLogs" };
    Story {
        title: "Contoso's problem leads into Fabrikam's data: both have to approve",
        rules: "R2 R6 R8 R13",
        steps: vec![
            step(Ticketing, "registers the tenant Contoso", contoso, Done(201)),
            step(Ticketing, "registers the tenant Fabrikam", fabrikam, Done(201)),
            step(Ticketing, "opens Contoso's support request, for Ada", OpenSupportRequest, Done(201)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("access_request_required")),
            step(Ada, "asks for access to Fabrikam's data", ASK_FOR_FABRIKAM, Done(201)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("awaiting_consent")),
            step(Cyd, "approves for Contoso", Approve, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("awaiting_consent")),
            step(Dee, "approves for Fabrikam", Approve, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Allow),
            step(
                Tooling,
                "may Ada read Contoso's sign-in logs?",
                read_contoso,
                Deny("advanced_diagnostics_not_allowed"),
            ),
            step(Tooling, "may Ada write Fabrikam's sign-in logs?", write_fabrikam, Deny("read_only")),
            step(Dee, "removes the access", RemoveAccess, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("consent_revoked")),
        ],
    }
}

fn the_support_request_closes() -> Story {
    Story {
        title: "Access ends with the support request, and does not come back with it",
        rules: "R4 R15",
        steps: vec![
            step(Ada, "asks again", ASK_FOR_FABRIKAM, Done(201)),
            step(Cyd, "approves for Contoso", Approve, Done(200)),
            step(Dee, "approves for Fabrikam", Approve, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Allow),
            step(Ticketing, "closes the support request", Close, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("support_request_closed")),
            step(Ticketing, "opens it again", Reopen, Done(200)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("consent_ended")),
        ],
    }
}

fn the_customers_look() -> Story {
    const CONTOSO: &[&str] = &["Request approved", "Request created", "Request approved", "Request created"];
    const FABRIKAM: &[&str] = &["Approval approved", "Approval removed", "Approval approved"];
    // Two allows, each asked for twice: a cached answer is a use as well.
    const USES: &[&str] = &["Diagnostic data read"; 4];
    Story {
        title: "Each customer sees what concerns it, and nothing of the other",
        rules: "R19 R21 R22",
        steps: vec![
            step(Dee, "opens Fabrikam's audit log", AuditLog, Entries(FABRIKAM)),
            step(Dee, "looks who has used Fabrikam's consents", Uses, Entries(USES)),
            step(Cyd, "opens Contoso's audit log", AuditLog, Entries(CONTOSO)),
            step(Cyd, "looks who has used Contoso's consents", Uses, Entries(&[])),
            step(Ada, "asks a third time, and waits for you", ASK_FOR_FABRIKAM, Done(201)),
            step(Tooling, MAY_ADA_READ, READ_FABRIKAM, Deny("awaiting_consent")),
        ],
    }
}

const fn step(who: Who, says: &'static str, call: Call, expected: Expected) -> Step {
    Step { who, says, call, expected }
}
