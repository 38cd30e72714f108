//! How fast a log of a million records is verified, and how fast the log takes them in while it binds them into its tree.
//!
//! `cargo bench --bench trail -- --records 1000000`. Prints what it measured; compare runs on one machine.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::audit::{DecisionLog, DecisionLogSettings};
use consentry::clock::SystemClock;
use consentry::model::TenantId;
use consentry::signing::{SigningKey, TrustedKeys};
use consentry::trail::verify;

/// Records are as long as those of remembered reads are.
const PAD: usize = 500;

fn records() -> Result<u64, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--records").skip(1);
    Ok(arguments.next().map_or(Ok(1_000_000), |records| records.parse())?)
}

fn rate(records: u64, took: Duration) -> u128 {
    u128::from(records) * 1_000_000 / took.as_micros().max(1)
}

#[expect(clippy::print_stdout, reason = "what it measured")]
fn main() -> Result<(), Box<dyn Error>> {
    let records = records()?;
    let folder = tempfile::tempdir()?;
    let pad = "x".repeat(PAD);
    for compress in [false, true] {
        let path = folder.path().join(if compress { "compressed" } else { "plain" });
        let settings = DecisionLogSettings { compress, ..DecisionLogSettings::at(&path) };
        let key = SigningKey::generate()?;
        let keys = TrustedKeys(vec![key.public()]);
        let log = DecisionLog::open_signed_by(&settings, Arc::new(SystemClock::new()), Arc::new(key))?;
        let tenant = TenantId::new("contoso")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (start, mut behind, mut longest) = (Instant::now(), 0, Duration::ZERO);
        runtime.block_on(async {
            for number in 0..records {
                let line = format!("{{\"type\":\"decision\",\"decision_id\":\"{number:032x}\",\"pad\":\"{pad}\"}}");
                let ticket = log.append(line.as_bytes(), Some(&tenant))?;
                if number % 64 == 63 {
                    let waiting = Instant::now();
                    log.settled(ticket).await?;
                    longest = longest.max(waiting.elapsed());
                }
                if number % 10_000 == 0 {
                    behind = behind.max(log.trail().behind_bytes);
                }
            }
            log.flush().await
        })?;
        let took = start.elapsed();
        let closing = Instant::now();
        log.close()?;
        println!(
            "written: {records} records in {took:.2?}, {} a second; the tree was {behind} bytes behind at most; \
             the longest write took {longest:.2?}; closed in {:.2?}",
            rate(records, took),
            closing.elapsed()
        );
        let start = Instant::now();
        let report = verify(&path, &keys, &[])?;
        let took = start.elapsed();
        println!(
            "verified: {} lines, {} bytes, {} segments, {} heads in {took:.2?}: {} lines a second, good: {}",
            report.size,
            report.bytes,
            report.segments,
            report.heads,
            rate(report.size, took),
            report.is_good()
        );
    }
    Ok(())
}
