//! The settings of files that are published.

use std::time::Duration;

use clap::Args;

use super::{bytes, duration};
use crate::files::FileLimits;

/// What may be kept of them.
#[derive(Debug, Clone, Args)]
pub struct FileSettings {
    /// Bytes of a file that is published
    #[arg(long, value_name = "BYTES", env = "DOORBELL_ATTACHMENT_BYTES", default_value = "15MiB",
        value_parser = bytes)]
    pub attachment_bytes: u64,

    /// Bytes of all files that are kept, which lie in the folder files beside the log; 0 takes none
    #[arg(long, value_name = "BYTES", env = "DOORBELL_ATTACHMENT_TOTAL", default_value = "5GiB",
        value_parser = bytes)]
    pub attachment_total: u64,

    /// How long a file is kept
    #[arg(long, value_name = "DURATION", env = "DOORBELL_ATTACHMENT_AGE", default_value = "3h",
        value_parser = duration)]
    pub attachment_age: Duration,
}

impl FileSettings {
    /// The limits.
    pub fn limits(&self) -> FileLimits {
        FileLimits {
            bytes: self.attachment_bytes,
            total: self.attachment_total,
            age: self.attachment_age,
        }
    }
}
