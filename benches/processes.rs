//! Servers as processes of their own on one core, for benchmarks that ask them over sockets.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use consentry::app::App;
use consentry::clock::SystemClock;
use consentry::config::{Config, Overrides};

use crate::fixture::Failure;

/// The value of `--name`.
pub(crate) fn option(arguments: &[String], name: &str, default: &str) -> String {
    let at = arguments.iter().position(|argument| argument == &format!("--{name}"));
    at.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_else(|| default.to_owned())
}

/// This thread, and what it starts from now on, runs on this core.
pub(crate) fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    // Where there is one core only, everything shares it.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// This program with other arguments, and where it says that it listens.
pub(crate) fn started(arguments: &[&str]) -> Result<(Child, SocketAddr), Failure> {
    let mut child = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

/// The service with the settings in this folder, where who starts it runs.
pub(crate) fn serve_ours(folder: &Path) -> Result<(), Failure> {
    let config = Config::read(Some(&folder.join("consentry.toml")), &Overrides::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = App::start(&config, Arc::new(SystemClock::new())).await?;
        announce(app.address())?;
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// These routes and nothing else.
pub(crate) fn serve_routes(mut runtime: tokio::runtime::Builder, routes: Router) -> Result<(), Failure> {
    pin(0);
    runtime.enable_all().build()?.block_on(async {
        use axum::serve::ListenerExt as _;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        announce(listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

fn announce(address: SocketAddr) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    out.flush()?;
    Ok(())
}
