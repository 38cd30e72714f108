//! Tools by others that the tests of the API run, in a folder of their own: `./test` installs them.

use std::path::{Path, PathBuf};

/// What to do where they are not there.
pub(crate) const MISSING: &str = "the tools of the API tests are missing: run ./test once, which installs them";

/// The program of this name.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/api-tools/bin").join(name)
}
