//! Listeners: TCP and a Unix domain socket, bounded in connections and time, drained when they stop.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::ext_authz::{self, Pulse};
use super::front::Front;
use super::opening::Opening;
use super::quiet::Quiet;
use super::{Edge, Via};
use crate::config::{ExtAuthzSettings, ServerSettings};
use crate::mapping::Mapping;

/// The largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most requests under way at once on one HTTP/2 connection; what RFC 9113 (6.5.2) calls no less than is sensible.
const MAX_STREAMS: u32 = 100;
/// How long to wait after the operating system refused a new connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listeners, bound.
#[derive(Debug)]
pub struct Listeners {
    tcp: TcpListener,
    unix: Option<(UnixListener, PathBuf)>,
    metrics: Option<TcpListener>,
    envoy_tcp: Option<TcpListener>,
    envoy_unix: Option<(UnixListener, PathBuf)>,
}

impl Listeners {
    /// Binds what the settings name.
    ///
    /// # Errors
    /// The operating system's, with the address in the message.
    pub async fn bind(settings: &ServerSettings, envoy: Option<&ExtAuthzSettings>) -> io::Result<Self> {
        Ok(Self {
            tcp: bind_tcp(settings.listen).await?,
            metrics: bind_tcp_if(settings.metrics_listen).await?,
            unix: bind_unix_if(settings.unix_socket.as_deref())?,
            envoy_tcp: bind_tcp_if(envoy.and_then(|envoy| envoy.listen)).await?,
            envoy_unix: bind_unix_if(envoy.and_then(|envoy| envoy.unix_socket.as_deref()))?,
        })
    }

    /// The TCP address that was bound.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.tcp.local_addr()
    }

    /// The address at which metrics are, if they are anywhere.
    ///
    /// # Errors
    /// The operating system's.
    pub fn metrics_addr(&self) -> io::Result<Option<std::net::SocketAddr>> {
        self.metrics.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// The TCP address at which Envoy asks, if there is one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn ext_authz_addr(&self) -> io::Result<Option<std::net::SocketAddr>> {
        self.envoy_tcp.as_ref().map(TcpListener::local_addr).transpose()
    }
}

async fn bind_tcp_if(address: Option<std::net::SocketAddr>) -> io::Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(bind_tcp(address).await?)),
        None => Ok(None),
    }
}

fn bind_unix_if(path: Option<&Path>) -> io::Result<Option<(UnixListener, PathBuf)>> {
    path.map(|path| Ok((bind_unix(path)?, path.to_owned()))).transpose()
}

async fn bind_tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| named(&error, &format!("cannot listen on `{address}`")))
}

fn named(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Binds a socket that its owner and group may use. A socket file that nobody listens on is a leftover.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let what = format!("cannot listen on `{}`", path.display());
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path).map_err(|error| named(&error, &what))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| named(&error, &what))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(|error| named(&error, &what))?;
    Ok(listener)
}

/// Listeners at work.
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    unix_paths: Vec<PathBuf>,
    pulse: Pulse,
}

impl Serving {
    /// Stops accepting, lets requests under way finish within the drain time, and returns.
    pub async fn stop(mut self) {
        // Nobody listening any more is what we want.
        let _ = self.stop.send(true);
        self.pulse.end().await;
        while self.tasks.join_next().await.is_some() {}
        for path in self.unix_paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Serves on the listeners until stopped. Where Envoy asks, the mapping says what requests mean.
#[must_use]
pub fn serve(
    listeners: Listeners,
    edge: &Arc<Edge>,
    mapping: Option<Arc<Mapping>>,
    settings: &ServerSettings,
) -> Serving {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let Listeners { tcp, unix, metrics, envoy_tcp, envoy_unix } = listeners;
    let unix_paths = [&unix, &envoy_unix].into_iter().flatten().map(|(_, path)| path.clone()).collect();
    let pulse = Pulse::of(Arc::clone(edge));
    let accept = |front| Accept::new(front, settings, stopped.clone());
    tasks.spawn(accept(Front::new(Arc::clone(edge), Via::Tcp)).tcp(tcp));
    if let Some(metrics) = metrics {
        tasks.spawn(accept(Front::of_routes_alone(super::metrics::router(Arc::clone(edge)))).tcp(metrics));
    }
    if let Some((unix, _)) = unix {
        tasks.spawn(accept(Front::new(Arc::clone(edge), Via::UnixSocket)).unix(unix));
    }
    if let Some(mapping) = mapping {
        let front = |via| {
            let routes = ext_authz::routes(Arc::clone(edge), via, Arc::clone(&mapping), pulse.clone());
            Front::of_routes_alone(routes)
        };
        if let Some(tcp) = envoy_tcp {
            tasks.spawn(accept(front(Via::Tcp)).tcp(tcp));
        }
        if let Some((unix, _)) = envoy_unix {
            tasks.spawn(accept(front(Via::UnixSocket)).unix(unix));
        }
        let (pulse, mut stopped) = (pulse.clone(), stopped.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = pulse.go_on() => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }
    Serving { stop, tasks, unix_paths, pulse }
}

/// The loop of one listener.
struct Accept {
    front: Front,
    connections: Arc<Semaphore>,
    read_timeout: Duration,
    idle_timeout: Duration,
    drain_timeout: Duration,
    stopped: watch::Receiver<bool>,
}

impl Accept {
    fn new(front: Front, settings: &ServerSettings, stopped: watch::Receiver<bool>) -> Self {
        Self {
            front,
            connections: Arc::new(Semaphore::new(settings.max_connections)),
            read_timeout: settings.read_timeout(),
            idle_timeout: settings.idle_timeout(),
            drain_timeout: settings.drain_timeout(),
            stopped,
        }
    }

    async fn tcp(self, listener: TcpListener) {
        let accept = async move || {
            let (stream, _) = listener.accept().await?;
            // Answers are small and complete: waiting for more to send only delays them.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        self.run(accept).await;
    }

    async fn unix(self, listener: UnixListener) {
        self.run(async move || Ok(listener.accept().await?.0)).await;
    }

    async fn run<S, A>(mut self, accept: A)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        A: AsyncFn() -> io::Result<S>,
    {
        let mut server = auto::Builder::new(TokioExecutor::new());
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.read_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            // Head and body in one piece. Not by gathering the answers to what was asked ahead: a client that asks on and
            // does not read would have them pile up here.
            .writev(false);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.read_timeout)
            .keep_alive_timeout(self.read_timeout)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        let graceful = GracefulShutdown::new();
        loop {
            let admitted = async {
                let permit = Arc::clone(&self.connections).acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((accept().await?, permit))
            };
            // Also while every place is taken: a stop must not wait for a client that stays.
            let admitted = tokio::select! {
                admitted = admitted => admitted,
                _ = self.stopped.wait_for(|stopped| *stopped) => break,
            };
            let (stream, permit) = match admitted {
                Ok(admitted) => admitted,
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (service, quiet) = Quiet::watch(self.front.of_connection());
            let stream = Opening::new(stream, self.read_timeout);
            let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            let idle_timeout = self.idle_timeout;
            tokio::spawn(async move {
                // A client that breaks off or never finishes its head is its own business.
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(error = %error, "a connection ended early");
                    },
                    () = quiet.for_all_of(idle_timeout) => tracing::debug!("a connection was idle and is cut"),
                }
                drop(permit);
            });
        }
        // Closes the listener: whoever comes now is refused at once, and does not wait for an answer that never comes.
        drop(accept);
        if tokio::time::timeout(self.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way when the drain time had passed");
        }
    }
}
