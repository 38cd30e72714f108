//! Lists and logs: limits, filters and cursors. What a page names as its next one is one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::front::{first_line, percent, with_front};

/// Lists are longer than this nowhere here.
const PAGES: usize = 50;

/// The first line is who asks and the path. Each further line is a part of the query: `name=value`, which is encoded;
/// `name~json`, which becomes a cursor; or `?...`, which is taken as it stands.
pub fn run(bytes: &[u8]) {
    let Some((line, rest)) = first_line(bytes) else { return };
    let Some((who, path)) = line.split_once(' ') else { return };
    let lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let query = lines.iter().map(|line| part(line)).collect::<Vec<_>>().join("&");
    with_front(|front| {
        let get = |query: &str| {
            let path = front.fill(&format!("{path}?{query}"));
            front.request(who, "GET", &path, Vec::new()).map(|request| front.call(request))
        };
        let Some(mut reply) = get(&query) else { return };
        let others = lines.iter().filter(|line| !line.starts_with(b"cursor") && !line.starts_with(b"?"));
        let others = others.map(|line| part(line)).collect::<Vec<_>>().join("&");
        if lines.iter().any(|line| line.starts_with(b"?")) {
            return;
        }
        for page in 0.. {
            let Some(next) = reply.json["next_cursor"].as_str() else { return };
            assert!(page < PAGES, "a list without an end: {line} {query}");
            reply = get(&format!("{others}&cursor={next}")).unwrap();
            assert_eq!(reply.status, 200, "a cursor of ours: {reply:?}");
        }
    });
}

fn part(line: &[u8]) -> String {
    let at = line.iter().position(|byte| b"=~".contains(byte));
    match (line, at) {
        ([b'?', raw @ ..], _) => String::from_utf8_lossy(raw).into_owned(),
        (_, Some(at)) => {
            let (name, value) = line.split_at(at);
            let value = match value {
                [b'~', json @ ..] => URL_SAFE_NO_PAD.encode(json),
                [_, value @ ..] => percent(value),
                [] => String::new(),
            };
            format!("{}={value}", percent(name).replace("%5F", "_"))
        }
        (_, None) => percent(line),
    }
}
