//! Bytes on a socket, for what a well-behaved client does not send, and for sockets that it does not know.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::House;

/// Longer than any answer takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to a service.
pub struct Connection(Box<dyn Stream>);

impl Connection {
    /// Over TCP.
    pub async fn to(house: &House) -> Self {
        Self(Box::new(tokio::net::TcpStream::connect(house.app().address()).await.unwrap()))
    }

    /// Over a Unix domain socket.
    pub async fn through(socket: &Path) -> Self {
        Self::try_through(socket).await.unwrap()
    }

    /// The same, where nobody may be listening.
    pub async fn try_through(socket: &Path) -> std::io::Result<Self> {
        Ok(Self(Box::new(tokio::net::UnixStream::connect(socket).await?)))
    }

    /// Sends bytes. A service that has hung up already is no failure: what it answered is still to be read.
    pub async fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.0.write_all(bytes).await;
        self
    }

    /// One answer: its status and its body, for as long as its length says. The connection can be used again.
    pub async fn answer(&mut self) -> (u16, Vec<u8>) {
        let answer = tokio::time::timeout(PATIENCE, self.try_answer()).await;
        answer.expect("the service does not answer").expect("the service hung up")
    }

    /// The same, however long it takes; none: the service hung up.
    pub async fn try_answer(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut bytes = Vec::new();
        let head = loop {
            match bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 => return None,
                None => {}
            }
        };
        let mut body = bytes.split_off(head);
        let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let length: usize = length.trim().parse().unwrap();
        while body.len() < length {
            if self.0.read_buf(&mut body).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some((status, body))
    }

    /// Everything the service sends until it hangs up; panics when it does not.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        // A reset after the answer is an end, too.
        let _ = read.expect("the service does not hang up");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What the service sends until this text is in it.
    pub async fn until(&mut self, text: &str) -> Vec<u8> {
        self.until_bytes(text.as_bytes()).await
    }

    /// What the service sends until these bytes are in it.
    pub async fn until_bytes(&mut self, wanted: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !bytes.windows(wanted.len()).any(|window| window == wanted) {
            let read = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut bytes)).await;
            let count = read.expect("the service does not answer").unwrap();
            assert_ne!(count, 0, "the service hung up: {}", String::from_utf8_lossy(&bytes));
        }
        bytes
    }
}

/// An HTTP/1.1 request by hand.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: sidecar\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if !body.is_empty() {
        write!(text, "content-type: application/json\r\ncontent-length: {}\r\n", body.len()).unwrap();
    }
    write!(text, "\r\n{body}").unwrap();
    text.into_bytes()
}
