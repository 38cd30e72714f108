//! An etcd of one member, on free ports and in a folder of its own.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

/// Ends with the last test that holds it.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A running etcd. Dropping it ends it.
pub(super) struct Server {
    child: Child,
    endpoint: String,
    directory: TempDir,
}

impl Server {
    /// The one that tests share.
    pub(super) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start(&[]));
        *shared = Arc::downgrade(&server);
        server
    }

    /// One of one's own.
    pub(super) fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, free_port(), arguments)
    }

    fn start_in(directory: TempDir, port: u16, arguments: &[&str]) -> Self {
        let scheme = if arguments.contains(&"--cert-file") { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        let child = run(&endpoint, &directory.path().join("data"), arguments);
        Self { child, endpoint, directory }
    }

    /// Comes back with what a backup holds.
    pub(super) fn restore(&mut self, backup: &Path) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let data = self.directory.path().join("restored");
        let restored = ["snapshot", "restore", backup.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        etcdctl(&[], &restored);
        self.child = run(&self.endpoint, &data, &["--force-new-cluster"]);
    }

    pub(super) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }
}

fn run(endpoint: &str, data: &Path, arguments: &[&str]) -> Child {
    let peer = format!("http://127.0.0.1:{}", free_port());
    let mut child = Command::new("etcd")
        .env_clear()
        .args(["--log-level", "info", "--logger", "zap"])
        .arg("--data-dir")
        .arg(data)
        .args(["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("etcd is installed: ./test does that");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else { panic!("etcd did not start: {said:#?}") };
        let ready = line.contains("serving insecure client requests") || line.contains("serving client traffic");
        said.push(line);
        if ready {
            break;
        }
    }
    // It must be able to say what it says.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Runs the command line of etcd, and gives what it printed.
pub(super) fn etcdctl(connection: &[&str], arguments: &[&str]) -> String {
    attempt(connection, arguments).unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
}

/// Runs it, or gives what it complained of.
pub(super) fn attempt(connection: &[&str], arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("etcdctl")
        .env_clear()
        .env("ETCDCTL_API", "3")
        .args(connection)
        .args(arguments)
        .output()
        .expect("etcdctl is installed: ./test does that");
    let said = |bytes| String::from_utf8(bytes).unwrap();
    if run.status.success() { Ok(said(run.stdout)) } else { Err(said(run.stderr)) }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
