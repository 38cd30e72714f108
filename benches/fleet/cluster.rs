//! An etcd of three members on free ports, and what it costs.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions};

use crate::fixture::Failure;
use crate::servers::cpu_of;

const MEMBERS: usize = 3;

/// Three members; dropping it ends them.
pub(crate) struct Cluster {
    members: Vec<Child>,
    urls: Vec<String>,
}

impl Cluster {
    /// Starts it in this folder, and waits until each member takes writes.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let ports = free_ports()?;
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let urls: Vec<String> = ports.iter().take(MEMBERS).map(url).collect();
        let peers: Vec<String> = ports.iter().skip(MEMBERS).map(url).collect();
        let initial = peers.iter().enumerate().map(|(place, peer)| format!("m{place}={peer}"));
        let initial = initial.collect::<Vec<_>>().join(",");
        let mut cluster = Self { members: Vec::new(), urls };
        for (place, (url, peer)) in cluster.urls.iter().zip(&peers).enumerate() {
            let name = format!("m{place}");
            let child = Command::new("etcd")
                .args(["--name", &name, "--logger", "zap", "--log-level", "warn", "--log-outputs", "stderr"])
                .arg("--data-dir")
                .arg(folder.join(&name))
                .args(["--listen-client-urls", url, "--advertise-client-urls", url])
                .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
                .args(["--initial-cluster", &initial])
                .args(["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m"])
                .stdout(Stdio::null())
                .stderr(File::create(folder.join(format!("{name}.log")))?)
                .spawn()
                .map_err(|error| format!("etcd: {error} (./test installs it)"))?;
            cluster.members.push(child);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        for url in &cluster.urls {
            while let Err(error) = Self::takes_writes(url).await {
                if Instant::now() > deadline {
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(cluster)
    }

    async fn takes_writes(url: &str) -> Result<(), Failure> {
        let mut client = Client::connect([url], None).await?;
        let written = client.put("bench", "", None);
        tokio::time::timeout(Duration::from_secs(1), written).await??;
        Ok(())
    }

    /// The members' URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.urls.clone()
    }

    async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.urls, None).await?)
    }

    /// How many transactions have been applied so far, and the bytes of the largest data base.
    pub(crate) async fn standing(&self) -> Result<(u64, i64), Failure> {
        let (mut applied, mut size) = (0, 0);
        for url in &self.urls {
            let status = Client::connect([url], None).await?.status().await?;
            applied = applied.max(status.raft_applied_index());
            size = size.max(status.db_size());
        }
        Ok((applied, size))
    }

    /// The members' processor time.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        self.members.iter().map(|member| cpu_of(member.id())).sum()
    }

    /// How many waits for the members of the fleet have ended, how many of them with somebody silent, and how many silent
    /// ones there were in all.
    pub(crate) async fn barriers(&self) -> Result<(usize, usize, usize), Failure> {
        let all = GetOptions::new().with_prefix();
        let mut found = self.client().await?.get("/acc/barrier/", Some(all)).await?;
        let (mut waits, mut with_silent, mut silent) = (0, 0, 0);
        for entry in found.take_kvs() {
            let barrier: serde_json::Value = serde_json::from_slice(entry.value())?;
            let waited_out = barrier.get("waited_out").and_then(|silent| silent.as_array()).map_or(0, Vec::len);
            waits += 1;
            with_silent += usize::from(waited_out > 0);
            silent += waited_out;
        }
        Ok((waits, with_silent, silent))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// One for clients and one for the peers of each member; all are held until all are known.
fn free_ports() -> Result<Vec<u16>, Failure> {
    let held: Vec<TcpListener> =
        (0..2 * MEMBERS).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
