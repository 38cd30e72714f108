//! Settings about Envoy's external authorization: where it is asked, and what requests mean.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// Envoy's external authorization over gRPC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtAuthzSettings {
    /// Where to listen on TCP; Envoy brings a token.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Where to listen on a Unix domain socket; its file permission (0660) says who may ask.
    #[serde(default)]
    pub unix_socket: Option<PathBuf>,
    /// The file that says what requests mean.
    pub mapping: PathBuf,
}

impl ExtAuthzSettings {
    /// The setting that contradicts another one, and why.
    pub(super) fn contradiction(&self, insecure_loopback: bool) -> Option<(&'static str, &'static str)> {
        if self.listen.is_none() && self.unix_socket.is_none() {
            return Some(("ext_authz", "needs `listen`, or `unix_socket`, or both"));
        }
        let open = self.listen.is_some_and(|address| !address.ip().is_loopback());
        (insecure_loopback && open)
            .then_some(("server.insecure_loopback", "needs `ext_authz.listen` to be a loopback address"))
    }
}
