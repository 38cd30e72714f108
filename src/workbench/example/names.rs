//! Names for what a solver calls `""`, `"0"` and `"A"`: the tenants and people of the product's documents.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::EntityUid;
use serde_json::Value;

use crate::workbench::suite::RawEntry;

const TENANTS: [&str; 4] = ["contoso", "fabrikam", "northwind", "tailspin"];
const ENGINEERS: [&str; 4] = ["ada", "ben", "cho", "dee"];
const USERS: [&str; 4] = ["cyd", "eve", "fay", "gus"];

/// A question as a solver found it.
pub(super) struct Found {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) context: Value,
    pub(super) entities: Vec<Value>,
}

/// A type and an id.
type Key = (String, String);

pub(super) fn readable(mut found: Found, words: &[EntityUid]) -> RawEntry {
    let (principal, resource) = (key(&found.principal), key(&found.resource));
    let kept = reachable(&found, [principal.clone(), resource.clone()]);
    found.entities.retain(|entity| uid_of(entity).is_some_and(|uid| kept.contains(&uid)));
    // The principal and the resource first, then in the order in which people meet them.
    let rank = |entity: &Value| {
        let uid = uid_of(entity);
        (uid.as_ref() != Some(&principal), uid.as_ref() != Some(&resource), uid)
    };
    found.entities.sort_by_cached_key(rank);
    let mut names = Names { given: words.iter().map(|word| (key(word), key(word).1)).collect(), ..Names::default() };
    names.all_in(&found.context);
    let about = |wanted: &Key| found.entities.iter().find(|entity| uid_of(entity).as_ref() == Some(wanted));
    for one in [&resource, &principal] {
        if let Some(entity) = about(one) {
            names.all_in(entity.get("attrs").unwrap_or(&Value::Null));
        }
    }
    for one in [&principal, &resource] {
        let entity = about(one).cloned().unwrap_or(Value::Null);
        names.name(one, &entity);
    }
    for entity in &found.entities {
        names.all_in(entity);
    }
    let text = |uid: Key| format!("{}::{}", uid.0, Value::String(names.of(&uid)));
    let (principal, resource) = (text(principal), text(resource));
    names.rename(&mut found.context);
    for entity in &mut found.entities {
        names.rename(entity);
    }
    found.entities.retain(|entity| !says_nothing(entity));
    RawEntry { principal, action: found.action.to_string(), resource, context: found.context, entities: found.entities }
}

#[derive(Default)]
struct Names {
    given: BTreeMap<Key, String>,
    counts: BTreeMap<String, usize>,
}

impl Names {
    fn of(&self, uid: &Key) -> String {
        self.given.get(uid).cloned().unwrap_or_else(|| uid.1.clone())
    }

    /// Names everything that this value mentions, in its order.
    fn all_in(&mut self, value: &Value) {
        for uid in mentioned(value) {
            self.name(&uid, &Value::Null);
        }
    }

    /// Names one thing; of its facts, some are part of its name.
    fn name(&mut self, uid: &Key, entity: &Value) {
        if self.given.contains_key(uid) {
            return;
        }
        let attribute = |name: &str| entity.get("attrs").and_then(|attributes| attributes.get(name));
        let tenant = attribute("tenant").and_then(|tenant| mentioned(tenant).into_iter().next());
        let tenant = tenant.map(|tenant| self.of(&tenant));
        let number = self.counts.entry(uid.0.clone()).or_default();
        let at = *number;
        *number += 1;
        let of = |names: &[&str]| names.get(at).map_or_else(|| format!("{}-{}", uid.0, at + 1), ToString::to_string);
        let id = match (uid.0.as_str(), tenant) {
            ("Tenant", _) => of(&TENANTS),
            ("SupportEngineer", _) => format!("vendor/{}", of(&ENGINEERS)),
            ("User", tenant) => format!("{}/{}", tenant.as_deref().unwrap_or("contoso"), of(&USERS)),
            ("DiagnosticData", Some(tenant)) => {
                let category = attribute("category").and_then(Value::as_str).unwrap_or_default();
                format!("{tenant}/{category}")
            }
            ("AuditLog", Some(tenant)) => tenant,
            ("SupportRequest", _) => format!("SR-{}", at + 1),
            ("AccessRequest", _) => format!("AR-{}", at + 1),
            ("Consent", _) => format!("CO-{}", at + 1),
            ("Service", _) => format!("vendor/program-{}", at + 1),
            (kind, _) => format!("some-{}-{}", kind.to_lowercase(), at + 1),
        };
        let taken =
            |id: &str, given: &BTreeMap<Key, String>| given.iter().any(|(known, name)| known.0 == uid.0 && name == id);
        let id = if taken(&id, &self.given) { format!("{id}-{}", at + 1) } else { id };
        self.given.insert(uid.clone(), id);
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if let Some(uid) = uid_in(fields) {
                    fields.insert("id".to_owned(), Value::String(self.of(&uid)));
                }
                for (name, field) in fields {
                    if name != "id" {
                        self.rename(field);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn key(uid: &EntityUid) -> Key {
    (uid.type_name().to_string(), uid.id().unescaped().to_owned())
}

/// An entity's JSON names entities as an object of a type and an id, and nothing else.
fn uid_in(fields: &serde_json::Map<String, Value>) -> Option<Key> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    if fields.len() == 2 { Some((text("type")?, text("id")?)) } else { None }
}

fn uid_of(entity: &Value) -> Option<Key> {
    entity.get("uid").and_then(Value::as_object).and_then(uid_in)
}

/// Every entity that a value mentions, in its order.
fn mentioned(value: &Value) -> Vec<Key> {
    match value {
        Value::Object(fields) => match uid_in(fields) {
            Some(uid) => vec![uid],
            None => fields.values().flat_map(mentioned).collect(),
        },
        Value::Array(items) => items.iter().flat_map(mentioned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// What can be reached from the question; nothing else can matter to a policy.
fn reachable(found: &Found, roots: [Key; 2]) -> BTreeSet<Key> {
    let mut kept = BTreeSet::new();
    let mut open: Vec<Key> = roots.into_iter().chain(mentioned(&found.context)).collect();
    while let Some(next) = open.pop() {
        if kept.insert(next.clone()) {
            let entity = found.entities.iter().find(|entity| uid_of(entity).as_ref() == Some(&next));
            open.extend(entity.into_iter().flat_map(mentioned));
        }
    }
    kept
}

/// An entity without attributes, tags and parents is the same as none.
fn says_nothing(entity: &Value) -> bool {
    let empty = |name: &str| match entity.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
    };
    empty("attrs") && empty("tags") && empty("parents")
}
