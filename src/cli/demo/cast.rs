//! Who appears in the stories, and what their tokens say about them.

use crate::model::{AppRole, InvalidId, RoleId, TenantId};
use crate::policy::RoleCatalogue;

/// Somebody of the stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The ticketing system.
    Ticketing,
    /// The diagnostic tooling.
    Tooling,
    /// The support engineer.
    Ada,
    /// The administrator of the tenant that opened the support request.
    Cyd,
    /// The administrator of the tenant whose data is wanted.
    Dee,
}

impl Who {
    /// Everybody, in the order in which they are introduced.
    pub(super) const ALL: [Self; 5] = [Self::Ticketing, Self::Tooling, Self::Ada, Self::Cyd, Self::Dee];

    /// What they are called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ticketing => "Ticketing",
            Self::Tooling => "Tooling",
            Self::Ada => "Ada",
            Self::Cyd => "Cyd",
            Self::Dee => "Dee",
        }
    }

    /// Who they are.
    pub(super) const fn introduction(self) -> &'static str {
        match self {
            Self::Ticketing => "the vendor's ticketing system",
            Self::Tooling => "the diagnostic tooling: asks for each decision twice, the second answer is a cached one",
            Self::Ada => "a support engineer of the vendor",
            Self::Cyd => "an administrator of Contoso, the tenant that opened the support request",
            Self::Dee => "an administrator of Fabrikam, the tenant whose data Ada needs",
        }
    }

    /// Their tenant.
    pub(super) const fn tenant(self) -> &'static str {
        match self {
            Self::Ticketing | Self::Tooling | Self::Ada => "vendor",
            Self::Cyd => "contoso",
            Self::Dee => "fabrikam",
        }
    }

    /// Their object id in it.
    pub(super) const fn object(self) -> &'static str {
        match self {
            Self::Ticketing => "ticketing",
            Self::Tooling => "tooling",
            Self::Ada => "ada",
            Self::Cyd => "cyd",
            Self::Dee => "dee",
        }
    }

    /// Whether they are a program.
    pub(super) const fn is_service(self) -> bool {
        match self {
            Self::Ticketing | Self::Tooling => true,
            Self::Ada | Self::Cyd | Self::Dee => false,
        }
    }

    /// Their directory roles.
    pub(super) fn roles(self, catalogue: &RoleCatalogue) -> Vec<RoleId> {
        match self {
            Self::Ticketing | Self::Tooling | Self::Ada => Vec::new(),
            Self::Cyd | Self::Dee => catalogue.by_name("Global Administrator").cloned().into_iter().collect(),
        }
    }

    /// Their app roles.
    ///
    /// # Errors
    /// None in practice: the names are ours.
    pub(super) fn app_roles(self) -> Result<Vec<AppRole>, InvalidId> {
        let names: &[&str] = match self {
            Self::Ticketing => &["SupportRequests.Manage"],
            Self::Tooling => &["Decisions.Evaluate"],
            Self::Ada => &["SupportEngineer"],
            Self::Cyd | Self::Dee => &[],
        };
        names.iter().map(|name| name.parse()).collect()
    }

    /// Their tenant as an id.
    ///
    /// # Errors
    /// None in practice: the names are ours.
    pub(super) fn tenant_id(self) -> Result<TenantId, InvalidId> {
        TenantId::new(self.tenant())
    }
}
