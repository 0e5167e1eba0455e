//! What only a log on disk has to keep: starts, ends of every kind, damage.

mod open;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::open::open;
use super::{SegmentLog, Sync};
use crate::log::contract::{KEEP, TestClock};
use crate::log::{OpenError, Retention};

/// A folder in which logs are opened one after another.
pub(super) struct TestFolder {
    folder: TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) boot: String,
    pub(super) retention: Retention,
    pub(super) sync: Sync,
}

impl TestFolder {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::at(0)),
            boot: "one".into(),
            retention: KEEP,
            sync: Sync::Os,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn try_open(&self) -> Result<SegmentLog, OpenError> {
        open(self.path(), self.sync, self.retention, self.clock.clone(), self.boot.clone(), false)
    }

    pub(super) fn open(&self) -> SegmentLog {
        self.try_open().unwrap()
    }

    /// The files that end so, oldest first.
    pub(super) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|own| own == extension));
        files.sort();
        files
    }
}
