//! Why a measurement could not be made.

use std::io;

/// A sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

/// What most functions here return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Adds what was being done to an error.
pub(crate) trait During<T> {
    /// `while` is put before the error's own sentence.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Failure>> During<T> for std::result::Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure(format!("{}: {}", what(), error.into())))
    }
}
