//! The network that client and server share: plain loopback, one with the packets of an Ethernet, or
//! whatever lies between this machine and a server that was named.

use std::io::ErrorKind;

use doorbell::Server;
use doorbell::link::Link;
use doorbell_wire::{ETHERNET_MTU, MISSING_NAMESPACE, enter_ethernet};
use serde::Serialize;

use super::flags::CompareArguments;
use crate::cli::Failure;

/// What packets go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    /// The machine's own: packets of up to 64 KiB.
    Loopback,
    /// A loopback interface of one's own with packets of 1500 bytes at most.
    Ethernet,
    /// The way to a server that runs already.
    Given,
}

/// Moves the process into a network of its own if that is asked for. Nothing may have been started
/// yet: a process with threads cannot move.
pub(crate) fn isolate(
    arguments: &CompareArguments,
    server: Option<&Server>,
) -> Result<(), Failure> {
    if !arguments.ethernet {
        return Ok(());
    }
    if let Some(server) = server {
        return Err(Failure::Usage(format!(
            "--ethernet is a network of its own, in which {server} cannot be reached: leave \
             --server and DOORBELL_SERVER out"
        )));
    }
    enter_ethernet().map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::PermissionDenied => format!("--ethernet: {MISSING_NAMESPACE}"),
            _ => format!("--ethernet: {error}"),
        })
    })
}

impl Network {
    pub(crate) fn of(ethernet: bool, server: Option<&Server>) -> Self {
        match (ethernet, server) {
            (true, _) => Self::Ethernet,
            (false, Some(_)) => Self::Given,
            (false, None) => Self::Loopback,
        }
    }

    /// What stood between contenders and server, in words.
    pub(crate) fn describe(self, link: Option<Link>) -> String {
        let link = link.map_or_else(
            || "No delay or loss was emulated.".to_owned(),
            |link| format!("An emulated link stood before the server: {link}."),
        );
        let network = match self {
            Self::Loopback => "Network: loopback, whose packets have up to 64 KiB.".to_owned(),
            Self::Ethernet => format!(
                "Network: like an Ethernet, in a namespace of its own: packets of {ETHERNET_MTU} \
                 bytes at most, none put together or cut later."
            ),
            Self::Given => "Network: what lies between this machine and the server.".to_owned(),
        };
        format!("{network} {link}")
    }
}
