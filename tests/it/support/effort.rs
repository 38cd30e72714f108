//! How hard the tests that try at random try, and where their randomness begins.
//!
//! The variables do not begin with `CONSENTRY_`: the service takes whatever does for one of its settings.

use std::hash::{BuildHasher, Hasher, RandomState};

/// `usual`, times the whole number in `TESTS_EFFORT` (1 when it is not set): how many histories, questions or rounds.
pub fn effort(usual: u64) -> u64 {
    usual * number("TESTS_EFFORT").unwrap_or(1)
}

/// Random numbers from `TESTS_SEED`, or from a new seed. The seed is printed: a test that fails shows it.
pub fn random(test: &str) -> fastrand::Rng {
    let seed = number("TESTS_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("{test}: TESTS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no whole number: `{text}`")))
}
