//! The program as a process: a folder with a settings file, and the binary run on it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use consentry::clock::{Clock as _, ManualClock, SystemClock};
use consentry::identity::development::DevelopmentKey;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::house::settings;
use super::person::Person;

/// Nothing that a test waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for one sidecar: settings, key, store and log.
pub struct Site {
    pub folder: TempDir,
    pub key: Arc<DevelopmentKey>,
}

impl Site {
    /// A folder with the harness's settings and more of them.
    pub fn new(more: &str) -> Self {
        Self::within(TempDir::new().unwrap(), more)
    }

    /// The same, in this folder.
    pub fn within(folder: TempDir, more: &str) -> Self {
        let key = Arc::new(DevelopmentKey::generate().unwrap());
        std::fs::write(folder.path().join("jwks.json"), key.jwks()).unwrap();
        let site = Self { folder, key };
        site.settings(&settings(site.path(), more));
        site
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes the settings file.
    pub fn settings(&self, text: &str) {
        std::fs::write(self.file("consentry.toml"), text).unwrap();
    }

    /// Puts the shipped bundle into this folder, where it can be edited.
    pub fn bundle(&self, name: &str) {
        copy_bundle(&self.file(name));
    }

    /// `consentry`, run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    /// Starts serving and returns when it does.
    pub fn start(&self) -> Sidecar {
        Sidecar::spawn(self.command(&["serve", "--config", "consentry.toml"]))
    }

    /// Somebody who calls the sidecar that listens there.
    pub fn person(&self, sidecar: &Sidecar, tenant: &str, object: &str, roles: &[&str], app_roles: &[&str]) -> Person {
        // Tokens are minted at the time at which this is called, and good for ten minutes.
        let clock = ManualClock::at(SystemClock::new().now());
        let service = tenant == "vendor" && roles.is_empty() && app_roles != ["SupportEngineer"];
        Person::of(&self.key, clock, &sidecar.url, [tenant, object], [roles, app_roles], service)
    }
}

/// A process that serves. It is killed when it is dropped.
pub struct Sidecar {
    pub child: Child,
    pub url: String,
    /// The lines of its own log.
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Sidecar {
    /// Starts this command and waits until it serves.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, _) = collect(&mut child);
        let mut sidecar = Self { child, url: String::new(), log };
        let line = sidecar.wait_for_line("\"serving\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        sidecar.url = format!("http://{}", line["address"].as_str().unwrap());
        sidecar
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it as a power switch would, as far as the process can tell.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub fn end(&mut self) -> ExitStatus {
        wait(&mut self.child, &self.log)
    }

    /// Waits for a line of its log that contains this, and gives it.
    pub fn wait_for_line(&mut self, part: &str) -> String {
        self.wait_for_line_after(0, part)
    }

    /// The same, among the lines after the first so many.
    pub fn wait_for_line_after(&mut self, seen: usize, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap();
            let found = self.log.lock().iter().skip(seen).find(|line| line.contains(part)).cloned();
            match (found, ended) {
                (Some(line), _) => return line,
                (None, Some(status)) => panic!("ended with {status} before it said `{part}`: {:#?}", self.log.lock()),
                (None, None) => {}
            }
            assert!(Instant::now() < deadline, "it never said `{part}`: {:#?}", self.log.lock());
            pause();
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to the end, which has to come soon; gives the exit status and what was written to standard error.
pub fn end_of(mut command: Command) -> (ExitStatus, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (lines, reading) = collect(&mut child);
    let status = wait(&mut child, &lines);
    // What it wrote last may still be on its way through the pipe.
    reading.join().unwrap();
    let said = lines.lock().join("\n");
    (status, said)
}

/// A process has nobody to tell us that something happened: we look again a little later.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(3));
}

fn collect(child: &mut Child) -> (Arc<Mutex<Vec<String>>>, JoinHandle<()>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (stderr, collected) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
    let reading = std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            collected.lock().push(line);
        }
    });
    (lines, reading)
}

fn wait(child: &mut Child, log: &Mutex<Vec<String>>) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            // What it wrote last may still be on its way through the pipe.
            std::thread::sleep(Duration::from_millis(20));
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end: {:#?}", log.lock());
        }
        pause();
    }
}

/// Puts the shipped bundle into this folder, where it can be edited.
pub fn copy_bundle(folder: &Path) {
    for part in ["policies", "schemas"] {
        let to = folder.join(part);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}
