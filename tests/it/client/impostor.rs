//! A server that answers as it is told, to see what a client makes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Debug, Clone)]
pub(super) enum Does {
    /// Sends these bytes and closes the connection.
    Sends(Vec<u8>),
    /// Sends these bytes and keeps the connection.
    Answers(Vec<u8>),
    /// The same, after so long.
    AnswersAfter(Duration, Vec<u8>),
    /// Reads the request and closes the connection.
    HangsUp,
    /// Reads the request and never answers.
    Waits,
}

impl Does {
    /// A whole answer.
    pub(super) fn answer(status: u16, headers: &str, kind: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::Answers(format!("{head}{body}").into_bytes())
    }
}

/// The server: what it was sent, and over how many connections.
pub(super) struct Impostor {
    pub(super) url: String,
    pub(super) seen: Arc<Mutex<Vec<String>>>,
    pub(super) connections: Arc<Mutex<usize>>,
}

impl Impostor {
    /// Does this with one request after the other, and the last of it with all that follow.
    pub(super) async fn that(does: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let does = Arc::new(Mutex::new(VecDeque::from(does)));
        let (ours, counted) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock() += 1;
                tokio::spawn(serve(stream, Arc::clone(&does), Arc::clone(&ours)));
            }
        });
        Self { url, seen, connections }
    }

    /// The values of a header in the requests so far.
    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        let value = |request: &String| {
            let line = request.lines().find_map(|line| line.split_once(": ").filter(|(field, _)| *field == name));
            line.map_or_else(String::new, |(_, value)| value.to_owned())
        };
        self.seen.lock().iter().map(value).collect()
    }
}

async fn serve(mut stream: TcpStream, does: Arc<Mutex<VecDeque<Does>>>, seen: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = request(&mut stream).await {
        seen.lock().push(request);
        let next = {
            let mut does = does.lock();
            if does.len() > 1 { does.pop_front().unwrap() } else { does[0].clone() }
        };
        match next {
            Does::Answers(bytes) => stream.write_all(&bytes).await.unwrap(),
            Does::AnswersAfter(pause, bytes) => {
                tokio::time::sleep(pause).await;
                stream.write_all(&bytes).await.unwrap();
            }
            Does::Sends(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            Does::HangsUp => return,
            Does::Waits => std::future::pending().await,
        }
    }
}

/// One request, whole.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}
