//! Programs of other people that tests run: where they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// The folder of their scripts.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("strangers")
}

/// A script that uses a Python package; says so if it cannot be had. `./test` installs them.
pub(crate) fn python(package: &str, script: &str) -> Option<Command> {
    let python =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("target/strangers/bin/python");
    let mut has = Command::new(&python);
    if !has
        .args(["-c", &format!("import {package}")])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        skip(&format!("{package} could not be had for this machine's Python"));
        return None;
    }
    let mut command = Command::new(python);
    command.arg(folder().join(script));
    Some(command)
}
