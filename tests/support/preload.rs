//! What stands between a server and the kernel: a few functions of the C library, replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip_unless_ci;

/// Builds it in a folder, for `LD_PRELOAD`; `None` where there is no C compiler.
pub(crate) fn build(folder: &Path, program: &str) -> Option<PathBuf> {
    let (source, library) = (folder.join("preload.c"), folder.join("preload.so"));
    fs::write(&source, program).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    match compiler.status() {
        Ok(status) => assert!(status.success(), "{} does not compile", source.display()),
        Err(error) => {
            skip_unless_ci(&format!("cc: {error}"));
            return None;
        }
    }
    Some(library)
}
