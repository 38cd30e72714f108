//! What one record of 500 bytes costs in the mode `written`, for one task and for 64 tasks on two threads.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::audit::{DecisionLog, DecisionLogSettings, LogError};
use consentry::clock::SystemClock;
use consentry::model::TenantId;
use criterion::Criterion;
use tokio::runtime::{Builder, Runtime};

const LINE: [u8; 500] = [b'x'; 500];

async fn record(log: &DecisionLog, tenant: &TenantId, records: u64) -> Result<(), LogError> {
    for _ in 0..records {
        log.settled(log.append(&LINE, Some(tenant))?).await?;
    }
    Ok(())
}

/// How long this many tasks take for this many records in all.
fn time(runtime: &Runtime, tasks: u64, records: u64) -> Result<Duration, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let settings = DecisionLogSettings::at(folder.path().join("decisions"));
    let log = Arc::new(DecisionLog::open(&settings, Arc::new(SystemClock::new()))?);
    let tenant = TenantId::new("contoso")?;
    let start = Instant::now();
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (log, tenant) = (Arc::clone(&log), tenant.clone());
                tokio::spawn(async move { record(&log, &tenant, records.div_ceil(tasks)).await })
            })
            .collect();
        for task in running {
            task.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let took = start.elapsed();
    log.close()?;
    Ok(took)
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    for tasks in [1, 64] {
        criterion.bench_function(&format!("log/written/{tasks} tasks"), |bencher| {
            // A run that failed shows as one that never ends: its number is never taken for a good one.
            bencher.iter_custom(|records| time(&runtime, tasks, records).unwrap_or(Duration::MAX));
        });
    }
    criterion.final_summary();
    Ok(())
}
