//! What a packet says of itself, as far as a link counts it.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// What speaks over ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Whose packets they are. There is one client's address and one server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) protocol: Protocol,
    pub(crate) client: u16,
    pub(crate) server: u16,
}

/// From which end of a link something comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Whose it is; `None` if it is neither TCP nor UDP, or a later fragment.
    pub(crate) key: Option<Key>,
    /// Of a segment, what it does.
    pub(crate) segment: Option<Segment>,
}

/// What a segment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Segment {
    pub(crate) sequence: u32,
    /// How far it moves the sequence: its payload, and one each for SYN and FIN.
    pub(crate) length: u32,
    /// Whether it asks for a connection.
    pub(crate) opens: bool,
    /// Whether it acknowledges and does nothing else.
    pub(crate) is_ack: bool,
    /// What it acknowledges.
    pub(crate) acknowledges: Option<u32>,
    /// Whether its sender has nothing more to say, and whether it breaks the connection off.
    pub(crate) is_fin: bool,
    pub(crate) is_reset: bool,
}

impl Packet {
    /// Takes a packet apart; `None` if it is not of IPv4, which alone is carried.
    pub(crate) fn parse(bytes: &[u8], from: From) -> Option<Self> {
        let packet = SlicedPacket::from_ip(bytes).ok()?;
        let Some(NetSlice::Ipv4(_)) = packet.net else {
            return None;
        };
        let key = |protocol, source, destination| match from {
            From::Client => Key { protocol, client: source, server: destination },
            From::Server => Key { protocol, client: destination, server: source },
        };
        Some(match packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let payload = u32::try_from(tcp.payload().len()).unwrap_or(u32::MAX);
                let length = payload + u32::from(tcp.syn()) + u32::from(tcp.fin());
                Self {
                    key: Some(key(Protocol::Tcp, tcp.source_port(), tcp.destination_port())),
                    segment: Some(Segment {
                        sequence: tcp.sequence_number(),
                        length,
                        opens: tcp.syn() && !tcp.ack(),
                        is_ack: length == 0 && !tcp.rst(),
                        acknowledges: tcp.ack().then(|| tcp.acknowledgment_number()),
                        is_fin: tcp.fin(),
                        is_reset: tcp.rst(),
                    }),
                }
            }
            Some(TransportSlice::Udp(udp)) => Self {
                key: Some(key(Protocol::Udp, udp.source_port(), udp.destination_port())),
                segment: None,
            },
            _ => Self { key: None, segment: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_says_whose_it_is_and_what_it_does() {
        let ip = || PacketBuilder::ipv4([127, 1, 0, 1], [127, 1, 0, 2], 64);
        let mut bytes = Vec::new();
        ip().tcp(4000, 80, 7, 100).syn().write(&mut bytes, b"").unwrap();
        let syn = Packet::parse(&bytes, From::Client).unwrap();
        let key = Key { protocol: Protocol::Tcp, client: 4000, server: 80 };
        assert_eq!(syn.key, Some(key));
        let segment = syn.segment.unwrap();
        assert!(segment.opens && !segment.is_ack);
        assert_eq!((segment.sequence, segment.length), (7, 1));

        let mut bytes = Vec::new();
        ip().tcp(80, 4000, 7, 100).ack(8).write(&mut bytes, b"").unwrap();
        let ack = Packet::parse(&bytes, From::Server).unwrap();
        assert_eq!(ack.key, Some(key));
        assert!(ack.segment.unwrap().is_ack);

        let mut bytes = Vec::new();
        ip().udp(80, 4000).write(&mut bytes, b"hi").unwrap();
        let datagram = Packet::parse(&bytes, From::Server).unwrap();
        assert_eq!(datagram.key, Some(Key { protocol: Protocol::Udp, ..key }));

        let mut bytes = Vec::new();
        let ipv6 = PacketBuilder::ipv6([1; 16], [2; 16], 64);
        ipv6.udp(80, 4000).write(&mut bytes, b"hi").unwrap();
        assert_eq!(Packet::parse(&bytes, From::Server), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            Packet::parse(&bytes, From::Client);
        }
    }
}
