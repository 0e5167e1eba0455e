//! Where inputs begin: the files of `corpus/NAME/`. What libFuzzer has found worth keeping is put
//! there too.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The folder of a target.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// A target's inputs, in the order of their names, so that numbers mean the same everywhere.
pub(crate) fn read(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let entries = fs::read_dir(folder(name))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}
