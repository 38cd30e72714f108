//! A certificate authority with one server certificate and one certificate for each user of etcd.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Who has one: etcd's members, its administrator, and the two kinds of processes of the fleet.
const NAMES: [&str; 4] = ["server", "root", "authority", "sidecar"];

/// Files of one name.
#[derive(Debug, Clone)]
pub struct Own {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The files of all.
#[derive(Debug)]
pub struct Certificates {
    pub ca: PathBuf,
    own: HashMap<&'static str, Own>,
}

impl Certificates {
    /// Makes them in this folder; the server's is good for these addresses.
    pub fn make(folder: &Path, addresses: &[&str]) -> Self {
        std::fs::create_dir(folder).unwrap();
        let write = |name: String, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            path
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("fleet test CA");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca = write("ca.pem".to_owned(), authority.pem());
        let own = NAMES.map(|name| {
            let key = KeyPair::generate().unwrap();
            let addresses = if name == "server" { addresses } else { &[] };
            let mut params =
                CertificateParams::new(addresses.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
            // The server's has no name: etcd's own gateway calls itself with it, and must not be taken for a user.
            params.distinguished_name = if name == "server" { DistinguishedName::new() } else { named(name) };
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.signed_by(&key, &authority).unwrap();
            let certificate = write(format!("{name}.pem"), certificate.pem());
            (name, Own { certificate, key: write(format!("{name}.key"), key.serialize_pem()) })
        });
        Self { ca, own: HashMap::from(own) }
    }

    pub fn of(&self, name: &str) -> &Own {
        &self.own[name]
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
