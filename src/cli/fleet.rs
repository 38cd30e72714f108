//! `consentry fleet`: how the processes that share a store are doing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::app::{FleetStatus, etcd_grants};
use crate::config::{Config, FleetSettings, Overrides};

/// How the processes that share a store are doing.
#[derive(Debug, Args)]
pub(super) struct Fleet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows every member: its role, how far it is, whether it renews its lease, and the policies it decides by. Ends with 1
    /// when somebody should look at one of them.
    Status(Status),
    /// Prints the `etcdctl` calls that make the role of this process in etcd: what it needs, and nothing more.
    EtcdRole(EtcdRole),
}

#[derive(Debug, Args)]
struct EtcdRole {
    /// The settings file of the member.
    #[arg(long, short, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Status {
    /// The settings file of a member.
    #[arg(long, short, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
    /// For how long to watch for renewals, in milliseconds; at least the time between two of them.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    watch_ms: u64,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Fleet {
    /// Tells whether everything is as it should be.
    pub(super) fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Status(status) => status.run(),
            Command::EtcdRole(role) => role.run().map(|()| true),
        }
    }
}

fn settings(config: &Path) -> anyhow::Result<FleetSettings> {
    let config = Config::read(Some(config), &Overrides::default())?;
    config.fleet.context("the settings have no `[fleet]`")
}

impl EtcdRole {
    fn run(&self) -> anyhow::Result<()> {
        for call in etcd_grants(&settings(&self.config)?) {
            anstream::println!("etcdctl {}", call.join(" "));
        }
        Ok(())
    }
}

impl Status {
    fn run(&self) -> anyhow::Result<bool> {
        let fleet = settings(&self.config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let status = runtime.block_on(FleetStatus::of(&fleet, Duration::from_millis(self.watch_ms)))?;
        if self.json {
            anstream::println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            print(&status);
        }
        Ok(status.is_well())
    }
}

fn print(status: &FleetStatus) {
    let unknown = || "-".to_owned();
    let epoch = status.epoch.clone().unwrap_or_else(|| "none: no authority has begun it".to_owned());
    let policies = status.policy_version.clone().unwrap_or_else(|| "none rolled out".to_owned());
    anstream::println!("epoch     {epoch}\nhead      {}\npolicies  {policies}\n", status.head);
    let widest = status.members.iter().map(|member| member.member.len()).max().unwrap_or_default().max(6);
    anstream::println!("{:widest$}  {:9}  {:>9}  {:>5}  {:6}  POLICIES", "MEMBER", "ROLE", "APPLIED", "LAG", "LEASE");
    for member in &status.members {
        let role = member.role.clone().unwrap_or_else(unknown);
        let policies = member.policy_version.clone().unwrap_or_else(unknown);
        let lease = if member.renews { "renews" } else { "silent" };
        anstream::println!(
            "{:widest$}  {role:9}  {:>9}  {:>5}  {lease:6}  {policies}",
            member.member,
            member.applied,
            member.lag
        );
    }
    for member in &status.members {
        if let Some(trouble) = member.trouble {
            anstream::println!("\n{}: {trouble}", member.member);
        }
    }
}
