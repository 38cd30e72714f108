//! Letters go through TLS, to nobody but the host that was named and that a trusted authority vouches for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::receiver::Receiver;
use crate::support::process::{Sidecar, Site};

/// TLS in front of a receiver, as `localhost`, by an authority whose certificate is put into this file.
async fn in_front_of(receiver: &Receiver, authority: &Path) -> SocketAddr {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let behind = receiver.url.strip_prefix("http://").unwrap().strip_suffix("/hook").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(connection).await else { return };
                let mut inside = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// A sidecar that trusts this authority and tells the endpoint at this host; something has happened that is to be told.
async fn telling(receiver: &Receiver, address: SocketAddr, host: &str, authority: &Path) -> (Site, Sidecar) {
    let endpoint = receiver.settings("siem", "contoso");
    let endpoint = endpoint.replace(&receiver.url, &format!("https://{host}:{}/hook", address.port()));
    let webhooks = "[webhooks]\nallow_private_addresses = true\nlook_every_ms = 20\nfirst_retry_ms = 20\n";
    let site = Site::new(&format!("{webhooks}{endpoint}"));
    let mut command = site.command(&["serve", "--config", "consentry.toml"]);
    command.env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    let sidecar = Sidecar::spawn(command);
    let ticketing = site.person(&sidecar, "vendor", "ticketing", &[], &["SupportRequests.Manage"]);
    let body = json!({
        "id": "SR-1", "number": "N-1", "summary": "sign-in fails", "tenant": "contoso", "submitted_in": "admin_center",
        "assignee": "vendor/ada",
    });
    let opened = ticketing.post("/v1/support-requests", &body).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let engineer = site.person(&sidecar, "vendor", "ada", &[], &["SupportEngineer"]);
    let body = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "sign-ins fail" });
    let asked = engineer.post("/v1/access-requests", &body).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    (site, sidecar)
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_arrive_through_tls_where_the_authority_is_trusted_and_the_host_is_the_named_one() {
    let receiver = Receiver::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (trusted, other) = (folder.path().join("trusted.pem"), folder.path().join("other.pem"));
    let address = in_front_of(&receiver, &trusted).await;
    in_front_of(&receiver, &other).await;

    for (host, authority) in [("localhost", &other), ("127.0.0.1", &trusted)] {
        let (_site, mut sidecar) = telling(&receiver, address, host, authority).await;
        let line = sidecar.wait_for_line("a letter was not delivered");
        assert!(line.contains("no connection"), "{line}");
        assert!(receiver.got().is_empty(), "{host}: a letter went to somebody who was not vouched for");
    }
    let (_site, _sidecar) = telling(&receiver, address, "localhost", &trusted).await;
    let arrived = async {
        while receiver.taken().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), arrived).await.expect("nothing arrived");
}
