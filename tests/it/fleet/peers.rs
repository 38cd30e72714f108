//! The lines between the members of etcd: one of them can be cut off from the others while everybody else reaches it.
//!
//! Each member advertises a port of ours. Who calls is read off the first request of a connection: etcd names the caller in it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::proxy::{PROXIES, listener};

/// No head of a request between members is longer.
const LONGEST_HEAD: usize = 16 * 1024;

/// The member that is cut off: its place, and the id that it calls itself.
type Alone = Option<(usize, u64)>;

pub struct Peers {
    urls: Vec<String>,
    alone: watch::Sender<Alone>,
}

impl Peers {
    /// Lines to the members at these addresses.
    pub fn between(addresses: &[&str]) -> Self {
        let _inside = PROXIES.enter();
        let alone = watch::Sender::new(None);
        let mut urls = Vec::new();
        for (place, address) in addresses.iter().enumerate() {
            let listener = listener();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            let member = format!("{address}:2380").parse().unwrap();
            // Ends with the test's process.
            tokio::spawn(listen(listener, place, member, alone.subscribe()));
        }
        Self { urls, alone }
    }

    /// Where the other members find this one.
    pub fn url(&self, place: usize) -> String {
        self.urls[place].clone()
    }

    /// Ends every connection from and to this member, and lets none through; none: lets all through again.
    pub fn cut_off(&self, alone: Alone) {
        self.alone.send_replace(alone);
    }
}

async fn listen(listener: TcpListener, place: usize, member: SocketAddr, alone: watch::Receiver<Alone>) {
    loop {
        let Ok((caller, _)) = listener.accept().await else { continue };
        tokio::spawn(carry(caller, place, member, alone.clone()));
    }
}

/// One connection: ends when either side does, or is cut off.
async fn carry(
    mut caller: TcpStream,
    place: usize,
    member: SocketAddr,
    mut alone: watch::Receiver<Alone>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || caller.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let from = calling(&String::from_utf8_lossy(&head));
    let is_cut = |alone: &Alone| {
        // Who does not say who calls is not let through to anybody while somebody is cut off.
        alone.is_some_and(|(target, id)| target == place || from.is_none_or(|from| from == id))
    };
    if is_cut(&alone.borrow()) {
        return None;
    }
    let mut server = TcpStream::connect(member).await.ok()?;
    server.set_nodelay(true).ok()?;
    caller.set_nodelay(true).ok()?;
    server.write_all(&head).await.ok()?;
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut caller, &mut server) => {}
        _ = alone.wait_for(is_cut) => {}
    }
    Some(())
}

/// The id of the member that calls.
fn calling(head: &str) -> Option<u64> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let named = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("x-server-from"));
    named.and_then(|(_, id)| u64::from_str_radix(id.trim(), 16).ok())
}
