//! What a decision costs in process, in processor time of its thread: remembered, evaluated, and its parts.
//!
//! `cargo bench --bench decision`

mod cpu_time;
mod fixture;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use consentry::audit::{Asked as AskedBy, DecisionIds};
use consentry::clock::SystemClock;
use consentry::decision::{Decisions, ReadQuestion};
use consentry::policy::{Bundle, BundleSource, Policies, SourceFile};
use consentry::replica::{Following, Replica, follow};
use consentry::store::sqlite::SqliteStore;
use consentry::store::{MemberId, Store};
use cpu_time::CpuTime;
use criterion::Criterion;
use criterion::measurement::WallTime;
use fixture::{Asked, Failure, fill, questions};

const CASES: usize = 20_000;
const HOT: usize = 2_000;

fn parse(asked: &Asked) -> Result<ReadQuestion<'_>, Failure> {
    Ok(ReadQuestion::parse(&asked.engineer, "read", &asked.resource, Some(&asked.support_request))?)
}

/// The shipped policies and so many more, each about consents.
fn with_further_policies(count: usize) -> Result<Bundle, Failure> {
    let mut source = BundleSource::shipped();
    let further = (0..count).map(|number| {
        format!(
            "@id(\"further.{number}\")\n@rule(\"R1\")\n@code(\"further\")\n@reason(\"further\")\nforbid (principal is User, action == \
             Action::\"viewConsent\", resource is Consent) when {{ resource.part == \"part {number}\" }};\n"
        )
    });
    source.policies.push(SourceFile { name: "policies/further.cedar".to_owned(), text: further.collect() });
    Ok(Bundle::load(&source)?)
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.db");
    runtime.block_on(fill(&path, CASES))?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path)?);
    let replica = Arc::new(Replica::new(Arc::new(SystemClock::new())));
    let following =
        runtime.spawn(follow(Arc::clone(&replica), store, Following::as_member(MemberId("bench".to_owned()))));
    while replica.fresh().is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let policies = Arc::new(Policies::new(Bundle::load(&BundleSource::shipped())?));
    let among_many = Arc::new(Policies::new(with_further_policies(1_000)?));
    let decisions = |policies: &Arc<Policies>, capacity: u64| {
        Decisions::new(
            Arc::clone(policies),
            Arc::clone(&replica),
            Arc::new(SystemClock::new()),
            Arc::new(DecisionIds::new()),
            capacity,
        )
    };
    let asked = questions(CASES, HOT);
    let hot: Vec<ReadQuestion<'_>> = asked.iter().map(parse).collect::<Result<_, _>>()?;
    let remembering = decisions(&policies, 100_000);
    let forgetting = decisions(&policies, 0);
    let forgetting_among_many = decisions(&among_many, 0);
    for (question, asked) in hot.iter().zip(&asked) {
        let decided = remembering.decide(question)?;
        assert_eq!(decided.answer.allowed, asked.allowed, "{question:?}");
        remembering.remember(question, &decided);
    }
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime(WallTime))
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut round = hot.iter().cycle();
    let mut next = move || round.next();
    criterion.bench_function("decision/cached", |bencher| {
        bencher.iter(|| next().map(|question| remembering.decide(black_box(question))));
    });
    let mut round = hot.iter().cycle();
    criterion.bench_function("decision/evaluated", |bencher| {
        bencher.iter(|| round.next().map(|question| forgetting.decide(black_box(question))));
    });
    let mut round = hot.iter().cycle();
    criterion.bench_function("decision/evaluated among 1,000 further policies", |bencher| {
        bencher.iter(|| round.next().map(|question| forgetting_among_many.decide(black_box(question))));
    });
    let mut round = hot.iter().cycle();
    criterion.bench_function("facts", |bencher| {
        bencher.iter(|| round.next().and_then(|question| question.support_request).map(|id| replica.facts(id)));
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
            black_box(decided.record(by, &mut line).line.len())
        });
    });
    following.abort();
    criterion.final_summary();
    Ok(())
}
