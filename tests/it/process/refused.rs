//! What it refuses to start with: each time a clear word, a failure, and nothing damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::disk::Way;
use crate::support::process::{Site, end_of};
use crate::support::settings;

const ARGUMENTS: [&str; 3] = ["serve", "--config", "consentry.toml"];

/// Starts it, which must fail; gives what it said.
fn refused(command: Command) -> String {
    let (status, said) = end_of(command);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("error: ") && !said.contains("panicked"), "{said}");
    said
}

/// Refused for this text of the settings file, with these words.
fn refused_for(text: &str, words: &[&str]) {
    let site = Site::new("");
    site.settings(&text.replace("FOLDER", &site.path().display().to_string()));
    for arguments in [&ARGUMENTS[..], &[&ARGUMENTS[..], &["--check"]].concat()] {
        let said = refused(site.command(arguments));
        for word in words {
            assert!(said.contains(word), "`{word}` is missing: {said}");
        }
        assert!(!site.file("store.db").exists() && !site.file("decisions").exists(), "nothing was begun: {said}");
    }
}

/// The harness's settings with one thing changed.
fn changed(from: &str, to: &str) -> String {
    let text = settings(Path::new("FOLDER"), "");
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

#[test]
fn settings_that_are_wrong_are_named() {
    let top = |line: &str| settings(Path::new("FOLDER"), line);
    refused_for(&top("server.max_bodybytes = 1"), &["max_bodybytes", "server"]);
    refused_for(&top("misspelt = 1"), &["misspelt"]);
    refused_for(&top("server.max_batch = \"many\""), &["many", "max_batch"]);
    refused_for(&top("server.max_batch = 0"), &["server.max_batch", "at least 1"]);
    refused_for(&changed("algorithms = [\"EdDSA\"]", "algorithms = [\"HS256\"]"), &["HS256", "algorithms"]);
    refused_for(&changed("mode = \"development\"", "mode = \"production\""), &["for development", "issuer.test"]);
    refused_for(&changed("store.path = \"FOLDER/store.db\"", ""), &["store"]);
    refused_for("this is not TOML", &["TOML"]);
}

#[test]
fn an_open_listener_is_for_development_on_this_machine() {
    let top = |line: &str| settings(Path::new("FOLDER"), line);
    let elsewhere = top("server.insecure_loopback = true").replace("127.0.0.1:0", "0.0.0.0:0");
    refused_for(&elsewhere, &["server.insecure_loopback", "loopback address"]);
    let production = "server.insecure_loopback = true\nstore.path = \"FOLDER/store.db\"\n\
                      decision_log.path = \"FOLDER/decisions\"";
    refused_for(production, &["server.insecure_loopback", "never in production"]);
}

#[test]
fn a_settings_file_that_is_missing_is_named() {
    let site = Site::new("");
    let said = refused(site.command(&["serve", "--config", "nowhere.toml"]));
    assert!(said.contains("`nowhere.toml`"), "{said}");
}

#[tokio::test]
async fn the_environment_wins_over_the_file_and_what_it_misspells_is_named() {
    let site = Site::new("");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = site.command(&ARGUMENTS);
    command.env("CONSENTRY_SERVER__LISTEN", free.to_string());
    let sidecar = crate::support::process::Sidecar::spawn(command);
    assert_eq!(sidecar.url, format!("http://{free}"));
    let mut named_by_variable = site.command(&["serve", "--check"]);
    named_by_variable.env("CONSENTRY_CONFIG", "consentry.toml");
    let (status, said) = end_of(named_by_variable);
    assert!(status.success(), "{said}");
    for (variable, word) in [("CONSENTRY_SERVER__LISTN", "listn"), ("CONSENTRY_POLICIES", "policies")] {
        let mut command = site.command(&ARGUMENTS);
        command.env(variable, "127.0.0.1:1");
        let said = refused(command).to_lowercase();
        assert!(said.contains(word), "{variable}: {said}");
    }
}

#[test]
fn good_settings_pass_the_check_and_begin_nothing() {
    let site = Site::new("");
    let (status, said) = end_of(site.command(&[&ARGUMENTS[..], &["--check"]].concat()));
    assert!(status.success() && said.contains("are good"), "{said}");
    assert!(!site.file("store.db").exists() && !site.file("decisions").exists());
}

#[test]
fn policies_that_are_wrong_are_named_with_their_place() {
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit, &str); 3] = [
        ("syntax", |text| format!("permit (principal action);\n{text}"), "policies/reading.cedar:1:"),
        ("schema", |text| text.replacen("supportRequest.open", "supportRequest.opn", 1), "policies/reading.cedar:"),
        ("no @id", |text| text.replacen("@id(\"reading.expired\")", "", 1), "the policy has no `@id`"),
    ];
    for (what, edit, said) in edits {
        let site = Site::new("policy.directory = \"bundle\"");
        site.bundle("bundle");
        let reading = site.file("bundle/policies/reading.cedar");
        fs::write(&reading, edit(&fs::read_to_string(&reading).unwrap())).unwrap();
        for arguments in [&ARGUMENTS[..], &[&ARGUMENTS[..], &["--check"]].concat()] {
            let error = refused(site.command(arguments));
            assert!(error.contains(said) && error.contains("policies/reading.cedar:"), "{what}: {error}");
        }
    }
}

#[test]
fn a_store_that_is_not_ours_or_newer_stays_as_it_is() {
    let site = Site::new("");
    let sidecar = site.start();
    sidecar.kill();
    let store = site.file("store.db");
    // Brings the journal in, and makes the file one of a program that does not exist yet.
    let database = rusqlite::Connection::open(&store).unwrap();
    database.pragma_update(None, "user_version", 4_711).unwrap();
    drop(database);
    let newer = fs::read(&store).unwrap();
    let noise: Vec<u8> = (0_u32..40_000).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for (content, said) in [(&newer, "schema version 4711"), (&noise, "damaged")] {
        fs::write(&store, content).unwrap();
        let error = refused(site.command(&ARGUMENTS));
        assert!(error.contains("store") && error.contains(said), "{error}");
        assert_eq!(&fs::read(&store).unwrap(), content, "the file stays as it is");
    }
}

#[test]
fn a_second_process_on_the_same_files_is_refused_and_the_first_goes_on() {
    let site = Site::new("");
    let mut first = site.start();
    let said = refused(site.command(&ARGUMENTS));
    assert!(said.contains("/decisions") && said.contains("another process"), "{said}");
    let other_log = settings(site.path(), "").replace("/decisions\"", "/other\"");
    site.settings(&other_log);
    let said = refused(site.command(&ARGUMENTS));
    assert!(said.contains("store.db") && said.contains("in use by another process"), "{said}");
    let under_another_name = other_log.replace("store.db", "linked.db");
    site.settings(&under_another_name);
    let links: [fn(PathBuf, PathBuf) -> std::io::Result<()>; 2] = [std::os::unix::fs::symlink, fs::hard_link];
    for link in links {
        let _ = fs::remove_file(site.file("linked.db"));
        link(site.file("store.db"), site.file("linked.db")).unwrap();
        let said = refused(site.command(&ARGUMENTS));
        assert!(said.contains("linked.db") && said.contains("in use by another process"), "{said}");
    }
    assert!(first.child.try_wait().unwrap().is_none(), "the first one serves on");
    // Its files in another folder are other files, and a killed process holds nothing.
    let copy = Site::new("");
    for name in ["store.db", "store.db-wal", "store.db.lock"] {
        fs::copy(site.file(name), copy.file(name)).unwrap();
    }
    fs::create_dir(copy.file("decisions")).unwrap();
    for entry in fs::read_dir(site.file("decisions")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.file("decisions").join(path.file_name().unwrap())).unwrap();
    }
    drop(copy.start());
    drop(copy.start());
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::new("");
    let mut command = site.command(&ARGUMENTS);
    command.args(["--listen", &address]);
    let said = refused(command);
    assert!(said.contains(&address), "{said}");
    drop(site.start());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let site = Site::new("");
    fs::create_dir(site.file("fixed")).unwrap();
    // Rights do not bind root: a read-only file system does, and so does one in which nobody makes files.
    let (outer, script, fixed) = match Way::choose() {
        Way::Tmpfs(flags) => {
            (["unshare", flags], "mount -t tmpfs -o ro tmpfs fixed && exec \"$0\" \"$@\"", site.file("fixed"))
        }
        Way::FileSizeLimit => (["env", "--"], "exec \"$0\" \"$@\"", PathBuf::from("/proc/sys")),
    };
    for name in ["store.db", "decisions"] {
        let (own, fixed) = (site.file(name).display().to_string(), fixed.join(name).display().to_string());
        site.settings(&settings(site.path(), "").replace(&own, &fixed));
        let mut command = Command::new(outer[0]);
        command.args(&outer[1..]).args(["sh", "-c", script, env!("CARGO_BIN_EXE_consentry")]).args(ARGUMENTS);
        command.current_dir(site.path()).stdin(Stdio::null());
        let said = refused(command);
        assert!(said.contains(&fixed), "{said}");
    }
}
