//! The lines that the log writes about itself, where something is missing. Numbers and times only: nothing to escape.

use crate::model::Timestamp;

/// Records were lost here in the mode `best_effort`, because the buffer was full.
pub(super) fn gap(lost: u64, since: Timestamp, time: Timestamp) -> String {
    format!("{{\"type\":\"gap\",\"lost\":{lost},\"since\":\"{since}\",\"time\":\"{time}\"}}\n")
}

/// The file ended within a line when it was opened; that part was cut off.
pub(super) fn healed(cut_bytes: u64, time: Timestamp) -> String {
    format!("{{\"type\":\"healed\",\"cut_bytes\":{cut_bytes},\"time\":\"{time}\"}}\n")
}

/// The log could not be written from `since` on; `refused` records failed and their decisions were denied (G3).
pub(super) fn resumed(refused: u64, since: Timestamp, time: Timestamp) -> String {
    format!("{{\"type\":\"resumed\",\"refused\":{refused},\"since\":\"{since}\",\"time\":\"{time}\"}}\n")
}
