//! A contender that runs, and what it is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::failure::Result;
use crate::generator::dialect::Dialect;
use crate::launch::Program;

/// How durable a contender's log is, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Storage {
    /// In memory
    Ephemeral,
    /// On disk; survives the death of the process
    Os,
    /// On disk; survives the death of the machine
    Always,
}

/// What a contender is started with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Where doorbell's server is.
    pub(crate) server_binary: PathBuf,
    /// Where an earlier build of it is, to be measured beside it.
    pub(crate) earlier_binary: Option<PathBuf>,
    pub(crate) storage: Storage,
    /// Signs of life on quiet connections.
    pub(crate) keepalive: Option<Duration>,
    /// A reader that takes nothing for this long is closed.
    pub(crate) write_deadline: Option<Duration>,
    /// Bytes of a message.
    pub(crate) payload: usize,
}

/// A running contender, and how to talk to it.
pub(crate) struct Running {
    pub(crate) program: Program,
    /// What it needs beside it, and is not measured with it.
    pub(crate) _companions: Vec<Program>,
    pub(crate) subscribe_at: SocketAddr,
    pub(crate) publish_at: SocketAddr,
    /// Whether both addresses speak TLS.
    pub(crate) encrypted: bool,
    /// Where it can be polled, if it can.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) subscriber: Rc<dyn Dialect>,
    pub(crate) publisher: Rc<dyn Dialect>,
    /// Waits until so many subscribers stand, for those whose protocol does not say it.
    pub(crate) confirm: Option<Box<dyn Fn(usize) -> Result<()>>>,
}

impl Running {
    /// One that hears subscribers and publishers at one address.
    pub(super) fn at(
        address: SocketAddr,
        program: Program,
        subscriber: Rc<dyn Dialect>,
        publisher: Rc<dyn Dialect>,
    ) -> Self {
        Self {
            program,
            _companions: Vec::new(),
            subscribe_at: address,
            publish_at: address,
            encrypted: false,
            http: None,
            subscriber,
            publisher,
            confirm: None,
        }
    }
}
