//! The arrows between the rooms of `src/`: who may know whom. The map in `ARCHITECTURE.md` is the one drawn here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room with the rooms it may use. `model` knows nobody.
const ARROWS: [(&str, &[&str]); 21] = [
    ("model", &[]),
    ("signing", &[]),
    ("clock", &["model"]),
    ("client", &["clock", "model"]),
    ("trail", &["model", "signing"]),
    ("audit", &["clock", "model", "signing", "trail"]),
    ("identity", &["clock", "model"]),
    ("mapping", &["model"]),
    ("policy", &["model", "signing"]),
    ("receipt", &["model", "signing"]),
    ("reference", &["model", "signing"]),
    ("store", &["model"]),
    ("replica", &["clock", "model", "store"]),
    ("outbox", &["audit", "clock", "model", "signing", "store"]),
    ("decision", &["audit", "clock", "model", "policy", "replica", "store"]),
    ("workflow", &["audit", "clock", "decision", "identity", "model", "policy", "receipt", "signing", "store"]),
    ("workbench", &["decision", "model", "policy", "signing"]),
    ("config", &["audit", "identity", "model", "outbox", "store"]),
    (
        "http",
        &[
            "audit",
            "clock",
            "config",
            "decision",
            "identity",
            "mapping",
            "model",
            "outbox",
            "policy",
            "reference",
            "replica",
            "signing",
            "store",
            "workflow",
        ],
    ),
    (
        "app",
        &[
            "audit",
            "clock",
            "config",
            "decision",
            "http",
            "identity",
            "mapping",
            "model",
            "outbox",
            "policy",
            "reference",
            "replica",
            "signing",
            "store",
            "trail",
            "workflow",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "audit",
            "clock",
            "config",
            "identity",
            "model",
            "outbox",
            "policy",
            "receipt",
            "signing",
            "trail",
            "workbench",
        ],
    ),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a text names after `crate::`, alone or in a braced list.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            named.extend(list.split('}').next().unwrap().split(',').map(|part| word(part.trim())));
        } else {
            named.insert(word(rest));
        }
    }
    named
}

#[test]
fn no_room_knows_a_room_that_the_map_does_not_show() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut seen = 0;
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        let allowed = arrows.get(room).unwrap_or_else(|| panic!("`{room}` is a room that the map does not show"));
        for named in rooms_named(&std::fs::read_to_string(&file).unwrap()) {
            if arrows.contains_key(named.as_str()) && named != room {
                seen += 1;
                assert!(allowed.contains(&named.as_str()), "{}: `{room}` may not know `{named}`", inside.display());
            }
        }
    }
    assert!(seen > 50, "the test has stopped seeing anything");
}

#[test]
fn only_the_policy_room_and_its_tools_name_cedar_and_only_the_model_is_free_of_io() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in files {
        let inside = file.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let may = inside.starts_with("policy") || inside.starts_with("workbench");
        assert!(!text.contains("cedar_policy") || may, "{inside} names Cedar");
        if inside.starts_with("model") {
            for word in ["std::fs", "std::net", "tokio", "SystemTime", "Instant::", "serde_json", "async fn"] {
                assert!(!text.contains(word), "{inside}: the model is pure, but names `{word}`");
            }
        }
    }
}
