//! Identifiers: short, printable, free of separators, checked once where they enter (R-words).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The longest identifier we accept, in bytes. Directory object ids are 36; ticket numbers are shorter.
pub const MAX_ID_BYTES: usize = 128;

/// Why a piece of text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("{kind} is empty")]
    Empty {
        /// What the text should have named.
        kind: &'static str,
    },
    /// The text is over [`MAX_ID_BYTES`].
    #[error("{kind} is {bytes} bytes long, at most {MAX_ID_BYTES} are allowed")]
    TooLong {
        /// What the text should have named.
        kind: &'static str,
        /// How long it was.
        bytes: usize,
    },
    /// Clients and proxies take these out of a path (RFC 3986, section 5.2.4): what is called so could not be reached.
    #[error("{kind} is `.` or `..`, which paths cannot hold")]
    Dots {
        /// What the text should have named.
        kind: &'static str,
    },
    /// A character that identifiers never hold: they stand in paths, logs and policies.
    #[error("{kind} holds a character other than letters, digits and `-._:@` at byte {at}")]
    Character {
        /// What the text should have named.
        kind: &'static str,
        /// Where the character stands.
        at: usize,
    },
    /// A person is written `<tenant>/<object id>`.
    #[error("{kind} is not of the form `<tenant>/<object id>`")]
    NotAPerson {
        /// What the text should have named.
        kind: &'static str,
    },
}

fn check(kind: &'static str, text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty { kind });
    }
    if text.len() > MAX_ID_BYTES {
        return Err(InvalidId::TooLong { kind, bytes: text.len() });
    }
    if matches!(text, "." | "..") {
        return Err(InvalidId::Dots { kind });
    }
    // Every part of every question goes through here.
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b':' | b'@');
    match text.bytes().position(|byte| !allowed(byte)) {
        Some(at) => Err(InvalidId::Character { kind, at }),
        None => Ok(()),
    }
}

/// Every character of an identifier, as the class of a regular expression: what [`check`] takes.
const CHARACTERS: &str = "[0-9A-Za-z._:@-]";

/// An identifier as clients see it.
fn schema(says: &str, pattern: String, max_bytes: usize, example: &str) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(says)).pattern(Some(pattern));
    schema.min_length(Some(1)).max_length(Some(max_bytes)).examples([example]).into()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, too long or holds a character outside letters, digits and `-._:@`.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                Self::check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Checks the text without taking it.
            ///
            /// # Errors
            /// As [`Self::new`].
            pub fn check(text: &str) -> Result<(), InvalidId> {
                check($kind, text)
            }

            /// The text of the identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema(concat!("A ", $kind, "."), format!("^{CHARACTERS}+$"), MAX_ID_BYTES, $example)
            }
        }

        impl ToSchema for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier!(
    /// A tenant: an organisation's directory (`tid`).
    TenantId,
    "tenant id",
    "tailspin"
);
identifier!(
    /// A support request as the ticketing system names it.
    SupportRequestId,
    "support request id",
    "SR-1"
);
identifier!(
    /// An access request; made by us.
    AccessRequestId,
    "access request id",
    "ar-8d1807c09c114b0db2c7fb1917b922cd"
);
identifier!(
    /// The receipt of an approval; made by us, and unrelated to every other id (R19).
    ReceiptId,
    "receipt id",
    "re-3f0a4d1be2c94f0e9a1c1d6a2b7c8e55"
);
identifier!(
    /// One tenant's consent; made by us, and unrelated to the access request's id (R19).
    ConsentId,
    "consent id",
    "co-000ecd8b111a479385a3854db5812053"
);
identifier!(
    /// A directory role's template id, as it stands in a token's `wids`.
    RoleId,
    "role id",
    "62e90394-69f5-4237-9190-012177145e10"
);
identifier!(
    /// An application role that the vendor's directory assigned, as it stands in a token's `roles`.
    AppRole,
    "app role",
    "SupportEngineer"
);
identifier!(
    /// A program that calls us: a client id, or the name of a local listener.
    ServiceId,
    "service id",
    "unix-socket"
);

/// A person in a tenant: `tid` and `oid` of a token, written `<tenant>/<object id>`. Never an e-mail or a name.
///
/// A support engineer is a person of the vendor's tenant, so that the same type tells whether the one who asks is the
/// one who approves (R17).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonId(Arc<str>);

impl PersonId {
    /// The person with this object id in this tenant.
    ///
    /// # Errors
    /// [`InvalidId`] when the object id is not an identifier.
    pub fn new(tenant: &TenantId, object: &str) -> Result<Self, InvalidId> {
        check("object id", object)?;
        Ok(Self(Arc::from(format!("{tenant}/{object}"))))
    }

    /// Checks the text `<tenant>/<object id>` without taking it.
    ///
    /// # Errors
    /// [`InvalidId`] when it has another form, or a part is not an identifier.
    pub fn check(text: &str) -> Result<(), InvalidId> {
        let Some((tenant, object)) = text.split_once('/') else {
            return Err(InvalidId::NotAPerson { kind: "person id" });
        };
        check("tenant id", tenant)?;
        check("object id", object)
    }

    /// `<tenant>/<object id>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant part.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.split_once('/').map_or("", |(tenant, _)| tenant)
    }
}

impl PartialSchema for PersonId {
    fn schema() -> RefOr<Schema> {
        // Both parts are identifiers, each of them as long as one may be.
        let part = format!("{CHARACTERS}{{1,{MAX_ID_BYTES}}}");
        let says = "A person in a tenant: `<tenant>/<object id>`.";
        schema(says, format!("^{part}/{part}$"), 2 * MAX_ID_BYTES + 1, "vendor/ada")
    }
}

impl ToSchema for PersonId {}

impl FromStr for PersonId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::check(text)?;
        Ok(Self(Arc::from(text)))
    }
}

impl TryFrom<String> for PersonId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<PersonId> for String {
    fn from(id: PersonId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_refuse_what_could_confuse_a_path_or_a_log() {
        for text in ["", ".", "..", "a/b", "a b", "a\u{0}", "é", "a\nb", &"x".repeat(129)] {
            assert!(TenantId::new(text).is_err(), "{text:?}");
        }
        assert!(TenantId::new("...").is_ok());
        assert_eq!(TenantId::new("contoso.example").unwrap().as_str(), "contoso.example");
        assert!(TenantId::new(&"x".repeat(128)).is_ok());
    }

    #[test]
    fn a_person_is_a_tenant_and_an_object() {
        let person: PersonId = "vendor/ada".parse().unwrap();
        assert_eq!(person.tenant(), "vendor");
        for text in ["vendor", "/ada", "vendor/", "a/b/c", "a b/c"] {
            assert!(text.parse::<PersonId>().is_err(), "{text}");
        }
    }
}
