//! Questions to the policies, in the rules' words: who, what, about what, under which circumstances.

use crate::model::{
    AccessFacts, AccessRequest, AppRole, CaseFacts, Category, Consent, PersonId, RoleId, SupportRequest, TenantId,
    Timestamp,
};

/// An action of the bundle's schema, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActionId(pub(super) u16);

/// How an action is named: a verb on diagnostic data that the schema may have added, or one of the workflow's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionName<'a> {
    /// A verb on diagnostic data, as a decision request names it.
    Verb(&'a str),
    /// An action of the workflow.
    Workflow(WorkflowAction),
}

/// The actions of the workflow and of the service itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkflowAction {
    /// R10.
    CreateAccessRequest,
    /// R20.
    ViewAccessRequest,
    /// An engineer withdraws a request.
    CancelAccessRequest,
    /// R3.
    ViewSupportRequest,
    /// R11.
    ApproveConsent,
    /// R12.
    RejectConsent,
    /// R9, R13.
    NarrowConsent,
    /// R13.
    RevokeConsent,
    /// R18.
    ViewConsent,
    /// R16.
    ViewApprovedAccess,
    /// R11, R23.
    ListConsents,
    /// R21.
    ReadAuditLog,
    /// Asking the decision endpoint.
    Evaluate,
    /// An engineer's asking the decision endpoint.
    EvaluateAsEngineer,
    /// The ticketing system's calls.
    ManageSupportRequests,
    /// R10: making a tenant known.
    RegisterTenant,
    /// R20.
    ListOwnRequests,
    /// A reviewer's asking why a read was decided so.
    ExplainDecisions,
}

impl WorkflowAction {
    /// Every one: a bundle whose schema lacks one is refused.
    pub const ALL: [Self; 18] = [
        Self::CreateAccessRequest,
        Self::ViewAccessRequest,
        Self::CancelAccessRequest,
        Self::ViewSupportRequest,
        Self::ApproveConsent,
        Self::RejectConsent,
        Self::NarrowConsent,
        Self::RevokeConsent,
        Self::ViewConsent,
        Self::ViewApprovedAccess,
        Self::ListConsents,
        Self::ReadAuditLog,
        Self::Evaluate,
        Self::EvaluateAsEngineer,
        Self::ManageSupportRequests,
        Self::RegisterTenant,
        Self::ListOwnRequests,
        Self::ExplainDecisions,
    ];

    /// The name in schema, policies and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateAccessRequest => "createAccessRequest",
            Self::ViewAccessRequest => "viewAccessRequest",
            Self::CancelAccessRequest => "cancelAccessRequest",
            Self::ViewSupportRequest => "viewSupportRequest",
            Self::ApproveConsent => "approveConsent",
            Self::RejectConsent => "rejectConsent",
            Self::NarrowConsent => "narrowConsent",
            Self::RevokeConsent => "revokeConsent",
            Self::ViewConsent => "viewConsent",
            Self::ViewApprovedAccess => "viewApprovedAccess",
            Self::ListConsents => "listConsents",
            Self::ReadAuditLog => "readAuditLog",
            Self::Evaluate => "evaluate",
            Self::EvaluateAsEngineer => "evaluateAsEngineer",
            Self::ManageSupportRequests => "manageSupportRequests",
            Self::RegisterTenant => "registerTenant",
            Self::ListOwnRequests => "listOwnRequests",
            Self::ExplainDecisions => "explainDecisions",
        }
    }

    /// Whether a person does this as one of the vendor's people, rather than as a user of their tenant.
    #[must_use]
    pub const fn is_engineers(self) -> bool {
        match self {
            Self::CreateAccessRequest
            | Self::ViewAccessRequest
            | Self::CancelAccessRequest
            | Self::ViewSupportRequest
            | Self::EvaluateAsEngineer
            | Self::ListOwnRequests
            | Self::ExplainDecisions => true,
            Self::ApproveConsent
            | Self::RejectConsent
            | Self::NarrowConsent
            | Self::RevokeConsent
            | Self::ViewConsent
            | Self::ViewApprovedAccess
            | Self::ListConsents
            | Self::ReadAuditLog
            | Self::Evaluate
            | Self::ManageSupportRequests
            | Self::RegisterTenant => false,
        }
    }

    /// The action of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// A part of the service's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointName {
    /// The decision endpoint.
    Decisions,
    /// The ticketing system's calls.
    Ticketing,
    /// An engineer's own lists.
    Requests,
    /// Why reads were decided as they were.
    Explanations,
}

impl EndpointName {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Decisions, Self::Ticketing, Self::Requests, Self::Explanations];

    /// The endpoint of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.as_str() == name)
    }

    /// The name in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Ticketing => "ticketing",
            Self::Requests => "requests",
            Self::Explanations => "explanations",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Principal<'a> {
    /// An engineer a question is about, named by a trusted asker; nothing but the name is known.
    Engineer(&'a str),
    /// An engineer who calls us, with what the token proves.
    EngineerCaller {
        /// Who.
        person: &'a PersonId,
        /// Whether the token comes from the vendor's directory.
        vendor: bool,
        /// The app roles in the token.
        app_roles: &'a [AppRole],
    },
    /// A person signed in to a tenant.
    User {
        /// Who.
        person: &'a PersonId,
        /// Signed in to which tenant.
        tenant: &'a TenantId,
        /// The directory roles in that tenant, those of the catalogue.
        roles: &'a [RoleId],
    },
    /// A program.
    Service {
        /// Its name: `<tenant>/<client id>`, or a local listener's, which holds no slash.
        name: &'a str,
        /// Whether it is the vendor's.
        vendor: bool,
        /// The app roles in the token.
        app_roles: &'a [AppRole],
    },
}

/// What the question is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// Diagnostic data of a tenant.
    DiagnosticData {
        /// `<tenant>/<category>` or `<tenant>/<category>/<item>`.
        id: &'a str,
        /// The tenant.
        tenant: &'a str,
        /// The category.
        category: Category,
    },
    /// A support request.
    SupportRequest(&'a SupportRequest),
    /// An access request under a support request.
    AccessRequest(&'a AccessRequest, &'a SupportRequest),
    /// A consent of an access request under a support request.
    Consent(&'a Consent, &'a AccessRequest, &'a SupportRequest),
    /// A tenant's audit log.
    AuditLog(&'a TenantId),
    /// A tenant.
    Tenant(&'a TenantId),
    /// A part of our own API.
    Endpoint(EndpointName),
}

/// The facts of a read. Both absent: the support request is unknown.
#[derive(Debug, Clone, Copy)]
pub struct ReadFacts<'a> {
    /// The case.
    pub case: Option<&'a CaseFacts>,
    /// Its newest access request for the tenant that is asked about.
    pub access_request: Option<&'a AccessFacts>,
}

/// Circumstances that are part of some questions.
#[derive(Debug, Clone, Copy)]
pub enum Circumstances<'a> {
    /// None.
    Nothing,
    /// Of a read.
    Read {
        /// The facts.
        facts: ReadFacts<'a>,
        /// When.
        now: Timestamp,
    },
    /// Of creating an access request (R10).
    Create {
        /// For which tenant.
        resource_tenant: &'a TenantId,
        /// Whether that tenant is registered.
        registered: bool,
    },
    /// Of the approved view (R16).
    ViewApproved {
        /// When.
        now: Timestamp,
    },
    /// Of asking the decision endpoint.
    Evaluate {
        /// Whether the question's subject is the caller.
        about_self: bool,
    },
}

impl Circumstances<'_> {
    /// The circumstances of a caller's question about themselves, where the action and the time say all of them.
    #[must_use]
    pub const fn of(action: WorkflowAction, now: Timestamp) -> Self {
        match action {
            WorkflowAction::ViewApprovedAccess => Self::ViewApproved { now },
            WorkflowAction::Evaluate | WorkflowAction::EvaluateAsEngineer => Self::Evaluate { about_self: true },
            WorkflowAction::CreateAccessRequest
            | WorkflowAction::ViewAccessRequest
            | WorkflowAction::CancelAccessRequest
            | WorkflowAction::ViewSupportRequest
            | WorkflowAction::ApproveConsent
            | WorkflowAction::RejectConsent
            | WorkflowAction::NarrowConsent
            | WorkflowAction::RevokeConsent
            | WorkflowAction::ViewConsent
            | WorkflowAction::ListConsents
            | WorkflowAction::ReadAuditLog
            | WorkflowAction::ManageSupportRequests
            | WorkflowAction::RegisterTenant
            | WorkflowAction::ListOwnRequests
            | WorkflowAction::ExplainDecisions => Self::Nothing,
        }
    }
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub principal: Principal<'a>,
    /// What, see [`super::Bundle::action`].
    pub action: ActionId,
    /// About what.
    pub resource: Resource<'a>,
    /// Under which circumstances.
    pub circumstances: Circumstances<'a>,
}

/// The kinds of principal, as the index counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PrincipalKind {
    SupportEngineer,
    User,
    Service,
}

impl PrincipalKind {
    pub(super) const ALL: [Self; 3] = [Self::SupportEngineer, Self::User, Self::Service];

    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::SupportEngineer => "SupportEngineer",
            Self::User => "User",
            Self::Service => "Service",
        }
    }
}

/// The kinds of resource, as the index counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ResourceKind {
    DiagnosticData,
    SupportRequest,
    AccessRequest,
    Consent,
    AuditLog,
    Tenant,
    Endpoint,
}

impl ResourceKind {
    pub(super) const ALL: [Self; 7] = [
        Self::DiagnosticData,
        Self::SupportRequest,
        Self::AccessRequest,
        Self::Consent,
        Self::AuditLog,
        Self::Tenant,
        Self::Endpoint,
    ];

    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::DiagnosticData => "DiagnosticData",
            Self::SupportRequest => "SupportRequest",
            Self::AccessRequest => "AccessRequest",
            Self::Consent => "Consent",
            Self::AuditLog => "AuditLog",
            Self::Tenant => "Tenant",
            Self::Endpoint => "Endpoint",
        }
    }
}

impl Principal<'_> {
    pub(super) const fn kind(&self) -> PrincipalKind {
        match self {
            Self::Engineer(_) | Self::EngineerCaller { .. } => PrincipalKind::SupportEngineer,
            Self::User { .. } => PrincipalKind::User,
            Self::Service { .. } => PrincipalKind::Service,
        }
    }
}

impl Resource<'_> {
    pub(super) const fn kind(&self) -> ResourceKind {
        match self {
            Self::DiagnosticData { .. } => ResourceKind::DiagnosticData,
            Self::SupportRequest(_) => ResourceKind::SupportRequest,
            Self::AccessRequest(..) => ResourceKind::AccessRequest,
            Self::Consent(..) => ResourceKind::Consent,
            Self::AuditLog(_) => ResourceKind::AuditLog,
            Self::Tenant(_) => ResourceKind::Tenant,
            Self::Endpoint(_) => ResourceKind::Endpoint,
        }
    }
}
