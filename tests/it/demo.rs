//! `consentry demo`: people's first look, so it has to come out right and to leave nothing behind.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The demo, with its temporary folder inside this one.
fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.arg("demo").env("TMPDIR", temporary).env_remove("CLICOLOR_FORCE");
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn once(temporary: &Path, listen: &str) -> Output {
    demo(temporary).args(["--once", "--listen", listen]).output().unwrap()
}

#[test]
fn the_stories_come_out_as_the_rules_say() {
    let temporary = TempDir::new().unwrap();
    let output = once(temporary.path(), "127.0.0.1:0");
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "nothing to warn about");
    let steps = [
        ("registers the tenant Contoso", "201"),
        ("opens Contoso's support request, for Ada", "201"),
        ("asks for access to Fabrikam's data", "201"),
        ("approves for Contoso", "200"),
        ("approves for Fabrikam", "200"),
        ("may Ada read Fabrikam's sign-in logs?", "allow"),
        ("may Ada read Contoso's sign-in logs?", "deny"),
        ("may Ada write Fabrikam's sign-in logs?", "deny"),
        ("removes the access", "200"),
        ("closes the support request", "200"),
        ("opens it again", "200"),
        ("looks who has used Fabrikam's consents", "4 entries"),
        ("looks who has used Contoso's consents", "0 entries"),
    ];
    for (step, outcome) in steps {
        // Expected and answered, both.
        let shown = told.lines().any(|line| line.contains(step) && line.matches(outcome).count() == 2);
        assert!(shown, "`{step}` with `{outcome}` twice is missing:\n{told}");
    }
    for code in ["awaiting_consent", "read_only", "consent_revoked", "support_request_closed", "consent_ended"] {
        assert!(told.contains(&format!("{code}: ")), "{code} is missing:\n{told}");
    }
    assert!(told.contains("All 28 steps came out as the rules say."), "{told}");
    assert!(!told.contains("\u{1b}["), "no colours where nobody can see them:\n{told}");
    assert!(is_empty(temporary.path()), "the folder is gone");
}

#[test]
fn a_taken_port_is_no_obstacle() {
    let temporary = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = once(temporary.path(), &address);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains(&address), "{}", text(&output.stdout));
}

#[test]
fn it_serves_on_until_it_is_stopped_and_its_commands_can_be_pasted() {
    let temporary = TempDir::new().unwrap();
    let mut running = demo(temporary.path()).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut script = Vec::new();
    for line in told.skip_while(|line| !line.starts_with("URL=")) {
        let last = line.contains("/readyz");
        script.push(line);
        if last {
            break;
        }
    }
    let is_there = Command::new("curl").arg("--version").output().is_ok();
    if is_there {
        let pasted = Command::new("sh").args(["-euc", &script.join("\n")]).env("NO_PROXY", "*").output().unwrap();
        let answers: Vec<serde_json::Value> =
            text(&pasted.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [asked, cyds_list, dees_list, by_cyd, by_dee, log, reads, readiness] = answers.as_slice() else {
            panic!("{answers:?} {}", text(&pasted.stderr))
        };
        assert_eq!(asked["decision"], false, "{asked}");
        assert_eq!((&cyds_list["pending_count"], &dees_list["pending_count"]), (&1.into(), &1.into()));
        assert_eq!((&by_cyd["status"], &by_dee["status"]), (&"approved".into(), &"approved".into()));
        assert_eq!(log["items"][0]["activity"], "Approval approved", "{log}");
        assert_eq!(reads["items"].as_array().map(Vec::len), Some(4), "{reads}");
        assert_eq!(readiness["ready"], true, "{readiness}");
    } else {
        println!("curl is not installed: the commands were printed, and not run");
        assert_eq!(script.iter().filter(|line| line.starts_with("curl")).count(), 8, "{script:?}");
    }
    assert!(!is_empty(temporary.path()), "it is still at work");
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    assert!(running.wait().unwrap().success());
    assert!(is_empty(temporary.path()), "the folder is gone");
}
