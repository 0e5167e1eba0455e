//! The network that client and server share: plain loopback, one with the packets of an Ethernet,
//! or whatever lies between this machine and a server that was named.

use std::io::ErrorKind;
use std::time::Duration;

use doorbell::Server;
use doorbell_instruments::Failure;
use doorbell_link::{Link, netem};
use doorbell_wire::{ETHERNET_MTU, MISSING_NAMESPACE, enter_ethernet};
use serde::Serialize;

use crate::flags::{CompareArguments, HeaderBlock};
use crate::outage::{Outage, outage};
use crate::way::Style;

/// What packets go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    /// The machine's own: packets of up to 64 KiB.
    Loopback,
    /// A loopback interface of one's own with packets of 1500 bytes at most.
    Ethernet,
    /// The same behind the kernel's emulator of links.
    Netem,
    /// The way to a server that runs already.
    Given,
}

/// Moves the process into a network of its own if that is asked for. Nothing may have been started
/// yet: a process with threads cannot move.
///
/// # Errors
///
/// [`Failure::Usage`] if a server was named, which cannot be reached from there;
/// [`Failure::Failed`] if this process may not have such a network.
pub fn isolate(arguments: &CompareArguments, server: Option<&Server>) -> Result<(), Failure> {
    let flag = match arguments.netem {
        Some(_) => "--netem",
        None if arguments.ethernet => "--ethernet",
        None => return Ok(()),
    };
    if let Some(server) = server {
        return Err(Failure::Usage(format!(
            "{flag} is a network of its own, in which {server} cannot be reached: leave \
             --server and DOORBELL_SERVER out"
        )));
    }
    enter_ethernet().map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::PermissionDenied => format!("{flag}: {MISSING_NAMESPACE}"),
            _ => format!("{flag}: {error}"),
        })
    })?;
    arguments.netem.map_or(Ok(()), |link| netem::emulate(&link).map_err(Failure::Failed))
}

/// The longest delay of a link, one way: what is measured before the run waits for many round
/// trips.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// What was asked for between contenders and server, and how they ask over it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between {
    ethernet: bool,
    /// By relays.
    pub(crate) link: Option<Link>,
    /// By the kernel.
    pub(crate) netem: Option<Link>,
    pub(crate) tls: bool,
    /// What a server of its own asks of those that poll.
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) outage: Option<Outage>,
    pub(crate) style: Style,
    /// What is asked for in place of what the heads of requests need.
    pub(crate) headers: HeaderBlock,
}

impl Between {
    /// Checks what was asked for.
    pub(crate) fn of(arguments: &CompareArguments) -> Result<Self, Failure> {
        let CompareArguments {
            ethernet, link, netem, headers, compress, tls, poll_interval, ..
        } = *arguments;
        if let Some(link) = link.or(netem).filter(|link| link.delay > DELAY_MAX) {
            return Err(Failure::Usage(format!(
                "a delay of {:?} is too long to compare over, limit is {DELAY_MAX:?} one way",
                link.delay
            )));
        }
        let style = Style {
            compress: compress || headers != HeaderBlock::Client,
            headers: headers.request_headers(),
        };
        let outage = outage(arguments);
        Ok(Self { ethernet, link, netem, tls, poll_interval, outage, style, headers })
    }

    /// What the link takes there and back.
    pub(crate) fn round_trip(&self) -> Duration {
        self.link.or(self.netem).map_or(Duration::ZERO, |link| 2 * link.delay)
    }
}

impl Network {
    pub(crate) fn of(between: Between, server: Option<&Server>) -> Self {
        match (between.netem, between.ethernet, server) {
            (Some(_), _, _) => Self::Netem,
            (None, true, _) => Self::Ethernet,
            (None, false, Some(_)) => Self::Given,
            (None, false, None) => Self::Loopback,
        }
    }

    /// What stood between contenders and server, in words.
    pub(crate) fn describe(self, link: Option<Link>) -> String {
        let link = link.map_or_else(
            || "No delay or loss was emulated.".to_owned(),
            |link| match self {
                Self::Netem => format!("The kernel's netem stood before every packet: {link}."),
                _ => format!("An emulated link stood before the server: {link}."),
            },
        );
        let network = match self {
            Self::Loopback => "Network: loopback, whose packets have up to 64 KiB.".to_owned(),
            Self::Ethernet | Self::Netem => format!(
                "Network: like an Ethernet, in a namespace of its own: packets of {ETHERNET_MTU} \
                 bytes at most, none put together or cut later."
            ),
            Self::Given => "Network: what lies between this machine and the server.".to_owned(),
        };
        format!("{network} {link}")
    }
}
