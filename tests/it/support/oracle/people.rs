//! Who there is, and what their roles make of them.

/// Somebody with a token, a person or a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Person {
    pub name: &'static str,
    pub tenant: &'static str,
    pub object: &'static str,
    /// Directory roles.
    pub roles: &'static [&'static str],
    pub app_roles: &'static [&'static str],
    pub is_program: bool,
}

const GLOBAL: &[&str] = &["Global Administrator"];
const ENGINEER: &[&str] = &["SupportEngineer"];

/// Everybody. Two names can be one person signed in to two tenants.
pub static PEOPLE: [Person; 19] = [
    somebody("ada", "vendor", "ada", &[], ENGINEER),
    somebody("bob", "vendor", "bob", &[], ENGINEER),
    // An engineer who administers the vendor's own tenant as well (R17).
    somebody("eva", "vendor", "eva", GLOBAL, ENGINEER),
    // Of the vendor, and no engineer.
    somebody("roy", "vendor", "roy", &[], &[]),
    somebody("vic", "vendor", "vic", GLOBAL, &[]),
    somebody("cyd", "contoso", "cyd", GLOBAL, &[]),
    somebody("kim@contoso", "contoso", "kim", &["Service Support Administrator"], &[]),
    somebody("kim@fabrikam", "fabrikam", "kim", GLOBAL, &[]),
    somebody("sue", "contoso", "sue", &["Security Administrator"], &[]),
    somebody("otto", "contoso", "otto", &["Directory Readers"], &[]),
    // An app role of a customer's directory makes no engineer.
    somebody("mallory", "contoso", "mallory", &[], ENGINEER),
    somebody("dee", "fabrikam", "dee", GLOBAL, &[]),
    somebody("dora", "fabrikam", "dora", &["Service Support Administrator"], &[]),
    somebody("rita", "fabrikam", "rita", &["Reports Reader"], &[]),
    somebody("ned", "northwind", "ned", GLOBAL, &[]),
    somebody("tia", "tailspin", "tia", GLOBAL, &[]),
    program("ticketing", "vendor", "ticketing", &["SupportRequests.Manage"]),
    program("tooling", "vendor", "tooling", &["Decisions.Evaluate"]),
    program("impostor", "contoso", "impostor", &["SupportRequests.Manage", "Decisions.Evaluate"]),
];

/// Roles with the permission `microsoft.azure.supportTickets/allEntities/allTasks`, of those that somebody here holds.
const ADMINISTRATORS: [&str; 3] = ["Global Administrator", "Service Support Administrator", "Security Administrator"];

const AUDIT_READERS: [&str; 4] =
    ["Reports Reader", "Security Reader", "Security Administrator", "Global Administrator"];

const fn somebody(
    name: &'static str,
    tenant: &'static str,
    object: &'static str,
    roles: &'static [&'static str],
    app_roles: &'static [&'static str],
) -> Person {
    Person { name, tenant, object, roles, app_roles, is_program: false }
}

const fn program(
    name: &'static str,
    tenant: &'static str,
    object: &'static str,
    app_roles: &'static [&'static str],
) -> Person {
    Person { name, tenant, object, roles: &[], app_roles, is_program: true }
}

/// The person with this name.
pub fn person(name: &str) -> &'static Person {
    PEOPLE.iter().find(|person| person.name == name).unwrap_or_else(|| panic!("who is `{name}`?"))
}

impl Person {
    pub fn id(&self) -> String {
        format!("{}/{}", self.tenant, self.object)
    }

    fn holds(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }

    /// R11.
    pub fn is_administrator(&self) -> bool {
        self.holds(&ADMINISTRATORS)
    }

    /// R21.
    pub fn is_audit_reader(&self) -> bool {
        self.holds(&AUDIT_READERS)
    }

    /// R10: app roles count from the vendor's directory alone.
    pub fn is_engineer(&self) -> bool {
        self.tenant == "vendor" && !self.is_program && self.app_roles.contains(&"SupportEngineer")
    }

    pub fn is_ticketing(&self) -> bool {
        self.tenant == "vendor" && self.is_program && self.app_roles.contains(&"SupportRequests.Manage")
    }
}
