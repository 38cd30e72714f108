//! Settings files: good, or refused with a sentence that says what and where.

use std::cell::LazyCell;

use consentry::config::{Config, Mode, Overrides};
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| TempDir::new().unwrap());
}

/// The bytes are a settings file.
pub fn run(bytes: &[u8]) {
    let path = FOLDER.with(|folder| folder.path().join("consentry.toml"));
    std::fs::write(&path, bytes).unwrap();
    match Config::read(Some(&path), &Overrides::default()) {
        Err(refused) => assert!(!refused.to_string().trim().is_empty()),
        Ok(config) => {
            let Config { mode, server, identity, .. } = &config;
            let production = *mode == Mode::Production;
            assert!(!production || !server.insecure_loopback && identity.issuers.iter().all(|one| !one.development));
            assert!(!server.insecure_loopback || server.listen.ip().is_loopback());
            for limit in [server.max_body_bytes, server.max_batch, server.max_connections] {
                assert!(limit > 0);
            }
            assert!(identity.issuers.iter().all(|one| one.jwks_file.is_some() != one.jwks_url.is_some()));
            assert!(config.check().is_ok());
            assert!(!config.public_url(server.listen).ends_with('/'));
            assert!(!format!("{config:?}").is_empty());
        }
    }
}
