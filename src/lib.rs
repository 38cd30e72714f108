//! Consentry: the authorization sidecar between a vendor's support engineers and its customers' diagnostic data.
//!
//! The rooms of this crate and who may know whom are drawn in `ARCHITECTURE.md`; a test keeps the drawing true.

pub mod app;
pub mod audit;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod decision;
pub mod http;
pub mod identity;
pub mod mapping;
pub mod model;
pub mod outbox;
pub mod policy;
pub mod receipt;
pub mod reference;
pub mod replica;
pub mod signing;
pub mod store;
pub mod trail;
#[cfg(feature = "workbench")]
pub mod workbench;
pub mod workflow;

#[cfg(test)]
#[path = "../tests/it/support/effort.rs"]
#[allow(unreachable_pub, reason = "shared with the tests from outside")]
mod effort;
