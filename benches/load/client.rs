//! Who asks: connections that are kept, one request at a time on each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::fixture::Failure;

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection, with room for an answer.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &Address) -> Result<Self, Failure> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads its answer whole.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            self.more().await?;
            let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?;
            let status: u16 = text.get(9..12).unwrap_or_default().parse()?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.ok_or("no content-length")?.parse()?;
            while self.buffer.len() < head + 4 + length {
                self.more().await?;
            }
            return Ok((status, self.buffer.get(head + 4..).unwrap_or_default()));
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }
}

/// One request as it goes out, and where in it stand eight digits that make it another question.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    digits: Option<usize>,
}

/// What stands where the digits go.
pub(crate) const DIGITS: &str = "########";

impl Request {
    /// A request as it is written here.
    #[allow(dead_code, reason = "for requests of another kind than decisions")]
    pub(crate) fn written(text: String) -> Self {
        Self { digits: None, bytes: text.into_bytes() }
    }

    pub(crate) fn new(path: &str, token: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Self { digits: text.find(DIGITS), bytes: text.into_bytes() }
    }

    /// The bytes, asking something that nobody has asked before when there are digits.
    pub(crate) fn bytes(&mut self, number: u64) -> &[u8] {
        if let Some(place) = self.digits.and_then(|at| self.bytes.get_mut(at..at + DIGITS.len())) {
            let mut rest = number;
            for digit in place.iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
        &self.bytes
    }
}

/// One round's figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// The server's processor time for each request.
    pub(crate) cpu_us: f64,
}

impl Round {
    pub(crate) fn of(mut took: Vec<Duration>, lasted: Duration, cpu: Duration) -> Result<Self, Failure> {
        let answered = f64::from(u32::try_from(took.len())?);
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6);
        let per_second = answered / lasted.as_secs_f64();
        Ok(Self { per_second, p50_us: at(50), p99_us: at(99), cpu_us: cpu.as_secs_f64() * 1e6 / answered.max(1.0) })
    }
}

/// Asks for so long on so many connections; how long each answer took, and how long all of it.
pub(crate) async fn load(
    address: &Address,
    requests: &Arc<Vec<Request>>,
    connections: usize,
    duration: Duration,
    first: u64,
) -> Result<(Vec<Duration>, Duration), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for connection in 0..connections {
        let (requests, address) = (Arc::clone(requests), address.clone());
        tasks.spawn(async move {
            let mut requests = requests.as_ref().clone();
            let mut asking = Connection::open(&address).await?;
            let mut took = Vec::new();
            let (mut at, mut number) = (connection * 131, first + (connection as u64) * 100_000);
            loop {
                let count = requests.len();
                let request = requests.get_mut(at % count).ok_or("no request")?.bytes(number);
                (at, number) = (at + 1, number + 1);
                let sent = Instant::now();
                if sent.duration_since(started) > duration {
                    return Ok::<_, Failure>(took);
                }
                let (status, _) = asking.ask(request).await?;
                if status != 200 {
                    return Err(format!("status {status}").into());
                }
                took.push(sent.elapsed());
            }
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    Ok((took, started.elapsed()))
}
