//! Conditions on the facts of one question: what was reached, what was true, what alone made the difference.

use super::*;
use crate::model::{CaseFacts, Category, SubmittedIn, Timestamp};
use crate::policy::{BundleSource, Circumstances, Principal, ReadFacts, Resource, SourceFile};

/// The shipped words with this one policy, a forbid of reads.
fn forbid(condition: &str) -> Bundle {
    let text = format!(
        "@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")\nforbid (principal is SupportEngineer, action in \
         Action::\"readDiagnosticData\", resource is DiagnosticData)\n{condition};"
    );
    let policies = vec![SourceFile { name: "x.cedar".to_owned(), text }];
    Bundle::load(&BundleSource { policies, ..BundleSource::shipped() }).unwrap()
}

fn case(open: bool) -> CaseFacts {
    CaseFacts {
        tenant: "contoso".parse().unwrap(),
        open,
        assignee: None,
        submitted_in: SubmittedIn::AdminCenter,
        advanced_diagnostic_information: false,
        access_requests: Box::default(),
    }
}

/// Ada reads contoso's sign-in logs at the first millisecond.
fn ask<'a>(bundle: &Bundle, verb: &str, case: Option<&'a CaseFacts>) -> Question<'a> {
    Question {
        principal: Principal::Engineer("vendor/ada"),
        action: bundle.action(verb).unwrap(),
        resource: Resource::DiagnosticData {
            id: "contoso/signInLogs",
            tenant: "contoso",
            category: Category::SignInLogs,
        },
        circumstances: Circumstances::Read {
            facts: ReadFacts { case, access_request: None },
            now: Timestamp::from_millis(1),
        },
    }
}

/// Each condition in a few letters: its truth (`t`, `f`, `!`), then `r` when it was reached, `d` when it was decisive.
fn told(condition: &str, case: Option<&CaseFacts>) -> (String, Vec<String>) {
    let bundle = forbid(condition);
    let traces = bundle.trace(&ask(&bundle, "read", case));
    let [trace] = traces.as_slice() else { panic!("{traces:?}") };
    let letter = |truth: &Truth| match truth {
        Truth::True => "t",
        Truth::False => "f",
        Truth::Failed(_) => "!",
    };
    let conditions = trace.conditions.iter().map(|condition| {
        let reached = if condition.reached { "r" } else { "" };
        let decisive = if condition.decisive { "d" } else { "" };
        format!("{}{reached}{decisive}", letter(&condition.truth))
    });
    (letter(&trace.truth).to_owned(), conditions.collect())
}

#[track_caller]
fn is(condition: &str, case: Option<&CaseFacts>, policy: &str, conditions: &[&str]) {
    let (truth, found) = told(condition, case);
    assert_eq!((truth.as_str(), found), (policy, conditions.iter().map(ToString::to_string).collect()), "{condition}");
}

const SIGN_IN: &str = r#"resource.category == "signInLogs""#;
const AUDIT: &str = r#"resource.category == "auditLogs""#;
const SERVICE: &str = r#"resource.category == "serviceHealthTelemetry""#;

#[test]
fn and_stops_at_what_is_false() {
    // Both are true: either one, turned round, would have ended it.
    is(&format!("when {{ {SIGN_IN} && principal == principal }}"), None, "t", &["trd", "trd"]);
    // The first is false: the second is not looked at, though it is true.
    is(&format!("when {{ {AUDIT} && {SIGN_IN} }}"), None, "f", &["frd", "t"]);
    // Two are false: the first, turned round, changes nothing, because of the second.
    is(&format!("when {{ {AUDIT} && {SERVICE} }}"), None, "f", &["fr", "f"]);
    // The second is all that is missing.
    is(&format!("when {{ {SIGN_IN} && {SERVICE} }}"), None, "f", &["tr", "frd"]);
}

#[test]
fn or_stops_at_what_is_true() {
    is(&format!("when {{ {SIGN_IN} || {AUDIT} }}"), None, "t", &["trd", "f"]);
    is(&format!("when {{ {AUDIT} || {SIGN_IN} }}"), None, "t", &["fr", "trd"]);
    is(&format!("when {{ {AUDIT} || {SERVICE} }}"), None, "f", &["frd", "frd"]);
}

#[test]
fn unless_and_not_turn_the_policy_and_not_the_condition() {
    is(&format!("unless {{ {SIGN_IN} }}"), None, "f", &["trd"]);
    is(&format!("unless {{ {AUDIT} }}"), None, "t", &["frd"]);
    is(&format!("when {{ !({AUDIT} || {SIGN_IN}) }}"), None, "f", &["fr", "trd"]);
    is(&format!("when {{ !!({SIGN_IN}) }}"), None, "t", &["trd"]);
}

#[test]
fn a_condition_is_true_when_what_its_author_wrote_is_true() {
    // Cedar itself knows no `!=`, `>` and `is in`, only what they are short for.
    is(r#"when { resource.category != "auditLogs" }"#, None, "t", &["trd"]);
    is(r#"unless { resource.category != "signInLogs" }"#, None, "t", &["frd"]);
    is("when { context.now > 1 || context.now >= 1 }", None, "t", &["fr", "trd"]);
    let both = format!(r#"when {{ {SIGN_IN} && {SIGN_IN} && principal is SupportEngineer in AppRole::"x" }}"#);
    is(&both, None, "f", &["tr", "tr", "frd"]);
}

#[test]
fn if_goes_one_way_and_constants_are_no_conditions() {
    is(&format!("when {{ if {SIGN_IN} then {AUDIT} else {SERVICE} }}"), None, "f", &["tr", "frd", "f"]);
    // The other way holds by itself: the test decides.
    is(&format!("when {{ if {SIGN_IN} then {AUDIT} else true }}"), None, "f", &["trd", "frd"]);
}

#[test]
fn a_guard_is_decisive_because_what_it_guards_would_fail() {
    let guarded = "when { context has supportRequest && !context.supportRequest.open }";
    is(guarded, None, "f", &["frd", "!"]);
    is(guarded, Some(&case(true)), "f", &["tr", "trd"]);
    is(guarded, Some(&case(false)), "t", &["trd", "frd"]);
}

#[test]
fn a_condition_that_fails_fails_its_policy_when_it_is_reached() {
    let overflows = "context.now + 9223372036854775807 < 0";
    let behind = format!("when {{ {AUDIT} && {overflows} }}");
    is(&behind, None, "f", &["frd", "!"]);
    let reached = format!("when {{ {SIGN_IN} && {overflows} }}");
    is(&reached, None, "!", &["trd", "!r"]);
    let bundle = forbid(&reached);
    let question = ask(&bundle, "read", None);
    assert!(matches!(&bundle.trace(&question)[0].truth, Truth::Failed(error) if error.contains("overflow")));
    assert_eq!(bundle.evaluate(&question).failed[0].0, "x", "the answer says the same");
}

#[test]
fn a_condition_says_where_it_stands_and_on_which_facts() {
    let bundle = forbid("when { context has supportRequest &&\n  context.supportRequest.tenant == resource.tenant }");
    let open = case(true);
    let traces = bundle.trace(&ask(&bundle, "read", Some(&open)));
    let condition = &traces[0].conditions[1];
    assert_eq!(condition.text, "context.supportRequest.tenant == resource.tenant");
    let text = &bundle.source().policies[0].text;
    assert_eq!(&text[condition.span.clone().unwrap()], condition.text);
    let facts: Vec<_> = condition.facts.iter().map(|(path, value)| format!("{path} = {value}")).collect();
    let contoso = "Tenant::\"contoso\"";
    assert_eq!(facts, [format!("context.supportRequest.tenant = {contoso}"), format!("resource.tenant = {contoso}")]);
    let without = bundle.trace(&ask(&bundle, "read", None));
    assert_eq!(without[0].conditions[1].facts[0], ("context.supportRequest.tenant".to_owned(), "absent".to_owned()));
}

#[test]
fn a_policy_that_cannot_hold_for_a_verb_is_told_and_one_of_other_verbs_is_not() {
    // Cedar settles this for every read before any is asked.
    let bundle = Bundle::load(&BundleSource::shipped()).unwrap();
    let ids = |verb| {
        let traces = bundle.trace(&ask(&bundle, verb, None));
        traces.into_iter().map(|trace| (trace.policy.id.clone(), trace.truth)).collect::<Vec<_>>()
    };
    assert!(ids("read").contains(&("guardrails.read-only".to_owned(), Truth::False)));
    assert!(ids("write").contains(&("guardrails.read-only".to_owned(), Truth::True)));
    assert!(ids("read").iter().any(|(id, _)| id == "reading.expired"));
    assert!(!ids("write").iter().any(|(id, _)| id == "reading.expired"), "its scope speaks of reads alone");
    assert!(!ids("read").iter().any(|(id, _)| id.starts_with("audit.")));
}
