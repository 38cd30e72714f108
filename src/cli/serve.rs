//! `consentry serve`: the sidecar itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::telemetry;
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{
    Config, GuestModelOverrides, LogFormat, Mode, Overrides, PolicyOverrides, ServerOverrides, TelemetryOverrides,
};

/// Runs the sidecar. Settings come from the file, then `CONSENTRY_...` variables, then these flags.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The settings file (TOML).
    #[arg(long, short, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen on TCP, such as 127.0.0.1:8620.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to listen on a Unix domain socket for decisions.
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// The policy bundle's directory.
    #[arg(long, value_name = "DIRECTORY")]
    policies: Option<PathBuf>,
    /// The directory of another Cedar model, served instead of support access.
    #[arg(long, value_name = "DIRECTORY")]
    guest_model: Option<PathBuf>,
    /// How logs look.
    #[arg(long, value_enum)]
    log_format: Option<Format>,
    /// Allow development keys and open listeners. Never for real data.
    #[arg(long)]
    development: bool,
    /// Let everybody on this machine ask for decisions without a token. Needs development mode.
    #[arg(long)]
    insecure_loopback: bool,
    /// Check settings and policies, and end.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Pretty,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::read(self.config.as_deref(), &self.overrides())?;
        telemetry::start(&config.telemetry)?;
        if self.check {
            App::check(&config)?;
            tracing::info!("settings and policies are good");
            return Ok(());
        }
        // Two at least: while a disk hangs under one of them, the other one says so.
        let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        runtime.context("the runtime cannot start")?.block_on(serve(config))
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            mode: self.development.then_some(Mode::Development),
            server: ServerOverrides {
                listen: self.listen,
                unix_socket: self.unix_socket.clone(),
                insecure_loopback: self.insecure_loopback.then_some(true),
            },
            policy: PolicyOverrides { directory: self.policies.clone() },
            guest_model: GuestModelOverrides { directory: self.guest_model.clone() },
            telemetry: TelemetryOverrides {
                format: self.log_format.map(|format| match format {
                    Format::Json => LogFormat::Json,
                    Format::Pretty => LogFormat::Pretty,
                }),
            },
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let app = App::start(&config, Arc::new(SystemClock::new())).await?;
    if config.mode == Mode::Development {
        tracing::warn!("DEVELOPMENT MODE: development keys are accepted; never use this with real data");
    }
    if config.server.insecure_loopback {
        tracing::warn!("INSECURE LOOPBACK: everybody on this machine can ask for decisions without a token");
    }
    let version = app.edge().policy_version();
    let metrics = app.metrics_address().map(|address| address.to_string());
    tracing::info!(address = %app.address(), metrics, policy.version = version, "serving");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => match app.reload_policies() {
                Ok(()) => {
                    let version = app.edge().policy_version();
                    tracing::info!(policy.version = version, "policies reloaded");
                }
                Err(error) => tracing::error!(error = %error, "the policies are not good: the ones in force stay"),
            },
        }
    }
    tracing::info!("stopping");
    app.stop().await.context("the decision log could not be flushed")?;
    Ok(())
}
