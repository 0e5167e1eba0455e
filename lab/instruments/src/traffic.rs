//! What went over the connections of one subscription, as figures.

use std::time::Duration;

use doorbell_link::Mishaps;
use doorbell_wire::WireCounts;

/// What went over the connections of one subscription so far, at the sockets: lines, HTTP with its
/// headers, WebSocket frames. What TCP and IP add is in [`wire`](Self::wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// How often something had come that was read: as often was whoever reads woken for it.
    pub reads: u64,
    /// Requests sent: each HTTP request, each `SUB` line.
    pub requests: u64,
    /// Polls that were answered without a message.
    pub empty: u64,
    /// Those of them that were answered by `304`.
    pub not_modified: u64,
    /// Connections opened.
    pub connects: u64,
    /// From requests over HTTP to the heads of their answers, added up.
    pub answers: Duration,
    /// Packets and bytes with the headers of TCP and IP, handshakes, acknowledgements and closes
    /// included, as the kernel counted them. A Unix socket has none.
    pub wire: WireCounts,
    /// What was lost and sent again among those packets, where a link of packets says so.
    pub mishaps: Mishaps,
}

impl Traffic {
    /// Adds up two counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            reads: self.reads + other.reads,
            requests: self.requests + other.requests,
            empty: self.empty + other.empty,
            not_modified: self.not_modified + other.not_modified,
            connects: self.connects + other.connects,
            answers: self.answers + other.answers,
            wire: self.wire + other.wire,
            mishaps: self.mishaps + other.mishaps,
        }
    }

    /// Bytes both ways with the headers of TCP and IP. A Unix socket has none: its own bytes.
    pub fn bytes_on_wire(self) -> u64 {
        match self.wire.bytes_in + self.wire.bytes_out {
            0 => self.bytes_in + self.bytes_out,
            bytes => bytes,
        }
    }

    /// Packets both ways.
    pub fn packets(self) -> u64 {
        self.wire.packets_in + self.wire.packets_out
    }

    /// What was added since an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let (wire, before) = (self.wire, earlier.wire);
        let (mishaps, mishaps_before) = (self.mishaps, earlier.mishaps);
        Self {
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            reads: self.reads.saturating_sub(earlier.reads),
            requests: self.requests.saturating_sub(earlier.requests),
            empty: self.empty.saturating_sub(earlier.empty),
            not_modified: self.not_modified.saturating_sub(earlier.not_modified),
            connects: self.connects.saturating_sub(earlier.connects),
            answers: self.answers.saturating_sub(earlier.answers),
            wire: WireCounts {
                bytes_out: wire.bytes_out.saturating_sub(before.bytes_out),
                bytes_in: wire.bytes_in.saturating_sub(before.bytes_in),
                packets_out: wire.packets_out.saturating_sub(before.packets_out),
                packets_in: wire.packets_in.saturating_sub(before.packets_in),
                acks_out: wire.acks_out.saturating_sub(before.acks_out),
                acks_in: wire.acks_in.saturating_sub(before.acks_in),
            },
            mishaps: Mishaps {
                lost_out: mishaps.lost_out.saturating_sub(mishaps_before.lost_out),
                lost_in: mishaps.lost_in.saturating_sub(mishaps_before.lost_in),
                again_out: mishaps.again_out.saturating_sub(mishaps_before.again_out),
                again_in: mishaps.again_in.saturating_sub(mishaps_before.again_in),
            },
        }
    }
}
