//! Members of records that are not to stand in the log as they are: masked before a record is written.
//!
//! What stands there instead is a keyed digest. Whoever has the key can say whether two records mean the same, and
//! whether one means a value that they name; nobody can read the value back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::entry::push_json;
use super::error::LogError;

/// What a masked value begins with.
const MASKED: &str = "masked:";
/// Bytes of the digest that are kept: enough that no two values of one log share one.
const DIGEST_BYTES: usize = 16;
/// The shortest key, in bytes.
const MIN_KEY_BYTES: usize = 32;

/// The member that also stands in another: an item is the end of its resource, `<tenant>/<category>/<item>`.
const ITEM: &str = "item";
const RESOURCE: &str = "resource";

/// What the log itself, its index, a tenant's own log (R22) and the answer to "by which policy?" are made of. Of what
/// questions are asked again by, the facts alone may be masked: then it is said that they are.
const NEVER: [&str; 25] = [
    "type",
    "decision_id",
    "time",
    "log_mode",
    "cached",
    "evaluation",
    "evaluated_at",
    "subject",
    "subject_type",
    "subject_vendor",
    "action",
    "resource",
    "resource_type",
    "resource_tenant",
    "category",
    "support_request",
    "decision",
    "read",
    "code",
    "policies",
    "policy_version",
    "facts_revision",
    "revision",
    "at",
    "access_request",
];
/// The same, of members that hold lists.
const NEVER_LISTS: [&str; 4] = ["consents", "receipts", "subject_roles", "subject_app_roles"];

/// Which members are masked: a tree of the names in the pointers.
#[derive(Debug, Default)]
struct Members {
    here: bool,
    below: BTreeMap<String, Members>,
}

/// What masks records.
pub(super) struct Mask {
    members: Members,
    key: MaskKey,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("members", &self.members).finish_non_exhaustive()
    }
}

/// The key of the digests that stand where values were masked.
pub struct MaskKey(hmac::Key);

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

impl MaskKey {
    /// Reads the key: a file with at least 32 bytes in Base64 (RFC 4648 section 4).
    ///
    /// # Errors
    /// [`LogError::Key`] when it cannot be read, is no Base64, or is shorter.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let refused = |reason: String| LogError::Key { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let bytes = STANDARD.decode(text.trim()).map_err(|error| refused(format!("is not in Base64: {error}")))?;
        if bytes.len() < MIN_KEY_BYTES {
            let short = format!("has {} bytes; at least {MIN_KEY_BYTES} are needed", bytes.len());
            return Err(refused(format!("{short}, such as `openssl rand -base64 {MIN_KEY_BYTES}` makes")));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// What stands in the log for this text: `masked:` and 32 hexadecimal digits, the beginning of HMAC-SHA256 (RFC 2104)
    /// over the text as JSON.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let mut json = String::new();
        push_json(&mut json, text);
        self.of_json(&json)
    }

    fn of_json(&self, json: &str) -> String {
        let tag = hmac::sign(&self.0, json.as_bytes());
        format!("{MASKED}{}", const_hex::encode(tag.as_ref().get(..DIGEST_BYTES).unwrap_or_default()))
    }
}

/// Whether this value of a record was masked, or one within it was.
pub(crate) fn holds_masked(value: &Value) -> bool {
    match value {
        Value::String(text) => is_digest(text),
        Value::Array(list) => list.iter().any(holds_masked),
        Value::Object(members) => members.values().any(holds_masked),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix(MASKED).is_some_and(|hex| hex.len() == 2 * DIGEST_BYTES && hex.bytes().all(is_digit))
}

/// Checks the pointers (RFC 6901), and says what is wrong with one that names no member which may be masked.
///
/// # Errors
/// A message that names the pointer.
pub(crate) fn check_pointers(pointers: &[String]) -> Result<(), String> {
    tree(pointers).map(|_| ())
}

fn tree(pointers: &[String]) -> Result<Members, String> {
    let mut members = Members::default();
    for pointer in pointers {
        let names = names(pointer).ok_or_else(|| {
            format!(
                "`{pointer}` is not a JSON pointer to a member: it begins with `/`, and `~` stands as `~0`, `/` as `~1`"
            )
        })?;
        let first = names.first().map(String::as_str).unwrap_or_default();
        if first == RESOURCE {
            return Err("`/resource` is needed to find what was asked; `/item` masks the item there too".to_owned());
        }
        if NEVER.contains(&first) || NEVER_LISTS.contains(&first) {
            return Err(format!("`{pointer}` cannot be masked: the log, or the tenant's own one, needs it"));
        }
        let mut at = &mut members;
        for name in names {
            at = at.below.entry(name).or_default();
        }
        at.here = true;
    }
    Ok(members)
}

fn names(pointer: &str) -> Option<Vec<String>> {
    let name = |token: &str| {
        let mut name = String::new();
        let mut parts = token.split('~');
        name.push_str(parts.next()?);
        for part in parts {
            let (escaped, rest) =
                part.strip_prefix('0').map(|rest| ('~', rest)).or_else(|| Some(('/', part.strip_prefix('1')?)))?;
            name.push(escaped);
            name.push_str(rest);
        }
        (!name.is_empty()).then_some(name)
    };
    pointer.strip_prefix('/')?.split('/').map(name).collect()
}

impl Mask {
    /// Reads the key, and makes a mask of the pointers; none when there are none.
    pub(super) fn of(pointers: &[String], key: Option<&Path>) -> Result<Option<Self>, LogError> {
        let refused = |reason: String| LogError::Mask { reason };
        let members = tree(pointers).map_err(refused)?;
        match (pointers, key) {
            ([], _) => Ok(None),
            (_, None) => Err(refused("needs `decision_log.mask_key`".to_owned())),
            (_, Some(path)) => Ok(Some(Self { members, key: MaskKey::read(path)? })),
        }
    }

    /// The record with its masked members; none when it is not a JSON object.
    pub(super) fn apply(&self, line: &[u8]) -> Option<Vec<u8>> {
        let mut masked = String::with_capacity(line.len() + 64);
        let object: Object<'_> = serde_json::from_slice(line).ok()?;
        let items = self.members.below.get(ITEM).is_some_and(|item| item.here);
        self.object(&object, &self.members, items, &mut masked);
        Some(masked.into_bytes())
    }

    fn object(&self, object: &Object<'_>, members: &Members, items: bool, to: &mut String) {
        to.push('{');
        for (number, (name, value)) in object.0.iter().enumerate() {
            if number > 0 {
                to.push(',');
            }
            push_json(to, name.as_ref());
            to.push(':');
            match members.below.get(name.as_ref()) {
                _ if items && name == RESOURCE => self.resource(value.get(), to),
                Some(inner) => self.value(value, inner, members.here || inner.here, to),
                None if members.here => self.value(value, &Members::default(), true, to),
                None => to.push_str(value.get()),
            }
        }
        to.push('}');
    }

    fn value(&self, value: &RawValue, members: &Members, all: bool, to: &mut String) {
        let json = value.get();
        let whole = Members { here: true, below: BTreeMap::new() };
        if let Ok(object) = serde_json::from_str::<Object<'_>>(json) {
            return self.object(&object, if all { &whole } else { members }, false, to);
        }
        if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(json) {
            to.push('[');
            for (number, element) in list.iter().enumerate() {
                if number > 0 {
                    to.push(',');
                }
                let inner = members.below.get(&number.to_string());
                match inner {
                    _ if all => self.value(element, &whole, true, to),
                    Some(inner) => self.value(element, inner, inner.here, to),
                    None => to.push_str(element.get()),
                }
            }
            return to.push(']');
        }
        if all && json != "null" {
            push_json(to, &self.key.of_json(json));
        } else {
            to.push_str(json);
        }
    }

    /// `"<tenant>/<category>/<item>"` with its item masked as the item itself is.
    fn resource(&self, json: &str, to: &mut String) {
        let item = memchr::memchr_iter(b'/', json.as_bytes()).nth(1);
        match item.and_then(|slash| Some((json.get(..=slash)?, json.get(slash + 1..)?))) {
            Some((before, item)) => {
                to.push_str(before);
                to.push_str(&self.key.of_json(&format!("\"{item}")));
                to.push('"');
            }
            None => to.push_str(json),
        }
    }
}

/// An object with its members as they stand, in their order.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A member's name, borrowed where it stands without escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mask(pointers: &[&str]) -> Mask {
        let pointers: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        Mask { members: tree(&pointers).unwrap(), key: MaskKey(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])) }
    }

    fn masked(pointers: &[&str], line: &str) -> String {
        String::from_utf8(mask(pointers).apply(line.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn what_was_masked_is_told_from_what_only_looks_like_it() {
        let ada = mask(&[]).key.masked("ada");
        let hex = ada.strip_prefix("masked:").unwrap();
        for there in [json!(ada), json!([1, [ada]]), json!({ "a": { "b": [null, ada] } })] {
            assert!(holds_masked(&there), "{there}");
        }
        for text in ["masked:".to_owned(), format!("masked:{}", &hex[1..]), format!("{ada}0"), hex.to_owned()] {
            assert!(!holds_masked(&json!({ "a": [text] })), "{text}");
        }
        assert!(!holds_masked(&json!({ &ada: [format!("masked:{}", "g".repeat(32)), 7, null, true] })));
    }

    #[test]
    fn what_is_not_named_stays_byte_for_byte() {
        let line = r#"{"type":"decision","caller":"é\n","n":1.50,"facts":{"b":[1,null],"a":"x"},"item":null}"#;
        assert_eq!(masked(&["/other", "/facts/c", "/item", "/n/x", "/facts/b/7"], line), line);
    }

    #[test]
    fn every_value_below_a_pointer_is_masked_and_keeps_its_place() {
        let line = r#"{"caller":"ada","facts":{"a":"ada","b":["ada",null,{"c":true}],"d":"ada"}}"#;
        let ada = mask(&[]).key.masked("ada");
        assert!(ada.starts_with("masked:") && ada.len() == 7 + 32, "{ada}");
        let yes = mask(&[]).key.of_json("true");
        assert_eq!(
            masked(&["/caller", "/facts/b"], line),
            format!(r#"{{"caller":"{ada}","facts":{{"a":"ada","b":["{ada}",null,{{"c":"{yes}"}}],"d":"ada"}}}}"#)
        );
        assert_eq!(
            masked(&["/facts", "/facts/a"], line),
            format!(r#"{{"caller":"ada","facts":{{"a":"{ada}","b":["{ada}",null,{{"c":"{yes}"}}],"d":"{ada}"}}}}"#)
        );
        assert_eq!(masked(&["/facts/b/0"], line), line.replacen(r#"["ada""#, &format!(r#"["{ada}""#), 1));
    }

    #[test]
    fn an_item_is_masked_in_its_resource_too() {
        let item = mask(&[]).key.masked("a/\"b\"");
        let line = r#"{"resource":"t/signInLogs/a/\"b\"","item":"a/\"b\""}"#;
        let expected = format!(r#"{{"resource":"t/signInLogs/{item}","item":"{item}"}}"#);
        assert_eq!(masked(&["/item"], line), expected);
        let without = r#"{"resource":"t/signInLogs","item":null,"facts":{"resource":"a/b/c"}}"#;
        assert_eq!(masked(&["/item"], without), without);
    }

    #[test]
    fn another_key_gives_another_digest() {
        let other = MaskKey(hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]));
        assert_ne!(mask(&[]).key.masked("ada"), other.masked("ada"));
        assert_ne!(other.masked("ada"), other.masked("adb"));
    }

    #[test]
    fn pointers_that_are_none_or_name_what_is_needed_are_refused() {
        let refused = |pointer: &str| check_pointers(&[pointer.to_owned()]).unwrap_err();
        for pointer in ["", "item", "/", "/a//b", "/a~2", "/a~"] {
            assert!(refused(pointer).contains(&format!("`{pointer}` is not a JSON pointer")), "{pointer}");
        }
        for name in NEVER.iter().chain(&NEVER_LISTS).filter(|name| **name != RESOURCE) {
            assert!(refused(&format!("/{name}")).contains("cannot be masked"), "{name}");
            assert!(refused(&format!("/{name}/0")).contains("cannot be masked"), "{name}");
        }
        assert!(refused("/resource").contains("`/item`"));
        check_pointers(&["/a~0b~1c".to_owned()]).unwrap();
        assert_eq!(names("/a~0b~1c"), Some(vec!["a~b/c".to_owned()]));
    }

    #[test]
    fn a_key_is_long_enough_or_said_not_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            MaskKey::read(&path).map_err(|error| error.to_string())
        };
        assert!(read(&STANDARD.encode([1; 32])).is_ok());
        assert!(read(&STANDARD.encode([1; 31])).unwrap_err().contains("has 31 bytes"));
        assert!(read("!").unwrap_err().contains("Base64"));
        std::fs::remove_file(&path).unwrap();
        assert!(MaskKey::read(&path).unwrap_err().to_string().contains("cannot be read"));
    }
}
