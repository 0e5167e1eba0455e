//! What an error of SQLite means for the log.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use super::LogError;
use super::ballast::free_bytes;

/// Free bytes below which a failed write is put down to a full disk. SQLite says so itself where
/// the kernel told it so; growing the shared memory file fails without saying why.
const NO_ROOM: u64 = 1 << 20;

/// Whether there was no room. Nothing of the transaction was stored then.
pub(super) fn is_full(error: &Error, folder: &Path) -> bool {
    match error.sqlite_error() {
        Some(ffi::Error { code: ErrorCode::DiskFull, .. }) => true,
        Some(ffi::Error { code: ErrorCode::SystemIoFailure, extended_code }) => {
            // A failed sync is not among these: after it nobody knows what was stored.
            let no_room_may_be_why = [
                ffi::SQLITE_IOERR_WRITE,
                ffi::SQLITE_IOERR_SHMSIZE,
                ffi::SQLITE_IOERR_SHMMAP,
                ffi::SQLITE_IOERR_SHMOPEN,
            ];
            no_room_may_be_why.contains(extended_code)
                && free_bytes(folder).is_some_and(|free| free < NO_ROOM)
        }
        _ => false,
    }
}

/// Whether pages of the database are damaged.
pub(super) fn is_corrupt(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// The error as the log tells it.
pub(super) fn log_error(error: &Error, folder: &Path) -> LogError {
    if is_full(error, folder) { LogError::Full } else { LogError::Failed(error.to_string()) }
}

/// The error of something that only reads.
pub(super) fn read_error(error: &Error) -> LogError {
    LogError::Failed(error.to_string())
}
