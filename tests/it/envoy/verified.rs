//! Engineers whom a real Envoy has verified: by the certificate of their connection, and by their token (G7).

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use reqwest::{Certificate, Client, Identity, Response};

use super::engineers::{CERTIFICATE, PAYLOAD, by};
use super::gate::{Gate, SIGN_IN};
use super::real::{Api, Configuration, Envoy};

/// Somebody who issues certificates.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "issuer of engineers");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key of a client, both in PEM.
    fn client(&self, uri: &str) -> (String, String) {
        self.issue(SanType::URI(uri.try_into().unwrap()), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: SanType, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// An Envoy's TLS: its own certificate, and clients of this issuer alone.
    fn of_envoy(&self, folder: &Path) -> String {
        let localhost = SanType::IpAddress([127, 0, 0, 1].into());
        let (certificate, key) = self.issue(localhost, ExtendedKeyUsagePurpose::ServerAuth);
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            folder.join(name).display().to_string()
        };
        format!(
            "transport_socket: {{ name: tls, typed_config: {{ \"@type\": \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, \
             require_client_certificate: true, common_tls_context: {{ \
             tls_certificates: [{{ certificate_chain: {{ filename: \"{}\" }}, private_key: {{ filename: \"{}\" }} }}], \
             validation_context: {{ trusted_ca: {{ filename: \"{}\" }} }} }} }} }}",
            file("envoy.pem", &certificate),
            file("envoy.key", &key),
            file("issuer.pem", &self.0.pem()),
        )
    }
}

#[tokio::test]
async fn an_engineer_is_known_by_the_certificate_that_envoy_has_verified() {
    let gate = Gate::with(&by(CERTIFICATE)).await;
    gate.house.grant().await;
    let api = Api::start().await;
    let (ours, theirs) = (Issuer::new(), Issuer::new());
    let filters = "        - filters:\n";
    let with_tls = format!("        - {}\n          filters:\n", ours.of_envoy(gate.folder.path()));
    let configuration = Configuration::of(&api, &gate.folder.path().join("envoy.sock")).with(filters, &with_tls);
    let envoy = Envoy::start(&configuration).await;
    let url = format!("https://{}{SIGN_IN}", envoy.address);
    let trusted = Certificate::from_pem(ours.0.pem().as_bytes()).unwrap();
    let ask = async |client: Option<(String, String)>| -> reqwest::Result<Response> {
        let mut builder = Client::builder().no_proxy().tls_certs_only([trusted.clone()]);
        if let Some((certificate, key)) = client {
            builder = builder.identity(Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
        }
        let ada = "URI=spiffe://vendor.example/engineers/ada";
        let said = builder.build().unwrap().get(&url).header("x-forwarded-client-cert", ada);
        said.header("x-support-request", "SR-1").send().await
    };
    let answer = ask(Some(ours.client("spiffe://vendor.example/engineers/ada"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    let reached = api.reached();
    assert_eq!(reached[0].values("x-consentry-engineer"), ["vendor/ada"]);
    assert!(
        reached[0].values("x-forwarded-client-cert").is_empty(),
        "what the client says of certificates goes no further"
    );
    for (uri, reason) in [
        ("spiffe://vendor.example/engineers/bob", "not_assigned"),
        ("spiffe://vendor.example/services/ada", "not_an_engineer"),
    ] {
        let answer = ask(Some(ours.client(uri))).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-consentry-reason"]),
            (403, &reason.parse().unwrap())
        );
    }
    // Nobody's certificate, and another issuer's, do not get as far as a request.
    assert!(ask(None).await.is_err());
    assert!(ask(Some(theirs.client("spiffe://vendor.example/engineers/ada"))).await.is_err());
    assert!(api.reached().is_empty());
}

#[tokio::test]
async fn an_engineer_is_known_by_the_token_that_envoy_has_verified() {
    let gate = Gate::with(&by(PAYLOAD)).await;
    gate.house.grant().await;
    // Tokens are minted by the machine's time: Envoy has no other.
    let now = consentry::clock::Clock::now(&consentry::clock::SystemClock::new());
    let passed = now.as_millis() - consentry::clock::Clock::now(&gate.house.clock).as_millis();
    gate.house.clock.advance_millis(passed);
    let api = Api::start().await;
    let filter = format!(
        "                  - name: envoy.filters.http.jwt_authn\n                    typed_config: {{ \"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, \
         providers: {{ vendor: {{ issuer: \"https://issuer.test.example/vendor\", audiences: [consentry], \
         local_jwks: {{ filename: \"{}\" }}, payload_in_metadata: engineer }} }}, \
         rules: [{{ match: {{ prefix: / }}, requires: {{ requires_any: {{ requirements: \
         [{{ provider_name: vendor }}, {{ allow_missing: {{}} }}] }} }} }}] }}\n",
        gate.house.folder.path().join("jwks.json").display()
    );
    let ext_authz = "                  - name: envoy.filters.http.ext_authz\n";
    let version = "                      transport_api_version: V3\n";
    let namespaces =
        format!("{version}                      metadata_context_namespaces: [envoy.filters.http.jwt_authn]\n");
    let configuration = Configuration::of(&api, &gate.folder.path().join("envoy.sock"))
        .with(ext_authz, &format!("{filter}{ext_authz}"))
        .with(version, &namespaces);
    let envoy = Envoy::start(&configuration).await;
    let engineer = |name: &str| gate.house.engineer(name).at(&envoy.url()).with("x-support-request", "SR-1");
    let reply = engineer("ada").get(SIGN_IN).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(api.reached()[0].values("x-consentry-engineer"), ["vendor/ada"]);
    assert_eq!(engineer("bob").get(SIGN_IN).await.problem(), (403, "not_assigned", ""));
    assert_eq!(engineer("ada").holding("").get(SIGN_IN).await.problem(), (401, "token_missing", ""));
    // Envoy itself refuses what is no token of this issuer's.
    let stranger = gate.house.person("contoso", "ada", &[], &["SupportEngineer"]).token();
    for token in ["nonsense", &stranger] {
        assert_eq!(engineer("ada").holding(token).get(SIGN_IN).await.status, 401, "{token}");
    }
    assert!(api.reached().is_empty());
}
