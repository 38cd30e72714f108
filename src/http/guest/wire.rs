//! What requests tell a guest model: texts, numbers, lists and objects, in which no name stands twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::policy::Said;

/// An object of facts. Of a name that stands in it twice nobody could tell which one counts (RFC 7493, section 2.3).
#[derive(Debug, Clone, Default)]
pub(super) struct Facts(pub(super) Said);

/// Any value, with the same in mind.
struct Strict(Value);

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Facts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Facts, M::Error> {
                object(map).map(Facts)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn object<'de, M: MapAccess<'de>>(mut map: M) -> Result<Map<String, Value>, M::Error> {
    let mut object = Map::new();
    while let Some(key) = map.next_key::<String>()? {
        let Strict(value) = map.next_value()?;
        if object.contains_key(&key) {
            return Err(M::Error::custom(format!("duplicate field `{key}`")));
        }
        object.insert(key, value);
    }
    Ok(object)
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(Number::from_f64(value).map_or(Value::Null, Value::Number)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Strict, S::Error> {
                let mut items = Vec::new();
                while let Some(Strict(item)) = list.next_element()? {
                    items.push(item);
                }
                Ok(Strict(Value::Array(items)))
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Strict, M::Error> {
                object(map).map(|object| Strict(Value::Object(object)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
