//! The kernel's counts of one TCP socket, and the bytes on the wire that follow from them.
//!
//! The formula is exact as long as nothing is sent twice or overtakes, as is the rule on loopback.
//! After that it is a few bytes short: acknowledgements carry selective blocks, whose bytes the
//! kernel does not count, and what comes twice is payload to its sender but not to its receiver. A
//! sender that had too little processor to hear an acknowledgement in time does send twice;
//! [`TcpCounts::retransmits`] tells. What is counted are IP packets. A frame of Ethernet adds 18
//! bytes to each, and 20 more of silence before it on the cable; the loopback interface adds
//! nothing.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Where the kernel's `struct tcp_info` has its members, in bytes. The layout is part of its
/// interface to programs and only ever grows at the end; the structs of C libraries differ.
mod at {
    pub(super) const STATE: usize = 0;
    pub(super) const OPTIONS: usize = 5;
    pub(super) const RTT: usize = 68;
    pub(super) const TOTAL_RETRANS: usize = 100;
    pub(super) const BYTES_RECEIVED: usize = 128;
    pub(super) const SEGS_OUT: usize = 136;
    pub(super) const SEGS_IN: usize = 140;
    pub(super) const MIN_RTT: usize = 148;
    pub(super) const DATA_SEGS_IN: usize = 152;
    pub(super) const DATA_SEGS_OUT: usize = 156;
    pub(super) const BYTES_SENT: usize = 200;
    pub(super) const BYTES_RETRANS: usize = 208;
    /// So much of it is needed; Linux has it since 4.19.
    pub(super) const END: usize = 216;
}

/// Room for the struct of kernels to come.
const INFO_BYTES_MAX: libc::socklen_t = 512;
/// The bit of `tcpi_options` that says that both sides stamp their segments.
const TIMESTAMPS: u8 = 1;

const TCP_HEADER_BYTES: u64 = 20;
/// The timestamps option, padded.
const TIMESTAMPS_BYTES: u64 = 12;
/// The options of a SYN: maximum segment size, selective acknowledgements, timestamps and window
/// scale; without timestamps the rest is padded differently.
const SYN_OPTIONS_BYTES: (u64, u64) = (20, 12);

/// The state of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 9293")]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A number that this crate does not know.
    Other(u8),
}

impl State {
    fn from_kernel(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }

    /// Whether this side has sent its FIN. A closed connection counts as closed in order.
    pub fn fin_sent(self) -> bool {
        matches!(
            self,
            Self::FinWait1
                | Self::FinWait2
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
                | Self::Closed
        )
    }

    /// Whether the other side's FIN has come. A closed connection counts as closed in order.
    pub fn fin_received(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait | Self::Closed
        )
    }
}

/// Which side of a connection a socket is. The kernel counts the two differently: the SYN-ACK is
/// not among the segments that the accepted socket sent, as that socket did not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// It connected.
    Active,
    /// It was accepted.
    Passive,
}

/// The version of IP under a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// 20 bytes of header.
    V4,
    /// 40 bytes of header.
    V6,
}

impl Ip {
    /// The version that packets to an address have; IPv4 in the clothes of IPv6 is IPv4.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of a packet's IP header, without options or extensions.
    pub fn header_bytes(self) -> u64 {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// What the kernel counted for one socket, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCounts {
    /// The state of the socket.
    pub state: State,
    /// Whether every segment carries timestamps: 12 bytes each.
    pub timestamps: bool,
    /// Bytes of payload sent, what was sent again included.
    pub bytes_sent: u64,
    /// Bytes of payload that were sent again.
    pub bytes_retransmitted: u64,
    /// Bytes of payload received in order, each once.
    pub bytes_received: u64,
    /// Segments sent: SYN (of the side that connects), data, acknowledgements, FIN.
    pub segments_out: u64,
    /// Segments received, SYN or SYN-ACK included.
    pub segments_in: u64,
    /// Segments sent that carried payload.
    pub data_segments_out: u64,
    /// Segments received that carried payload.
    pub data_segments_in: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// The smoothed round-trip time. On a connection that mostly receives it has the delays of
    /// acknowledgements in it.
    pub rtt: Duration,
    /// The shortest round trip measured, the honest figure; `None` before the first.
    pub min_rtt: Option<Duration>,
}

/// What one socket sent and received, in packets and in bytes with the headers of IP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireCounts {
    /// Bytes of the packets sent.
    pub bytes_out: u64,
    /// Bytes of the packets received.
    pub bytes_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent that acknowledge and do nothing else.
    pub acks_out: u64,
    /// Packets received that acknowledge and do nothing else.
    pub acks_in: u64,
}

impl std::ops::Add for WireCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes_out: self.bytes_out + other.bytes_out,
            bytes_in: self.bytes_in + other.bytes_in,
            packets_out: self.packets_out + other.packets_out,
            packets_in: self.packets_in + other.packets_in,
            acks_out: self.acks_out + other.acks_out,
            acks_in: self.acks_in + other.acks_in,
        }
    }
}

impl TcpCounts {
    /// Reads the kernel's `struct tcp_info`.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is too short: the kernel is older than 4.19.
    pub fn from_kernel(info: &[u8]) -> io::Result<Self> {
        if info.len() < at::END {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the kernel's tcp_info has {} bytes, {} are needed", info.len(), at::END),
            ));
        }
        let small =
            |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let large = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&info[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        let microseconds = |at| Duration::from_micros(small(at).into());
        let state = State::from_kernel(info[at::STATE]);
        // The kernel counts the place that a FIN takes in the sequence as a byte received.
        let fin = u64::from(state.fin_received());
        Ok(Self {
            state,
            timestamps: info[at::OPTIONS] & TIMESTAMPS != 0,
            bytes_sent: large(at::BYTES_SENT),
            bytes_retransmitted: large(at::BYTES_RETRANS),
            bytes_received: large(at::BYTES_RECEIVED).saturating_sub(fin),
            segments_out: small(at::SEGS_OUT).into(),
            segments_in: small(at::SEGS_IN).into(),
            data_segments_out: small(at::DATA_SEGS_OUT).into(),
            data_segments_in: small(at::DATA_SEGS_IN).into(),
            retransmits: small(at::TOTAL_RETRANS).into(),
            rtt: microseconds(at::RTT),
            // All ones until something was measured.
            min_rtt: Some(small(at::MIN_RTT))
                .filter(|time| *time != u32::MAX)
                .map(|time| Duration::from_micros(time.into())),
        })
    }

    /// Packets and bytes both ways, headers and handshake included.
    pub fn wire(&self, opener: Opener, ip: Ip) -> WireCounts {
        let packets_out = self.segments_out + u64::from(opener == Opener::Passive);
        let sent = u64::from(self.state.fin_sent());
        let received = u64::from(self.state.fin_received());
        // A SYN and, unless it rode on data, a FIN are neither data nor mere acknowledgements.
        let acks = |packets: u64, data: u64, fin: u64| packets.saturating_sub(data + 1 + fin);
        WireCounts {
            bytes_out: self.wire_bytes_out(opener, ip),
            bytes_in: self.wire_bytes_in(ip),
            packets_out,
            packets_in: self.segments_in,
            acks_out: acks(packets_out, self.data_segments_out, sent),
            acks_in: acks(self.segments_in, self.data_segments_in, received),
        }
    }

    /// Bytes of all packets sent, with the headers of IP and TCP.
    pub fn wire_bytes_out(&self, opener: Opener, ip: Ip) -> u64 {
        let packets = self.segments_out + u64::from(opener == Opener::Passive);
        self.wire_bytes(packets, self.bytes_sent, ip)
    }

    /// Bytes of all packets received, with the headers of IP and TCP.
    pub fn wire_bytes_in(&self, ip: Ip) -> u64 {
        self.wire_bytes(self.segments_in, self.bytes_received, ip)
    }

    /// Of the bytes of [`wire_bytes_in`](Self::wire_bytes_in) those of segments with payload. Of
    /// two counts of one socket the difference is what the peer said in between, without its
    /// acknowledgements.
    pub fn wire_bytes_data_in(&self, ip: Ip) -> u64 {
        self.data_segments_in * self.header_bytes(ip) + self.bytes_received
    }

    /// Bytes of the headers of a segment that is no SYN.
    pub fn header_bytes(&self, ip: Ip) -> u64 {
        let options = if self.timestamps { TIMESTAMPS_BYTES } else { 0 };
        ip.header_bytes() + TCP_HEADER_BYTES + options
    }

    /// Each side sends one SYN, whose options are longer than those of the other segments.
    fn wire_bytes(&self, packets: u64, payload: u64, ip: Ip) -> u64 {
        if packets == 0 {
            return 0;
        }
        let syn_surplus = if self.timestamps {
            SYN_OPTIONS_BYTES.0 - TIMESTAMPS_BYTES
        } else {
            SYN_OPTIONS_BYTES.1
        };
        packets * self.header_bytes(ip) + syn_surplus + payload
    }
}

/// The kernel's counts of a TCP socket of this process. One system call of about a microsecond.
///
/// The counts of a connection are complete once both FINs are acknowledged, and can be read for as
/// long as the socket is open: shut down writing, read to the end, ask, close. See
/// [`Watched`](crate::Watched).
///
/// # Errors
///
/// What the kernel says if it is not a TCP socket, or `Unsupported` before Linux 4.19.
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpCounts> {
    let mut info = [0_u8; INFO_BYTES_MAX as usize];
    let mut length = INFO_BYTES_MAX;
    // SAFETY: `info` is writable for `length` bytes, which the kernel respects, and any bytes are
    // valid in it; the descriptor is borrowed, so it is open.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    TcpCounts::from_kernel(info.get(..length as usize).unwrap_or(&info))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use proptest::prelude::*;

    use super::*;

    #[cfg(target_env = "gnu")]
    #[test]
    fn the_layout_is_the_one_that_the_c_library_knows() {
        for (own, theirs) in [
            (at::STATE, offset_of!(libc::tcp_info, tcpi_state)),
            (at::OPTIONS, offset_of!(libc::tcp_info, tcpi_options)),
            (at::RTT, offset_of!(libc::tcp_info, tcpi_rtt)),
            (at::TOTAL_RETRANS, offset_of!(libc::tcp_info, tcpi_total_retrans)),
            (at::BYTES_RECEIVED, offset_of!(libc::tcp_info, tcpi_bytes_received)),
            (at::SEGS_OUT, offset_of!(libc::tcp_info, tcpi_segs_out)),
            (at::SEGS_IN, offset_of!(libc::tcp_info, tcpi_segs_in)),
            (at::MIN_RTT, offset_of!(libc::tcp_info, tcpi_min_rtt)),
            (at::DATA_SEGS_IN, offset_of!(libc::tcp_info, tcpi_data_segs_in)),
            (at::DATA_SEGS_OUT, offset_of!(libc::tcp_info, tcpi_data_segs_out)),
            (at::BYTES_SENT, offset_of!(libc::tcp_info, tcpi_bytes_sent)),
            (at::BYTES_RETRANS, offset_of!(libc::tcp_info, tcpi_bytes_retrans)),
        ] {
            assert_eq!(own, theirs);
        }
    }

    fn counts() -> TcpCounts {
        TcpCounts {
            state: State::Closed,
            timestamps: true,
            bytes_sent: 30,
            bytes_retransmitted: 0,
            bytes_received: 2000,
            segments_out: 25,
            segments_in: 24,
            data_segments_out: 1,
            data_segments_in: 20,
            retransmits: 0,
            rtt: Duration::ZERO,
            min_rtt: None,
        }
    }

    #[test]
    fn both_ends_of_a_connection_tell_the_same_story() {
        let client = counts();
        let server = TcpCounts {
            bytes_sent: 2000,
            bytes_received: 30,
            segments_out: 23,
            segments_in: 25,
            data_segments_out: 20,
            data_segments_in: 1,
            ..client
        };
        let near = client.wire(Opener::Active, Ip::V4);
        let far = server.wire(Opener::Passive, Ip::V4);
        assert_eq!((near.bytes_out, near.bytes_in), (1338, 3256));
        assert_eq!((far.bytes_in, far.bytes_out), (1338, 3256));
        assert_eq!((near.packets_out, near.packets_in), (25, 24));
        assert_eq!((far.packets_in, far.packets_out), (25, 24));
        assert_eq!((near.acks_out, near.acks_in), (22, 2));
        assert_eq!((far.acks_in, far.acks_out), (22, 2));
    }

    #[test]
    fn headers_differ_with_ip_and_with_timestamps() {
        let client = counts();
        assert_eq!(client.wire_bytes_out(Opener::Active, Ip::V6), 1338 + 25 * 20);
        let plain = TcpCounts { timestamps: false, ..client };
        assert_eq!(plain.wire_bytes_out(Opener::Active, Ip::V4), 25 * 40 + 12 + 30);
        let unborn = TcpCounts { segments_out: 0, bytes_sent: 0, ..client };
        assert_eq!(unborn.wire_bytes_out(Opener::Active, Ip::V4), 0);
        assert_eq!(Ip::of("::ffff:127.0.0.1".parse().unwrap()), Ip::V4);
        assert_eq!(Ip::of("::1".parse().unwrap()), Ip::V6);
    }

    #[test]
    fn a_socket_that_is_not_tcp_is_an_error() {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(tcp_info(&socket).is_err());
        assert!(TcpCounts::from_kernel(&[0; at::END - 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_of_a_kernel_can_be_read(
            info in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(counts) = TcpCounts::from_kernel(&info) {
                let small = TcpCounts { bytes_sent: 0, bytes_received: 0, ..counts };
                small.wire(Opener::Active, Ip::V6);
                small.wire(Opener::Passive, Ip::V4);
            }
        }
    }
}
