//! Which access file holds, noted beside it: so that whoever has changed it, such as `token
//! revoke`, can wait until a server has applied it.
//!
//! `FILE.applied` has the SHA-256 of what holds. The server that wrote it has a lock on it for as
//! long as it lives: without one there is nobody to wait for.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How often whoever waits looks.
const LOOK: Duration = Duration::from_millis(20);

/// The note of a server.
#[derive(Debug)]
pub(super) struct Applied(File);

impl Applied {
    /// Begins to note beside a file. If another server does, only that one is waited for.
    pub(super) fn beside(path: &Path, text: &[u8]) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(note(path))?;
        file.try_lock().map_err(io::Error::from)?;
        let applied = Self(file);
        applied.note(text)?;
        Ok(applied)
    }

    /// Notes what holds now.
    pub(super) fn note(&self, text: &[u8]) -> io::Result<()> {
        let mut file = &self.0;
        file.rewind()?;
        file.write_all(digest(text).as_bytes())
    }
}

/// Waits until what a file says holds in the server that has read it. False if there is none.
///
/// # Errors
///
/// That it did not within the time, or the note could not be read.
pub fn wait_until_applied(path: &Path, text: &[u8], limit: Duration) -> io::Result<bool> {
    let wanted = digest(text);
    let mut file = match File::open(note(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let end = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(false),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut noted = String::new();
        file.rewind()?;
        file.read_to_string(&mut noted)?;
        if noted == wanted {
            return Ok(true);
        }
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
}

fn note(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".applied");
    name.into()
}

fn digest(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    let mut text = String::new();
    for byte in digest {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
