//! The categories of diagnostic data (R-words), and sets of them (R9).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One kind of diagnostic data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Category {
    /// Tenant, user, group and device objects.
    DirectoryObjects,
    /// Tenant settings.
    ServiceConfiguration,
    /// Who signed in, from where.
    SignInLogs,
    /// What was changed, by whom.
    AuditLogs,
    /// Device registrations.
    DeviceRegistrationLogs,
    /// Health of the identity service.
    ServiceHealthTelemetry,
}

impl Category {
    /// Every category, in the order of their names' first mention in the rules.
    pub const ALL: [Self; 6] = [
        Self::DirectoryObjects,
        Self::ServiceConfiguration,
        Self::SignInLogs,
        Self::AuditLogs,
        Self::DeviceRegistrationLogs,
        Self::ServiceHealthTelemetry,
    ];

    /// The name used in policies, requests and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DirectoryObjects => "directoryObjects",
            Self::ServiceConfiguration => "serviceConfiguration",
            Self::SignInLogs => "signInLogs",
            Self::AuditLogs => "auditLogs",
            Self::DeviceRegistrationLogs => "deviceRegistrationLogs",
            Self::ServiceHealthTelemetry => "serviceHealthTelemetry",
        }
    }
}

/// The text names no category of diagnostic data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown category of diagnostic data; known are directoryObjects, serviceConfiguration, signInLogs, auditLogs, \
     deviceRegistrationLogs, serviceHealthTelemetry"
)]
pub struct UnknownCategory;

impl FromStr for Category {
    type Err = UnknownCategory;
    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        Self::ALL.into_iter().find(|category| category.as_str() == text).ok_or(UnknownCategory)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of categories in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Category>", into = "Vec<Category>")]
pub struct CategorySet(u8);

impl CategorySet {
    /// Every category: a consent that was not narrowed.
    pub const ALL: Self = Self(0b11_1111);

    /// Whether the category is in the set.
    #[must_use]
    pub const fn contains(self, category: Category) -> bool {
        self.0 & (1 << category as u8) != 0
    }

    /// Whether every category of this set is in the other.
    #[must_use]
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The categories in the set.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |category| self.contains(*category))
    }
}

impl FromIterator<Category> for CategorySet {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        Self(categories.into_iter().fold(0, |set, category| set | 1 << category as u8))
    }
}

impl From<Vec<Category>> for CategorySet {
    fn from(categories: Vec<Category>) -> Self {
        categories.into_iter().collect()
    }
}

impl From<CategorySet> for Vec<Category> {
    fn from(set: CategorySet) -> Self {
        set.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets_go_back_and_forth() {
        for category in Category::ALL {
            assert_eq!(category.as_str().parse::<Category>().unwrap(), category);
            assert!(CategorySet::ALL.contains(category));
        }
        assert!("signinlogs".parse::<Category>().is_err());
        let logs: CategorySet = [Category::SignInLogs, Category::AuditLogs].into_iter().collect();
        assert!(logs.is_subset_of(CategorySet::ALL) && !CategorySet::ALL.is_subset_of(logs));
        assert_eq!(logs.iter().count(), 2);
    }
}
