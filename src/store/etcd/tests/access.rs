//! Who may reach etcd, and do what there: certificates and roles, as an operator sets them up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::server::{Server, attempt, etcdctl};
use super::{Fleet, Role};
use crate::store::contract::{commit, snapshot, tenant};
use crate::store::etcd::roles;
use crate::store::{EtcdSettings, MemberId, Object, Seq, Store, StoreError};

/// Certificates as files.
struct Certificates {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn issue(&self, name: &str, hosts: &[&str]) {
        let mut params = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn settings(&self, fleet: &Fleet, name: &str) -> EtcdSettings {
        EtcdSettings {
            ca: Some(self.file("ca.pem")),
            certificate: Some(self.file(&format!("{name}.pem"))),
            key: Some(self.file(&format!("{name}.key"))),
            timeout_ms: 3_000,
            ..fleet.settings.clone()
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_sidecars_certificate_reads_and_renews_and_writes_nothing_else() {
    let certificates = Certificates::new();
    certificates.issue("server", &["127.0.0.1"]);
    let stranger = Certificates::new();
    for name in ["root", "authority", "s1"] {
        certificates.issue(name, &[]);
        stranger.issue(name, &[]);
    }
    let (ca, certificate, key) =
        (certificates.file("ca.pem"), certificates.file("server.pem"), certificates.file("server.key"));
    let server = Server::start(&[
        "--client-cert-auth",
        "--trusted-ca-file",
        text(&ca),
        "--cert-file",
        text(&certificate),
        "--key-file",
        text(&key),
    ]);
    let fleet = Fleet::on(Arc::new(server));
    let (root, root_key) = (certificates.file("root.pem"), certificates.file("root.key"));
    let endpoint = fleet.server.endpoint();
    let as_root = ["--endpoints", &endpoint, "--cacert", text(&ca), "--cert", text(&root), "--key", text(&root_key)];
    let run = |words: &[&str]| etcdctl(&as_root, words);
    let member = MemberId("s1".to_owned());
    for call in roles::authorities(fleet.root()).iter().chain(&roles::sidecar(fleet.root(), &member)) {
        run(&call.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for (user, role) in [("root", "root"), ("authority", "consentry-authority"), ("s1", "consentry-sidecar-s1")] {
        run(&["user", "add", user, "--no-password"]);
        run(&["user", "grant-role", user, role]);
    }
    run(&["auth", "enable"]);

    let with = |settings: EtcdSettings| Fleet {
        settings,
        server: Arc::clone(&fleet.server),
        directory: Arc::clone(&fleet.directory),
    };
    let authority = with(certificates.settings(&fleet, "authority")).authority("a").await;
    authority.commit(commit("one", [Object::Tenant(tenant(1))])).await.unwrap();
    let at_sidecar = with(certificates.settings(&fleet, "s1"));
    let sidecar = at_sidecar.sidecar("s1").await;
    assert_eq!(sidecar.renew(member.clone(), Seq(0)).await.unwrap().head, Seq(1));
    assert_eq!(snapshot(&sidecar).await, snapshot(&authority).await);
    let mut feed = sidecar.changes(Seq(1)).unwrap();
    let committed = authority.commit(commit("two", [Object::Tenant(tenant(2))])).await.unwrap();
    assert_eq!(committed.members.len(), 1);
    assert_eq!(feed.next().await.unwrap().seq, Seq(2));

    // With that certificate nobody becomes another member, or an authority.
    let other = sidecar.renew(MemberId("s2".to_owned()), Seq(0)).await;
    assert!(matches!(&other, Err(StoreError::Unavailable(why)) if why.contains("permission denied")), "{other:?}");
    let copy = fleet.directory.path().join("forged.db");
    let forged = at_sidecar.open(Role::Authority { copy: &copy }, "forged").await;
    assert!(matches!(&forged, Err(StoreError::Unavailable(why)) if why.contains("permission denied")), "{forged:?}");
    let (own, own_key) = (certificates.file("s1.pem"), certificates.file("s1.key"));
    let as_sidecar = ["--endpoints", &endpoint, "--cacert", text(&ca), "--cert", text(&own), "--key", text(&own_key)];
    for (key, may) in
        [("acc/v1/head", false), ("acc/v1/req/00/sr/ar", false), ("fleet/v1/s2", false), ("fleet/v1/s1", true)]
    {
        let key = format!("{}{key}", fleet.root());
        assert_eq!(attempt(&as_sidecar, &["put", &key, "{}"]).is_ok(), may, "{key}");
    }
    // Nor without one of ours.
    let unknown = with(EtcdSettings { ca: Some(ca.clone()), ..stranger.settings(&fleet, "s1") }).sidecar("s1").await;
    let refused = unknown.renew(member.clone(), Seq(2)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let elsewhere = with(EtcdSettings { ca: Some(stranger.file("ca.pem")), ..certificates.settings(&fleet, "s1") });
    let refused = elsewhere.sidecar("s1").await.renew(member, Seq(2)).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("certificate")), "{refused:?}");
}

#[tokio::test]
async fn a_password_opens_what_its_role_may_do() {
    let fleet = Fleet::on(Arc::new(Server::start(&[])));
    let run = |words: &[&str]| super::etcdctl(&fleet, words);
    for call in roles::authorities(fleet.root()) {
        run(&call.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for (user, role) in [("root:r", "root"), ("authority:secret", "consentry-authority")] {
        run(&["user", "add", user]);
        run(&["user", "grant-role", user.split(':').next().unwrap(), role]);
    }
    run(&["auth", "enable"]);
    let file = fleet.directory.path().join("password");
    let user = Some("authority".to_owned());
    let with = |password: &str| {
        std::fs::write(&file, password).unwrap();
        let settings = EtcdSettings { user: user.clone(), password_file: Some(file.clone()), ..fleet.settings.clone() };
        Fleet { settings, server: Arc::clone(&fleet.server), directory: Arc::clone(&fleet.directory) }
    };
    let copy = fleet.directory.path().join("copy.db");
    let refused = with("wrong\n").open(Role::Authority { copy: &copy }, "a").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let authority = with("secret\n").authority("a").await;
    assert_eq!(authority.commit(commit("one", [])).await.unwrap().seq, Seq(1));
}
