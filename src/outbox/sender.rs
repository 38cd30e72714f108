//! Sends a letter, and believes nothing of what comes back but its status.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, Url, redirect};

use super::event::Event;
use super::settings::{Destination, InvalidWebhooks, WebhookSettings};
use super::signature::{Signer, read_key, read_secret};
use crate::model::Timestamp;

/// How much of an answer is read; more is a failure. Nothing of it is looked at.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a letter was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// In our words: an answer's text is never repeated.
    pub(super) why: String,
    /// For how long the endpoint asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The endpoint has said that it is no more (410, RFC 9110 section 15.5.11): to ask again is of no use.
    pub(super) gone: bool,
}

impl Failure {
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry_after: None, gone: false }
    }
}

/// The way to one endpoint.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    url: Url,
    signer: Arc<Signer>,
    content_type: &'static str,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL's query may hold a secret of the receiver's.
        f.debug_struct("Sender").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn new(endpoint: Destination<'_>, settings: &WebhookSettings) -> Result<Self, InvalidWebhooks> {
        let name = || endpoint.name.to_owned();
        let named = |file: &Path, problem: String| InvalidWebhooks::Secret {
            name: name(),
            file: file.display().to_string(),
            problem,
        };
        let secret = |file: &PathBuf| read_secret(file).map_err(|problem| named(file, problem));
        let secrets = endpoint.secret_files.iter().map(secret).collect::<Result<Vec<_>, _>>()?;
        let key = |file: &PathBuf| read_key(file).map_err(|problem| named(file, problem));
        let key = endpoint.signing_key_file.map(key).transpose()?;
        let not_made = |cause: String| InvalidWebhooks::Client { name: name(), cause };
        let url = Url::parse(endpoint.url).map_err(|error| not_made(error.to_string()))?;
        let mut client = client(&url, settings.timeout());
        // Plain http is for loopback in development: settings see to that.
        if !settings.allow_private_addresses && url.scheme() == "https" {
            client = client.dns_resolver(PublicAddresses);
        }
        let client = client.build().map_err(|error| not_made(format!("{error:?}")))?;
        let (signer, content_type) = (Arc::new(Signer::new(secrets, key)), endpoint.content_type);
        Ok(Self { client, url, signer, content_type })
    }

    /// Delivers an event: the endpoint has said 2xx and finished its answer.
    pub(super) async fn deliver(&self, event: &Event, now: Timestamp) -> Result<(), Failure> {
        let timestamp_s = now.as_millis().div_euclid(1_000);
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", self.content_type)
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", self.signer.sign(&event.id, timestamp_s, &event.body))
            .body(event.body.clone());
        finished(request).await
    }
}

/// A client for one address, which believes nobody but that address.
pub(super) fn client(url: &Url, timeout: Duration) -> ClientBuilder {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        // A redirect could lead to a place that the operator did not name.
        .redirect(redirect::Policy::none())
        .referer(false)
        // Settings come from the settings: a proxy in the environment could see what is sent.
        .no_proxy()
        .user_agent(concat!("consentry/", env!("CARGO_PKG_VERSION")))
        .https_only(url.scheme() == "https")
}

/// Sends it, and waits until the other side has said 2xx and finished its answer.
pub(super) async fn finished(request: RequestBuilder) -> Result<(), Failure> {
    let mut response = request.send().await.map_err(|error| Failure::because(in_our_words(&error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(Failure {
            why: format!("status {}", status.as_u16()),
            retry_after: retry_after(&response),
            gone: status == StatusCode::GONE,
        });
    }
    let mut read = 0;
    while let Some(part) = response.chunk().await.map_err(|error| Failure::because(in_our_words(&error)))? {
        read += part.len();
        if read > MOST_ANSWER_BYTES {
            return Err(Failure::because("its answer is too long"));
        }
    }
    Ok(())
}

/// How long `Retry-After` asks to wait, where it says so in seconds.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let value = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

/// A failure's kind; its text could repeat an address, or what the other side said.
fn in_our_words(error: &reqwest::Error) -> String {
    let why = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "its answer broke off"
    } else {
        "the exchange broke off"
    };
    why.to_owned()
}

/// Resolves names to addresses of the internet alone: a name that leads into the operator's own network was not meant.
#[derive(Debug, Clone, Copy)]
struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("every address of this name lies in a private network".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet's, as the registries of special addresses have it (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => embedded_v4(address).map_or_else(|| is_public_v6(address), is_public_v4),
    }
}

/// `2000::/3` is all that is given out, but for protocols (`2001::/23`) and documentation (`2001:db8::/32`, `3fff::/20`).
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0..0x0200 | 0x0db8, ..] | [0x3fff, 0..0x1000, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The address of the older kind that this one leads to: mapped, translated (RFC 6052) or tunnelled (6to4).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, _, _, _, seventh, eighth] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (first, second) {
        (0x2002, _) => Some(of(second, third)),
        (0x0064, 0xff9b) => Some(of(seventh, eighth)),
        _ => address.to_ipv4_mapped(),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation();
    !(special || shared || protocol || benchmark || a == 0 || a >= 240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_into_this_machine_leads_nowhere() {
        let refused = PublicAddresses.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().unwrap().to_string().contains("private network"));
    }

    #[test]
    fn addresses_that_are_not_the_internets_are_known() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
