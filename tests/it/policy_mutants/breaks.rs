//! The small ways to break one policy, by Cedar's own JSON form of it: a wider scope, a condition left out or turned
//! round, the other effect, another word for programs.

use cedar_policy::Policy;
use serde_json::{Value, json};

/// One way to break a policy.
pub struct Break {
    /// What was done.
    pub what: String,
    /// What is left of the policy; none: it was removed.
    pub json: Option<Value>,
    /// Nothing was changed but the kinds of question that the scope names.
    pub only_kinds: bool,
}

/// Every way to break this policy.
pub fn breaks(policy: &Value) -> Vec<Break> {
    let mut found = vec![Break { what: "removed".to_owned(), json: None, only_kinds: false }];
    let mut with = |what: String, only_kinds: bool, change: &dyn Fn(&mut Value)| {
        let mut changed = policy.clone();
        change(&mut changed);
        found.push(Break { what, json: Some(changed), only_kinds });
    };
    let permits = policy["effect"] == "permit";
    with(if permits { "forbids" } else { "permits" }.to_owned(), false, &|policy| {
        policy["effect"] = json!(if permits { "forbid" } else { "permit" });
        // The bundle refuses a forbid without a code; what is tried here is the effect.
        policy["annotations"]["code"] = json!("swapped");
    });
    if !permits {
        with("with another code".to_owned(), false, &|policy| policy["annotations"]["code"] = json!("another"));
    }
    for flag in ["missing", "alone"] {
        if policy["annotations"][flag].is_string() {
            with(format!("without @{flag}"), false, &|policy| {
                _ = policy["annotations"].as_object_mut().unwrap().remove(flag);
            });
        }
    }
    for variable in ["principal", "action", "resource"] {
        for (what, scope) in scopes(&policy[variable]) {
            let names_one = |scope: &Value| scope["op"] == "==" || scope["in"].is_object();
            let only_kinds = variable == "action" || names_one(&policy[variable]) == names_one(&scope);
            with(format!("{variable} {what}"), only_kinds, &|policy| policy[variable] = scope.clone());
        }
    }
    for (number, clause) in policy["conditions"].as_array().unwrap().iter().enumerate() {
        with(format!("without clause {}", number + 1), false, &|policy| {
            _ = policy["conditions"].as_array_mut().unwrap().remove(number);
        });
        let opposite = if clause["kind"] == "when" { "unless" } else { "when" };
        with(format!("clause {} as {opposite}", number + 1), false, &|policy| {
            policy["conditions"][number]["kind"] = json!(opposite);
        });
        for (what, body) in expressions(&clause["body"]) {
            with(what, false, &|policy| policy["conditions"][number]["body"] = body.clone());
        }
    }
    found
}

/// Wider scopes, and lists of actions with one missing.
fn scopes(scope: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if scope["op"] != "All" {
        found.push(("any".to_owned(), json!({ "op": "All" })));
    }
    if scope["op"] == "is" && scope["in"].is_object() {
        found.push(("in any group".to_owned(), json!({ "op": "is", "entity_type": scope["entity_type"] })));
    }
    let listed = scope["entities"].as_array().map_or(&[][..], Vec::as_slice);
    for (number, entity) in listed.iter().enumerate() {
        let mut fewer = scope.clone();
        fewer["entities"].as_array_mut().unwrap().remove(number);
        found.push((format!("without {}", entity["id"]), fewer));
    }
    found
}

/// The same expression broken in one place, for every place.
fn expressions(expression: &Value) -> Vec<(String, Value)> {
    let Some((operator, inside)) = expression.as_object().and_then(|object| object.iter().next()) else {
        return Vec::new();
    };
    let within = |member: &'static str| {
        let broken = expressions(&inside[member]);
        broken.into_iter().map(move |(what, part)| {
            let mut whole = expression.clone();
            whole[operator][member] = part;
            (what, whole)
        })
    };
    match operator.as_str() {
        "&&" | "||" => chains(operator, expression),
        "!" => within("arg").collect(),
        "if-then-else" => {
            let mut found: Vec<_> = ["if", "then", "else"].into_iter().flat_map(within).collect();
            found.push(("as though `if` held".to_owned(), inside["then"].clone()));
            found.push(("as though `if` did not hold".to_owned(), inside["else"].clone()));
            found.push(("`then` and `else` exchanged".to_owned(), {
                json!({ "if-then-else": { "if": inside["if"], "then": inside["else"], "else": inside["then"] } })
            }));
            found
        }
        "<" | "<=" | ">" | ">=" => {
            let [other, opposite] = match operator.as_str() {
                "<" => ["<=", ">"],
                "<=" => ["<", ">="],
                ">" => [">=", "<"],
                _ => [">", "<="],
            };
            [other, opposite].map(|other| (format!("`{other}` for `{operator}`"), json!({ other: inside }))).into()
        }
        "contains" => elements(expression, inside),
        // What is compared stands in a chain or a clause of its own, and is turned round there.
        _ => Vec::new(),
    }
}

/// A chain of `&&` or `||`: each of its parts left out, turned round, and broken itself.
fn chains(operator: &str, expression: &Value) -> Vec<(String, Value)> {
    let mut parts = Vec::new();
    flatten(operator, expression, &mut parts);
    let chain = |parts: Vec<Value>| {
        let join = |left, right| json!({ operator: { "left": left, "right": right } });
        parts.into_iter().reduce(join).unwrap()
    };
    let mut found = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let others = parts.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, part)| part.clone());
        found.push((format!("without `{}`", text(part)), chain(others.collect())));
        let replaced = |by: Value| {
            let mut parts = parts.clone();
            parts[number] = by;
            chain(parts)
        };
        let turned = match part.get("!") {
            Some(negated) => negated["arg"].clone(),
            None => json!({ "!": { "arg": part } }),
        };
        found.push((format!("not `{}`", text(part)), replaced(turned)));
        found.extend(expressions(part).into_iter().map(|(what, broken)| (what, replaced(broken))));
    }
    found
}

fn flatten(operator: &str, expression: &Value, parts: &mut Vec<Value>) {
    match expression.get(operator) {
        Some(both) => {
            flatten(operator, &both["left"], parts);
            flatten(operator, &both["right"], parts);
        }
        None => parts.push(expression.clone()),
    }
}

/// A set that is searched: each of its elements left out.
fn elements(expression: &Value, inside: &Value) -> Vec<(String, Value)> {
    let listed = inside["left"]["Set"].as_array().map_or(&[][..], Vec::as_slice);
    let without = |(number, element): (usize, &Value)| {
        let mut fewer = expression.clone();
        fewer["contains"]["left"]["Set"].as_array_mut().unwrap().remove(number);
        (format!("without {} in `{}`", element["Value"], text(expression)), fewer)
    };
    listed.iter().enumerate().map(without).collect()
}

/// An expression as Cedar writes it.
fn text(expression: &Value) -> String {
    let any = json!({ "op": "All" });
    let policy = json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{ "kind": "when", "body": expression }],
    });
    let policy = Policy::from_json(None, policy).unwrap().to_cedar().unwrap();
    let (_, condition) = policy.split_once("when {").unwrap();
    condition.trim().trim_end_matches(';').trim_end_matches('}').trim().to_owned()
}
