//! The rows of the table of connections. What the kernel counts is asked for here, a row at a time.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use doorbell_protocol::Id;
use doorbell_wire::{Ip, Lookup, Opener, TcpCounts};
use serde::Serialize;

use super::lane::Name;
use crate::access::Access;
use crate::connections::{Connection, Ends, Service};
use crate::metrics::Listener;

/// Bytes of the header of UDP.
const UDP_HEADER_BYTES: u64 = 8;

/// One connection, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    number: u64,
    via: &'static str,
    local: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    age_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<Name>,
    #[serde(flatten)]
    reading: Option<Reading>,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(flatten)]
    packets: Option<Packets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_rtt_us: Option<u64>,
}

/// What it reads and how far it is.
#[derive(Debug, Serialize)]
struct Reading {
    filter: String,
    place: Id,
    behind: u64,
}

#[derive(Debug, Serialize)]
struct Packets {
    segments_in: u64,
    segments_out: u64,
    wire_in: u64,
    wire_out: u64,
}

/// Bytes of the headers of a datagram's packet.
pub(super) fn datagram_header_bytes(ip: Ip) -> u64 {
    ip.header_bytes() + UDP_HEADER_BYTES
}

/// The rows of these connections. It asks the kernel for each of them, some microseconds a row: not
/// to be called where others wait.
pub(crate) fn rows(
    connections: Vec<(Arc<Connection>, Option<Name>)>,
    access: &Access,
    unix: Option<&Path>,
) -> Vec<Row> {
    // Where the kernel cannot be asked a row has what the server counts itself.
    let mut lookup = Lookup::open().ok();
    let row = |(connection, lane): (Arc<Connection>, _)| {
        row(&connection, lane, access, unix, lookup.as_mut())
    };
    connections.into_iter().map(row).collect()
}

fn row(
    connection: &Connection,
    lane: Option<Name>,
    access: &Access,
    unix: Option<&Path>,
    lookup: Option<&mut Lookup>,
) -> Row {
    let (service, reading) = reading(connection, access);
    let (local, peer) = match connection.ends() {
        Ends::Internet { local, peer } => (local.to_string(), Some(peer)),
        Ends::Unix { .. } => {
            (unix.map(|path| path.display().to_string()).unwrap_or_default(), None)
        }
    };
    // A proxy also asks for itself.
    let client = connection.client().filter(|client| Some(*client) != peer.map(|peer| peer.ip()));
    let mut row = Row {
        number: connection.number(),
        via: service.name(),
        local,
        peer: peer.map(|peer| peer.to_string()),
        client,
        age_s: (connection.age().as_secs_f64() * 10.0).round() / 10.0,
        lane,
        reading,
        bytes_in: connection.received(),
        bytes_out: connection.sent(),
        packets: None,
        rtt_us: None,
        min_rtt_us: None,
    };
    if let Ends::Internet { local, peer } = connection.ends() {
        let ip = Ip::of(peer.ip());
        if connection.listener() == Listener::Udp {
            row.count_datagrams(connection, ip);
        } else if let Some(counts) = lookup.and_then(|kernel| kernel.counts(local, peer).ok()?) {
            row.count_segments(&counts, ip);
        }
    }
    row
}

/// The place is read before the newest one, so that a reader is never ahead.
fn reading(connection: &Connection, access: &Access) -> (Service, Option<Reading>) {
    let (service, progress) = connection.now();
    let reading = progress.and_then(|progress| {
        let (filter, reached) = (progress.filter()?, progress.reached());
        let left = access.visible().saturating_sub(reached.place);
        let behind = if reached.waiting { 0 } else { left };
        Some(Reading { filter, place: access.id(reached.place), behind })
    });
    (service, reading)
}

impl Row {
    fn count_segments(&mut self, counts: &TcpCounts, ip: Ip) {
        let wire = counts.wire(Opener::Passive, ip);
        self.bytes_in = counts.bytes_received;
        self.bytes_out = counts.bytes_sent.saturating_sub(counts.bytes_retransmitted);
        self.packets = Some(Packets {
            segments_in: wire.packets_in,
            segments_out: wire.packets_out,
            wire_in: wire.bytes_in,
            wire_out: wire.bytes_out,
        });
        let [rtt_us, min_rtt_us] = [Some(counts.rtt), counts.min_rtt]
            .map(|time| time.and_then(|time| u64::try_from(time.as_micros()).ok()));
        (self.rtt_us, self.min_rtt_us) = (rtt_us, min_rtt_us);
    }

    fn count_datagrams(&mut self, connection: &Connection, ip: Ip) {
        let (received, sent) = connection.datagrams();
        let (segments_in, segments_out) = (received.into(), sent.into());
        let header = datagram_header_bytes(ip);
        self.packets = Some(Packets {
            segments_in,
            segments_out,
            wire_in: self.bytes_in + header * segments_in,
            wire_out: self.bytes_out + header * segments_out,
        });
    }
}
