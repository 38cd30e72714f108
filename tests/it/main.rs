//! Tests that use the product from outside: over HTTP, the command line, and processes that are killed.
//!
//! One binary, a module a topic. `support` holds the harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs
)]

mod access_request_profile;
mod architecture;
mod audit_trail;
mod authzen;
mod bad_input;
mod callers;
mod client;
mod decision_log;
mod demo;
mod envoy;
mod exact;
mod explanations;
#[cfg(feature = "etcd")]
mod fleet;
mod histories;
mod hostile;
mod openapi;
mod policy_mutants;
mod privacy;
mod process;
mod receipts;
mod reload;
#[cfg(feature = "workbench")]
mod review;
mod rules;
mod story;
mod support;
mod webhooks;
#[cfg(feature = "workbench")]
mod workbench;
mod workflow_api;
