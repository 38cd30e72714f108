//! Mapping files, and requests to a diagnostic API behind them: a file is used or refused with the lines that are wrong, and
//! a request that asks something has one spelling and nothing by which another could be meant.

use consentry::mapping::{Arrived, EngineerSource, Headers, MAX_TARGET_BYTES, Mapped, Mapping, Unmapped};

/// The mapping that is taken where an input has none.
const EXAMPLE: &str = include_str!("../../../../deploy/envoy/mapping.toml");
/// What stands between a mapping and a request.
const BORDER: &str = "\n---\n";
/// The longest complaint about a file as long as these.
const LONGEST_COMPLAINT: usize = 64 * 1024;
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// A mapping file; then, behind a line `---`, a request: `METHOD target`, and a header in each further line, `name: value`.
/// Without a file it is the example's.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (file, request) = match text.split_once(BORDER) {
        Some((file, request)) => (file, Some(request)),
        None => match text.strip_prefix(BORDER.trim_start()) {
            Some(request) => (EXAMPLE, Some(request)),
            None => (&*text, None),
        },
    };
    let mapping = match Mapping::parse("mapping.toml", file) {
        Ok(mapping) => mapping,
        Err(refused) => return is_a_complaint(&refused.to_string(), file),
    };
    is_usable(&mapping);
    let Some(request) = request else { return };
    let (first, rest) = request.split_once('\n').unwrap_or((request, ""));
    let Some((method, target)) = first.split_once(' ') else { return };
    let headers: Vec<(&str, &str)> = rest.lines().filter_map(|line| line.split_once(": ")).collect();
    let arrived = Arrived { method, target, headers: Headers::of(&headers) };
    match mapping.map(&arrived) {
        Ok(mapped) => {
            assert_eq!(mapping.map(&arrived).as_ref(), Ok(&mapped), "one request, two questions");
            has_one_meaning(&mapping, &arrived, &headers);
            if let Mapped::Read(parts) = mapped {
                assert!(mapping.routes().iter().any(|route| route.action() == Some(parts.action)), "{parts:?}");
            }
        }
        Err(unmapped) => {
            let told = unmapped.to_string();
            assert!(!told.is_empty() && told.len() <= 8 * 1024 && !unmapped.code().is_empty(), "{told}");
        }
    }
}

/// Every line of a complaint names a line of the file.
fn is_a_complaint(told: &str, file: &str) {
    assert!(!told.trim().is_empty() && told.len() <= LONGEST_COMPLAINT, "{} bytes", told.len());
    let lines = file.matches('\n').count() + 1;
    let place = told.strip_prefix("mapping.toml:").and_then(|rest| rest.split_once(": "));
    let line: usize = place.and_then(|(line, _)| line.parse().ok()).unwrap_or_else(|| panic!("no place: {told}"));
    assert!((1..=lines).contains(&line), "line {line} of {lines}: {told}");
}

fn is_usable(mapping: &Mapping) {
    assert!((1..=1_000).contains(&mapping.routes().len()));
    for route in mapping.routes() {
        let methods = route.methods();
        assert!(!methods.is_empty() && methods.iter().all(|method| METHODS.contains(&method.as_str())), "{methods:?}");
        assert!(route.action().is_none_or(|verb| !verb.is_empty() && verb.len() <= 128), "{:?}", route.action());
    }
    if let EngineerSource::Certificate(pattern) = mapping.engineer() {
        for anybody in ["", "x", "vendor/ada", "spiffe://elsewhere.example/ada"] {
            let found = pattern.engineer(anybody);
            assert!(found.is_none_or(|person| person.as_str().starts_with(&format!("{}/", pattern.tenant()))));
        }
    }
}

/// What is mapped is written in the one way in which nobody can read it otherwise.
fn has_one_meaning(mapping: &Mapping, arrived: &Arrived<'_>, headers: &[(&str, &str)]) {
    let Arrived { method, target, .. } = *arrived;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    assert!(METHODS.contains(&method), "{method}");
    assert!(target.len() <= MAX_TARGET_BYTES && path.starts_with('/'), "{target}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#;\\".contains(&byte)), "{target}");
    let plain = path == "/" || path.split('/').skip(1).all(|segment| !["", ".", ".."].contains(&segment));
    let upper = path.to_ascii_uppercase();
    assert!(plain && ["%2F", "%5C", "%25", "%00", "%2E"].iter().all(|escape| !upper.contains(escape)), "{path}");
    assert!(headers.iter().all(|(name, _)| *name != "upgrade" && !OVERRIDES.contains(name)), "{headers:?}");

    // Any other spelling, and whatever could mean something else, is refused.
    let map = |target: &str, headers: &[(&str, &str)]| {
        mapping.map(&Arrived { method, target, headers: Headers::of(headers) }).map(|_| ()).unwrap_err()
    };
    let tail = query.map(|query| format!("?{query}")).unwrap_or_default();
    if let Some(at) = path.bytes().position(|byte| byte.is_ascii_alphanumeric())
        && !path[..at].ends_with('%')
        && target.len() + 2 <= MAX_TARGET_BYTES
    {
        let escaped = format!("{}%{:02X}{}{tail}", &path[..at], path.as_bytes()[at], &path[at + 1..]);
        assert!(matches!(map(&escaped, headers), Unmapped::NotCanonical(_)), "{escaped}");
    }
    if target.len() + 12 <= MAX_TARGET_BYTES {
        for other in [format!("/.{path}{tail}"), format!("/{path}{tail}"), format!("{path};a{tail}")] {
            assert!(matches!(map(&other, headers), Unmapped::NotCanonical(_)), "{other}");
        }
        let joined = if tail.is_empty() { "?" } else { "&" };
        let more = format!("{target}{joined}no-parameter");
        assert!(matches!(map(&more, headers), Unmapped::Query(_)) || mapping_takes(mapping, "no-parameter"), "{more}");
    }
    for header in OVERRIDES {
        let more = [headers, &[(header, "x")]].concat();
        assert_eq!(map(target, &more), Unmapped::Override(header));
    }
    assert_eq!(map(target, &[headers, &[("upgrade", "websocket")]].concat()), Unmapped::Upgrade);
}

/// Whether some route could take a parameter of this name.
fn mapping_takes(mapping: &Mapping, parameter: &str) -> bool {
    format!("{mapping:?}").contains(parameter)
}
