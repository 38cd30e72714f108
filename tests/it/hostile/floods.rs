//! Floods against the real program: its memory stays within bounds, and whoever asks politely is answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::support::effort::effort;
use crate::support::process::{Sidecar, Site};
use crate::support::{Person, question, request};

/// Small bounds, so that a flood that got around one would show.
const SETTINGS: &str = "server.max_connections = 200\nserver.read_timeout_ms = 2000\nserver.idle_timeout_ms = 2000\n\
    server.max_bodies_bytes = 4194304\ndecision.cache_capacity = 1000";
/// So much more memory than at its start may the program take, in KiB. What the settings above allow is about half of it:
/// 200 heads of 64 KiB, 4 MiB of bodies and what is made of them.
const BOUND_KIB: u64 = 96 * 1024;
/// One client's answers may take so much, in KiB: those to the requests that are read at once, and what they are made of.
const UNREAD_KIB: u64 = 4 * 1024;
/// So many clients hold on at once, more than are let in. The others wait outside, or hung up.
const AT_ONCE: usize = 400;

struct Flooded {
    sidecar: Sidecar,
    tooling: Person,
    site: Site,
    at_start_kib: u64,
}

impl Flooded {
    async fn start() -> Self {
        Self::start_with(SETTINGS).await
    }

    async fn start_with(settings: &str) -> Self {
        let site = Site::new(settings);
        let sidecar = site.start();
        let tooling = site.person(&sidecar, "vendor", "tooling", &[], &["Decisions.Evaluate"]);
        let mut flooded = Self { sidecar, tooling, site, at_start_kib: 0 };
        flooded.answers().await;
        flooded.at_start_kib = flooded.memory_kib("VmRSS");
        flooded
    }

    fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.sidecar.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    }

    /// Somebody polite is answered, as soon as there is a place. A connection that was kept may just have been cut, as any
    /// client must expect.
    async fn answers(&self) {
        let question = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").to_string().into_bytes();
        for _ in 0..3 {
            if let Ok(reply) =
                self.tooling.try_send(Method::POST, "/access/v1/evaluation", Some(question.clone())).await
            {
                assert_eq!((reply.status, reply.decision()), (200, false), "{reply:?}");
                return;
            }
        }
        panic!("the service does not answer");
    }

    /// What it took at most, since it was started.
    async fn held(&self, flood: &str) {
        self.answers().await;
        let grown_kib = self.memory_kib("VmHWM").saturating_sub(self.at_start_kib);
        println!("{flood}: {} MiB more than at the start", grown_kib / 1024);
        assert!(grown_kib <= BOUND_KIB, "{flood}: {grown_kib} KiB more than at the start");
    }

    fn address(&self) -> SocketAddr {
        self.sidecar.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Many clients say this and never read; the last of them hold on until the end.
    async fn many_say(&self, count: u64, bytes: &[u8]) {
        let mut holding = VecDeque::new();
        for _ in 0..count {
            let mut stream = self.connect().await;
            // Who is not let in can say as much as fits into the socket's buffer.
            let _ = tokio::time::timeout(Duration::from_millis(10), stream.write_all(bytes)).await;
            holding.push_back(stream);
            if holding.len() > AT_ONCE {
                holding.pop_front();
            }
        }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.tooling.token())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HTTP/2's preface and an empty SETTINGS, then `count` times what `next` says.
fn http_2(count: u32, next: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    (0..count).for_each(|number| bytes.extend(next(number)));
    bytes
}

/// `GET http://x/healthz` as HPACK's static table has it, with path and authority in plain letters.
fn get_healthz() -> Vec<u8> {
    [&[0x82, 0x86, 0x44, 8][..], b"/healthz", &[0x41, 1], b"x"].concat()
}

#[tokio::test]
async fn connections_and_heads_take_bounded_memory() {
    let flooded = Flooded::start().await;
    flooded.many_say(effort(10_000), b"").await;
    flooded.held("silent connections").await;
    let half = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(60_000));
    flooded.many_say(effort(600), half.as_bytes()).await;
    flooded.held("heads without an end").await;
    let huge = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    flooded.many_say(effort(100), huge.as_bytes()).await;
    flooded.held("huge heads").await;
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    flooded.many_say(effort(100), many.as_bytes()).await;
    flooded.held("many headers").await;
}

#[tokio::test]
async fn http_2_floods_take_bounded_memory() {
    let flooded = Flooded::start().await;
    let open = |number: u32| frame(1, 5, 2 * number + 1, &get_healthz());
    let floods = [
        ("rapid resets", http_2(20_000, |n| [open(n), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat())),
        ("streams nobody reads", http_2(20_000, open)),
        ("pings", http_2(50_000, |_| frame(6, 0, 0, b"12345678"))),
        ("settings", http_2(50_000, |_| frame(4, 0, 0, &[0, 1, 0, 0, 16, 0]))),
        ("priorities", http_2(50_000, |_| frame(2, 0, 1, &[0, 0, 0, 0, 0]))),
        ("a head without an end", {
            let more = frame(9, 0, 1, &[&[0, 1, b'x', 0x7f, 0x80, 0x7e][..], &[b'y'; 255]].concat());
            [http_2(1, |_| frame(1, 1, 1, &get_healthz())), more.repeat(20_000)].concat()
        }),
        (
            "empty continuations",
            [http_2(1, |_| frame(1, 1, 1, &get_healthz())), frame(9, 0, 1, &[]).repeat(50_000)].concat(),
        ),
        // 0xbe names the field that was added last: a byte each, and 4 KiB once unpacked.
        (
            "a small head that unpacks to a large one",
            http_2(100, |n| {
                let field = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000], &[0xbe; 10_000]].concat();
                frame(1, 5, 2 * n + 1, &[get_healthz(), field].concat())
            }),
        ),
    ];
    for (name, bytes) in floods {
        flooded.many_say(effort(20), &bytes).await;
        flooded.held(name).await;
    }
}

#[tokio::test]
async fn bodies_take_bounded_memory() {
    let flooded = Flooded::start().await;
    let authorization = flooded.authorization();
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let nearly = |length: &str| {
        let headers = [&headers[..], &[("content-length", length)]].concat();
        [request("POST", "/access/v1/evaluations", &headers, ""), vec![b' '; 1_000_000]].concat()
    };
    // One byte is missing, or never counted.
    flooded.many_say(effort(300), &nearly("1000001")).await;
    flooded.held("bodies without an end").await;
    let chunked = [&headers[..], &[("transfer-encoding", "chunked")]].concat();
    let chunks = [request("POST", "/access/v1/evaluations", &chunked, ""), b"f0000\r\n".to_vec(), vec![b' '; 0xf_0000]];
    flooded.many_say(effort(300), &chunks.concat()).await;
    flooded.held("chunks without an end").await;
    let deep = format!("{{\"evaluations\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let wide = format!("{{\"evaluations\":[{}1]}}", "1,".repeat(500_000));
    let members = format!("{{{}\"x\":1}}", "\"x\":1,".repeat(150_000));
    for (name, body) in [("deep JSON", deep), ("wide JSON", wide), ("many members", members)] {
        for _ in 0..effort(20) {
            let body = Some(body.clone().into_bytes());
            let reply = flooded.tooling.send(Method::POST, "/access/v1/evaluations", body).await;
            assert!(reply.status < 500 && !reply.text.contains("\"decision\":true"), "{reply:?}");
        }
        flooded.held(name).await;
    }
}

#[tokio::test]
async fn tokens_keys_and_questions_take_bounded_memory() {
    let flooded = Flooded::start().await;
    let question = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    for _ in 0..effort(1_000) {
        // Every token is another one: each has an id of its own.
        let reply = flooded.tooling.post("/access/v1/evaluation", &question).await;
        assert_eq!(reply.status, 200);
    }
    flooded.held("distinct tokens").await;
    let good = flooded.tooling.token();
    let (_, rest) = good.split_once('.').unwrap();
    for number in 0..effort(1_000) {
        use base64::Engine as _;
        let header = json!({ "alg": "EdDSA", "kid": format!("{number}{}", "k".repeat(6_000)) }).to_string();
        let token = format!("{}.{rest}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header));
        let reply = flooded.tooling.holding(&token).post("/access/v1/evaluation", &question).await;
        assert_eq!(reply.status, 401, "{reply:?}");
    }
    flooded.held("keys nobody has").await;
    let tooling = flooded.tooling.holding(&good);
    for batch in 0..effort(40) {
        let item = |n: u64| json!({ "resource": { "type": "DiagnosticData", "id": format!("fabrikam/signInLogs/{}{batch}/{n}", "i".repeat(400)) } });
        let mut body = question.clone();
        body["evaluations"] = (0..500).map(item).collect();
        let reply = tooling.post("/access/v1/evaluations", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    flooded.held("distinct questions").await;
    drop(flooded.site);
}

/// A client that has said all this, or as much as is taken of it, and reads nothing: little fits in between.
async fn never_reads(address: SocketAddr, bytes: Vec<u8>) -> JoinHandle<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    tokio::spawn(async move {
        // It is cut off at last.
        let _ = stream.write_all(&bytes).await;
        stream
    })
}

/// Somebody who comes now is answered, once there is a place.
async fn lets_in(address: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request("GET", path, &[("connection", "close")], "")).await.unwrap();
    let mut answer = String::new();
    let answered = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await;
    answered.expect("the places stay taken").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_pile_up() {
    let settings =
        SETTINGS.replace("connections = 200", "connections = 1") + "\nserver.metrics_listen = \"127.0.0.1:0\"";
    let mut flooded = Flooded::start_with(&settings).await;
    let serving: serde_json::Value = serde_json::from_str(&flooded.sidecar.wait_for_line("\"serving\"")).unwrap();
    let metrics = serving["metrics"].as_str().unwrap().parse().unwrap();
    // Short requests with long answers, and with answers that are a head alone.
    let scrapes = request("GET", "/metrics", &[], "").repeat(5_000);
    let heads = request("HEAD", "/healthz", &[], "").repeat(200_000);
    for (path, address, bytes) in [("/metrics", metrics, scrapes), ("/healthz", flooded.address(), heads)] {
        let before_kib = flooded.memory_kib("VmHWM");
        let _unread = never_reads(address, bytes).await;
        // There is one place: it is free once all of that has been worked on, or given up.
        lets_in(address, path).await;
        let grown_kib = flooded.memory_kib("VmHWM") - before_kib;
        println!("{path}: {grown_kib} KiB");
        assert!(grown_kib < UNREAD_KIB, "{path}: {grown_kib} KiB of answers that nobody reads");
    }
}

#[tokio::test]
async fn who_never_reads_is_cut_off_and_keeps_nobody_out() {
    let flooded = Flooded::start_with(&SETTINGS.replace("connections = 200", "connections = 2")).await;
    let mut batch = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    batch["evaluations"] = vec![json!({}); 1_000].into();
    let authorization = flooded.authorization();
    let asking = request("POST", "/access/v1/evaluations", &[("authorization", &authorization)], &batch.to_string());
    let mut unread = Vec::new();
    for _ in 0..2 {
        unread.push(never_reads(flooded.address(), asking.repeat(15)).await);
    }
    // All places are taken by clients that do not read megabytes of answers. Who comes now has no connection yet.
    lets_in(flooded.address(), "/healthz").await;
    flooded.held("answers that nobody reads").await;
}

#[tokio::test]
async fn an_http_2_client_that_only_keeps_alive_is_cut_off() {
    let flooded = Flooded::start().await;
    let mut stream = flooded.connect().await;
    // A window of nothing: the answer can never be sent.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    stream.write_all(&frame(1, 5, 1, &get_healthz())).await.unwrap();
    let alive = async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            // Settings and pings are acknowledged, as by everybody who is alive.
            let ours = head[4] & 1 == 0;
            let acknowledged = match head[3] {
                4 if ours => stream.write_all(&frame(4, 1, 0, &[])).await,
                6 if ours => stream.write_all(&frame(6, 1, 0, &payload)).await,
                _ => Ok(()),
            };
            if acknowledged.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), alive).await.expect("the connection stays");
    flooded.answers().await;
}
