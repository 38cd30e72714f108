//! A way to etcd that can be cut, and that can swallow answers.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What becomes of what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Requests get through, answers do not.
    Swallow,
    /// Connections are cut.
    Cut,
}

/// Carries bytes between a store and etcd.
pub(super) struct Proxy {
    endpoint: String,
    way: Arc<watch::Sender<Way>>,
    task: AbortHandle,
}

impl Proxy {
    pub(super) async fn to(endpoint: &str) -> Self {
        let target = endpoint.split("//").nth(1).unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let way = Arc::new(watch::Sender::new(Way::Open));
        let ways = Arc::clone(&way);
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                if *ways.borrow() == Way::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                tokio::spawn(carry(client, server, ways.subscribe()));
            }
        })
        .abort_handle();
        Self { endpoint, way, task }
    }

    pub(super) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Cuts every connection, and lets no other one in.
    pub(super) async fn cut(&self) {
        self.set(Way::Cut);
        self.way.closed().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: TcpStream, mut way: watch::Receiver<Way>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = way.clone();
    let up = async {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
            if to_server.write_all(&bytes[..length]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
            let swallowed = *answers.borrow() == Way::Swallow;
            if !swallowed && to_client.write_all(&bytes[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = way.wait_for(|way| *way == Way::Cut) => {}
    }
}
