//! What a client is made of: where the service is, how to prove who calls, how long to wait.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use reqwest::{Certificate, Url, redirect};

use super::error::NotBuilt;
use super::transport::{Client, Way};

/// How long a call may take with all of its attempts, unless it is said otherwise.
const USUAL_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a call is tried, unless it is said otherwise.
const USUAL_ATTEMPTS: u32 = 3;
/// Connections that nobody uses are closed before the service closes them (`server.idle_timeout_ms`, 60 s).
const IDLE: Duration = Duration::from_secs(30);

/// Where tokens come from: asked before each attempt, so that they can be renewed meanwhile.
pub(super) type Tokens = Arc<dyn Fn() -> String + Send + Sync>;

/// A client in the making.
#[derive(Clone)]
pub struct Builder {
    /// One at least.
    urls: Vec<String>,
    socket: Option<PathBuf>,
    tokens: Option<Tokens>,
    certificates: Option<Vec<u8>>,
    timeout: Duration,
    attempts: u32,
    hedge_after: Option<Duration>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are secrets.
        f.debug_struct("Builder").field("urls", &self.urls).field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the service at this URL, `http://` or `https://`.
    #[must_use]
    pub fn tcp(url: &str) -> Builder {
        Builder {
            urls: vec![url.to_owned()],
            socket: None,
            tokens: None,
            certificates: None,
            timeout: USUAL_TIMEOUT,
            attempts: USUAL_ATTEMPTS,
            hedge_after: None,
        }
    }

    /// A client of the service on this machine, which knows its callers by the socket's file mode.
    #[must_use]
    pub fn unix(socket: impl Into<PathBuf>) -> Builder {
        Builder { socket: Some(socket.into()), ..Self::tcp("http://localhost") }
    }
}

impl Builder {
    /// The same service is at this URL, too: a fleet's other authorities, or other sidecars. Each attempt goes to the next address,
    /// and a call begins where the last one was answered. All of them are given the token.
    #[must_use]
    pub fn also_at(mut self, url: &str) -> Self {
        self.urls.push(url.to_owned());
        self
    }

    /// A call that has no answer after so long is sent to the next address as well, while there are attempts left; the first
    /// answer that settles it counts. That is safe: what is sent twice happens once. Without it nothing is sent again before
    /// something has failed.
    #[must_use]
    pub const fn hedge_after(mut self, after: Duration) -> Self {
        self.hedge_after = Some(after);
        self
    }

    /// Calls with this bearer token.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.tokens(move || token.clone())
    }

    /// Calls with the token that this gives, asked before each attempt.
    #[must_use]
    pub fn tokens(mut self, tokens: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.tokens = Some(Arc::new(tokens));
        self
    }

    /// Trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates = Some(pem.into());
        self
    }

    /// How long a call may take, with all of its attempts: 2 seconds where nothing is said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call is tried at most, where it is safe to: 3 times where nothing is said, and once at least.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`NotBuilt`].
    pub fn build(self) -> Result<Client, NotBuilt> {
        if let (Some(_), Some(beside)) = (&self.socket, self.urls.get(1)) {
            return Err(NotBuilt::BesideSocket(beside.clone()));
        }
        let base = |url: &String| {
            let plain = Url::parse(url).ok().filter(is_plain).ok_or_else(|| NotBuilt::Url(url.clone()))?;
            Ok(plain.as_str().trim_end_matches('/').to_owned())
        };
        let bases = self.urls.iter().map(base).collect::<Result<Vec<_>, _>>()?;
        let not_built = |error: reqwest::Error| NotBuilt::Connection(format!("{error:?}"));
        let mut client = reqwest::Client::builder()
            // Settings come from the settings: a proxy of the environment would see the tokens.
            .no_proxy()
            // The service redirects nobody; somebody else could, with the token.
            .redirect(redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .connect_timeout(self.timeout)
            .user_agent(concat!("consentry-client/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &self.certificates {
            client = client.tls_certs_only(Certificate::from_pem_bundle(pem).map_err(not_built)?);
        }
        if let Some(socket) = &self.socket {
            client = client.unix_socket(socket.as_path());
        }
        Ok(Client::of(Way {
            http: client.build().map_err(not_built)?,
            bases,
            answered: AtomicUsize::new(0),
            tokens: self.tokens,
            timeout: self.timeout,
            attempts: self.attempts,
            hedge_after: self.hedge_after,
        }))
    }
}

/// A URL that paths can be put behind.
fn is_plain(url: &Url) -> bool {
    let bare =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_and_no_more() {
        for url in ["http://127.0.0.1:8620", "https://consentry.example", "https://consentry.example/sidecar/"] {
            assert!(Client::tcp(url).build().is_ok(), "{url}");
        }
        for url in ["", "consentry.example", "ftp://x", "http://", "http://a@x", "http://x?y", "http://x#y", "unix:/x"]
        {
            let not_built = Some(NotBuilt::Url(url.to_owned()));
            assert_eq!(Client::tcp(url).build().err(), not_built);
            assert_eq!(Client::tcp("http://x").also_at(url).build().err(), not_built);
        }
        let beside = Client::unix("/run/consentry.sock").also_at("http://x").build();
        assert_eq!(beside.err(), Some(NotBuilt::BesideSocket("http://x".to_owned())));
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Client::tcp("https://x").certificates(pem).build(), Err(NotBuilt::Connection(_))));
    }

    #[test]
    fn a_token_is_not_shown() {
        let builder = Client::tcp("http://x").token("secret-token");
        assert!(!format!("{builder:?} {:?}", builder.clone().build()).contains("secret-token"));
    }
}
