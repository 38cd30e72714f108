//! Decisions over HTTP, beside a bare axum handler that parses the same JSON and gives the same bytes.
//!
//! `cargo bench --bench load -- [--cases 1000,100000] [--connections 1,16] [--rounds 5] [--seconds 2] [--log written]`
//!
//! Both servers run as processes of their own on one core, the load on the other; rounds are interleaved, medians are
//! compared. Read the ratios: absolute rates on a shared machine say little. Loopback only, and it ends by itself.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod fixture;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use consentry::app::App;
use consentry::clock::{Clock as _, SystemClock};
use consentry::config::{Config, Overrides};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use fixture::{Asked, Failure, fill, questions};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HOT: usize = 2_000;
const PATH: &str = "/access/v1/evaluation";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve-ours") => serve_ours(Path::new(arguments.get(1).ok_or("no folder")?)),
        Some("serve-floor") => serve_floor(arguments.get(1).ok_or("no answer")?.clone()),
        _ => compare(&arguments),
    }
}

/// The value of `--name`.
fn option(arguments: &[String], name: &str, default: &str) -> String {
    let at = arguments.iter().position(|argument| argument == &format!("--{name}"));
    at.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_else(|| default.to_owned())
}

fn numbers(text: &str) -> Result<Vec<usize>, Failure> {
    text.split(',').map(|number| Ok(number.trim().parse()?)).collect()
}

fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    // Where there is one core only, everything shares it.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

fn compare(arguments: &[String]) -> Result<(), Failure> {
    let cases = numbers(&option(arguments, "cases", "1000,100000"))?;
    let connections = numbers(&option(arguments, "connections", "1,16"))?;
    let rounds: usize = option(arguments, "rounds", "5").parse()?;
    let seconds: u64 = option(arguments, "seconds", "2").parse()?;
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for n in cases {
        let folder = tempfile::tempdir()?;
        runtime.block_on(fill(&folder.path().join("store.db"), n))?;
        let token = prepare(folder.path(), &option(arguments, "log", "written"))?;
        let ours = Server::start(&["serve-ours", &folder.path().display().to_string()])?;
        println!("{n} live access requests: ready in {:?}, {} MB resident", ours.ready_in, ours.resident_mb()?);
        let asked = questions(n, HOT);
        runtime.block_on(check(ours.address, &token, &asked))?;
        let sample = runtime.block_on(ask(ours.address, &token, asked.first().ok_or("no question")?))?;
        let floor = Server::start(&["serve-floor", &sample])?;
        let requests: Vec<Vec<u8>> = asked.iter().map(|asked| request(&token, &asked.body())).collect();
        let requests = Arc::new(requests);
        for count in &connections {
            let mut results = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let duration = Duration::from_secs(seconds);
                results.0.push(runtime.block_on(load(ours.address, Arc::clone(&requests), *count, duration))?);
                results.1.push(runtime.block_on(load(floor.address, Arc::clone(&requests), *count, duration))?);
            }
            report(*count, &results.0, &results.1);
        }
        println!("after the load: {} MB resident", ours.resident_mb()?);
    }
    Ok(())
}

/// Settings, key and a token for the tooling.
fn prepare(folder: &Path, log_mode: &str) -> Result<String, Failure> {
    let key = DevelopmentKey::generate()?;
    std::fs::write(folder.join("jwks.json"), key.jwks())?;
    let shown = folder.display();
    std::fs::write(
        folder.join("consentry.toml"),
        format!(
            r#"
            mode = "development"
            server.listen = "127.0.0.1:0"
            store.path = "{shown}/store.db"
            decision_log.path = "{shown}/decisions.jsonl"
            decision_log.mode = "{log_mode}"
            [identity]
            vendor_tenants = ["vendor"]
            [[identity.issuers]]
            issuer = "https://issuer.bench.example/{{tid}}"
            audiences = ["consentry"]
            algorithms = ["EdDSA"]
            jwks_file = "{shown}/jwks.json"
            development = true
            "#
        ),
    )?;
    Ok(key.mint(&DevelopmentClaims {
        issuer: "https://issuer.bench.example/vendor".to_owned(),
        audience: "consentry".to_owned(),
        tenant: "vendor".parse()?,
        object: "tooling".to_owned(),
        roles: Vec::new(),
        app_roles: vec!["Decisions.Evaluate".parse()?],
        service: true,
        issued_at: SystemClock::new().now(),
        lifetime_s: 3_600,
    })?)
}

fn serve_ours(folder: &Path) -> Result<(), Failure> {
    pin(0);
    let config = Config::read(Some(&folder.join("consentry.toml")), &Overrides::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = App::start(&config, Arc::new(SystemClock::new())).await?;
        announce(app.address())?;
        std::future::pending::<()>().await;
        Ok(())
    })
}

#[derive(Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct Action {
    name: String,
}

#[derive(Deserialize)]
struct Context {
    support_request: String,
}

#[derive(Deserialize)]
struct Evaluation {
    subject: Entity,
    action: Action,
    resource: Entity,
    context: Context,
}

/// The floor: parses, decides nothing.
fn serve_floor(answer: String) -> Result<(), Failure> {
    pin(0);
    let answer = Bytes::from(answer);
    let evaluate = move |body: Bytes| {
        let answer = answer.clone();
        async move {
            let parsed: Result<Evaluation, _> = serde_json::from_slice(&body);
            let known = parsed.is_ok_and(|evaluation| {
                let Evaluation { subject, action, resource, context } = evaluation;
                let parts = [subject.kind, subject.id, action.name, resource.kind, resource.id];
                !context.support_request.is_empty() && parts.iter().all(|part| !part.is_empty())
            });
            let status = if known { http::StatusCode::OK } else { http::StatusCode::BAD_REQUEST };
            (status, [(http::header::CONTENT_TYPE, "application/json")], answer)
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        use axum::serve::ListenerExt as _;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        announce(listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().route(PATH, post(evaluate))).await?;
        Ok(())
    })
}

fn announce(address: SocketAddr) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    out.flush()?;
    Ok(())
}

/// A server process; it ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
    ready_in: Duration,
}

impl Server {
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let started = Instant::now();
        let mut process = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()?, ready_in: started.elapsed() })
    }

    fn resident_mb(&self) -> Result<usize, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: usize = line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?;
        Ok(kib / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn request(token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads one answer; gives its status and body's place.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(u16, usize, usize), Failure> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?;
        let status: u16 = text.get(9..12).unwrap_or_default().parse()?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("no content-length")?.parse()?;
        while buffer.len() < head + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        return Ok((status, head + 4, length));
    }
}

async fn ask(address: SocketAddr, token: &str, asked: &Asked) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request(token, &asked.body())).await?;
    let mut buffer = Vec::new();
    let (status, start, length) = answer(&mut stream, &mut buffer).await?;
    let body = String::from_utf8_lossy(buffer.get(start..start + length).unwrap_or_default()).into_owned();
    if status == 200 { Ok(body) } else { Err(format!("{status}: {body}").into()) }
}

/// A server that answers wrongly is not worth measuring.
async fn check(address: SocketAddr, token: &str, asked: &[Asked]) -> Result<(), Failure> {
    for asked in asked {
        let body = ask(address, token, asked).await?;
        if !body.starts_with(&format!("{{\"decision\":{}", asked.allowed)) {
            return Err(format!("{asked:?} was answered {body}").into());
        }
    }
    Ok(())
}

/// One round's figures.
struct Round {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

async fn load(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    duration: Duration,
) -> Result<Round, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for connection in 0..connections {
        let requests = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut took) = (Vec::with_capacity(4_096), Vec::new());
            let offset = connection * 131;
            for request in requests.iter().cycle().skip(offset) {
                let sent = Instant::now();
                if sent.duration_since(started) > duration {
                    break;
                }
                stream.write_all(request).await?;
                let (status, ..) = answer(&mut stream, &mut buffer).await?;
                if status != 200 {
                    return Err(Failure::from(format!("status {status}")));
                }
                took.push(sent.elapsed());
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    let answered = u32::try_from(took.len())?;
    let per_second = f64::from(answered) / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    Ok(Round { per_second, p50_us: at(50), p99_us: at(99) })
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn report(connections: usize, ours: &[Round], floor: &[Round]) {
    let figure = |rounds: &[Round]| {
        let of = |value: fn(&Round) -> f64| median(rounds, value);
        (of(|round| round.per_second), of(|round| round.p50_us), of(|round| round.p99_us))
    };
    let (ours, floor) = (figure(ours), figure(floor));
    println!(
        "{connections:>3} connections: ours {:>7.0}/s p50 {:>5.0} us p99 {:>6.0} us | floor {:>7.0}/s p50 {:>5.0} us \
         p99 {:>6.0} us | ratio {:.2}, p99 ratio {:.2}",
        ours.0,
        ours.1,
        ours.2,
        floor.0,
        floor.1,
        floor.2,
        ours.0 / floor.0,
        ours.2 / floor.2,
    );
}
