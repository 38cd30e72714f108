use proptest::prelude::*;

use super::*;

const ROUTES: &str = r#"
[engineer]
from = "token"

[[routes]]
methods = ["GET", "HEAD"]
path = "/v1/tenants/{tenant}/sign-ins/{*item}"
query = ["top"]
action = "read"
tenant = "{tenant}"
category = "signInLogs"
item = "{item}"
support_request = "{header:x-support-request}"

[[routes]]
methods = ["GET"]
path = "/v1/{category}"
action = "list"
tenant = "{query:tenant}"
category = "{category}"
support_request = "SR-{query:case}"

[[routes]]
methods = ["GET"]
path = "/"
pass = true
"#;

fn mapping() -> Mapping {
    Mapping::parse("mapping.toml", ROUTES).unwrap()
}

fn mapped(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Option<[String; 5]>, Unmapped> {
    let mapping = mapping();
    let mapped = mapping.map(&Arrived { method, target, headers: Headers::of(headers) })?;
    Ok(match mapped {
        Mapped::Pass => None,
        Mapped::Read(parts) => {
            let shown = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
            Some([
                parts.action.to_owned(),
                parts.tenant,
                parts.category,
                shown(parts.item),
                shown(parts.support_request),
            ])
        }
    })
}

fn asks(method: &str, target: &str, headers: &[(&str, &str)], expected: [&str; 5]) {
    let expected = Ok(Some(expected.map(ToOwned::to_owned)));
    assert_eq!(mapped(method, target, headers), expected, "{method} {target}");
}

#[test]
fn method_path_query_and_headers_become_the_parts_of_a_question() {
    let sr = [("x-support-request", "SR-1")];
    asks("GET", "/v1/tenants/fabrikam/sign-ins/a", &sr, ["read", "fabrikam", "signInLogs", "a", "SR-1"]);
    asks("HEAD", "/v1/tenants/fabrikam/sign-ins/a/b?top=5", &sr, ["read", "fabrikam", "signInLogs", "a/b", "SR-1"]);
    asks("GET", "/v1/tenants/f/sign-ins/a%20b", &[], ["read", "f", "signInLogs", "a b", "-"]);
    asks("GET", "/v1/auditLogs?tenant=f&case=7", &[], ["list", "f", "auditLogs", "-", "SR-7"]);
    asks("GET", "/v1/auditLogs?tenant=f", &[], ["list", "f", "auditLogs", "-", "-"]);
    assert_eq!(mapped("GET", "/", &[]), Ok(None));
}

#[test]
fn what_is_not_mapped_is_told_apart() {
    let code = |method, target, headers| mapped(method, target, headers).unwrap_err().code();
    for (method, target) in [
        ("POST", "/v1/auditLogs?tenant=f"),
        ("get", "/"),
        ("GET", "/v2"),
        ("GET", "/v1/tenants/f/sign-ins"),
        ("GET", "/V1/auditLogs?tenant=f"),
        ("HEAD", "/"),
    ] {
        assert_eq!(code(method, target, &[]), "not_mapped", "{method} {target}");
    }
    for target in [
        "/?",
        "/?a",
        "/v1/auditLogs?tenant=f&tenant=g",
        "/v1/auditLogs?tenant=f;case=1",
        "/v1/x?tenant=a+b",
        "/v1/x?tenant=%66",
        "/v1/x?%74enant=f",
        "/v1/x?tenant=f&",
        "/v1/x?tenant=%2Ff",
        "/v1/x?tenant=f?&top=1",
        "/v1/tenants/f/sign-ins/a?top=1\\",
        "/v1/tenants/f/sign-ins/a?top=\"1\"",
        "/v1/tenants/f/sign-ins/a?top=1|2",
        "/v1/tenants/f/sign-ins/a?top={1}",
    ] {
        assert_eq!(code("GET", target, &[]), "query_not_mapped", "{target}");
    }
    assert_eq!(code("GET", "/v1/auditLogs", &[]), "parameter_missing");
    let twice = [("x-support-request", "SR-1"), ("x-support-request", "SR-2")];
    assert_eq!(code("GET", "/v1/tenants/f/sign-ins/a", &twice), "header_ambiguous");
    assert_eq!(code("GET", "/", &[("x-http-method-override", "DELETE")]), "override_not_taken");
    assert_eq!(code("GET", "/", &[("x-original-url", "/v1")]), "override_not_taken");
    assert_eq!(code("GET", "/", &[("upgrade", "websocket")]), "upgrade_not_mapped");
    assert_eq!(code("CONNECT", "/", &[]), "upgrade_not_mapped");
}

#[test]
fn a_path_with_a_second_spelling_is_refused() {
    let long = format!("/v1/{}", "a".repeat(MAX_TARGET_BYTES));
    for target in [
        "",
        "v1",
        "*",
        "http://api/v1/auditLogs",
        "//v1/auditLogs",
        "/v1//auditLogs",
        "/v1/auditLogs/",
        "/v1/./auditLogs",
        "/v1/x/../auditLogs",
        "/v1/..",
        "/v1/%2e%2e",
        "/v1/%2E",
        "/v1/a%2Fb",
        "/v1/a%2fb",
        "/v1/a%5Cb",
        "/v1/a\\b",
        "/v1/a%00",
        "/v1/a%0Ab",
        "/v1/a%7F",
        "/v1/a%",
        "/v1/a%2",
        "/v1/a%GG",
        "/v1/a%252Fb",
        "/v1/a%61",
        "/v1/a%3b",
        "/v1/a%3Bb",
        "/v1/a;b=c",
        "/v1/a b",
        "/v1/é",
        "/v1/%C3%A9",
        "/v1/a!",
        "/v1/a*",
        "/v1/a|b",
        "/v1/a#b",
        "/v1/%20%c3",
        "/v1/a%3F",
        "/v1/a%23",
        "/v1/a\u{0}",
        &long,
    ] {
        assert_eq!(mapped("GET", target, &[]).unwrap_err().code(), "path_not_canonical", "{target}");
    }
    asks("GET", "/v1/tenants/f/sign-ins/...", &[], ["read", "f", "signInLogs", "...", "-"]);
}

fn problems(text: &str) -> String {
    Mapping::parse("m.toml", text).unwrap_err().to_string()
}

#[test]
fn a_file_with_mistakes_names_each_with_its_line() {
    let route = "[[routes]]\nmethods = [\"GET\"]\npath = \"/a/{x}\"\naction = \"read\"\ntenant = \"{x}\"\n\
                 category = \"signInLogs\"\n";
    let token = "[engineer]\nfrom = \"token\"\n";
    assert!(Mapping::parse("m.toml", &format!("{token}{route}")).is_ok());
    // (what is put in place of what, the line of the complaint, a part of it)
    for (from, to, line, said) in [
        ("from = \"token\"", "from = \"header\"", 2, "unknown variant `header`"),
        ("from = \"token\"", "from = \"token\"\ntenant = \"vendor\"", 3, "`tenant` means nothing"),
        ("from = \"token\"", "from = \"certificate\"\ntenant = \"vendor\"", 1, "`principal` is missing"),
        ("from = \"token\"", "from = \"certificate\"\ntenant = \"v v\"\nprincipal = \"a/{object}\"", 3, "`tenant`: "),
        ("from = \"token\"", "from = \"certificate\"\ntenant = \"v\"\nprincipal = \"{object}\"", 4, "any certificate"),
        ("from = \"token\"", "from = \"certificate\"\ntenant = \"v\"\nprincipal = \"a\"", 4, "one `{object}`"),
        ("from = \"token\"", "from = \"certificate\"\ntenant = \"v\"\nprincipal = \"{object}{x}\"", 4, "a brace"),
        ("from = \"token\"", "from = \"jwt_payload\"\nkey = \"\"", 3, "`key` is empty"),
        ("[\"GET\"]", "[]", 4, "`methods` is empty"),
        ("[\"GET\"]", "[\"GET\", \"HEAD\", \"GET\"]", 4, "`methods`: `GET` stands there twice"),
        ("[\"GET\"]", "[\"GET\",\n\"get\"]", 5, "`get` is none of"),
        ("[\"GET\"]", "[\"CONNECT\"]", 4, "`CONNECT` is none of"),
        ("/a/{x}", "a/{x}", 5, "begins with a slash"),
        ("/a/{x}", "/a//{x}", 5, "two slashes"),
        ("/a/{x}", "/a%20/{x}", 5, "is no segment"),
        ("/a/{x}", "/../{x}", 5, "is no segment"),
        ("/a/{x}", "/a{x}", 5, "is no segment"),
        ("/a/{x}", "/{*x}/a", 5, "comes last"),
        ("/a/{x}", "/{x}/{x}", 5, "stands there twice"),
        ("/a/{x}", "/a/{y}", 7, "the path has no `{x}`"),
        ("action = \"read\"", "action = \"\"", 6, "a verb"),
        ("action = \"read\"\n", "", 3, "`action` is missing"),
        ("action = \"read\"", "pass = true", 7, "stands beside `pass`"),
        ("\"{x}\"", "\"{x\"", 7, "does not close"),
        ("\"{x}\"", "\"x}\"", 7, "does not open"),
        ("\"{x}\"", "\"{cookie:x}\"", 7, "nothing known"),
        ("\"{x}\"", "\"{header:Authorization}\"", 7, "lower case"),
        ("\"{x}\"", "\"{header:authorization}\"", 7, "secrets"),
        ("\"{x}\"", "\"{query:a=b}\"", 7, "no parameter's name"),
        ("\"{x}\"", "\"\"", 7, "must not be empty"),
        ("\"{x}\"", "\"con toso\"", 7, "tenant id"),
        ("signInLogs", "logs", 8, "unknown category"),
        ("category", "kategory", 8, "unknown field"),
        ("[[routes]]", "[[route]]", 3, "unknown field"),
    ] {
        let text = format!("{token}{route}");
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let told = problems(&changed);
        let expected = format!("m.toml:{line}: ");
        assert!(told.lines().any(|told| told.starts_with(&expected) && told.contains(said)), "{to:?}: {told}");
    }
    assert!(problems(token).contains("needs `[[routes]]`"));
    assert!(problems("from =").starts_with("m.toml:1: "));
}

#[test]
fn a_route_that_no_request_reaches_is_refused() {
    let with = |first: &str, then: &str| {
        let route = |path: &str| {
            format!(
                "[[routes]]\nmethods = [\"GET\"]\npath = \"{path}\"\naction = \"read\"\ntenant = \"t\"\n\
                     category = \"auditLogs\"\n"
            )
        };
        Mapping::parse("m.toml", &format!("[engineer]\nfrom = \"token\"\n{}{}", route(first), route(then)))
    };
    for (first, then) in [
        ("/a", "/a"),
        ("/{x}", "/a"),
        ("/{x}", "/{y}"),
        ("/{*x}", "/a/b"),
        ("/{*x}", "/a/{*y}"),
        ("/a/{*x}", "/a/b/{y}"),
    ] {
        let told = with(first, then).unwrap_err().to_string();
        assert_eq!(told, "m.toml:9: `GET` never gets here: the route in line 3 takes it", "{first} {then}");
    }
    for (first, then) in [("/a", "/{x}"), ("/{x}", "/a/b"), ("/{x}/a", "/a/{x}"), ("/{*x}", "/"), ("/{x}", "/{*x}")] {
        assert!(with(first, then).is_ok(), "{first} {then}");
    }
}

#[test]
fn the_first_route_that_takes_a_request_says_what_it_asks() {
    let route = |path: &str, item: &str| {
        format!(
            "[[routes]]\nmethods = [\"GET\"]\npath = \"{path}\"\naction = \"read\"\ntenant = \"t\"\n\
                 category = \"auditLogs\"\nitem = \"{item}\"\n"
        )
    };
    let text =
        ["[engineer]\nfrom = \"token\"\n", &route("/a/b", "named"), &route("/a/{x}", "any"), &route("/{*x}", "else")];
    let mapping = Mapping::parse("m.toml", &text.concat()).unwrap();
    for (target, expected) in [("/a/b", "named"), ("/a/c", "any"), ("/a/b/c", "else"), ("/b", "else")] {
        let arrived = Arrived { method: "GET", target, headers: Headers::of(&[]) };
        let Ok(Mapped::Read(parts)) = mapping.map(&arrived) else { panic!("{target}") };
        assert_eq!(parts.item.as_deref(), Some(expected), "{target}");
    }
}

#[test]
fn a_file_is_bounded_and_so_is_what_is_said_of_it() {
    let top = "[engineer]\nfrom = \"token\"\n";
    let large = format!("{top}#{}", " ".repeat(MAX_FILE_BYTES));
    assert_eq!(problems(&large), format!("m.toml:1: is larger than {MAX_FILE_BYTES} bytes"));
    let route = "[[routes]]\nmethods = [\"TRACE\"]\npath = \"a\"\npass = true\n";
    let told = problems(&format!("{top}{}", route.repeat(900)));
    assert_eq!(told.lines().count(), 100, "{told}");
    let names = vec!["\"%\""; 10_000].join(",");
    let told =
        problems(&format!("{top}[[routes]]\nmethods = [\"GET\"]\npath = \"/a\"\npass = true\nquery = [{names}]\n"));
    assert_eq!((told.lines().count(), told.contains("at most 64 parameters")), (65, true), "{told}");
}

#[test]
fn what_passes_is_named_whole() {
    let text = "[engineer]\nfrom = \"token\"\n[[routes]]\nmethods = [\"GET\"]\npath = \"/{*all}\"\npass = true\n";
    assert_eq!(problems(text), "m.toml:5: `path`: a route that passes is one path, without `{...}`");
}

#[test]
fn a_certificate_names_an_engineer_only_as_the_pattern_says() {
    let pattern = PrincipalPattern::parse("vendor".parse().unwrap(), "spiffe://v.example/e/{object}").unwrap();
    assert_eq!(pattern.engineer("spiffe://v.example/e/ada").unwrap().as_str(), "vendor/ada");
    for other in [
        "spiffe://v.example/e/",
        "spiffe://v.example/e/a/b",
        "spiffe://v.example/x/ada",
        "ada",
        "",
        "x-spiffe://v.example/e/ada",
        "spiffe://v.example/e/a da",
    ] {
        assert_eq!(pattern.engineer(other), None, "{other}");
    }
    // What stands before and behind must not be the same letters.
    let pattern = PrincipalPattern::parse("vendor".parse().unwrap(), "ab{object}ba").unwrap();
    assert_eq!(pattern.engineer("aba"), None);
}

proptest! {
    /// Whatever comes: what is mapped has parts that say one thing, and comes out the same from the path put together again.
    #[test]
    fn what_is_mapped_has_one_reading(target in "/v1/(tenants/[a%2eEfF/.;\\\\]{0,6}/sign-ins/[a-c%25EeFf0/.]{1,12}|[a%2eE./]{1,9})(\\?[a-t=&%;]{0,8})?") {
        if let Ok(Some([_, tenant, category, item, _])) = mapped("GET", &target, &[]) {
            let path = target.split('?').next().unwrap();
            prop_assert!(!path.contains("//") && !path.contains("/../") && !path.contains("/./") && !path.contains('\\'));
            prop_assert!(!tenant.contains(['/', '%', '\\']) && !category.contains(['/', '%', '\\']));
            prop_assert!(!item.contains(['%', '\\', ';']));
            if item != "-" && !path.contains('%') {
                prop_assert_eq!(path, format!("/v1/tenants/{tenant}/sign-ins/{item}"));
            }
        }
    }
}
