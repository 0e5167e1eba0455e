//! Room kept back for the day when the disk is full.
//!
//! A full disk refuses even to delete: the transaction that would make room needs room for itself.
//! So a file that holds nothing is kept beside the database. It is removed when the disk is full;
//! what it leaves is for retention and for checkpoints only, and nothing is appended until it could
//! be put back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::FILE_MODE;

const FILE: &str = "doorbell.ballast";
/// Room for some steps of retention and the checkpoint after them.
const BYTES: u64 = 8 << 20;
/// Free bytes beside the ballast from which on it is put back. With less, the next batch would only
/// fill the disk again.
const MARGIN: u64 = 2 << 20;
/// Free bytes from which on the writer takes care: the write-ahead file may grow as large.
const NEARLY_FULL: u64 = 64 << 20;

/// The file, which is there or not.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    folder: PathBuf,
    present: bool,
    nearly_full: bool,
}

impl Ballast {
    /// Looks for the file and writes it if it is not there and there is room. Where there is hardly
    /// any, it goes at once: even a database that is only read needs a little.
    pub(super) fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let present = fs::metadata(&path).is_ok_and(|file| file.len() == BYTES);
        let mut ballast = Self { path, folder: folder.to_owned(), present, nearly_full: false };
        if free_bytes(folder).is_some_and(|free| free < MARGIN) {
            ballast.release();
        }
        if !ballast.is_ready() {
            tracing::warn!(
                folder = %folder.display(),
                "there is too little free space to store messages"
            );
        }
        ballast
    }

    /// Whether there is room to append: the file is there, or can be put back now.
    pub(super) fn is_ready(&mut self) -> bool {
        if !self.present && free_bytes(&self.folder).is_none_or(|free| free >= BYTES + MARGIN) {
            match self.write() {
                Ok(()) => self.present = true,
                Err(error) => {
                    tracing::debug!(%error, "the ballast file cannot be put back yet");
                    self.release();
                }
            }
        }
        self.present
    }

    /// Whether the disk is nearly full, if that has changed since it was last asked.
    pub(super) fn news(&mut self) -> Option<bool> {
        let nearly_full = free_bytes(&self.folder).is_some_and(|free| free < NEARLY_FULL);
        let before = std::mem::replace(&mut self.nearly_full, nearly_full);
        (nearly_full != before).then_some(nearly_full)
    }

    /// Removes the file. Returns whether that made room.
    pub(super) fn release(&mut self) -> bool {
        let was_present = std::mem::replace(&mut self.present, false);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "cannot remove the ballast file");
                false
            }
            _ => was_present,
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(&self.path)?;
        if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_err() {
            // Not every file system can set blocks aside; all of them can write. One that has no
            // room refuses this too.
            let block = [0x5a; 1 << 12];
            for _ in 0..BYTES / block.len() as u64 {
                file.write_all(&block)?;
            }
        }
        file.sync_all()
    }
}

/// Free bytes on the disk of a folder; `None` if that cannot be known.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
