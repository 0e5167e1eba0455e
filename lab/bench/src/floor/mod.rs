//! Programs that do the least that can be done: what a server is measured against.
//!
//! - `fan_out`: writes each message to each socket (`floor`), or all that waits in one write
//!   (`floor-batch`), or all that it ever got to whoever comes later (`floor-keep`); the first two
//!   also over TLS (`floor-tls`, `floor-batch-tls`)
//! - `long_poll`: answers requests that wait
//! - `echo`: sends back what comes
//! - `store`: appends what comes to a file, synchronises it, acknowledges
//! - `http`: a handler that reads the body of a request, and answers with bytes that it has
//!
//! All but the last are one thread on `epoll`. A subscriber's first line is `S FIRST END`, the
//! topics that it wants, answered by `ok`; a publisher's is `P`. Then come messages, one a line:
//! their topics are in their stamps.

mod door;
mod echo;
mod fan_out;
mod http;
mod listener;
mod long_poll;
mod store;

use std::path::PathBuf;

use crate::failure::Result;
use crate::tls;

/// One of the programs.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Floor {
    /// Writes each message to each socket, one write each
    #[command(name = "floor")]
    Each,
    /// Writes all messages that wait to each socket in one write
    #[command(name = "floor-batch")]
    Batch,
    /// Encrypts each message for each socket, one write each
    #[command(name = "floor-tls")]
    EachTls,
    /// Encrypts all messages that wait for each socket, one write
    #[command(name = "floor-batch-tls")]
    BatchTls,
    /// Keeps all messages and writes them to each socket that comes
    #[command(name = "floor-keep")]
    Keep,
    /// Appends each message to a file and writes it to each socket
    #[command(name = "floor-log")]
    Log {
        /// The file
        file: PathBuf,
    },
    /// Answers long polls
    #[command(name = "floor-longpoll")]
    Longpoll,
    /// Sends back what comes
    #[command(name = "floor-echo")]
    Echo,
    /// Appends to a file, synchronises, acknowledges
    #[command(name = "floor-sync")]
    Sync {
        /// The file
        file: PathBuf,
    },
    /// Appends to a file and acknowledges
    #[command(name = "floor-append")]
    Append {
        /// The file
        file: PathBuf,
    },
    /// Reads the body of an HTTP request with axum
    #[command(name = "floor-http")]
    Http,
}

impl Floor {
    /// Runs until the process is ended.
    pub(crate) fn run(self) -> Result<()> {
        crate::machine::raise_descriptors();
        match self {
            Self::Each => fan_out::run(fan_out::Writes::Each, None),
            Self::Batch => fan_out::run(fan_out::Writes::Together, None),
            Self::EachTls => fan_out::run(fan_out::Writes::Each, Some(tls::server()?)),
            Self::BatchTls => fan_out::run(fan_out::Writes::Together, Some(tls::server()?)),
            Self::Keep => fan_out::run(fan_out::Writes::Kept, None),
            Self::Log { file } => fan_out::run_log(&file),
            Self::Longpoll => long_poll::run(),
            Self::Echo => echo::run(),
            Self::Sync { file } => store::run(&file, true),
            Self::Append { file } => store::run(&file, false),
            Self::Http => http::run(),
        }
    }
}
