//! A captured TCP segment, taken apart.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TcpSlice, TransportSlice};

use crate::ring::Frame;

/// The flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "that is what flags are")]
#[allow(missing_docs, reason = "the names are those of RFC 9293")]
pub struct Flags {
    pub syn: bool,
    pub ack: bool,
    pub psh: bool,
    pub fin: bool,
    pub rst: bool,
}

/// The options of a segment that a trace shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The largest payload that this side takes in one segment, in bytes.
    pub mss: Option<u16>,
    /// By how many bits this side's windows are to be shifted.
    pub window_scale: Option<u8>,
    /// Whether selective acknowledgements are understood.
    pub sack_permitted: bool,
    /// Whether it carries timestamps.
    pub timestamps: bool,
    /// Selective acknowledgements in it.
    pub sack_blocks: u8,
}

/// One TCP segment, or several that the kernel passed along as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// When the kernel saw it, since the beginning of 1970.
    pub time: Duration,
    /// From where.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
    /// The sequence number of its first byte, absolute.
    pub sequence: u32,
    /// What it acknowledges, absolute; meaningless without [`Flags::ack`].
    pub acknowledgement: u32,
    /// The window it announces, not yet scaled.
    pub window: u16,
    /// Its flags.
    pub flags: Flags,
    /// Its options.
    pub options: Options,
    /// What it carries.
    pub payload: Vec<u8>,
    /// Bytes of the headers of IP and TCP.
    pub header_bytes: u64,
    /// How many segments would cross a real wire: more than one if the kernel left the cutting to
    /// a network card, which loopback does not have.
    pub segments: u64,
}

impl Segment {
    /// Bytes of its IP packets, headers of IP and TCP included.
    pub fn wire_bytes(&self) -> u64 {
        self.segments * self.header_bytes + self.payload.len() as u64
    }

    /// How far it moves the sequence: its payload, and one each for SYN and FIN.
    pub fn sequence_length(&self) -> u32 {
        let payload = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        payload + u32::from(self.flags.syn) + u32::from(self.flags.fin)
    }

    /// Takes a frame of an Ethernet apart; `None` if it is no TCP over IP.
    pub(crate) fn parse(frame: &Frame) -> Option<Self> {
        Self::of(frame, SlicedPacket::from_ethernet(&frame.bytes).ok()?)
    }

    /// The same of a frame that begins with IP.
    pub(crate) fn parse_ip(frame: &Frame) -> Option<Self> {
        Self::of(frame, SlicedPacket::from_ip(&frame.bytes).ok()?)
    }

    fn of(frame: &Frame, packet: SlicedPacket<'_>) -> Option<Self> {
        let (source, destination, ip_bytes): (IpAddr, IpAddr, usize) = match packet.net? {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    header.slice().len(),
                )
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    header.slice().len() + ip.extensions().slice().len(),
                )
            }
            NetSlice::Arp(_) => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
            return None;
        };
        let payload = tcp.payload().to_vec();
        let segments = match frame.segment_bytes {
            0 => 1,
            size => payload.len().div_ceil(size.into()).max(1) as u64,
        };
        Some(Self {
            time: frame.time,
            source: SocketAddr::new(source, tcp.source_port()),
            destination: SocketAddr::new(destination, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            acknowledgement: tcp.acknowledgment_number(),
            window: tcp.window_size(),
            flags: flags(&tcp),
            options: options(&tcp),
            header_bytes: (ip_bytes + tcp.header_slice().len()) as u64,
            payload,
            segments,
        })
    }
}

fn flags(tcp: &TcpSlice<'_>) -> Flags {
    Flags { syn: tcp.syn(), ack: tcp.ack(), psh: tcp.psh(), fin: tcp.fin(), rst: tcp.rst() }
}

fn options(tcp: &TcpSlice<'_>) -> Options {
    let mut options = Options::default();
    for element in tcp.options_iterator().flatten() {
        match element {
            TcpOptionElement::MaximumSegmentSize(bytes) => options.mss = Some(bytes),
            TcpOptionElement::WindowScale(bits) => options.window_scale = Some(bits),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            TcpOptionElement::Timestamp(..) => options.timestamps = true,
            TcpOptionElement::SelectiveAcknowledgement(_, more) => {
                let more = more.iter().flatten().count();
                options.sack_blocks = 1 + u8::try_from(more).unwrap_or(u8::MAX - 1);
            }
            TcpOptionElement::Noop => {}
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    fn frame(bytes: Vec<u8>, segment_bytes: u16) -> Frame {
        Frame { time: Duration::from_secs(1), bytes, segment_bytes }
    }

    fn built(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([0; 6], [0; 6])
            .ipv4([127, 0, 0, 1], [127, 0, 0, 2], 64)
            .tcp(4000, 80, 7, 1024)
            .options(&[TcpOptionElement::Noop, TcpOptionElement::Timestamp(1, 2)])
            .unwrap()
            .ack(9)
            .psh()
            .write(&mut bytes, payload)
            .unwrap();
        bytes
    }

    #[test]
    fn a_segment_is_taken_apart() {
        let segment = Segment::parse(&frame(built(b"hello"), 0)).unwrap();
        assert_eq!(segment.source.to_string(), "127.0.0.1:4000");
        assert_eq!(segment.destination.to_string(), "127.0.0.2:80");
        assert_eq!((segment.sequence, segment.acknowledgement), (7, 9));
        assert_eq!(segment.payload, b"hello");
        assert!(segment.flags.psh && segment.flags.ack && !segment.flags.syn);
        assert!(segment.options.timestamps);
        assert_eq!((segment.header_bytes, segment.wire_bytes()), (52, 57));
    }

    #[test]
    fn what_a_card_would_cut_is_counted_as_cut() {
        let segment = Segment::parse(&frame(built(&[0; 1000]), 400)).unwrap();
        assert_eq!((segment.segments, segment.wire_bytes()), (3, 3 * 52 + 1000));
    }

    proptest! {
        #[test]
        fn any_frame_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            Segment::parse(&frame(bytes, 0));
        }

        #[test]
        fn a_frame_that_is_damaged_can_be_looked_at(at in 0_usize..68, value in any::<u8>()) {
            let mut bytes = built(b"hi");
            bytes[at] = value;
            Segment::parse(&frame(bytes, 1));
        }
    }
}
