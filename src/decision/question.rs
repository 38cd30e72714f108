//! The read question, parsed once: who reads what of whose, under which support request.

use crate::model::{Category, MAX_ID_BYTES, PersonId, SupportRequestId, TenantId};

/// The longest item name, in bytes.
const MAX_ITEM_BYTES: usize = 512;

/// A well-formed read question. It borrows from the request it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadQuestion<'a> {
    /// The engineer, `<tenant>/<object id>`.
    pub engineer: &'a str,
    /// The verb: what the schema calls it is for the policies to know.
    pub verb: &'a str,
    /// `<tenant>/<category>` or `<tenant>/<category>/<item>`.
    pub resource: &'a str,
    /// The resource tenant.
    pub tenant: &'a str,
    /// The category.
    pub category: Category,
    /// The item, if one is named.
    pub item: Option<&'a str>,
    /// The support request under which the engineer wants to read; without one nothing is allowed (R3).
    pub support_request: Option<&'a str>,
}

/// A part of a question is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidQuestion {
    /// The field, as the request names it.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl<'a> ReadQuestion<'a> {
    /// Parses the parts of a question.
    ///
    /// # Errors
    /// [`InvalidQuestion`] naming the first field that is malformed. Unknown tenants, engineers and support requests
    /// are well-formed: the facts answer those.
    pub fn parse(
        engineer: &'a str,
        verb: &'a str,
        resource: &'a str,
        support_request: Option<&'a str>,
    ) -> Result<Self, InvalidQuestion> {
        let invalid = |field: &'static str, message: String| InvalidQuestion { field, message };
        PersonId::check(engineer).map_err(|error| invalid("subject.id", error.to_string()))?;
        if verb.is_empty() || verb.len() > MAX_ID_BYTES || verb.chars().any(char::is_control) {
            return Err(invalid("action.name", "is empty, too long or holds control characters".to_owned()));
        }
        let mut parts = resource.splitn(3, '/');
        let (Some(tenant), Some(category)) = (parts.next(), parts.next()) else {
            return Err(invalid("resource.id", "must be `<tenant>/<category>` or `<tenant>/<category>/<item>`".into()));
        };
        TenantId::check(tenant).map_err(|error| invalid("resource.id", error.to_string()))?;
        let category = category.parse::<Category>().map_err(|error| invalid("resource.id", error.to_string()))?;
        let item = parts.next();
        if item.is_some_and(|item| item.is_empty() || item.len() > MAX_ITEM_BYTES || item.chars().any(char::is_control))
        {
            let message = format!("the item is empty, over {MAX_ITEM_BYTES} bytes or holds control characters");
            return Err(invalid("resource.id", message));
        }
        if let Some(id) = support_request {
            SupportRequestId::check(id).map_err(|error| invalid("context.support_request", error.to_string()))?;
        }
        Ok(Self { engineer, verb, resource, tenant, category, item, support_request })
    }

    /// Writes the question down so that two questions are the same exactly when their bytes are. The separator occurs
    /// in no part of a parsed question.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        for part in [self.engineer, self.verb, self.support_request.unwrap_or_default(), self.resource] {
            key.extend_from_slice(part.as_bytes());
            key.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_tenant_category_and_item() {
        let question = ReadQuestion::parse("vendor/ada", "read", "contoso/signInLogs/2026/11", Some("SR-1")).unwrap();
        assert_eq!((question.tenant, question.category), ("contoso", Category::SignInLogs));
        assert_eq!(question.item, Some("2026/11"));
    }

    #[test]
    fn malformed_parts_are_named() {
        let field = |engineer, verb, resource, support_request| {
            ReadQuestion::parse(engineer, verb, resource, support_request).unwrap_err().field
        };
        let long = "x".repeat(10_000);
        assert_eq!(field("ada", "read", "t/signInLogs", None), "subject.id");
        assert_eq!(field(&long, "read", "t/signInLogs", None), "subject.id");
        assert_eq!(field("v/ada", "", "t/signInLogs", None), "action.name");
        assert_eq!(field("v/ada", "re\u{0}ad", "t/signInLogs", None), "action.name");
        for resource in ["t", "t/", "t/logs", "t/signInLogs/", "/signInLogs", "t\u{7}/signInLogs", "t/signInLogs/a\nb"]
        {
            assert_eq!(field("v/ada", "read", resource, None), "resource.id", "{resource}");
        }
        assert_eq!(field("v/ada", "read", "t/signInLogs", Some("a b")), "context.support_request");
    }

    #[test]
    fn the_longest_verb_and_the_longest_item_are_taken_and_no_longer_ones() {
        let of_length = |verb: usize, item: usize| {
            let resource = format!("t/signInLogs/{}", "x".repeat(item));
            let asked = ReadQuestion::parse("v/ada", &"v".repeat(verb), &resource, None).map(|_| ());
            asked.map_err(|error| error.field)
        };
        assert_eq!(of_length(MAX_ID_BYTES, MAX_ITEM_BYTES), Ok(()));
        assert_eq!(of_length(MAX_ID_BYTES + 1, 1), Err("action.name"));
        assert_eq!(of_length(1, MAX_ITEM_BYTES + 1), Err("resource.id"));
    }
}
