//! `consentry policy test`: the shipped rows, and what becomes of rows, coverage and reports of a set known by hand.

mod reports;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::bundle;

/// What a command came to.
#[derive(Debug)]
struct Told {
    code: i32,
    out: String,
    err: String,
}

/// Runs `consentry policy ...` in this repository.
fn policy(arguments: &[&str]) -> Told {
    let output = super::policy(Path::new(env!("CARGO_MANIFEST_DIR")), arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Four policies with eight conditions: `&&`, `||`, `!`, `unless`, `if`, and what a scope asks. The comment is for HTML.
const SMALL: &str = r#"// <script>alert("a & b")</script>
@id("small.read") @rule("R4") @reason("open, or nothing of sign-ins")
permit (principal is SupportEngineer, action == Action::"read", resource is DiagnosticData)
when {
  context has supportRequest &&
  (context.supportRequest.open || !(resource.category == "signInLogs"))
};

@id("small.own-tenant") @rule("R8") @reason("the own tenant alone") @code("outside")
forbid (principal is SupportEngineer, action == Action::"read", resource is DiagnosticData)
unless {
  context has supportRequest && context.supportRequest.tenant == resource.tenant
};

@id("small.listed") @rule("R16") @reason("listed")
permit (principal is User, action == Action::"viewApprovedAccess", resource is Consent)
when {
  if resource has listedUntil then context.now < resource.listedUntil else true
};

@id("small.administrator") @rule("R18") @reason("administrators see")
permit (
  principal is User in Permission::"microsoft.azure.supportTickets/allEntities/allTasks",
  action == Action::"viewConsent",
  resource is Consent
);
"#;

const FACTS: &str = r#"title = "Small"

[facts]
time = "2026-11-22T10:00:00Z"
tenants = ["contoso", "fabrikam"]
people."contoso/cyd".roles = ["Global Administrator"]

[facts.support_requests.CLOSED]
tenant = "contoso"
open = false

[facts.support_requests.OPEN]
tenant = "contoso"

[facts.support_requests.OPEN.access_requests.AR-1]
resource_tenant = "fabrikam"
requested_by = "vendor/ada"
support_request_tenant_consent = { id = "CO-1", status = "approved" }
resource_tenant_consent = { id = "CO-2", status = "approved" }

[ask]
subject = 'SupportEngineer::"vendor/ada"'
action = "read"
resource = 'DiagnosticData::"contoso/signInLogs"'
context.support_request = "OPEN"
"#;

const ROWS: &str = r#"
[[row]]
rule = "R4"
says = "sign-ins, while it is open"
expect = "allow"
because = ["small.read"]

[[row]]
rule = "R4"
says = "no sign-ins once it is closed"
context.support_request = "CLOSED"
expect = "deny"
code = "not_permitted"

[[row]]
rule = "R4"
says = "other logs still"
context.support_request = "CLOSED"
resource = 'DiagnosticData::"contoso/auditLogs"'
expect = "allow"

[[row]]
rule = "R8"
says = "but no other tenant's"
context.support_request = "CLOSED"
resource = 'DiagnosticData::"fabrikam/auditLogs"'
expect = "deny"
code = "outside"
because = ["small.own-tenant"]

[[row]]
rule = "R16"
says = "an access in force is listed"
subject = 'User::"contoso/cyd"'
action = "viewApprovedAccess"
resource = 'Consent::"CO-2"'
expect = "allow"
because = ["small.listed"]

[[row]]
rule = "R16"
says = "one that is over for 30 days is not"
subject = 'User::"contoso/cyd"'
action = "viewApprovedAccess"
resource = 'Consent::"CO-2"'
given.support_requests.OPEN.access_requests.AR-1.resource_tenant_consent.until = "2026-10-01T00:00:00Z"
expect = "deny"
code = "not_permitted"

[[row]]
rule = "R18"
says = "an administrator sees consents"
subject = 'User::"contoso/cyd"'
action = "viewConsent"
resource = 'Consent::"CO-1"'
expect = "allow"
because = ["small.administrator"]
"#;

fn small(rows: &str) -> TempDir {
    bundle(&[("small.cedar", SMALL), ("tests/small.toml", &format!("{FACTS}{rows}"))])
}

/// Runs the tests of the small set, with these rows.
fn run(folder: &TempDir, more: &[&str]) -> Told {
    policy(&[&["test", folder.path().to_str().unwrap()], more].concat())
}

fn json_of(told: &Told) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

#[test]
fn every_shipped_row_holds_and_together_they_see_every_policy_and_condition() {
    let told = policy(&["test", "--min-coverage", "100"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    assert!(told.out.contains("rows, 0 failed"), "{}", told.out);
    // The folder's files are the ones that the program carries.
    let from_folder = policy(&["test", ".", "--min-coverage", "100", "--json"]);
    let carried = policy(&["test", "--json"]);
    let told_by = |told: &Told| {
        let rows = json_of(told)["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| (row["says"].clone(), row["rules"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(from_folder.code, 0, "{}", from_folder.out);
    assert_eq!(told_by(&from_folder), told_by(&carried));
    // Each rule that policies express is spoken of; what R15 and R22 promise beyond that is not a policy's to keep.
    let rules: std::collections::BTreeSet<_> = told_by(&carried)
        .into_iter()
        .flat_map(|(_, rules)| rules.as_array().unwrap().clone())
        .map(|rule| rule.to_string())
        .collect();
    for rule in 1..=23 {
        assert!(rules.contains(&format!("\"R{rule}\"")), "no row speaks of R{rule}");
    }
}

#[test]
fn coverage_counts_what_was_seen_and_what_alone_decided() {
    let folder = small(ROWS);
    let told = run(&folder, &["--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    let all = json_of(&told);
    let seen = |policy: &Value| {
        let conditions = policy["conditions"].as_array().unwrap().iter().map(|condition| {
            let counts = ["seen_true", "seen_false", "decisive"].map(|name| condition[name].as_u64().unwrap());
            json!([condition["line"], counts[0], counts[1], counts[2]])
        });
        json!([policy["id"], policy["asked"], policy["held"], policy["determined"], conditions.collect::<Vec<_>>()])
    };
    let found: Vec<Value> = all["coverage"]["policies"].as_array().unwrap().iter().map(seen).collect();
    // By hand. Four reads: `small.read` holds for three, and settles two: the third is forbidden.
    //                     has supportRequest   open            signInLogs        comes to
    //   sign-ins, open    true, alone          true, alone     not reached       true
    //   sign-ins, closed  true                 false, alone    true, alone       false
    //   audit, closed     true, alone          false           false, alone      true
    //   fabrikam, closed  true, alone          false           false, alone      true
    // Nobody asked under an unknown support request: the two guards were never false.
    // `small.own-tenant` is an `unless`: without its tenant condition alone, fabrikam's data would not be forbidden; its
    // guard, turned round, would not change that.
    // `small.listed`: without an end, `if` goes to `true`, and its other way would fail; with one that is past, both the
    // test and the comparison decide. `true` is no condition.
    assert_eq!(
        found,
        [
            json!(["small.read", 4, 3, 2, [[5, 4, 0, 3], [6, 1, 3, 2], [6, 1, 2, 3]]]),
            json!(["small.own-tenant", 4, 1, 1, [[12, 4, 0, 3], [12, 3, 1, 4]]]),
            json!(["small.listed", 2, 1, 1, [[18, 1, 1, 2], [18, 0, 1, 1]]]),
            json!(["small.administrator", 1, 1, 1, [[null, 1, 0, 1]]]),
        ]
    );
    let rows = all["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    assert_eq!(
        rows[3]["given"],
        json!({
            "decision": "deny",
            "reason": { "code": "outside", "message": "the own tenant alone" },
            "because": ["small.own-tenant"],
            "failed": [],
        })
    );
    assert_eq!((&rows[3]["rules"], &rows[3]["wrong"]), (&json!(["R8"]), &json!([])));
    assert!(rows[3]["line"].is_u64() && rows[3]["file"].as_str().unwrap().ends_with("policies/tests/small.toml"));
    assert_eq!(all["policy_version"].as_str().unwrap().len(), 16);
}

#[test]
fn a_gate_on_coverage_opens_at_its_share() {
    let folder = small(ROWS);
    // Four of four policies, four of eight conditions: two of `small.read`, one of `small.own-tenant`, one of
    // `small.listed`.
    let enough = run(&folder, &["--min-coverage", "50"]);
    assert_eq!(enough.code, 0, "{enough:?}");
    assert!(enough.out.contains("4 of 4 policies settled an answer, 4 of 8 conditions covered"), "{}", enough.out);
    assert!(
        enough.out.contains("small.cedar:5 `context has supportRequest` of `small.read` was never false"),
        "{}",
        enough.out
    );
    let short = run(&folder, &["--min-coverage", "51"]);
    assert_eq!(short.code, 1);
    assert!(short.out.contains("the coverage is 50 %, at least 51 % is asked for"), "{}", short.out);
    // A policy that settled nothing counts as well: without the fourth row, three of four.
    let (before, after) = (ROWS.find("[[row]]\nrule = \"R8\"").unwrap(), ROWS.find("[[row]]\nrule = \"R16\"").unwrap());
    let folder = small(&format!("{}{}", &ROWS[..before], &ROWS[after..]));
    let told = run(&folder, &[]);
    assert!(told.out.contains("3 of 4 policies settled an answer"), "{}", told.out);
    assert!(told.out.contains("small.cedar:9 `small.own-tenant` settled no row"), "{}", told.out);
}

/// Rows that do not hold: the wrong answer, the wrong reason, the wrong policy, no policy at all, nobody there.
const WRONG: &str = r#"
[[row]]
rule = "R4"
says = "a <wrong> \"answer\" & its reason"
expect = "deny"
code = "outside"
because = ["small.own-tenant", "small.mistyped"]

[[row]]
rule = "R4"
says = "both kinds of logs"
resource = ['DiagnosticData::"contoso/signInLogs"', 'DiagnosticData::"contoso/auditLogs"']
context.support_request = "CLOSED"
expect = "allow"

[[row]]
rule = "R18"
says = "somebody nobody knows"
subject = 'User::"contoso/nobody"'
action = "viewConsent"
resource = 'Consent::"CO-1"'
expect = "deny"
"#;

#[test]
fn a_row_that_does_not_hold_says_what_was_expected_what_is_given_and_by_which_policy() {
    let folder = small(WRONG);
    let told = run(&folder, &[]);
    assert_eq!((told.code, told.err.as_str()), (1, ""));
    let line = FACTS.lines().count() + 2;
    for part in [
        format!(
            "FAIL  R4: a <wrong> \"answer\" & its reason  {}/policies/tests/small.toml:{line}",
            folder.path().display()
        ),
        "expected deny, the answer is allow, by small.read".to_owned(),
        "expected the code `outside`, the answer has `permitted`".to_owned(),
        "expected because of `small.own-tenant`, the answer is by small.read".to_owned(),
        "expected because of `small.mistyped`, which is no policy of this bundle".to_owned(),
        // Of a list, the one that does not hold.
        "FAIL  R4: both kinds of logs (SupportEngineer::\"vendor/ada\" read DiagnosticData::\"contoso/signInLogs\")"
            .to_owned(),
        "expected allow, the answer is deny, by no policy".to_owned(),
        "the facts know no person `contoso/nobody`".to_owned(),
        "4 rows, 3 failed".to_owned(),
    ] {
        assert!(told.out.contains(&part), "`{part}` is missing:\n{}", told.out);
    }
    assert_eq!(told.out.matches("FAIL").count(), 3, "{}", told.out);
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place_before_anything_runs() {
    let whole = format!("{FACTS}{ROWS}");
    let line_of = |text: &str, part: &str| text[..text.find(part).unwrap()].matches('\n').count() + 1;
    // What is written in place of what, what the message holds, and the text whose line it names.
    let row = "[[row]]\nrule = \"R4\"\nsays = \"no sign-ins once it is closed\"";
    let cases = [
        ("title = \"Small\"", "title = Small", "", "title = Small"),
        ("time = ", "tiem = ", "unknown field `tiem`, expected one of `time`, `tenants`", "tiem"),
        ("2026-11-22T10:00:00Z", "yesterday", "yesterday", "\"yesterday\""),
        ("open = false", "opened = false", "unknown field `opened`, expected one of `tenant`, `assignee`", "opened"),
        (
            "\nrule = \"R8\"\nsays",
            "\nrules = \"R8\"\nsays",
            "unknown field `rules`, expected one of `rule`, `says`",
            "rules",
        ),
        ("expect = \"allow\"", "expect = \"perhaps\"", "unknown variant `perhaps`", "\"perhaps\""),
        ("action = \"read\"", "action = 7", "expected a text, or a list of texts", "7"),
        (row, &format!("{row}\naction = []"), "`action` is an empty list: the row asks nothing", row),
        (row, &format!("{row}\nsubject = \"ada\""), "`ada` is not written like", row),
        (
            row,
            &format!("{row}\ngiven.support_requests.OPEN.opened = false"),
            "`support_requests.OPEN.opened`: unknown field `opened`, expected one of `tenant`, `assignee`",
            row,
        ),
        (row, &format!("{row}\nwithout = ['support_requests.OPEN.assignee']"), "the facts have no", row),
        (row, &format!("{row}\nwithout = ['people.contoso/cyd.roles']"), "is no key", row),
        (
            row,
            &format!("{row}\nrequest = {{ principal = 'a', action = 'b', resource = 'c' }}"),
            "brings its own question and facts",
            row,
        ),
    ];
    for (old, new, message, place) in cases {
        assert!(whole.contains(old), "{old}");
        let text = whole.replacen(old, new, 1);
        let folder = bundle(&[("small.cedar", SMALL), ("tests/small.toml", &text)]);
        let told = run(&folder, &[]);
        let at = format!("policies/tests/small.toml:{}:", line_of(&text, place));
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{new}: {told:?}");
        assert!(told.err.contains(&at) && told.err.contains(message), "{new}: {at} {}", told.err);
    }
    let missing = policy(&["test", "--tests", "no/such.toml"]);
    assert!(missing.code == 2 && missing.err.contains("no/such.toml:1:1"), "{missing:?}");
    let nothing = run(&bundle(&[("small.cedar", SMALL)]), &[]);
    assert!(nothing.code == 2 && nothing.err.contains("there is no row to run"), "{nothing:?}");
}

#[test]
fn facts_are_taken_out_by_the_keys_that_toml_has() {
    let row = "
[[row]]
rule = 'R18'
says = 'nobody sees a consent without a role'
subject = 'User::\"contoso/cyd\"'
action = 'viewConsent'
resource = 'Consent::\"CO-1\"'
without = ['people.\"contoso/cyd\".roles', \"support_requests.'CLOSED'\"]
expect = 'deny'
code = 'not_permitted'
";
    let told = run(&small(row), &[]);
    assert_eq!(told.code, 0, "{told:?}");
}

#[test]
fn a_row_can_ask_in_cedars_own_terms() {
    let row = r#"
[[row]]
rule = "R4"
says = "a question that the service would not ask"
expect = "allow"
because = ["small.read"]
[row.request]
principal = 'SupportEngineer::"vendor/ada"'
action = 'Action::"read"'
resource = 'DiagnosticData::"a"'
entities = [{ uid = { type = "DiagnosticData", id = "a" }, attrs = { tenant = { type = "Tenant", id = "t" }, category = "c" }, parents = [] }]
[row.request.context]
now = 0
supportRequest = { tenant = { type = "Tenant", id = "t" }, open = true, submittedInAdminCenter = true, advancedDiagnosticInformation = false, hasAccessRequest = false }
"#;
    let told = run(&small(row), &[]);
    assert_eq!(told.code, 0, "{told:?}");
    // What the schema does not allow is not asked.
    let told = run(&small(&row.replace("open = true, ", "")), &[]);
    assert!(told.code == 1 && told.out.contains("open"), "{told:?}");
}

#[test]
fn the_cedar_command_lines_test_files_are_read() {
    let tests = json!([
        {
            "name": "ada reads",
            "request": {
                "principal": "SupportEngineer::\"vendor/ada\"",
                "action": "Action::\"read\"",
                "resource": "DiagnosticData::\"a\"",
                "context": { "now": 0, "supportRequest": {
                    "tenant": { "__entity": { "type": "Tenant", "id": "t" } },
                    "open": true,
                    "submittedInAdminCenter": true,
                    "advancedDiagnosticInformation": false,
                    "hasAccessRequest": false,
                } },
            },
            "entities": "entities.json",
            "decision": "allow",
            "reason": ["small.read"],
            "num_errors": 0,
        },
        {
            "request": {
                "principal": "SupportEngineer::\"vendor/ada\"",
                "action": "Action::\"read\"",
                "resource": "DiagnosticData::\"a\"",
                "context": { "now": 0 },
            },
            "entities": [{ "uid": { "type": "DiagnosticData", "id": "a" }, "parents": [],
                "attrs": { "tenant": { "__entity": { "type": "Tenant", "id": "t" } }, "category": "auditLogs" } }],
            "decision": "allow",
            "reason": [],
        },
    ]);
    let entities = json!([{ "uid": { "type": "DiagnosticData", "id": "a" }, "parents": [],
        "attrs": { "tenant": { "__entity": { "type": "Tenant", "id": "t" } }, "category": "signInLogs" } }]);
    let folder = small(ROWS);
    let write = |name: &str, value: &Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    write("tests.json", &tests);
    write("entities.json", &entities);
    let file = folder.path().join("tests.json");
    let told = run(&folder, &["--cedar-tests", file.to_str().unwrap(), "--verbose"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("ok    ada reads"), "{}", told.out);
    // Nobody named the second one, and it is denied: no support request is known.
    assert!(
        told.out.contains("FAIL  test 2") && told.out.contains("the answer is deny, by small.own-tenant"),
        "{told:?}"
    );
    assert!(told.out.contains("2 rows, 1 failed"), "{}", told.out);
    // Not without the file that it names, and not where policies are expected to fail.
    std::fs::remove_file(folder.path().join("entities.json")).unwrap();
    let told = run(&folder, &["--cedar-tests", file.to_str().unwrap()]);
    assert!(told.code == 2 && told.err.contains("tests.json:1:1") && told.err.contains("`entities.json`"), "{told:?}");
    let mut failing = tests[1].clone();
    failing["num_errors"] = json!(1);
    write("tests.json", &json!([failing]));
    let told = run(&folder, &["--cedar-tests", file.to_str().unwrap()]);
    assert!(told.code == 2 && told.err.contains("`test 1` expects policies to fail"), "{told:?}");
    std::fs::write(&file, "[\n  {").unwrap();
    let told = run(&folder, &["--cedar-tests", file.to_str().unwrap()]);
    assert!(told.code == 2 && told.err.contains("tests.json:2:"), "{told:?}");
}
