//! Compares what came of a step with what the rules say.

use std::time::Duration;

use serde_json::Value;

use super::story::Expected;

/// What the server answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    /// From the request's first byte to the answer's last, measured by the caller.
    pub(super) took: Duration,
}

impl Answer {
    /// The decision, when it is one.
    pub(super) fn decision(&self) -> Option<bool> {
        self.body.get("decision").and_then(Value::as_bool).filter(|_| self.status == 200)
    }

    /// The reason's code, of a decision or of a problem.
    pub(super) fn code(&self) -> &str {
        let code = self.body.pointer("/context/reason/code").or_else(|| self.body.get("code"));
        code.and_then(Value::as_str).unwrap_or_default()
    }

    /// The reason's sentence, of a decision or of a problem.
    pub(super) fn message(&self) -> &str {
        let message = self.body.pointer("/context/reason/message").or_else(|| self.body.get("detail"));
        message.and_then(Value::as_str).unwrap_or_default()
    }

    /// The determining policies' ids.
    pub(super) fn policies(&self) -> Vec<&str> {
        self.each_policy().filter_map(|policy| policy.get("id").and_then(Value::as_str)).collect()
    }

    /// The rules that the determining policies express, each once.
    pub(super) fn rules(&self) -> Vec<&str> {
        let mut rules = Vec::new();
        for rule in self.each_policy().filter_map(|policy| policy.get("rules").and_then(Value::as_array)).flatten() {
            rules.extend(rule.as_str().filter(|rule| !rules.contains(rule)));
        }
        rules
    }

    fn each_policy(&self) -> impl Iterator<Item = &Value> {
        self.body.pointer("/context/policies").and_then(Value::as_array).into_iter().flatten()
    }

    /// The activities of a list, in its order.
    pub(super) fn entries(&self) -> Option<Vec<&str>> {
        let items = self.body.get("items").and_then(Value::as_array).filter(|_| self.status == 200)?;
        Some(items.iter().map(|item| item.get("activity").and_then(Value::as_str).unwrap_or_default()).collect())
    }

    /// What it says, in a few words.
    pub(super) fn in_words(&self) -> String {
        match (self.decision(), self.entries()) {
            (Some(true), _) => "allow".to_owned(),
            (Some(false), _) => "deny".to_owned(),
            (None, Some(entries)) => format!("{} entries", entries.len()),
            (None, None) => self.status.to_string(),
        }
    }
}

impl Expected {
    /// What is expected, in a few words.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Done(status) => status.to_string(),
            Self::Allow => "allow".to_owned(),
            Self::Deny(_) => "deny".to_owned(),
            Self::Entries(entries) => format!("{} entries", entries.len()),
        }
    }
}

/// What differs between these answers and what was expected; nothing: it came out as the rules say.
pub(super) fn differences(expected: &Expected, answers: &[Answer]) -> Vec<String> {
    if answers.is_empty() {
        return vec!["there was no answer".to_owned()];
    }
    answers.iter().filter_map(|answer| difference(expected, answer)).collect()
}

fn difference(expected: &Expected, answer: &Answer) -> Option<String> {
    let as_expected = match expected {
        Expected::Done(status) => answer.status == *status,
        Expected::Allow => answer.decision() == Some(true),
        Expected::Deny(code) => answer.decision() == Some(false) && answer.code() == *code,
        Expected::Entries(entries) => answer.entries().as_deref() == Some(*entries),
    };
    (!as_expected).then(|| format!("expected {expected:?}, answered {} {}", answer.status, answer.body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: Value) -> Answer {
        Answer { status, body, took: Duration::ZERO }
    }

    fn decision(allowed: bool, code: &str) -> Answer {
        answer(200, json!({ "decision": allowed, "context": { "reason": { "code": code, "message": "because" } } }))
    }

    fn differs(expected: Expected, answers: &[Answer]) -> bool {
        !differences(&expected, answers).is_empty()
    }

    #[test]
    fn what_the_rules_say_differs_in_nothing() {
        assert!(!differs(Expected::Done(201), &[answer(201, json!({}))]));
        assert!(!differs(Expected::Allow, &[decision(true, "permitted"), decision(true, "permitted")]));
        assert!(!differs(Expected::Deny("read_only"), &[decision(false, "read_only")]));
        let list = json!({ "items": [{ "activity": "b" }, { "activity": "a" }] });
        assert!(!differs(Expected::Entries(&["b", "a"]), &[answer(200, list)]));
        assert!(!differs(Expected::Entries(&[]), &[answer(200, json!({ "items": [] }))]));
    }

    #[test]
    fn an_allow_in_place_of_a_deny_differs_and_the_other_way_round() {
        let said = differences(&Expected::Deny("awaiting_consent"), &[decision(true, "permitted")]);
        assert!(said[0].contains("awaiting_consent") && said[0].contains("\"decision\":true"), "{said:?}");
        assert!(differs(Expected::Allow, &[decision(false, "awaiting_consent")]));
        let (first, cached) = (decision(false, "awaiting_consent"), decision(true, "permitted"));
        assert!(differs(Expected::Deny("awaiting_consent"), &[first, cached]), "the cached answer counts as well");
    }

    #[test]
    fn a_denial_for_another_reason_differs() {
        assert!(differs(Expected::Deny("consent_revoked"), &[decision(false, "awaiting_consent")]));
    }

    #[test]
    fn an_unexpected_status_differs_whatever_it_says() {
        let unavailable = answer(503, json!({ "decision": false, "code": "awaiting_consent" }));
        assert!(differs(Expected::Deny("awaiting_consent"), std::slice::from_ref(&unavailable)));
        assert!(differs(Expected::Allow, &[answer(500, json!({ "decision": true }))]));
        assert!(differs(Expected::Done(200), &[unavailable]));
        assert!(differs(Expected::Entries(&[]), &[answer(403, json!({ "items": [] }))]));
        assert!(differs(Expected::Allow, &[]), "no answer is no allow");
    }

    #[test]
    fn a_list_differs_in_number_and_in_order() {
        let list = answer(200, json!({ "items": [{ "activity": "b" }, { "activity": "a" }] }));
        assert!(differs(Expected::Entries(&["a", "b"]), std::slice::from_ref(&list)));
        assert!(differs(Expected::Entries(&["b"]), &[list]));
    }
}
