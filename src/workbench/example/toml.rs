//! A question as a row of a policy test file.

use std::fmt::Write as _;

use serde_json::Value;

use crate::workbench::suite::{Expected, RawEntry};

/// What a row asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The rules it speaks of.
    pub rules: &'a [String],
    /// Its sentence.
    pub says: &'a str,
    /// The answer it expects.
    pub expect: Expected,
}

/// The row's text.
#[must_use]
pub fn row(wish: Wish<'_>, question: &RawEntry) -> String {
    let expect = match wish.expect {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
    };
    let entities: Vec<_> = question.entities.iter().map(|entity| format!("  {},\n", inline(entity))).collect();
    let entities = if entities.is_empty() { "[]".to_owned() } else { format!("[\n{}]", entities.concat()) };
    format!(
        "[[row]]\nrule = {}\nsays = {}\nexpect = \"{expect}\"\n\n[row.request]\nprincipal = {}\naction = {}\n\
         resource = {}\ncontext = {}\nentities = {entities}\n",
        quoted(&wish.rules.join(" ")),
        quoted(wish.says),
        quoted(&question.principal),
        quoted(&question.action),
        quoted(&question.resource),
        inline(&question.context),
    )
}

/// A test file of these rows.
pub fn suite<'a>(title: &str, rows: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!("title = {}\n", quoted(title));
    for row in rows {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{row}");
    }
    text
}

/// A JSON value as TOML, on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    if text.contains('"') && !text.chars().any(|c| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    // A JSON string is a TOML one, but for the one control character that JSON lets through.
    Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::suite::{Suite, Wanted};

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let question = RawEntry {
            principal: "User::\"con\\\"toso'/cyd\"".to_owned(),
            action: "Action::\"approveConsent\"".to_owned(),
            resource: "Consent::\"CO-1\"".to_owned(),
            context: serde_json::json!({"a b": [1, true, "x\u{7f}\n"], "c": {"d": {}}}),
            entities: vec![serde_json::json!({"uid": {"type": "Consent", "id": "CO-1"}, "attrs": {}, "parents": []})],
        };
        let wish = Wish { rules: &["R1".to_owned()], says: "a \"sentence\"", expect: Expected::Deny };
        let text = suite("t", [row(wish, &question).as_str()]);
        let suite = Suite::parse("x.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let Wanted::Raw(read) = &suite.rows[0].wanted else { panic!("{text}") };
        assert_eq!(
            (&read.principal, &read.context, &read.entities),
            (&question.principal, &question.context, &question.entities)
        );
        assert_eq!(suite.rows[0].says, "a \"sentence\"");
    }
}
