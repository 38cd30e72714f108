//! `consentry policy bundle`: signed bundles.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{load, write};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::clock::{Clock as _, SystemClock};
use crate::policy::{Bundle, SignedPackage};
use crate::signing::{SigningKey, TrustedKey, TrustedKeys};
use crate::workbench::pack::{NotPacked, pack};

/// One file with policies, schema, tests and proof, under one signature; `serve` takes nothing else where
/// `policy.trusted_keys` is set.
#[derive(Debug, Args)]
pub(super) struct BundleTool {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Makes a key that signs, and the public key by which its signatures are known.
    Keygen(Keygen),
    /// Runs the policy tests, and packs and signs the bundle if they hold.
    Pack(Pack),
    /// Says whether a packed bundle is signed by one of these keys, and what is in it.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Keygen {
    /// Where the private key goes (PEM, PKCS#8). Keep it where only those who may sign can read it.
    #[arg(long, value_name = "FILE")]
    private: PathBuf,
    /// Where the public key goes (PEM), for `policy.trusted_keys`.
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
}

#[derive(Debug, Args)]
struct Pack {
    /// The bundle's directory.
    directory: PathBuf,
    /// The key that signs (PEM, PKCS#8, Ed25519).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the packed bundle goes.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// The report of `consentry policy prove --report proof.json` about this bundle, to be packed too.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Keep the report of the policy tests, whose digest is packed.
    #[arg(long, value_name = "FILE")]
    tests_report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Verify {
    /// The packed bundle.
    file: PathBuf,
    /// A public key (PEM) that may have signed it. May be given more than once.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Write the files into this directory, which must not be there yet.
    #[arg(long, value_name = "DIRECTORY")]
    extract: Option<PathBuf>,
    /// Print what is packed as JSON.
    #[arg(long)]
    json: bool,
}

impl BundleTool {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        match self.step {
            Step::Keygen(keygen) => keygen.run(),
            Step::Pack(pack) => pack.run(),
            Step::Verify(verify) => verify.run(),
        }
    }
}

impl Keygen {
    fn run(self) -> anyhow::Result<bool> {
        let key = SigningKey::generate()?;
        // Neither takes the place of a file that is there: it could be a key in use.
        create(&self.private, 0o600, &key.to_pem())?;
        create(&self.public, 0o644, &key.public().to_pem())?;
        println!("{GOOD}key {}{GOOD:#}", key.public().id());
        Ok(true)
    }
}

impl Pack {
    fn run(self) -> anyhow::Result<bool> {
        let told = |path: &Path| format!("{} cannot be read", path.display());
        let bundle = load(Some(&self.directory))?;
        let key = std::fs::read_to_string(&self.key).with_context(|| told(&self.key))?;
        let key = SigningKey::from_pem(&key).with_context(|| self.key.display().to_string())?;
        let proof = self.proof.as_ref().map(|path| std::fs::read_to_string(path).with_context(|| told(path)));
        let packed = pack(&self.directory, &bundle, proof.transpose()?, SystemClock::new().now());
        let (package, tests) = match packed {
            Ok(packed) => packed,
            Err(found @ (NotPacked::TestsFail(_) | NotPacked::NoTests | NotPacked::NoProof(_))) => {
                println!("{BAD}not packed:{BAD:#} {found}");
                return Ok(false);
            }
            Err(error @ NotPacked::Unreadable(_)) => return Err(error.into()),
        };
        if let Some(path) = &self.tests_report {
            write(path, &tests)?;
        }
        replace(&self.out, &package.sign(&key)?)?;
        println!(
            "{GOOD}packed{GOOD:#} {} files, {} rows hold, {}  {QUIET}bundle {}, key {}{QUIET:#}",
            package.files.len(),
            package.tests.rows,
            package
                .invariants_digest
                .as_ref()
                .map_or("not proved".to_owned(), |digest| format!("invariants {digest} proved")),
            package.policy_version,
            key.public().id()
        );
        Ok(true)
    }
}

impl Verify {
    fn run(self) -> anyhow::Result<bool> {
        let key = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            TrustedKey::from_pem(&text).with_context(|| path.display().to_string())
        };
        let keys = TrustedKeys(self.keys.iter().map(key).collect::<anyhow::Result<_>>()?);
        std::fs::metadata(&self.file).with_context(|| self.file.display().to_string())?;
        let checked = SignedPackage::read(&self.file, &keys).and_then(|signed| {
            Bundle::load(&signed.package().source()?)?;
            Ok(signed)
        });
        let signed = match checked {
            Ok(signed) => signed,
            Err(error) => {
                println!("{BAD}not good:{BAD:#} {error}");
                return Ok(false);
            }
        };
        let package = signed.package();
        if let Some(directory) = &self.extract {
            std::fs::create_dir(directory).with_context(|| directory.display().to_string())?;
            for file in &package.files {
                let path = directory.join(&file.name);
                let folder = path.parent().unwrap_or(directory);
                std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
                write(&path, &file.text)?;
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(package)?);
            return Ok(true);
        }
        println!("{GOOD}signed{GOOD:#} by {}", signed.key().id());
        println!("bundle {} {QUIET}sha256 {}{QUIET:#}", package.policy_version, package.bundle_sha256);
        println!("made   {} by {}", signed.created_at(), package.program);
        let tests = &package.tests;
        println!(
            "tests  {} rows hold, coverage {} % {QUIET}report sha256 {}{QUIET:#}",
            tests.rows, tests.coverage_percent, tests.report_sha256
        );
        println!("proof  {}", package.invariants_digest.as_deref().map_or("none", |_| "packed"));
        for file in &package.files {
            println!("  {QUIET}{}{QUIET:#} {}", crate::signing::sha256(file.text.as_bytes()), file.name);
        }
        Ok(true)
    }
}

fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| path.display().to_string())?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())
}

/// Writes the file at one moment: a service that watches it never sees a part.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    write(&draft, text)?;
    std::fs::rename(&draft, path).with_context(|| path.display().to_string())
}
