//! A disk that takes its time: a server whose writes to its log wait for as long as a test wants.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{TestServer, preload};

/// Holds up the writes of servers that are started with it.
pub(crate) struct HeldDisk {
    folder: TempDir,
    library: PathBuf,
}

impl HeldDisk {
    /// Builds what stands between a server and the kernel; `None` where there is no C compiler.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = preload::build(folder.path(), include_str!("held_disk.c"))?;
        Some(Self { folder, library })
    }

    /// A server with a log on it.
    pub(crate) fn server(&self, flags: &str) -> TestServer {
        let variables = vec![("LD_PRELOAD", self.library.clone()), ("HELD_DISK", self.mark())];
        TestServer::durable_with(flags, variables)
    }

    /// From now on nothing is written.
    pub(crate) fn hold(&self) {
        fs::write(self.mark(), []).unwrap();
    }

    /// What waits is written.
    pub(crate) fn release(&self) {
        let _ = fs::remove_file(self.mark());
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("held")
    }
}

/// A server that is stopped writes that its log was closed.
impl Drop for HeldDisk {
    fn drop(&mut self) {
        self.release();
    }
}
