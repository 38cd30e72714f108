//! What hostile input is thrown at, and what must hold whatever comes: one function a target, bytes in, a panic when
//! something does not hold. The smoke tests call them with mutations of `fuzz/corpus/`, and the fuzz crate with what
//! libFuzzer thinks of.
//!
//! The paths are spelt out because the fuzz crate includes this file from its own place.

#[path = "targets/bundle.rs"]
pub mod bundle;
#[path = "targets/checks.rs"]
pub mod checks;
#[path = "targets/commands.rs"]
pub mod commands;
#[path = "targets/config.rs"]
pub mod config;
#[path = "targets/evaluations.rs"]
pub mod evaluations;
#[path = "targets/front.rs"]
mod front;
#[path = "targets/guest.rs"]
pub mod guest;
#[path = "targets/headers.rs"]
pub mod headers;
#[path = "targets/ids.rs"]
pub mod ids;
#[path = "targets/keys.rs"]
pub mod keys;
#[path = "targets/lists.rs"]
pub mod lists;
#[path = "targets/log.rs"]
pub mod log;
#[path = "targets/mapping.rs"]
pub mod mapping;
#[path = "targets/tokens.rs"]
pub mod tokens;
#[path = "targets/wire.rs"]
pub mod wire;
