//! Why an experiment or a command ends before it is done.

use std::io::{self, ErrorKind};

use doorbell::Error;

/// Why it ends before it is done.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be.
    Usage(String),
    /// It was tried and did not work.
    Failed(String),
    /// Nobody reads the standard output any more.
    ReaderGone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Address(text) => Self::Usage(text),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(error.to_string()),
        }
    }
}
