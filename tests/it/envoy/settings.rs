//! What `serve` and `serve --check` say of settings and mappings with which nothing begins.

use super::engineers::by;
use super::gate::{EXAMPLE, ext_authz};
use crate::support::process::{Site, end_of};
use crate::support::settings;

/// Refused with these words, and nothing is begun; checked and served alike.
fn refused(more: &str, mapping: &str, words: &[&str]) {
    let site = Site::new("");
    let section = ext_authz(site.path(), mapping);
    let more = if more.is_empty() { section } else { more.replace("FOLDER", &site.path().display().to_string()) };
    site.settings(&settings(site.path(), &more));
    for arguments in [&["serve", "--config", "consentry.toml"][..], &["serve", "--config", "consentry.toml", "--check"]]
    {
        let (status, said) = end_of(site.command(arguments));
        assert_eq!(status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "`{word}` is missing: {said}");
        }
        assert!(!said.contains("panicked") && !site.file("store.db").exists(), "{said}");
    }
}

fn line_of(part: &str) -> String {
    let line = EXAMPLE.lines().position(|line| line.contains(part)).unwrap() + 1;
    format!("mapping.toml:{line}: ")
}

#[test]
fn a_mapping_with_a_mistake_is_refused_with_its_place() {
    let changed = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
    let line = line_of("category = \"signInLogs\"");
    refused("", &changed("\"signInLogs\"", "\"signinLogs\""), &["mapping of requests", &line, "unknown category"]);
    let first = line_of("[[routes]]");
    refused("", &changed("\"read\"", "\"reed\""), &[&first, "`reed` is no verb", "download"]);
    // R2: what changes data is no read, whatever it is called.
    refused("", &changed("[\"GET\", \"HEAD\"]", "[\"GET\", \"PUT\"]"), &[&first, "`PUT` does not only read"]);
    let certificate = "from = \"certificate\"\ntenant = \"contoso\"\nprincipal = \"spiffe://contoso/{object}\"";
    refused("", &by(certificate), &["mapping.toml:", "`contoso` is none of `identity.vendor_tenants`"]);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let section = |lines: &str| format!("[ext_authz]\nmapping = \"FOLDER/mapping.toml\"\n{lines}");
    refused(&section(""), EXAMPLE, &["`ext_authz`", "`listen`, or `unix_socket`"]);
    refused("[ext_authz]\nlisten = \"127.0.0.1:0\"", EXAMPLE, &["missing field `mapping`"]);
    refused(&section("listen = \"127.0.0.1:0\"\nlisten_too = 1"), EXAMPLE, &["listen_too"]);
    let open = format!("server.insecure_loopback = true\n{}", section("listen = \"0.0.0.0:0\""));
    refused(&open, EXAMPLE, &["server.insecure_loopback", "`ext_authz.listen` to be a loopback address"]);
    let gone = "[ext_authz]\nlisten = \"127.0.0.1:0\"\nmapping = \"FOLDER/gone.toml\"";
    refused(gone, EXAMPLE, &["gone.toml:1: cannot be read"]);
}

#[test]
fn the_example_is_good() {
    let site = Site::new("");
    site.settings(&settings(site.path(), &ext_authz(site.path(), EXAMPLE)));
    let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    assert!(status.success() && said.contains("settings and policies are good"), "{said}");
}
