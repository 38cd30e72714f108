//! What a decision costs in process: remembered, evaluated, and its parts.
//!
//! `cargo bench --bench decision`

mod fixture;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use consentry::audit::{Asked as AskedBy, DecisionIds};
use consentry::clock::SystemClock;
use consentry::decision::{Decisions, ReadQuestion};
use consentry::policy::{Bundle, BundleSource, Policies};
use consentry::replica::{Replica, follow};
use consentry::store::sqlite::SqliteStore;
use consentry::store::{MemberId, Store};
use criterion::Criterion;
use fixture::{Asked, Failure, fill, questions};

const CASES: usize = 20_000;
const HOT: usize = 2_000;

fn parse(asked: &Asked) -> Result<ReadQuestion<'_>, Failure> {
    Ok(ReadQuestion::parse(&asked.engineer, "read", &asked.resource, Some(&asked.support_request))?)
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.db");
    runtime.block_on(fill(&path, CASES))?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path)?);
    let replica = Arc::new(Replica::new());
    let following = runtime.spawn(follow(Arc::clone(&replica), store, MemberId("bench".to_owned())));
    while replica.fresh().is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let policies = Arc::new(Policies::new(Bundle::load(&BundleSource::shipped())?));
    let decisions = |capacity: u64| {
        Decisions::new(
            Arc::clone(&policies),
            Arc::clone(&replica),
            Arc::new(SystemClock::new()),
            Arc::new(DecisionIds::new()),
            capacity,
        )
    };
    let asked = questions(CASES, HOT);
    let hot: Vec<ReadQuestion<'_>> = asked.iter().map(parse).collect::<Result<_, _>>()?;
    let remembering = decisions(100_000);
    let forgetting = decisions(0);
    for (question, asked) in hot.iter().zip(&asked) {
        let decided = remembering.decide(question)?;
        assert_eq!(decided.answer.allowed, asked.allowed, "{question:?}");
        remembering.remember(question, &decided);
    }
    let mut criterion =
        Criterion::default().measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    let mut round = hot.iter().cycle();
    let mut next = move || round.next();
    criterion.bench_function("decision/cached", |bencher| {
        bencher.iter(|| next().map(|question| remembering.decide(black_box(question))));
    });
    let mut round = hot.iter().cycle();
    criterion.bench_function("decision/evaluated", |bencher| {
        bencher.iter(|| round.next().map(|question| forgetting.decide(black_box(question))));
    });
    let mut round = asked.iter().cycle();
    criterion.bench_function("question/parse", |bencher| {
        bencher.iter(|| round.next().map(|asked| parse(black_box(asked)).map(|question| question.tenant.len())));
    });
    let first = hot.first().ok_or("no question")?;
    let decided = remembering.decide(first)?;
    let mut line = String::new();
    criterion.bench_function("record/cached", |bencher| {
        bencher.iter(|| {
            let by =
                AskedBy { caller: "vendor/tooling", request_id: None, log_mode: consentry::audit::LogMode::Written };
            black_box(decided.record(first, by, &mut line).line.len())
        });
    });
    following.abort();
    criterion.final_summary();
    Ok(())
}
