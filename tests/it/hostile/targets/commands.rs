//! Bodies of the workflow API: categories, end times, texts, members that nobody knows.

use consentry::model::Timestamp;
use serde_json::Value;

use super::front::{NOW, first_line, with_front};

/// The first line is who calls, the method and the path; the rest is the body.
pub fn run(bytes: &[u8]) {
    let Some((line, body)) = first_line(bytes) else { return };
    let mut words = line.splitn(3, ' ');
    let (Some(who), Some(method), Some(path)) = (words.next(), words.next(), words.next()) else { return };
    with_front(|front| {
        let body = front.fill(&String::from_utf8_lossy(body)).into_bytes();
        let Some(request) = front.request(who, method, &front.fill(path), body) else { return };
        let reply = front.call(request);
        assert_ne!(reply.json["decision"], true, "{reply:?}");
        let until = reply.json["until"].as_str().or_else(|| reply.json["scope"]["until"].as_str());
        if let (200, "POST", Some(until)) = (reply.status, method, until) {
            let time: Timestamp = until.parse().expect("an end time of ours is one");
            assert_eq!(time.to_string(), until);
            assert!(time > NOW.parse().unwrap(), "an end time that has passed: {reply:?}");
        }
    });
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = said["until"].as_str().or(std::str::from_utf8(body).ok()).unwrap_or_default();
    if let Ok(time) = text.parse::<Timestamp>() {
        assert!((0..=Timestamp::LATEST.as_millis()).contains(&time.as_millis()), "{text}");
        assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time), "{text}");
    }
}
