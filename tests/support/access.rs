//! An access file, and what is wanted of a server that reads it.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::eventually;

/// A file in a folder of its own.
pub(crate) struct AccessFile {
    folder: TempDir,
}

impl AccessFile {
    /// A file with this text.
    pub(crate) fn new(text: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(file.path(), text).unwrap();
        file
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("access.toml")
    }

    /// The flag that names it.
    pub(crate) fn flag(&self) -> String {
        format!("--access {}", self.path().display())
    }

    /// Puts another one in its place, as a whole.
    pub(crate) fn replace(&self, text: &str) {
        let new = self.folder.path().join("new.toml");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    /// Puts another one in its place, and waits until the server says that it holds.
    pub(crate) fn apply(&self, text: &str) {
        self.replace(text);
        let wanted = hex(text);
        eventually("the access file holds", || {
            let noted = fs::read_to_string(self.folder.path().join("access.toml.applied")).unwrap();
            (noted == wanted).then_some(())
        });
    }
}

/// The entry of a token `tk_NAME`, with further lines such as `allow = ["sub a"]`.
pub(crate) fn token(name: &str, lines: &str) -> String {
    format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\n{lines}\n", hex(&format!("tk_{name}")))
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
