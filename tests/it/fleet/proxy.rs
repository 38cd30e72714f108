//! The line between one process and the members of etcd: a proxy that knows gRPC, so that one kind of reply can be held up
//! while all others go through.
//!
//! HTTP/2 carries watch and renewals over one connection. Whoever only stops bytes stops both, and never sees what becomes
//! of a process that hears of renewals and not of changes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::cluster::Cluster;

/// Faults are made whatever the test's own threads wait for.
pub static PROXIES: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("proxies").enable_all().build().unwrap()
});

/// What a reply belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The stream of changes.
    Watch,
    /// A write transaction: a renewal, or a commit.
    Write,
    /// Everything else: ranges, mostly.
    Read,
}

impl Part {
    fn of(path: &str) -> Self {
        match path {
            "/etcdserverpb.Watch/Watch" => Self::Watch,
            "/etcdserverpb.KV/Txn" => Self::Write,
            _ => Self::Read,
        }
    }
}

/// The line of one process. A clone is the same line.
#[derive(Clone)]
pub struct Line(Arc<Faults>);

struct Faults {
    /// No byte moves, in either direction, on any connection.
    stalled: watch::Sender<bool>,
    /// Connections end, and new ones are not taken.
    cut: watch::Sender<bool>,
    parts: [Held; 3],
    urls: Vec<String>,
}

/// What is done to the replies of one part.
#[derive(Default)]
struct Held {
    closed: watch::Sender<bool>,
    delay: Mutex<Duration>,
    waiting: watch::Sender<usize>,
}

impl Line {
    /// A line to every member, without a fault.
    pub fn to(cluster: &Cluster) -> Self {
        let members: Vec<SocketAddr> =
            cluster.members.iter().map(|member| format!("{}:2379", member.address).parse().unwrap()).collect();
        let _inside = PROXIES.enter();
        let listeners: Vec<TcpListener> = members.iter().map(|_| listener()).collect();
        let urls = listeners.iter().map(|listener| format!("http://{}", listener.local_addr().unwrap())).collect();
        let faults = Arc::new(Faults {
            stalled: watch::Sender::default(),
            cut: watch::Sender::default(),
            parts: Default::default(),
            urls,
        });
        for (listener, member) in listeners.into_iter().zip(members) {
            // Ends with the test's process: a port that nobody uses any more does no harm.
            tokio::spawn(listen(listener, member, Arc::clone(&faults)));
        }
        Self(faults)
    }

    /// Where the process finds the members.
    pub fn urls(&self) -> &[String] {
        &self.0.urls
    }

    /// Lets no byte through, or all again: what was under way goes on.
    pub fn stall(&self, stalled: bool) {
        self.0.stalled.send_replace(stalled);
    }

    /// Ends every connection and takes no new one, or takes them again.
    pub fn cut(&self, cut: bool) {
        self.0.cut.send_replace(cut);
    }

    /// Keeps the replies of this part back, or lets them go: none is lost.
    pub fn hold(&self, part: Part, held: bool) {
        self.0.part(part).closed.send_replace(held);
    }

    /// Keeps each reply of this part back for so long.
    pub fn delay(&self, part: Part, delay: Duration) {
        *self.0.part(part).delay.lock() = delay;
    }

    /// Waits until a reply of this part is being kept back: etcd has done what it tells of.
    pub async fn holds_one(&self, part: Part) {
        self.0.part(part).waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    /// Takes every fault away.
    pub fn heal(&self) {
        for part in [Part::Watch, Part::Write, Part::Read] {
            self.hold(part, false);
            self.delay(part, Duration::ZERO);
        }
        self.stall(false);
        self.cut(false);
    }
}

impl Faults {
    fn part(&self, part: Part) -> &Held {
        let [watch, write, read] = &self.parts;
        match part {
            Part::Watch => watch,
            Part::Write => write,
            Part::Read => read,
        }
    }
}

impl Held {
    async fn pass(&self) {
        let delay = *self.delay.lock();
        if delay == Duration::ZERO && !*self.closed.borrow() {
            return;
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        // The count is right also where the connection ends meanwhile.
        let _counted = Counted(&self.waiting);
        tokio::time::sleep(delay).await;
        off(&self.closed).await;
    }
}

struct Counted<'a>(&'a watch::Sender<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

async fn off(fault: &watch::Sender<bool>) {
    fault.subscribe().wait_for(|is_on| !is_on).await.unwrap();
}

async fn on(fault: &watch::Sender<bool>) {
    fault.subscribe().wait_for(|is_on| *is_on).await.unwrap();
}

pub fn listener() -> TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

async fn listen(listener: TcpListener, member: SocketAddr, faults: Arc<Faults>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let faults = Arc::clone(&faults);
        tokio::spawn(async move {
            tokio::select! {
                () = on(&faults.cut) => {}
                _ = carry(client, member, Arc::clone(&faults)) => {}
            }
        });
    }
}

/// One connection: ends when either side does.
async fn carry(client: TcpStream, member: SocketAddr, faults: Arc<Faults>) -> Option<()> {
    off(&faults.stalled).await;
    let server = TcpStream::connect(member).await.ok()?;
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let (near, inner) = tokio::io::duplex(64 * 1024);
    let (from_client, to_client) = client.into_split();
    let (from_inner, to_inner) = tokio::io::split(near);
    let (calls, upstream) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server)).await.ok()?;
    let answering = Arc::clone(&faults);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (mut calls, faults) = (calls.clone(), Arc::clone(&answering));
        async move {
            let part = Part::of(request.uri().path());
            let reply = calls.send_request(request).await?;
            Ok::<Response<Replies>, hyper::Error>(reply.map(|body| Replies { body, part, faults, held: None }))
        }
    });
    let downstream =
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(inner), service);
    tokio::select! {
        _ = pump(from_client, to_inner, &faults) => {}
        _ = pump(from_inner, to_client, &faults) => {}
        _ = upstream => {}
        _ = downstream => {}
    }
    Some(())
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    faults: &Faults,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        off(&faults.stalled).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// Until there is no fault against a message.
type Passing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of a reply, message by message, each let through when there is no fault against it.
struct Replies {
    body: Incoming,
    part: Part,
    faults: Arc<Faults>,
    held: Option<(Frame<Bytes>, Passing)>,
}

impl Body for Replies {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.held.is_none() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let (faults, part) = (Arc::clone(&self.faults), self.part);
                    self.held = Some((frame, Box::pin(async move { faults.part(part).pass().await })));
                }
                end_or_error => return Poll::Ready(end_or_error),
            }
        }
        if let Some((_, passing)) = &mut self.held {
            ready!(passing.as_mut().poll(context));
        }
        Poll::Ready(self.held.take().map(|(frame, _)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
