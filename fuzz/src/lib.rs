//! The targets of `tests/it/hostile/`, for libFuzzer.

#[path = "../../tests/it/hostile/targets.rs"]
pub mod targets;
