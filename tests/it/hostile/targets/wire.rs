//! Bytes to the listener: HTTP/1.1, HTTP/2, or nothing of the kind.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::front::with_front;

/// Longer than any connection lasts that has said all it will say.
const PATIENCE: Duration = Duration::from_secs(10);
/// No request of a few bytes has more to be answered than this.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The bytes are all that a client says before it half-closes its connection. A `{tooling}` in them is that token.
pub fn run(bytes: &[u8]) {
    with_front(|front| {
        let token = format!("Bearer {}", front.token("tooling").unwrap());
        let bytes = replaced(bytes, b"{tooling}", token.as_bytes());
        let answer = front.block_on(async {
            let (mut from, mut to) = TcpStream::connect(front.address()).await.unwrap().into_split();
            let mut answer = Vec::new();
            let talk = async {
                // A service that has heard enough hangs up.
                let say = async {
                    let _ = to.write_all(&bytes).await;
                    let _ = to.shutdown().await;
                };
                tokio::join!(say, async {
                    let _ = from.read_to_end(&mut answer).await;
                });
            };
            tokio::time::timeout(PATIENCE, talk).await.expect("the connection does not end");
            answer
        });
        assert!(answer.len() <= LONGEST_ANSWER, "{} bytes", answer.len());
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("HTTP/1.1 5"), "an error of ours: {text}");
        let asks = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!text.contains("\"decision\":true") || asks(b"vendor/ada") && asks(b"SR-1"), "{text}");
        assert!(front.ada_may_read());
    });
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let Some(at) = bytes.windows(what.len()).position(|window| window == what) else { return bytes.to_vec() };
    let (before, after) = bytes.split_at(at);
    [before, by, after.get(what.len()..).unwrap_or_default()].concat()
}
