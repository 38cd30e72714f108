//! The role catalogue: which directory roles exist, and which carry the permission of a tenant administrator (R-words).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::RoleId;

/// Directory roles by template id. Dated data: the list grows, an operator can replace the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleCatalogue {
    /// When the data was taken, as the file says.
    pub as_of: String,
    /// The permission that makes a tenant administrator.
    pub permission: String,
    roles: BTreeMap<RoleId, CatalogueRole>,
}

/// One role of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CatalogueRole {
    name: String,
    has_permission: bool,
}

/// Why a role catalogue cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleCatalogueError {
    /// It is not the JSON we expect.
    #[error("line {line} column {column}: {message}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A role is listed twice.
    #[error("the role `{0}` is listed twice")]
    Duplicate(String),
    /// No role carries the permission: nobody could approve anything.
    #[error("no role has `supportTickets: true`: nobody could approve anything")]
    NoAdministrator,
}

#[derive(Deserialize)]
struct CatalogueFile {
    as_of: String,
    permission: String,
    roles: Vec<CatalogueEntry>,
}

#[derive(Deserialize)]
struct CatalogueEntry {
    template_id: RoleId,
    name: String,
    #[serde(rename = "supportTickets")]
    support_tickets: bool,
}

impl RoleCatalogue {
    /// Parses the catalogue file.
    ///
    /// # Errors
    /// [`RoleCatalogueError`] when it is not such a file, lists a role twice, or knows no administrator.
    pub fn parse(text: &str) -> Result<Self, RoleCatalogueError> {
        let file: CatalogueFile = serde_json::from_str(text).map_err(|error| RoleCatalogueError::Json {
            line: error.line(),
            column: error.column(),
            message: error.to_string(),
        })?;
        let mut roles = BTreeMap::new();
        for entry in file.roles {
            let role = CatalogueRole { name: entry.name, has_permission: entry.support_tickets };
            if roles.insert(entry.template_id.clone(), role).is_some() {
                return Err(RoleCatalogueError::Duplicate(entry.template_id.to_string()));
            }
        }
        if !roles.values().any(|role| role.has_permission) {
            return Err(RoleCatalogueError::NoAdministrator);
        }
        Ok(Self { as_of: file.as_of, permission: file.permission, roles })
    }

    /// The roles there are, and whether each carries the permission. Others in a token are ignored.
    pub fn iter(&self) -> impl Iterator<Item = (&RoleId, bool)> {
        self.roles.iter().map(|(id, role)| (id, role.has_permission))
    }

    /// The template id of the role that people call so.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&RoleId> {
        self.roles.iter().find(|(_, role)| role.name == name).map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalogue_has_45_administrator_roles() {
        let catalogue = RoleCatalogue::parse(include_str!("../../schemas/entra-roles.json")).unwrap();
        assert_eq!(catalogue.iter().filter(|(_, administrator)| *administrator).count(), 45);
        assert_eq!(catalogue.by_name("Global Administrator").unwrap().as_str(), "62e90394-69f5-4237-9190-012177145e10");
    }

    #[test]
    fn a_catalogue_without_administrators_or_with_a_role_twice_is_refused() {
        let role = r#"{"template_id":"a","name":"A","supportTickets":true}"#;
        let file = |roles: &str| format!(r#"{{"as_of":"x","permission":"p","roles":[{roles}]}}"#);
        assert!(RoleCatalogue::parse(&file(role)).is_ok());
        assert_eq!(
            RoleCatalogue::parse(&file(&format!("{role},{role}"))),
            Err(RoleCatalogueError::Duplicate("a".to_owned()))
        );
        assert_eq!(RoleCatalogue::parse(&file("")), Err(RoleCatalogueError::NoAdministrator));
        assert!(matches!(RoleCatalogue::parse("{"), Err(RoleCatalogueError::Json { line: 1, .. })));
    }
}
