//! Makes a history that went wrong as short as it can be and still go wrong.

use std::time::{Duration, Instant};

use super::play::{Difference, play};
use super::step::Step;

/// How long to try, whatever the history.
const PATIENCE: Duration = Duration::from_secs(180);

/// Takes steps out, many at once and then one by one, as long as what is left still goes wrong.
pub async fn shrink(steps: &[Step], difference: Difference) -> (Vec<Step>, Difference) {
    let deadline = Instant::now() + PATIENCE;
    let (mut steps, mut difference) = (steps[..=difference.step].to_vec(), difference);
    let mut size = steps.len() / 2;
    while size > 0 {
        let (mut at, mut removed) = (0, false);
        while at < steps.len() && Instant::now() < deadline {
            let mut fewer = steps.clone();
            fewer.drain(at..steps.len().min(at + size));
            match play(&fewer).await {
                Err(found) => {
                    fewer.truncate(found.step + 1);
                    (steps, difference, removed) = (fewer, found, true);
                }
                Ok(_) => at += size,
            }
        }
        // Once more with single steps as long as that helps.
        size = if size == 1 && removed && Instant::now() < deadline { 1 } else { size / 2 };
    }
    (steps, difference)
}
