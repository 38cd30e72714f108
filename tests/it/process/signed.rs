//! Signed bundles: nothing else is served where a key is trusted, and nothing older than what was in force (G6).

use std::fs;
use std::path::Path;

use super::watch::ready;
use crate::support::process::{Site, end_of};
use crate::support::settings;

const REFUSED: &str = "the policies are not good";

struct Packer {
    site: Site,
}

impl Packer {
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.site.command(&[&["policy", "bundle"], arguments].concat()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// A folder with the shipped bundle and one row, two keys, and a service that trusts one of them.
    fn new(more: &str) -> Self {
        let packer = Self { site: Site::new("") };
        packer.site.bundle("source");
        let tests = packer.site.file("source/policies/tests");
        fs::create_dir(&tests).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests/audit.toml");
        fs::copy(shipped, tests.join("audit.toml")).unwrap();
        for key in ["trusted", "other"] {
            let (private, public) = (format!("{key}.key"), format!("{key}.pub"));
            let (code, said) = packer.run(&["keygen", "--private", &private, "--public", &public]);
            assert_eq!(code, Some(0), "{said}");
        }
        let policy = format!(
            "policy = {{ bundle = \"in/b.json\", trusted_keys = [\"trusted.pub\"], watch_quiet_ms = 50{more} }}"
        );
        packer.site.settings(&settings(packer.site.path(), &policy));
        fs::create_dir(packer.site.file("in")).unwrap();
        packer
    }

    fn pack(&self, key: &str, out: &str) {
        let (code, said) = self.run(&["pack", "source", "--key", key, "--out", out]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Puts this file where the service looks, at one moment.
    fn put(&self, file: &str) {
        fs::copy(self.site.file(file), self.site.file("in/.draft")).unwrap();
        fs::rename(self.site.file("in/.draft"), self.site.file("in/b.json")).unwrap();
    }

    fn edit(&self, text: &str) {
        let path = self.site.file("source/policies/reading.cedar");
        fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
    }

    fn check(&self) -> (Option<i32>, String) {
        let (status, said) = end_of(self.site.command(&["serve", "--config", "consentry.toml", "--check"]));
        (status.code(), said)
    }
}

#[tokio::test]
async fn only_what_a_trusted_key_has_signed_is_served_and_nothing_older_comes_back() {
    let packer = Packer::new("");
    let site = &packer.site;
    packer.pack("trusted.key", "old.json");
    packer.pack("other.key", "other.json");
    let good = fs::read(site.file("old.json")).unwrap();
    // One byte of the payload, in the middle of it.
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    fs::write(site.file("changed.json"), changed).unwrap();
    fs::write(site.file("torn.json"), &good[..good.len() / 2]).unwrap();
    fs::write(site.file("huge.json"), vec![b' '; 33 * 1024 * 1024]).unwrap();
    let unsigned = String::from_utf8(good.clone()).unwrap();
    let (head, _) = unsigned.split_once("\"signatures\":").unwrap();
    fs::write(site.file("unsigned.json"), format!("{head}\"signatures\":[]}}")).unwrap();
    let wrong = [
        ("changed.json", "no trusted key"),
        ("other.json", "no trusted key"),
        ("unsigned.json", "is not signed"),
        ("torn.json", "no DSSE envelope"),
        ("huge.json", "bytes long"),
    ];
    for (file, words) in wrong {
        packer.put(file);
        let (code, said) = packer.check();
        assert!(code == Some(1) && said.contains(words), "{file}: {said}");
        let (code, said) = packer.run(&["verify", file, "--key", "trusted.pub"]);
        assert!(code == Some(1) && said.contains(words), "{file}: {said}");
    }
    let (code, said) = packer.run(&["verify", "missing.json", "--key", "trusted.pub"]);
    assert_eq!(code, Some(2), "{said}");

    packer.put("old.json");
    assert_eq!(packer.check().0, Some(0));
    let mut sidecar = site.start();
    let old = ready(&sidecar).await["policy_version"].clone();
    for (file, words) in wrong {
        let seen = sidecar.log.lock().len();
        packer.put(file);
        let line = sidecar.wait_for_line_after(seen, REFUSED);
        assert!(line.contains(words), "{file}: {line}");
        assert_eq!(ready(&sidecar).await["policy_version"], old, "{file}");
    }
    // A newer one is taken, and takes policies away without a word: its signer has said so.
    packer.edit(super::watch::FREEZE);
    packer.pack("trusted.key", "new.json");
    let seen = sidecar.log.lock().len();
    packer.put("new.json");
    sidecar.wait_for_line_after(seen, "their files have changed");
    let new = ready(&sidecar).await["policy_version"].clone();
    assert_ne!(new, old);
    // The one before, which nobody has unsigned: neither while it runs, nor by order, nor after a restart.
    let seen = sidecar.log.lock().len();
    packer.put("old.json");
    let line = sidecar.wait_for_line_after(seen, REFUSED);
    assert!(line.contains("before the one of"), "{line}");
    let seen = sidecar.log.lock().len();
    sidecar.signal(rustix::process::Signal::HUP);
    sidecar.wait_for_line_after(seen, "before the one of");
    assert_eq!(ready(&sidecar).await["policy_version"], new);
    sidecar.kill();
    for arguments in [&["serve", "--config", "consentry.toml"][..], &["serve", "--config", "consentry.toml", "--check"]]
    {
        let (status, said) = end_of(site.command(arguments));
        assert!(status.code() == Some(1) && said.contains("before the one of"), "{said}");
    }
    // Going back is for whoever signs to decide.
    site.bundle("source");
    packer.pack("trusted.key", "back.json");
    packer.put("back.json");
    assert_eq!(ready(&site.start()).await["policy_version"], old);
}

#[test]
fn what_is_signed_is_what_was_tested() {
    let packer = Packer::new("");
    let site = &packer.site;
    let (code, said) = packer.run(&["verify", "old.json", "--key", "trusted.pub"]);
    assert_eq!(code, Some(2), "{said}");
    packer.pack("trusted.key", "b.json");
    let (code, said) =
        packer.run(&["verify", "b.json", "--key", "other.pub", "--key", "trusted.pub", "--extract", "out"]);
    assert_eq!(code, Some(0), "{said}");
    for name in ["policies/reading.cedar", "policies/tests/audit.toml", "schemas/entra-roles.json"] {
        let (out, source) = (site.file("out").join(name), site.file("source").join(name));
        assert_eq!(fs::read(out).unwrap(), fs::read(source).unwrap(), "{name}");
    }
    let (code, said) = packer.run(&["verify", "b.json", "--key", "trusted.pub", "--extract", "out"]);
    assert_eq!(code, Some(2), "what is there is not written over: {said}");
    let (code, said) = packer.run(&["keygen", "--private", "trusted.key", "--public", "new.pub"]);
    assert_eq!(code, Some(2), "no key is written over: {said}");

    // A report about something else, rows that fail, and no rows.
    fs::write(site.file("proof.json"), "{}").unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let _ = fs::remove_file(site.file("c.json"));
        let (code, said) =
            packer.run(&[&["pack", "source", "--key", "trusted.key", "--out", "c.json"], arguments].concat());
        assert!(code == Some(1) && said.contains(words), "{said}");
        assert!(!site.file("c.json").exists(), "{words}");
    };
    refused(&["--proof", "proof.json"], "the proof report");
    let rows = site.file("source/policies/tests/audit.toml");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replacen("expect = \"allow\"", "expect = \"deny\"", 1)).unwrap();
    refused(&[], "policy tests fail");
    fs::remove_file(&rows).unwrap();
    refused(&[], "there are no policy tests");
}

#[test]
fn settings_that_would_serve_what_nobody_signed_are_refused() {
    let packer = Packer::new("");
    let site = &packer.site;
    for (policy, words) in [
        ("bundle = \"in/b.json\"", "needs `policy.trusted_keys`"),
        ("trusted_keys = [\"trusted.pub\"]", "needs `policy.bundle`"),
        ("directory = \"source\", trusted_keys = [\"trusted.pub\"]", "needs `policy.bundle`"),
        (
            "directory = \"source\", bundle = \"in/b.json\", trusted_keys = [\"trusted.pub\"]",
            "beside `policy.directory`",
        ),
        ("bundle = \"in/b.json\", trusted_keys = [\"trusted.key\"]", "is not PEM with a `PUBLIC KEY`"),
        ("bundle = \"in/b.json\", trusted_keys = [\"nobody.pub\"]", "nobody.pub"),
        ("bundle = \"in/b.json\", trusted_keys = [\"trusted.pub\"], require_proof = true", "no proof for this bundle"),
    ] {
        packer.pack("trusted.key", "in/b.json");
        site.settings(&settings(site.path(), &format!("policy = {{ {policy} }}")));
        let (code, said) = packer.check();
        assert!(code == Some(1) && said.contains(words), "{policy}: {said}");
    }
}
