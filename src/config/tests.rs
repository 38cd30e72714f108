//! Settings that cannot be, alone or beside others: each is refused, and the setting is named.

use figment::Figment;
use figment::providers::{Format, Toml};

use super::{Config, InvalidConfig};

const SERVED: &str =
    "mode = \"development\"\nstore.path = \"s\"\ndecision_log.path = \"d\"\nserver.insecure_loopback = true\n";
const FLEET: &str = "fleet.role = \"authority\"\nfleet.member = \"a\"\nfleet.etcd.endpoints = [\"https://one\"]\n";

/// The setting that is refused; none: all are good.
fn refused(lines: &str) -> Option<&'static str> {
    let config: Config = Figment::from(Toml::string(&format!("{SERVED}{lines}"))).extract().unwrap();
    match config.check() {
        Ok(()) => None,
        Err(InvalidConfig::Contradiction { key, message }) => {
            assert!(!message.is_empty(), "{key}");
            Some(key)
        }
        Err(other) => panic!("{lines}: {other}"),
    }
}

#[test]
fn a_limit_that_lets_nothing_through_is_refused() {
    assert_eq!(refused(""), None);
    for key in [
        "server.max_body_bytes",
        "server.max_batch",
        "server.max_connections",
        "server.read_timeout_ms",
        "decision_log.segment_bytes",
        "policy.watch_quiet_ms",
        "webhooks.timeout_ms",
        "webhooks.look_every_ms",
        "webhooks.first_retry_ms",
    ] {
        assert_eq!(refused(&format!("{key} = 0")), Some(key));
        assert_eq!(refused(&format!("{key} = 1\nserver.max_bodies_bytes = 100_000_000")), None, "{key}");
    }
    assert_eq!(refused("decision_log.segment_hours = 0"), Some("decision_log.segment_bytes"));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (lines, key) in [
        ("server.idle_timeout_ms = 10\nserver.read_timeout_ms = 11", "server.idle_timeout_ms"),
        ("server.max_body_bytes = 11\nserver.max_bodies_bytes = 10", "server.max_bodies_bytes"),
        ("webhooks.first_retry_ms = 11\nwebhooks.longest_retry_ms = 10", "webhooks.longest_retry_ms"),
        ("decision_log.name = \"a log\"", "decision_log.name"),
        ("decision_log.mask = [\"/item\"]", "decision_log.mask_key"),
        ("policy.require_proof = true", "policy.require_proof"),
        ("policy.bundle = \"b\"\npolicy.directory = \"d\"\npolicy.trusted_keys = [\"k\"]", "policy.bundle"),
        ("policy.bundle = \"b\"", "policy.bundle"),
        ("policy.trusted_keys = [\"k\"]", "policy.trusted_keys"),
        ("policy.shadow.report = \"r\"", "policy.shadow"),
        ("policy.shadow = { directory = \"d\", bundle = \"b\", report = \"r\" }", "policy.shadow"),
        ("policy.shadow = { bundle = \"b\", report = \"r\" }", "policy.shadow.bundle"),
        ("policy.shadow = { directory = \"d\", report = \"r\", sample = 1.5 }", "policy.shadow.sample"),
        ("policy.shadow = { directory = \"d\", report = \"r\", sample = nan }", "policy.shadow.sample"),
    ] {
        assert_eq!(refused(lines), Some(key), "{lines}");
    }
    assert_eq!(refused("policy.shadow = { directory = \"d\", report = \"r\", sample = 0.5 }"), None);
}

#[test]
fn what_is_of_support_access_is_not_set_beside_a_guest_model() {
    assert_eq!(refused("guest_model.directory = \"m\""), None);
    for (lines, key) in [
        (
            "webhooks.endpoints = [{ name = \"a\", tenant = \"contoso\", url = \"https://a.example/\", secret_files = [\"s\"] }]",
            "webhooks.endpoints",
        ),
        (
            "webhooks.callbacks = [{ name = \"a\", url = \"https://a.example/\", secret_files = [\"s\"] }]",
            "webhooks.callbacks",
        ),
    ] {
        assert_eq!(refused(lines), None, "{lines}");
        assert_eq!(refused(&format!("guest_model.directory = \"m\"\n{lines}")), Some(key));
    }
}

#[cfg(feature = "etcd")]
#[test]
fn times_of_a_fleet_leave_room_for_what_rests_on_them() {
    assert_eq!(refused(FLEET), None);
    for (lines, key) in [
        ("fleet.lease_ms = 499", "fleet.lease_ms"),
        ("fleet.lease_ms = 60_001", "fleet.lease_ms"),
        ("fleet.renew_ms = 0", "fleet.renew_ms"),
        ("fleet.lease_ms = 1_000\nfleet.renew_ms = 401\nfleet.etcd.timeout_ms = 300", "fleet.renew_ms"),
        (
            "fleet.lease_ms = 4_000\nfleet.renew_ms = 400\nfleet.etcd.timeout_ms = 300\nfleet.wait_ms = 5_099",
            "fleet.wait_ms",
        ),
        ("fleet.renew_ms = 400\nfleet.acknowledge_ms = 401", "fleet.acknowledge_ms"),
        ("fleet.etcd.prefix = \"a\"", "fleet.etcd.prefix"),
        ("fleet.etcd.timeout_ms = 49", "fleet.etcd.timeout_ms"),
        ("fleet.etcd.certificate = \"c\"", "fleet.etcd.certificate"),
        ("fleet.etcd.user = \"u\"", "fleet.etcd.user"),
        ("guest_model.directory = \"m\"", "fleet"),
    ] {
        assert_eq!(refused(&format!("{FLEET}{lines}")), Some(key), "{lines}");
    }
    let enough = "fleet.lease_ms = 4_000\nfleet.renew_ms = 400\nfleet.etcd.timeout_ms = 300\nfleet.wait_ms = 5_100";
    assert_eq!(refused(&format!("{FLEET}{enough}")), None);
    assert_eq!(refused(&FLEET.replace("\"a\"", "\"a b\"")), Some("fleet.member"));
    assert_eq!(refused(&FLEET.replace("[\"https://one\"]", "[]")), Some("fleet.etcd.endpoints"));
    assert_eq!(refused(&FLEET.replace("\"authority\"", "\"sidecar\"")), None);
    for (lines, key) in [
        ("tenants = [{ id = \"a\", display_name = \"A\" }]", "tenants"),
        ("receipts.signing_key = \"k\"", "receipts.signing_key"),
        ("access_requests.signing_key = \"k\"", "access_requests.signing_key"),
        (
            "webhooks.callbacks = [{ name = \"a\", url = \"https://a.example/\", secret_files = [\"s\"] }]",
            "webhooks.callbacks",
        ),
    ] {
        assert_eq!(refused(&format!("{FLEET}{lines}")), None, "{lines}");
        assert_eq!(refused(&format!("{}{lines}", FLEET.replace("\"authority\"", "\"sidecar\""))), Some(key));
    }
}
