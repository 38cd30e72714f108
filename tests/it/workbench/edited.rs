//! The shipped bundle, edited.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use consentry::policy::{Bundle, BundleSource, Invariants, ProofReport, SourceFile};
use consentry::workbench::prove::{Settings, prove};
use consentry::workbench::solver::Solver;

/// An edit of the policies.
#[derive(Debug, Clone, Copy)]
pub enum Edit {
    /// Takes out the policy with this id.
    Remove(&'static str),
    /// Puts one text in the place of another, wherever it stands.
    Replace(&'static str, &'static str),
    /// Adds a policy.
    Add(&'static str),
}

/// Proofs of this run of the tests, shared by them; a new run begins with none.
static PROOFS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proofs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

pub fn proofs() -> PathBuf {
    PROOFS.clone()
}

pub fn solver() -> Solver {
    Solver::find(Path::new("cvc5")).unwrap_or_else(|error| panic!("{error}"))
}

/// The shipped texts, with one verb that reads and one that writes: the other six are in the same two groups, and every
/// proof about them would be made again.
pub fn few_verbs() -> BundleSource {
    let mut source = BundleSource::shipped();
    for (all, one) in [
        ("action \"read\", \"list\", \"search\", \"download\" in", "action \"read\" in"),
        ("action \"write\", \"create\", \"update\", \"delete\" in", "action \"write\" in"),
    ] {
        assert!(source.schema.text.contains(all));
        source.schema.text = source.schema.text.replace(all, one);
    }
    source
}

/// The same with these edits. An edit that finds nothing to change fails the test.
pub fn edited(edits: &[Edit]) -> BundleSource {
    let mut source = few_verbs();
    for edit in edits {
        let mut found = false;
        for file in &mut source.policies {
            let before = file.text.clone();
            match edit {
                Edit::Remove(id) => {
                    if let Some(start) = file.text.find(&format!("@id(\"{id}\")")) {
                        let ends = ["\n};\n", "\n);\n"].into_iter();
                        let end = ends.filter_map(|end| file.text[start..].find(end)).min().unwrap();
                        file.text.replace_range(start..start + end + 4, "");
                    }
                }
                Edit::Replace(from, to) => file.text = file.text.replace(from, to),
                Edit::Add(_) => {}
            }
            found |= before != file.text;
        }
        if let Edit::Add(text) = edit {
            source.policies.push(SourceFile { name: "policies/zz.cedar".to_owned(), text: (*text).to_owned() });
            found = true;
        }
        assert!(found, "{edit:?} changes nothing");
    }
    source
}

pub fn load(source: &BundleSource) -> Bundle {
    Bundle::load(source).unwrap_or_else(|error| panic!("{error}"))
}

/// Proves the shipped invariants of this bundle.
pub fn proved(bundle: &Bundle, solver: &Solver, cache: Option<PathBuf>) -> ProofReport {
    proved_of(bundle, &Invariants::shipped().unwrap(), solver, cache)
}

pub fn proved_of(bundle: &Bundle, invariants: &Invariants, solver: &Solver, cache: Option<PathBuf>) -> ProofReport {
    let settings = Settings { solver, workers: 2, cache, progress: &|_, _| {} };
    prove(bundle, invariants, &settings).unwrap()
}

/// Writes a bundle's texts into a directory.
pub fn write(source: &BundleSource, directory: &Path) {
    for (number, file) in source.policies.iter().enumerate() {
        let name = directory.join(format!("policies/{number}.cedar"));
        std::fs::create_dir_all(name.parent().unwrap()).unwrap();
        std::fs::write(name, &file.text).unwrap();
    }
    std::fs::create_dir_all(directory.join("schemas")).unwrap();
    std::fs::write(directory.join("schemas/support_access.cedarschema"), &source.schema.text).unwrap();
    std::fs::write(directory.join("schemas/entra-roles.json"), &source.roles.text).unwrap();
}
