//! What datagrams lost on the way, and what it cost to have everything all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use doorbell_wire::{Ip, WireCounts};

use crate::socket::Traffic;

/// Bytes of the header of UDP.
const UDP_HEADER_BYTES: u64 = 8;

/// What became of the datagrams of one subscription so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Datagrams with a message, or the announcement of one, that arrived.
    pub arrived: u64,
    /// Messages whose datagram did not arrive; each was fetched.
    pub lost: u64,
    /// Datagrams that arrived after their message had been fetched.
    pub overtaken: u64,
    /// Datagrams that arrived more than once.
    pub repeated: u64,
    /// Messages that were too large for a datagram and were fetched when they were announced.
    pub large: u64,
    /// How often something had to be fetched.
    pub repairs: u64,
    /// What all that fetching cost: it is a part of the subscription's [`Traffic`].
    pub cost: Traffic,
}

impl Losses {
    /// Whether everything came as it was sent.
    pub fn is_none(&self) -> bool {
        self.lost + self.overtaken + self.repeated + self.large + self.repairs == 0
    }
}

/// The running count behind [`Losses`], and of the packets themselves.
#[derive(Debug, Default)]
pub(crate) struct DatagramBook(Mutex<(Losses, WireCounts)>);

impl DatagramBook {
    pub(crate) fn losses(&self) -> Losses {
        self.book().0
    }

    pub(crate) fn wire(&self) -> WireCounts {
        self.book().1
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Losses)) {
        change(&mut self.book().0);
    }

    pub(crate) fn packet_out(&self, payload: usize, ip: Ip) {
        let wire = &mut self.book().1;
        wire.packets_out += 1;
        wire.bytes_out += payload as u64 + UDP_HEADER_BYTES + ip.header_bytes();
    }

    pub(crate) fn packet_in(&self, payload: usize, ip: Ip) {
        let wire = &mut self.book().1;
        wire.packets_in += 1;
        wire.bytes_in += payload as u64 + UDP_HEADER_BYTES + ip.header_bytes();
    }

    fn book(&self) -> MutexGuard<'_, (Losses, WireCounts)> {
        // Every change is whole before anything in it can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
