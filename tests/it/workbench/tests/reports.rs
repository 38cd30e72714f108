//! What `policy test` writes for other programs: `JUnit`, lcov, HTML, and the schema for editors.

use serde_json::Value;

use super::{FACTS, ROWS, WRONG, json_of, policy, run, small};

#[test]
fn junit_has_a_case_for_each_row_and_a_failure_for_each_that_does_not_hold() {
    let folder = small(WRONG);
    let path = folder.path().join("junit.xml");
    assert_eq!(run(&folder, &["--junit", path.to_str().unwrap()]).code, 1);
    let report = quick_junit::Report::deserialize_from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (4, 3, 0));
    let [suite] = report.test_suites.as_slice() else { panic!("{report:?}") };
    assert!(suite.name.as_str().ends_with("policies/tests/small.toml"));
    assert_eq!((suite.tests, suite.failures), (4, 3));
    let case = &suite.test_cases[0];
    assert_eq!(case.name.as_str(), "R4: a <wrong> \"answer\" & its reason");
    let quick_junit::TestCaseStatus::NonSuccess { message, .. } = &case.status else { panic!("{case:?}") };
    assert!(message.as_ref().unwrap().as_str().starts_with("expected deny, the answer is allow, by small.read; "));
    assert!(matches!(suite.test_cases[2].status, quick_junit::TestCaseStatus::Success { .. }));
}

#[test]
fn lcov_and_html_show_the_same_coverage() {
    let folder = small(ROWS);
    let (lcov, html) = (folder.path().join("lcov.info"), folder.path().join("coverage.html"));
    let told = run(&folder, &["--lcov", lcov.to_str().unwrap(), "--html", html.to_str().unwrap()]);
    assert_eq!(told.code, 0, "{told:?}");
    // A function is a policy, and was called when it settled an answer. A line has what reached its conditions; a scope's
    // stand at the policy's own line. Sixteen branches, two a condition: those of the guards, of the comparison with the
    // time and of the scope that went one way only leave twelve.
    let expected = format!(
        "TN:
SF:{folder}/policies/small.cedar
FN:2,small.read
FN:9,small.own-tenant
FN:15,small.listed
FN:21,small.administrator
FNDA:2,small.read
FNDA:1,small.own-tenant
FNDA:1,small.listed
FNDA:1,small.administrator
FNF:4
FNH:4
BRDA:5,0,0,4
BRDA:5,0,1,0
BRDA:6,1,0,1
BRDA:6,1,1,3
BRDA:6,2,0,1
BRDA:6,2,1,2
BRDA:12,3,0,4
BRDA:12,3,1,0
BRDA:12,4,0,3
BRDA:12,4,1,1
BRDA:18,5,0,1
BRDA:18,5,1,1
BRDA:18,6,0,0
BRDA:18,6,1,1
BRDA:21,7,0,1
BRDA:21,7,1,0
BRF:16
BRH:12
DA:5,4
DA:6,7
DA:12,8
DA:18,3
DA:21,1
LF:5
LH:5
end_of_record
",
        folder = folder.path().display()
    );
    let written = std::fs::read_to_string(lcov).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    let page = std::fs::read_to_string(html).unwrap();
    for part in [
        "&lt;script&gt;alert(&quot;a &amp; b&quot;)&lt;/script&gt;",
        "<span class=\"partly\" title=\"true 4, false 0, decisive 3\">context has supportRequest</span> &amp;&amp;",
        "<span class=\"covered\" title=\"true 1, false 2, decisive 3\">resource.category == &quot;signInLogs&quot;</span>",
        "<span class=\"partly\" title=\"true 0, false 1, decisive 1\">context.now &lt; resource.listedUntil</span>",
        "4 of 4 policies",
        "4 of 8 conditions",
    ] {
        assert!(page.contains(part), "`{part}` is missing:\n{page}");
    }
    assert!(!page.contains("<script"), "a policy's text is text");
}

#[test]
fn the_schema_for_editors_is_that_of_the_reader() {
    let told = policy(&["test", "--schema"]);
    assert_eq!(told.code, 0);
    let committed = include_str!("../../../../schemas/policy-test.schema.json");
    assert!(told.out == committed, "write `consentry policy test --schema > schemas/policy-test.schema.json` again");
}

/// What a JSON schema says against a value, as far as the words that this schema uses; `pattern` and `format` are left
/// to editors.
fn against(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return against(root, root.pointer(name.trim_start_matches('#')).unwrap(), value, at);
    }
    let mut found = Vec::new();
    let is = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != is) {
        found.push(format!("{at}: no {}", schema["type"]));
    }
    if schema["const"] != Value::Null && schema["const"] != *value
        || schema["enum"].as_array().is_some_and(|words| !words.contains(value))
    {
        found.push(format!("{at}: unknown {value}"));
    }
    for alternatives in [&schema["anyOf"], &schema["oneOf"]].into_iter().filter_map(Value::as_array) {
        if alternatives.iter().all(|one| !against(root, one, value, at).is_empty()) {
            found.push(format!("{at}: none of the alternatives"));
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(against(root, &schema["items"], item, &format!("{at}[{number}]")));
    }
    if value.as_array().is_some_and(|items| (items.len() as u64) < schema["minItems"].as_u64().unwrap_or(0)) {
        found.push(format!("{at}: too short"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            found.push(format!("{at}: no {required}"));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => found.extend(against(root, schema, member, &at)),
            (None, Value::Bool(false)) => found.push(format!("{at}: unknown")),
            (None, others) => found.extend(against(root, others, member, &at)),
        }
    }
    found
}

#[test]
fn the_schema_for_editors_takes_what_the_reader_takes_and_nothing_else() {
    let schema = json_of(&policy(&["test", "--schema"]));
    let read = |text: &str| -> Value { toml::from_str(text).unwrap() };
    let folder = std::fs::read_dir("policies/tests").unwrap();
    let mut shipped: Vec<_> = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert!(shipped.len() >= 7);
    shipped.push(format!("{FACTS}{ROWS}"));
    for text in &shipped {
        assert_eq!(against(&schema, &schema, &read(text), ""), Vec::<String>::new());
    }
    let whole = format!("{FACTS}{ROWS}");
    let consent = "given.support_requests.OPEN.access_requests.AR-1.resource_tenant_consent";
    for (old, new) in [
        ("title = ", "titel = "),
        ("time = ", "tiem = "),
        ("open = false", "opened = false"),
        ("open = false", "open = 'no'"),
        ("\nrule = ", "\nrules = "),
        ("expect = \"allow\"", "expect = \"perhaps\""),
        ("action = \"read\"", "action = 7"),
        ("action = \"read\"", "action = []"),
        ("expect = \"allow\"", &format!("expect = 'allow'\n{consent}.state = 'approved'")),
        ("expect = \"allow\"", &format!("expect = 'allow'\n{consent}.status = 'granted'")),
        ("expect = \"allow\"", &format!("expect = 'allow'\n{consent}.categories = ['signinLogs']")),
    ] {
        assert!(whole.contains(old), "{old}");
        let text = whole.replacen(old, new, 1);
        assert_ne!(against(&schema, &schema, &read(&text), ""), Vec::<String>::new(), "{new}");
    }
}
