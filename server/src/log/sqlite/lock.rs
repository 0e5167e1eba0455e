//! The claim of one process on the folder.
//!
//! SQLite would let two processes write in turns, but what this process knows in memory would no
//! longer be true. The claim is on a file of its own, because closing any handle of the database's
//! files, even one that was opened to read, would drop SQLite's own locks on them.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{FILE_MODE, OpenError};

const FILE: &str = "doorbell.lock";

/// Held for the life of the log. The kernel lets go of it when the process dies; the file stays,
/// since deleting it would let two processes hold two files of one name.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
}

impl Claim {
    /// Claims the folder.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(&path).map_err(|error| {
            OpenError(format!("cannot write in the data folder {}: {error}", folder.display()))
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(OpenError(format!(
                "the data folder {} is held by another process; stop that one or use another folder",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(OpenError(format!(
                "cannot lock {}: {error}; use a data folder on a local disk",
                path.display()
            ))),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that is being started holds it too for a moment.
        let _ = self.file.unlock();
    }
}
