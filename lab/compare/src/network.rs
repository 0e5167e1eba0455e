//! The network that client and server share: plain loopback, one of their own with packets as on an
//! Ethernet, or whatever lies between this machine and a server that was named.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use doorbell::Server;
use doorbell_instruments::Failure;
use doorbell_link::Link;
use doorbell_wire::{ETHERNET_MTU, MISSING_NAMESPACE, SplitNetwork};
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
    /// Two networks of one's own, with packets of 1500 bytes at most between them.
    Ethernet,
    /// The way to a server that runs already.
    Given,
}

/// Parts client and server if that is asked for, so that packets can be delayed and lost between
/// them. A link without loss that cannot be had so is left to relays. Nothing may have been started
/// yet: a process with threads cannot move.
///
/// # Errors
///
/// [`Failure::Usage`] if a server was named, which cannot be reached from there, or if this process
/// may not have such networks; [`Failure::Failed`] if something else stood in the way.
pub fn isolate(
    arguments: &CompareArguments,
    server: Option<&Server>,
) -> Result<Option<SplitNetwork>, Failure> {
    let CompareArguments { ethernet, link, cut, .. } = *arguments;
    if !ethernet && link.is_none() && cut.is_none() {
        return Ok(None);
    }
    // What no relay can do.
    let needed = match link.and_then(|link| link.needs_packets()) {
        _ if ethernet => Some("--ethernet".to_owned()),
        Some(property) => Some(format!("--link with {property}")),
        None => None,
    };
    if let Some(server) = server {
        return needed.map_or(Ok(None), |needed| {
            Err(Failure::Usage(format!(
                "{needed} is a network of its own, in which {server} cannot be reached: leave \
                 --server and DOORBELL_SERVER out"
            )))
        });
    }
    match (SplitNetwork::enter(), needed) {
        (Ok(split), _) => Ok(Some(split)),
        (Err(error), None) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        (Err(error), needed) => {
            let flag = needed.unwrap_or_else(|| "--link".to_owned());
            Err(match error.kind() {
                ErrorKind::PermissionDenied => {
                    Failure::Usage(format!("{flag}: {MISSING_NAMESPACE}"))
                }
                _ => Failure::Failed(format!("{flag}: {error}")),
            })
        }
    }
}

/// The longest delay of a link, one way: what is measured before the run waits for many round
/// trips.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// What was asked for between contenders and server, and how they ask over it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between {
    pub(crate) link: Option<Link>,
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
        let CompareArguments { link, headers, compress, tls, poll_interval, .. } = *arguments;
        if let Some(link) = link.filter(|link| link.delay > DELAY_MAX) {
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
        Ok(Self { link, tls, poll_interval, outage, style, headers })
    }

    /// What was asked for that only a server can give that is started for it.
    pub(crate) fn needs_own_server(&self) -> Option<&'static str> {
        let asked_for = [
            ("--restart", matches!(self.outage, Some(Outage::Restart(_)))),
            ("--tls", self.tls),
            ("--poll-interval", self.poll_interval.is_some()),
        ];
        asked_for.into_iter().find_map(|(flag, is_on)| is_on.then_some(flag))
    }

    /// The link that there has to be: what is to go dark goes over one, if only one that takes no
    /// time.
    pub(crate) fn emulated(&self) -> Option<Link> {
        let cut = matches!(self.outage, Some(Outage::Cut(_))).then(Link::default);
        self.link.or(cut)
    }

    /// What the link takes there and back.
    pub(crate) fn round_trip(&self) -> Duration {
        self.link.map_or(Duration::ZERO, |link| 2 * link.delay)
    }
}

/// How a link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Made {
    /// Of packets, so that TCP was at work over it.
    Packets,
    /// By relays of streams, of which TCP knows nothing.
    Relays,
}

/// The link that was put between contenders and server.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EmulatedLink {
    made_of: Made,
    /// As it is written after `--link`.
    text: String,
    /// One way.
    delay_s: f64,
    jitter_s: f64,
    rate_bits_per_s: Option<u64>,
    /// Shares of packets.
    loss: f64,
    reorder: f64,
    duplicate: f64,
}

impl EmulatedLink {
    pub(crate) fn new(link: Link, network: Network) -> Self {
        let made_of = if network == Network::Ethernet { Made::Packets } else { Made::Relays };
        Self {
            made_of,
            text: link.to_string(),
            delay_s: link.delay.as_secs_f64(),
            jitter_s: link.jitter.as_secs_f64(),
            rate_bits_per_s: link.rate,
            loss: link.loss,
            reorder: link.reorder,
            duplicate: link.duplicate,
        }
    }

    fn describe(&self) -> String {
        let Self { made_of, text, .. } = self;
        match made_of {
            Made::Packets => {
                let by = congestion_control();
                let by = by.map_or(String::new(), |by| format!(" (congestion control: {by})"));
                format!(
                    "Each connection had a link of its own each way, under the kernel's TCP{by}: \
                     {text}."
                )
            }
            Made::Relays => format!(
                "An emulated link stood before the server, made of relays, of which TCP knows \
                 nothing (no slow start, no acknowledgement that is late): {text}."
            ),
        }
    }
}

/// How the kernel's TCP decides how much to send, by its name.
pub(crate) fn congestion_control() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").ok()?;
    Some(name.trim().to_owned())
}

impl Network {
    pub(crate) fn of(is_split: bool, server: Option<&Server>) -> Self {
        match (is_split, server) {
            (true, _) => Self::Ethernet,
            (false, Some(_)) => Self::Given,
            (false, None) => Self::Loopback,
        }
    }

    /// What stood between contenders and server, in words.
    pub(crate) fn describe(self, link: Option<&EmulatedLink>) -> String {
        let link = link
            .map_or_else(|| "No delay or loss was emulated.".to_owned(), EmulatedLink::describe);
        let network = match self {
            Self::Loopback => "Network: loopback, whose packets have up to 64 KiB.".to_owned(),
            Self::Ethernet => format!(
                "Network: like an Ethernet, between two namespaces of its own: packets of \
                 {ETHERNET_MTU} bytes at most, none put together or cut later, each counted where \
                 it was sent."
            ),
            Self::Given => "Network: what lies between this machine and the server.".to_owned(),
        };
        format!("{network} {link}")
    }
}
