//! Callers: who asks, as a checked credential or a local listener says. Holding one proves that it was checked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::model::{AppRole, PersonId, RoleId, ServiceId, TenantId, Timestamp};

/// Someone who asks. Only this room makes one of a token, after all checks; cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<Known>);

/// What kind of caller it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// A person of a tenant: `tid` and `oid`.
    Person(PersonId),
    /// A program with its own identity (`idtyp` is `app`).
    Service {
        /// The tenant that issued the program's token.
        tenant: TenantId,
        /// The client id (`azp` or `appid`), else the object id.
        id: ServiceId,
    },
    /// A process of this machine that may open our Unix socket; the file's mode says who that is.
    UnixSocket,
    /// Any process of this machine, over a loopback port without credentials; never in production.
    InsecureLoopback,
}

impl CallerKind {
    fn name(&self) -> Box<str> {
        match self {
            Self::Person(person) => person.as_str().into(),
            Self::Service { tenant, id } => format!("{tenant}/{id}").into(),
            Self::UnixSocket => "unix-socket".into(),
            Self::InsecureLoopback => "insecure-loopback".into(),
        }
    }
}

struct Known {
    kind: CallerKind,
    name: Box<str>,
    tenant: Option<TenantId>,
    roles: Box<[RoleId]>,
    app_roles: Box<[AppRole]>,
    vendor: bool,
    expires_at: Option<Timestamp>,
    token_id: Option<Box<str>>,
    proof: Option<Proof>,
    memo: AtomicU64,
    memo_of_self: AtomicU64,
}

/// What a token was verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proof {
    /// The issuer's place in the list.
    pub(super) issuer: usize,
    /// The generation of the issuer's keys.
    pub(super) generation: u64,
}

/// What a verified token says about its caller.
pub(super) struct FromToken {
    pub(super) kind: CallerKind,
    pub(super) tenant: TenantId,
    pub(super) roles: Vec<RoleId>,
    pub(super) app_roles: Vec<AppRole>,
    pub(super) vendor: bool,
    pub(super) expires_at: Timestamp,
    pub(super) token_id: Option<String>,
    pub(super) proof: Proof,
}

impl Caller {
    pub(super) fn from_token(token: FromToken) -> Self {
        Self(Arc::new(Known {
            name: token.kind.name(),
            kind: token.kind,
            tenant: Some(token.tenant),
            roles: token.roles.into_boxed_slice(),
            app_roles: token.app_roles.into_boxed_slice(),
            vendor: token.vendor,
            expires_at: Some(token.expires_at),
            token_id: token.token_id.map(String::into_boxed_str),
            proof: Some(token.proof),
            memo: AtomicU64::new(0),
            memo_of_self: AtomicU64::new(0),
        }))
    }

    fn local(kind: CallerKind) -> Self {
        Self(Arc::new(Known {
            name: kind.name(),
            kind,
            tenant: None,
            roles: Box::default(),
            app_roles: Box::default(),
            vendor: false,
            expires_at: None,
            token_id: None,
            proof: None,
            memo: AtomicU64::new(0),
            memo_of_self: AtomicU64::new(0),
        }))
    }

    /// Whoever opened our Unix socket. For the listener of that socket alone.
    #[must_use]
    pub fn unix_socket() -> Self {
        Self::local(CallerKind::UnixSocket)
    }

    /// Whoever reached our loopback port without a credential. For a listener that was configured to allow it.
    #[must_use]
    pub fn insecure_loopback() -> Self {
        Self::local(CallerKind::InsecureLoopback)
    }

    /// The name by which records know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What kind of caller this is.
    #[must_use]
    pub fn kind(&self) -> &CallerKind {
        &self.0.kind
    }

    /// The tenant that the credential speaks for; local callers have none.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.0.tenant.as_ref()
    }

    /// The person, when a person calls.
    #[must_use]
    pub fn person(&self) -> Option<&PersonId> {
        match &self.0.kind {
            CallerKind::Person(person) => Some(person),
            CallerKind::Service { .. } | CallerKind::UnixSocket | CallerKind::InsecureLoopback => None,
        }
    }

    /// The directory roles (`wids`), sorted, each once. The role catalogue says which of them mean anything.
    #[must_use]
    pub fn roles(&self) -> &[RoleId] {
        &self.0.roles
    }

    /// The application roles (`roles`), sorted, each once.
    #[must_use]
    pub fn app_roles(&self) -> &[AppRole] {
        &self.0.app_roles
    }

    /// Whether the caller's tenant is one of the vendor's.
    #[must_use]
    pub fn vendor(&self) -> bool {
        self.0.vendor
    }

    /// When the credential ends: from this moment on the caller counts no more. Local callers have no end.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// The token's own id (`jti`, else `uti`), printable and at most 128 bytes, to find it in the issuer's logs.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// Whether this is the same caller by the same credential.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What the token was verified with; local callers have none.
    pub(super) fn proof(&self) -> Option<Proof> {
        self.0.proof
    }

    /// A slot for whoever decides to remember something about this credential; starts at 0 and means nothing here.
    ///
    /// All clones share it, those that come out of the token cache too.
    #[must_use]
    pub fn memo(&self) -> &AtomicU64 {
        &self.0.memo
    }

    /// The same for what was decided about questions about the caller alone: a yes to those says nothing about others.
    #[must_use]
    pub fn memo_of_self(&self) -> &AtomicU64 {
        &self.0.memo_of_self
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("kind", &self.0.kind)
            .field("roles", &self.0.roles)
            .field("app_roles", &self.0.app_roles)
            .field("vendor", &self.0.vendor)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn local_callers_have_no_tenant_no_roles_and_no_end() {
        for (caller, name) in
            [(Caller::unix_socket(), "unix-socket"), (Caller::insecure_loopback(), "insecure-loopback")]
        {
            assert_eq!(caller.to_string(), name);
            assert_eq!((caller.tenant(), caller.person(), caller.expires_at()), (None, None, None));
            assert!(caller.roles().is_empty() && caller.app_roles().is_empty() && !caller.vendor());
        }
    }

    #[test]
    fn clones_share_the_memo() {
        let caller = Caller::unix_socket();
        assert_eq!(caller.memo().load(Ordering::Relaxed), 0);
        caller.clone().memo().store(7, Ordering::Relaxed);
        assert_eq!(caller.memo().load(Ordering::Relaxed), 7);
    }
}
