//! A question as people read it: who, what, about what, and the facts.

use serde_json::Value;

use crate::model::Timestamp;
use crate::workbench::suite::RawEntry;

/// Longer numbers than this are moments: milliseconds since 1970, after September 2001.
const FIRST_MOMENT: i64 = 1_000_000_000_000;

pub(super) fn told(question: &RawEntry) -> Vec<String> {
    let mut lines = vec![
        format!("who      {}", plain(&question.principal)),
        format!("does     {}", plain(&question.action)),
        format!("about    {}", plain(&question.resource)),
    ];
    facts("context", &question.context, &mut lines);
    for entity in &question.entities {
        let uid = entity.get("uid").map(value).unwrap_or_default();
        let name = if uid == plain(&question.principal) {
            "principal".to_owned()
        } else if uid == plain(&question.resource) {
            "resource".to_owned()
        } else {
            uid
        };
        facts(&name, entity.get("attrs").unwrap_or(&Value::Null), &mut lines);
        if let Some(Value::Array(parents)) = entity.get("parents")
            && !parents.is_empty()
        {
            let parents: Vec<_> = parents.iter().map(value).collect();
            lines.push(format!("fact     {name} is in {}", parents.join(", ")));
        }
    }
    lines
}

/// `Type::"id"` as `Type "id"`.
fn plain(uid: &str) -> String {
    uid.replacen("::\"", " \"", 1)
}

fn facts(path: &str, at: &Value, lines: &mut Vec<String>) {
    match at {
        Value::Object(fields) if !fields.contains_key("__entity") && !fields.contains_key("__extn") => {
            for (name, field) in fields {
                facts(&format!("{path}.{name}"), field, lines);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            lines.push(format!("fact     {path} = {}", value(at)));
        }
    }
}

fn value(at: &Value) -> String {
    match at {
        Value::Number(number) => match number.as_i64() {
            Some(millis) if millis >= FIRST_MOMENT && millis <= Timestamp::LATEST.as_millis() => {
                format!("{millis} ({})", Timestamp::from_millis(millis))
            }
            _ => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            match (text("type"), text("id"), fields.get("__entity"), fields.get("__extn")) {
                (_, _, Some(entity), _) => value(entity),
                (_, _, _, Some(call)) => moment(call).unwrap_or_else(|| call.to_string()),
                (Some(kind), Some(id), ..) => format!("{kind} {}", Value::String(id.to_owned())),
                _ => at.to_string(),
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => at.to_string(),
    }
}

/// A date, which a solver writes as the beginning of 1970 and an offset.
fn moment(call: &Value) -> Option<String> {
    let text = |call: &Value, name: &str| {
        let call = call.get("__extn").unwrap_or(call);
        let named = call.get("fn")?.as_str()? == name;
        let argument = call.get("arg").or_else(|| call.get("args")?.get(0))?;
        named.then(|| argument.as_str().map(ToOwned::to_owned)).flatten()
    };
    if let Some(date) = text(call, "datetime") {
        return Some(date);
    }
    let arguments = call.get("args").filter(|_| call.get("fn").and_then(Value::as_str) == Some("offset"))?;
    let start = text(arguments.get(0)?, "datetime")?;
    let offset: i64 = text(arguments.get(1)?, "duration")?.strip_suffix("ms")?.parse().ok()?;
    (start == "1970-01-01" && offset >= 0).then(|| Timestamp::from_millis(offset).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_moments_are_written_as_dates() {
        let extension = |name: &str, text: &str| serde_json::json!({"__extn": {"fn": name, "arg": text}});
        let date = serde_json::json!({"__extn": {"fn": "offset", "args": [
            extension("datetime", "1970-01-01"), extension("duration", "1795341600000ms")]}});
        assert_eq!(value(&date), "2026-11-22T10:00:00.000Z");
        assert_eq!(value(&serde_json::json!(1_795_341_600_000_i64)), "1795341600000 (2026-11-22T10:00:00.000Z)");
        assert_eq!(value(&serde_json::json!(30)), "30");
    }
}
