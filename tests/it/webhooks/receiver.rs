//! A tenant's endpoint: it verifies, remembers, and answers as badly as it is told to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use consentry::signing::{SigningKey, TrustedKey};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Takes,
    /// It takes it, and says nonsense.
    TakesWithGarbage,
    Fails(u16),
    /// It never answers.
    Hangs,
    /// It leads elsewhere.
    Redirects,
    /// It says that it takes it, and closes in the middle of saying so.
    BreaksOff,
    /// It says that it takes it, and never stops talking.
    Floods,
    /// It asks to be left alone for a minute.
    AsksForTime,
}

impl Manner {
    /// What may get better. An endpoint that says that it is gone (410) is believed.
    pub const BAD: [Self; 8] = [
        Self::Fails(500),
        Self::Fails(409),
        Self::Fails(404),
        Self::Hangs,
        Self::Redirects,
        Self::BreaksOff,
        Self::Floods,
        Self::AsksForTime,
    ];

    /// Whether what is answered so counts as delivered.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Takes | Self::TakesWithGarbage)
    }
}

/// What arrived, and how it was answered.
#[derive(Debug, Clone)]
pub struct Got {
    pub id: String,
    pub timestamp: i64,
    pub text: String,
    pub event: Value,
    pub manner: Manner,
}

impl Got {
    pub fn about(&self) -> &str {
        self.event["subject"].as_str().unwrap()
    }
}

type Choice = Box<dyn FnMut(&Got) -> Manner + Send>;

struct Inside {
    got: Vec<Got>,
    choice: Choice,
    secret: Vec<u8>,
    /// By which every delivery must be signed, too.
    key: Option<TrustedKey>,
    strays: usize,
    content_type: &'static str,
}

/// An endpoint that listens.
pub struct Receiver {
    pub url: String,
    folder: TempDir,
    inside: Arc<Mutex<Inside>>,
}

impl Receiver {
    /// An endpoint that takes everything.
    pub async fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let secret: Vec<u8> = (0..32).map(|_| fastrand::u8(..)).collect();
        std::fs::write(folder.path().join("secret"), format!("whsec_{}\n", STANDARD.encode(&secret))).unwrap();
        let inside = Inside {
            got: Vec::new(),
            choice: Box::new(|_| Manner::Takes),
            secret,
            key: None,
            strays: 0,
            content_type: "application/cloudevents+json; charset=utf-8",
        };
        let inside = Arc::new(Mutex::new(inside));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&inside));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, folder, inside }
    }

    /// Settings of an endpoint that is this one.
    pub fn settings(&self, name: &str, tenant: &str) -> String {
        let (url, secret) = (&self.url, self.folder.path().join("secret").display().to_string());
        format!(
            "[[webhooks.endpoints]]\nname = \"{name}\"\ntenant = \"{tenant}\"\nurl = \"{url}\"\nsecret_files = [\"{secret}\"]\n"
        )
    }

    /// Settings of a callback endpoint that is this one; from now on it wants callbacks.
    pub fn callback_settings(&self, name: &str) -> String {
        let (url, secret) = (&self.url, self.folder.path().join("secret").display().to_string());
        self.inside.lock().content_type = "application/json";
        format!("[[webhooks.callbacks]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_files = [\"{secret}\"]\n")
    }

    /// A file that lives as long as this.
    pub fn keep(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Settings of an endpoint that is this one, with a key; from now on it wants its signature.
    pub fn settings_with_key(&self, name: &str, tenant: &str) -> String {
        let key = SigningKey::generate().unwrap();
        let file = self.keep("key.pem", &key.to_pem());
        self.inside.lock().key = Some(key.public());
        format!("{}signing_key_file = \"{}\"\n", self.settings(name, tenant), file.display())
    }

    /// From now on it answers so.
    pub fn answers(&self, manner: Manner) {
        self.chooses(move |_| manner);
    }

    pub fn chooses(&self, choice: impl FnMut(&Got) -> Manner + Send + 'static) {
        self.inside.lock().choice = Box::new(choice);
    }

    /// Everything that arrived, in the order of arrival.
    pub fn got(&self) -> Vec<Got> {
        let inside = self.inside.lock();
        assert_eq!(inside.strays, 0, "something was sent elsewhere, or not as it should");
        inside.got.clone()
    }

    /// What was taken, each once, in the order in which it was taken first.
    pub fn taken(&self) -> Vec<Got> {
        let mut taken: Vec<Got> = Vec::new();
        for got in self.got().into_iter().filter(|got| got.manner.is_good()) {
            match taken.iter().find(|before| before.id == got.id) {
                Some(before) => assert_eq!(before.text, got.text, "the same letter, in other words"),
                None => taken.push(got),
            }
        }
        taken
    }

    /// The ids of what was taken.
    pub fn ids(&self) -> Vec<String> {
        self.taken().into_iter().map(|got| got.id).collect()
    }
}

/// What Standard Webhooks ask of whoever verifies, but for the age of the timestamp.
fn verified(inside: &Inside, request: &http::request::Parts, body: &[u8]) -> Option<(String, i64)> {
    let header = |name: &str| request.headers.get(name)?.to_str().ok().map(ToOwned::to_owned);
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let signatures = header("webhook-signature")?;
    let of_kind = |kind: &str| {
        let tags = signatures.split(' ').filter_map(|signature| signature.strip_prefix(kind)?.strip_prefix(','));
        tags.filter_map(|tag| STANDARD.decode(tag).ok()).collect::<Vec<_>>()
    };
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &inside.secret);
    let by_secret = of_kind("v1").iter().any(|tag| hmac::verify(&secret, &signed, tag).is_ok());
    let by_key = inside.key.as_ref().is_none_or(|key| of_kind("v1a").iter().any(|tag| key.signed(&signed, tag)));
    (by_secret && by_key).then_some((id, timestamp.parse().ok()?))
}

async fn receive(State(inside): State<Arc<Mutex<Inside>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let manner = {
        let mut inside = inside.lock();
        let is_expected = parts.method == "POST"
            && parts.uri.path() == "/hook"
            && parts.headers["content-type"] == inside.content_type;
        let verified = verified(&inside, &parts, &bytes).filter(|_| is_expected);
        let Some((id, timestamp)) = verified else {
            inside.strays += 1;
            return Response::builder().status(400).body(Body::empty()).unwrap();
        };
        let event: Value = serde_json::from_slice(&bytes).unwrap();
        let task = event["task"]["id"].as_str().map(|task| format!("task-{task}"));
        assert_eq!(task.as_deref().or(event["id"].as_str()), Some(id.as_str()));
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut got = Got { id, timestamp, text, event, manner: Manner::Takes };
        got.manner = (inside.choice)(&got);
        let manner = got.manner;
        inside.got.push(got);
        manner
    };
    answer(manner).await
}

async fn answer(manner: Manner) -> Response {
    let status = |status: u16| Response::builder().status(status);
    match manner {
        Manner::Takes => status(204).body(Body::empty()).unwrap(),
        Manner::TakesWithGarbage => status(202).body(Body::from("<html>\u{0}{{{")).unwrap(),
        Manner::Fails(code) => status(code).body(Body::from("no")).unwrap(),
        Manner::Hangs => std::future::pending().await,
        Manner::Redirects => status(307).header("location", "/elsewhere").body(Body::empty()).unwrap(),
        Manner::AsksForTime => status(503).header("retry-after", "60").body(Body::empty()).unwrap(),
        Manner::BreaksOff => status(200).body(Body::new(BreaksOff { has_begun: false })).unwrap(),
        Manner::Floods => status(200).body(Body::from(vec![b'x'; 4 * 1024 * 1024])).unwrap(),
    }
}

/// A body that ends before its end.
struct BreaksOff {
    has_begun: bool,
}

impl hyper::body::Body for BreaksOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let began = std::mem::replace(&mut self.has_begun, true);
        let frame = Frame::data(Bytes::from_static(b"tak"));
        Poll::Ready(Some(if began { Err(std::io::Error::other("closed")) } else { Ok(frame) }))
    }
}
